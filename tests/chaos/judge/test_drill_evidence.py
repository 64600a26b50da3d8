"""Real drills as evidence: each run once, and no other file touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.drill_evidence import EvidenceError, add_drill, read_drills
from chaos.judge.judging import judge_run


def test_a_drill_is_added_once_for_its_seed(run: Any, tmp_path: Path) -> None:
    path, verdict = tmp_path / "drills.json", judge_run(run.write())
    add_drill(path, "rushproof drill built", verdict)
    add_drill(path, "rushproof drill built --seed 7", verdict)
    (run,) = read_drills(path).values()
    assert run["scenario"] == verdict.scenario
    assert run["acknowledged"] == dict(verdict.audit.acknowledged)
    assert run["always_classes"] == 0
    assert list(run["waited_ms"]) == ["p50", "p95", "p99", "max"]
    assert run["people"] == {"ordered": verdict.latency.people, "told_yes": verdict.latency.person.count}


def test_a_file_of_something_else_is_left_alone(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    path.write_text('{"kind": "fuzz", "counts": {}}', encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    with pytest.raises(EvidenceError, match="not of drills"):
        add_drill(path, "rushproof drill built", judge_run(run.write()))
    assert path.read_text(encoding="utf-8") == before
