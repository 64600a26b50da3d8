"""`rushproof simulate --beside`: what drills have measured, and how far the model is from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.cli import main
from chaos.measured import errors

EVENING = """\
name: evening
duration_s: 20
seed: {seed}
stores: [{{name: s1, tables: {tables}, kitchen_seconds: 1}}]
diners:
  arrivals: {{rate_per_s: 5}}
  channels: {{qr: 0.8, cashier: 0.0, mini_program: 0.2}}
  think_s: 1
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    path = tmp_path / "evening.yaml"
    path.write_text(EVENING.format(seed=1, tables=12), encoding="utf-8")
    return ["simulate", str(path), "--engine", "simpy", "--replications", "3", "--workers", "1", "--beside"]


def _folder(path: Path, p95: float, *, tables: int = 12) -> str:
    path.mkdir()
    (path / "scenario.yaml").write_text(EVENING.format(seed=5, tables=tables), encoding="utf-8")
    waited = {"p50": 20.0, "p95": p95, "p99": None, "max": None}
    people = {"ordered": 100, "told_yes": 90}
    verdict = {"seed": 5, "latency_ms": {"person": waited}, "details": {"people": people}}
    (path / "verdict.json").write_text(json.dumps(verdict), encoding="utf-8")
    return str(path)


def _evidence(path: Path, **changes: Any) -> str:
    run = {
        "scenario": "evening", "seed": 7, "verdict": "pass", "people": {"ordered": 80, "told_yes": 80},
        "waited_ms": {"p50": 30.0, "p95": 50.0, "p99": 60.0, "max": 70.0},
    } | changes  # fmt: skip
    path.write_text(json.dumps({"kind": "drills", "counts": {"runs": [run]}}), encoding="utf-8")
    return str(path)


def test_drills_are_told_beside_the_model_from_folders_and_from_evidence(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drills = [_folder(tmp_path / "run", 40.0), _evidence(tmp_path / "evidence.json")]
    assert main([*arguments, *drills, "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [(each["seed"], each["figures"]) for each in found["beside"]] == [
        (5, {"answer_p50": 20.0, "answer_p95": 40.0, "told_yes": 0.9}),
        (7, {"answer_p50": 30.0, "answer_p95": 50.0, "answer_p99": 60.0, "told_yes": 1.0}),
    ]
    row = next(line for line in said.err.splitlines() if line.startswith("answer_p95"))
    off_by = found["figures"]["answer_p95"]["mean"] / 45 - 1
    assert "40, 50" in row
    assert f"{off_by:+.0%} (±11%)" in row


def test_how_far_off_is_of_the_mean_of_the_drills() -> None:
    assert errors(90, [100]) == pytest.approx((-0.1, 0.0))
    assert errors(66, [50, 60, 70]) == pytest.approx((0.1, 1 / 6))


@pytest.mark.parametrize(
    "case", ["missing", "no run", "another name", "another scenario", "other evidence", "no answers", "trace"]
)
def test_what_is_no_drill_of_this_scenario_is_told_in_one_sentence_before_the_work(
    case: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    trace = tmp_path / "trace.csv"
    named = {
        "missing": [str(tmp_path / "nothing")],
        "no run": [str(tmp_path / "empty")],
        "another name": [_evidence(tmp_path / "a.json", scenario="other")],
        "another scenario": [_folder(tmp_path / "more tables", 40.0, tables=13)],
        "other evidence": [_evidence(tmp_path / "b.json", verdict="fail")],
        "no answers": [_evidence(tmp_path / "c.json", waited_ms=None)],
        "trace": [_folder(tmp_path / "run", 40.0), "--trace", str(trace)],
    }[case]
    assert main([*arguments, *named]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    expected = {
        "missing": "is not there",
        "no run": "is not the folder of a finished drill",
        "another name": "holds no drill of 'evening'",
        "another scenario": "was run with another 'evening'",
        "other evidence": "that passed",
        "no answers": "how long people waited",
        "trace": "does not go with --trace",
    }
    assert expected[case] in said.err
