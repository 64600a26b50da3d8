"""Real drills as evidence: one file gathers runs; a run of the same scenario and seed replaces the former."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.evidence import project_commit, write_evidence
from chaos.judge.findings import CLASSES
from chaos.judge.verdict import Verdict

KIND = "drills"
ALWAYS = tuple(audit_class.name for audit_class in CLASSES if audit_class.rule == "always")


class EvidenceError(ValueError):
    """The file holds something else than drills."""


def add_drill(path: Path, command: str, verdict: Verdict) -> None:
    """Add the run of `verdict` to the evidence file at `path`. Raises `OSError` or `EvidenceError`; it is then as it was."""
    runs = read_drills(path)
    runs[f"{verdict.scenario} {verdict.seed}"] = {
        "scenario": verdict.scenario,
        "seed": verdict.seed,
        "verdict": verdict.verdict,
        "acknowledged": dict(verdict.audit.acknowledged),
        "exposed": verdict.counts["exposed"],
        "given_up": verdict.counts["given_up"],
        "always_classes": sum(verdict.counts[name] for name in ALWAYS),
        "failover_ms": verdict.failover_ms,
        "people": {"ordered": verdict.latency.people, "told_yes": verdict.latency.person.count},
        "waited_ms": verdict.to_json()["latency_ms"]["person"],
        "commit": project_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_evidence(path, KIND, command, {"runs": [runs[key] for key in sorted(runs)]})


def read_drills(path: Path) -> dict[str, dict[str, Any]]:
    """The runs that the file holds, by scenario and seed; none if there is no file. Raises `OSError` or `EvidenceError`."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise EvidenceError(f"{path} holds evidence of kind {content['kind']!r}, not of drills")
        return {f"{run['scenario']} {run['seed']}": dict(run) for run in content["counts"]["runs"]}
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, EvidenceError):
            raise
        raise EvidenceError(f"{path} is no evidence file of drills ({type(error).__name__})") from error
