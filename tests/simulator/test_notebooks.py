"""The notebooks run from top to bottom on a small setting, and are stored with what they show."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.model.engines import Engine

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def _cells(name: str) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    return cells


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_small_and_its_assertions_hold(
    name: str, compiled_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHPROOF_NOTEBOOKS", "small")
    scope: dict[str, Any] = {"__name__": name}
    for cell in _cells(name):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), name, "exec"), scope)  # our own notebook


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_stored_with_results_first_then_pictures_and_no_errors(name: str) -> None:
    cells = _cells(name)
    assert cells[0]["cell_type"] == "markdown"
    assert "**" in "".join(cells[0]["source"]), "the first cell says the result"
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    assert all(base64.b64decode("".join(each)).startswith(b"\x89PNG") for each in pictures)
    assert any("assert" in "".join(cell["source"]) for cell in code)


def test_there_are_the_three_studies() -> None:
    assert NOTEBOOKS == ["capacity.ipynb", "chain.ipynb", "weak_network.ipynb"]
