# Two commands matter: `make drill` and `make test`. Both set up `.venv` first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt

.PHONY: setup setup-dev drill check test clean

setup: $(VENV)/.core

setup-dev: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rushproof: Python 3.11 or newer is needed; name it by 'make PYTHON=python3.12 …'" >&2; exit 2; }
	@$(PYTHON) .ci/make_venv.py $(VENV)

$(VENV)/.core: pyproject.toml .ci/constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

drill: setup
	$(BIN)/rushproof drill

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m 'not slow' -n 3 -q

test: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 3 --dist worksteal --durations=40 -m 'not drill'
	$(BIN)/pytest -m 'drill and unhurried' -n 4 --durations=0
	$(BIN)/pytest -m 'drill and not unhurried' -n 2 --durations=0

clean:
	rm -rf $(VENV) build dist *.egg-info
