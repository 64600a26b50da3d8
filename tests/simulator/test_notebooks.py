"""The notebooks run from top to bottom on a small setting, and are stored with what they show."""

from __future__ import annotations

import ast
import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from simulator.model.engines import Engine

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def _cells(name: str) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    return cells


def _assertions(name: str) -> list[ast.Assert]:
    code = "\n".join("".join(cell["source"]) for cell in _cells(name) if cell["cell_type"] == "code")
    return [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assert)]


def _said(assertion: ast.Assert) -> ast.Constant | None:
    """The figure of the text that `assert bears_out(found, figure, slack=…)` holds against what was found."""
    call = assertion.test
    if isinstance(call, ast.Call) and ast.unparse(call.func) == "bears_out" and isinstance(call.args[1], ast.Constant):
        return call.args[1]
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_small_and_would_not_bear_out_other_headlines(
    name: str, compiled_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHPROOF_NOTEBOOKS", "small")
    scope: dict[str, Any] = {"__name__": name}
    for cell in _cells(name):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), name, "exec"), scope)  # our own notebook
    headlines = [(each, said) for each in _assertions(name) if (said := _said(each))]
    assert len(headlines) >= 3
    for assertion, said in headlines:
        for factor in (0.5, 1.8):
            wrong = ast.unparse(assertion.test).replace(f", {said.value}, ", f", {said.value * factor}, ", 1)
            assert not eval(wrong, scope), f"{wrong} cannot fail"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_figure_of_its_headline_is_asserted(name: str) -> None:
    bold = re.findall(r"\*\*([\d.,]+)[^*]*\*\*", "".join(_cells(name)[0]["source"]))
    asserted = {
        float(node.value)
        for assertion in _assertions(name)
        for node in ast.walk(assertion)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float)
    }
    assert len(bold) >= 3
    assert {float(figure.replace(",", "")) for figure in bold} <= asserted


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
    assert len((FOLDER / name).read_bytes()) < 500_000
    written = json.dumps([output for output in outputs if "image/png" not in output.get("data", {})])
    here = re.escape(str(FOLDER.parent))
    assert not re.search(
        rf"/(home|root|tmp|Users)/|{here}|site-packages|Warning|Traceback|<[a-z_.]+ object",
        written,
    )
    assert all(base64.b64decode("".join(each)).startswith(b"\x89PNG") for each in pictures)
    assert any("assert" in "".join(cell["source"]) for cell in code)


def test_there_are_the_three_studies() -> None:
    assert NOTEBOOKS == ["capacity.ipynb", "chain.ipynb", "weak_network.ipynb"]
