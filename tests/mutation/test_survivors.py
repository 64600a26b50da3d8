"""The explanations of surviving mutants speak of the code as it is, and the evidence counts no survivor without one."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROTOCOL = HERE.parents[1] / "refsystem" / "protocol"
EVIDENCE = HERE.parent / "evidence" / "mutation.json"
SURVIVORS = tomllib.loads((HERE / "survivors.toml").read_text(encoding="utf-8"))["survivor"]


def code_of(function: str) -> str:
    """The module that `function` stands in, on one line."""
    path = PROTOCOL / f"{function.split('.')[0]}.py"
    return " ".join(line.strip() for line in path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("survivor", SURVIVORS, ids=lambda survivor: f"{survivor['function']}: {survivor['after']}")
def test_an_explanation_speaks_of_code_that_is_there(survivor: dict[str, str]) -> None:
    assert survivor.keys() == {"function", "before", "after", "why"}
    assert survivor["before"] in code_of(survivor["function"])
    assert survivor["before"] != survivor["after"]
    assert len(survivor["why"]) > 20


def test_no_change_is_explained_twice() -> None:
    changes = [(survivor["function"], survivor["before"], survivor["after"]) for survivor in SURVIVORS]
    assert len(set(changes)) == len(changes)


@pytest.mark.skipif(not EVIDENCE.exists(), reason="no evidence of a whole run yet")
def test_every_survivor_in_the_evidence_is_explained() -> None:
    counts = json.loads(EVIDENCE.read_text(encoding="utf-8"))["counts"]
    assert counts["generated"] == counts["killed"] + counts["timeout"] + counts["survived"]
    assert counts["survived"] == counts["explained"]
