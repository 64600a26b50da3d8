"""What a soak has found: a row for each drill, the summary, and the evidence file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.drill_evidence import ALWAYS, EvidenceError
from chaos.evidence import project_commit, write_evidence
from chaos.judge.gate import EXIT_CODES, Outcome
from chaos.judge.statistics import rate_upper_bound

KIND = "random-drills"


@dataclass(frozen=True, slots=True)
class SoakedDrill:
    """One random drill. `unknown_before` are the causes of the attempts that could not tell; `folder` is kept, if any is."""

    seed: int
    verdict: Outcome
    cause: str
    faults: tuple[str, ...]
    acknowledged: int
    exposed: int
    given_up: int
    always_classes: int
    failover_ms: tuple[int, ...]
    took_s: float
    unknown_before: tuple[str, ...] = ()
    folder: str | None = None
    commit: str = ""
    date: str = ""


@dataclass(slots=True)
class Soak:
    """A soak so far. `stopped_by` says in words why it has ended."""

    base: str
    first_seed: int
    drills: list[SoakedDrill] = field(default_factory=list)
    elapsed_s: float = 0.0
    stopped_by: str = ""

    def count(self, verdict: Outcome) -> int:
        """How many drills came to this verdict."""
        return sum(drill.verdict == verdict for drill in self.drills)

    @property
    def verdict(self) -> Outcome:
        """Fail over unknown over pass; without any drill unknown."""
        if self.count("fail"):
            return "fail"
        return "unknown" if self.count("unknown") or not self.drills else "pass"

    @property
    def cause(self) -> str:
        """The verdict in one sentence."""
        if not self.drills:
            return f"no drill was run ({self.stopped_by})"
        first = next((drill for drill in self.drills if drill.verdict == self.verdict), self.drills[0])
        counted = ", ".join(f"{self.count(verdict)} {verdict}" for verdict in EXIT_CODES if self.count(verdict))
        said = f"{len(self.drills)} random drills: {counted}"
        return said if self.verdict == "pass" else f"{said}; the first, seed {first.seed}: {first.cause}"

    def to_json(self) -> dict[str, Any]:
        """The summary."""
        judged = self.count("pass") + self.count("fail")
        return {
            "kind": "soak",
            "verdict": self.verdict,
            "cause": self.cause,
            "base": self.base,
            "first_seed": self.first_seed,
            "elapsed_s": round(self.elapsed_s, 1),
            "stopped_by": self.stopped_by,
            "counts": {"drills": len(self.drills), **{verdict: self.count(verdict) for verdict in EXIT_CODES}},
            "failing_rate_upper_bound_95": rate_upper_bound(self.count("fail"), judged) if judged else None,
            "drills": [asdict(drill) for drill in self.drills],
        }


def soaked(
    seed: int, verdict: Mapping[str, Any] | None, trouble: str, took_s: float, unknown_before: Iterable[str] = ()
) -> SoakedDrill:
    """The row of a drill from its `verdict.json`; without one the drill is unknown, and `trouble` says why."""
    said = verdict or {}
    counts = said.get("counts", {})
    faults = tuple(str(fault["name"]) for fault in said.get("details", {}).get("faults", ()))
    return SoakedDrill(
        seed=seed,
        verdict=said.get("verdict", "unknown"),
        cause=str(said.get("cause", trouble)),
        faults=faults,
        acknowledged=sum(said.get("acknowledged", {}).values()),
        exposed=int(counts.get("exposed", 0)),
        given_up=int(counts.get("given_up", 0)),
        always_classes=sum(int(counts.get(name, 0)) for name in ALWAYS),
        failover_ms=tuple(said.get("failover_ms", ())),
        took_s=round(took_s, 1),
        unknown_before=tuple(unknown_before),
        commit=project_commit(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def add_soak(path: Path, command: str, soak: Soak) -> None:
    """Add the drills of `soak` to the evidence file; a drill of the same base and seed replaces the former.

    Raises `OSError` or `EvidenceError`; the file is then as it was.
    """
    runs = read_soak(path)
    for drill in soak.drills:
        row = {"base": soak.base, **asdict(drill)}
        del row["folder"]
        runs[soak.base, drill.seed] = row
    rows = [runs[key] for key in sorted(runs)]
    counts: dict[str, Any] = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in EXIT_CODES}
    write_evidence(path, KIND, command, {"drills": len(rows), **counts, "runs": rows})


def read_soak(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The drills that the file holds, by base and seed; none if there is no file. Raises `OSError` or `EvidenceError`."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise EvidenceError(f"{path} holds evidence of kind {content['kind']!r}, not of random drills")
        return {(str(run["base"]), int(run["seed"])): dict(run) for run in content["counts"]["runs"]}
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, EvidenceError):
            raise
        raise EvidenceError(f"{path} is no evidence file of random drills ({type(error).__name__})") from error
