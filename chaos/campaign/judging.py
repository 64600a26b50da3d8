"""Judges one run of the virtual cluster: first the invariants that it watched itself, then the one audit over its history.

The audit is the same that judges a drill; its files are made in memory, and both rounds of reads are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.judge.audit import Audit, audit
from chaos.judge.findings import CLASSES
from chaos.judge.reading import parse
from chaos.judge.reads import ROUNDS, CloudRead, Convergence, EdgeRead, KitchenRead, StoreReads, Unreadable
from chaos.judge.runfolder import FaultRecord, RunFiles
from simulator.cluster.outcome import ClusterRun

DIFFERENT_TRACE = "not_deterministic"
CRASHED = "crashed"
NOT_SETTLED = "not_settled"
UNREADABLE = "unreadable"
UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a seed broke. `name` is an invariant of the cluster, a class of the audit, or a name above.

    `at_us` is the virtual moment if one is known; `subject` what the audit's finding is about, often an order's id.
    """

    name: str
    detail: str
    at_us: int | None = None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A run's failure, or None, and the figures that the audit gives."""

    failure: Failure | None
    acknowledged: Mapping[str, int]
    given_up: int


def judge(run: ClusterRun) -> Judgement:
    """The judgement on one run. One that broke an invariant is judged by what clients were told, too."""
    audited = audit(run_files(run))
    failure = _broken(run) or _always(audited)
    if run.end == "converged":
        failure = failure or _not_settled(audited)
    return Judgement(failure, audited.acknowledged, audited.count("given_up"))


def run_files(run: ClusterRun) -> RunFiles:
    """The run in the shape in which the audit takes a run folder."""
    none = Unreadable("run folder", "a virtual run has none")
    reads = {store: _store_reads(run, store) for store in _stores(run)}
    return RunFiles(
        path=Path(),
        plan=none,
        environment=none,
        attempts=tuple(sorted(run.attempts, key=lambda row: (row.invoked_at_us, row.process, row.op))),
        history_processes=frozenset(),
        faults=tuple(FaultRecord.model_validate(row) for row in run.faults),
        loads=(),
        samples=(),
        convergence=Convergence(reached=run.end == "converged", detail=run.end),
        rounds=dict.fromkeys(ROUNDS, reads),
        broken=(),
    )


def _stores(run: ClusterRun) -> list[str]:
    return sorted({attempt.store for attempt in run.attempts} | set(run.reads))


def _store_reads(run: ClusterRun, store: str) -> StoreReads:
    places: Mapping[str, Any] = run.reads.get(store, {})

    def said(place: str) -> Any:
        return places.get(place, {"error": f"not read, for the run ended {run.end}"})

    return StoreReads(
        store,
        parse(said("edge_a"), EdgeRead, f"{store}/edge_a"),
        parse(said("edge_b"), EdgeRead, f"{store}/edge_b"),
        parse(said("cloud"), CloudRead, f"{store}/cloud"),
        parse(said("kitchen"), KitchenRead, f"{store}/kitchen"),
    )


def _broken(run: ClusterRun) -> Failure | None:
    broken = run.broken
    return None if broken is None else Failure(broken.invariant, broken.detail, broken.at_us)


def _always(audited: Audit) -> Failure | None:
    """The first finding of a class of which one case is too many."""
    for audit_class in CLASSES:
        findings = audited.by_class[audit_class.name]
        if audit_class.rule == "always" and findings:
            first, count = findings[0], audited.count(audit_class.name)
            more = f" (the first of {count} cases)" if count > 1 else ""
            text = f"{first.subject} at the {first.place} of {first.store}: {first.evidence}{more}"
            return Failure(audit_class.name, text, None, first.subject)
    return None


def _not_settled(audited: Audit) -> Failure | None:
    """Why a run that calls itself converged is not: then the audit could not have found what it looks for."""
    for ledger in audited.ledgers.values():
        for place in ledger.reads.unreadable:
            return Failure(UNREADABLE, f"{place.place}: {place.reason}")
        if ledger.unsettled is not None:
            return Failure(NOT_SETTLED, ledger.unsettled)
    for item in audited.undecided:
        text = f"the {item.place} of {item.store} cannot say whether it holds {item.order_id}, told {item.level}"
        return Failure(UNDECIDED, text, None, item.order_id)
    return None
