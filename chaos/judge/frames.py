"""A run as pandas data frames, for notebooks and questions that the report does not answer.

Columns ending in `_s` are seconds since the load began (offset 0 of the timetable), in `_ms` milliseconds; what never
happened is missing. Every frame has its columns also when it has no row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.judge.findings import Finding
from chaos.judge.gate import Budgets
from chaos.judge.judging import judge_files
from chaos.judge.orders import OrderStory
from chaos.judge.plan import read_plan
from chaos.judge.runfolder import Plan, RunFiles, load_run_files
from chaos.judge.timing import FaultEffect
from chaos.judge.verdict import Verdict, exposed

if TYPE_CHECKING:
    import pandas as pd

Seconds = Callable[[int | None], float | None]

_ATTEMPTS = [
    "process",
    "op",
    "store",
    "table",
    "channel",
    "intent_id",
    "order_id",
    "attempt",
    "kind",
    "intended_s",
    "invoked_s",
    "completed_s",
    "response_ms",
    "service_ms",
    "outcome",
    "level",
    "status",
    "problem",
    "node_id",
    "epoch",
    "seq",
    "served",
    "total_minor",
    "marker",
    "body_hash",
]
_ORDERS = [
    "order_id",
    "store",
    "intent_id",
    "marker",
    "channel",
    "table",
    "total_minor",
    "attempts",
    "outcome",
    "level",
    "intended_s",
    "first_ok_s",
    "response_ms",
    "seq",
    "in_edge",
    "in_cloud",
    "in_kitchen",
    "shown_s",
    "exposed",
]
_FAULTS = [
    "name",
    "kind",
    "target",
    "resolved",
    "store",
    "start_s",
    "end_s",
    "took_effect",
    "evidence",
    "undone",
    "hits_primary",
    "epoch_before",
    "exposed",
    "failover_ms",
    "drain_ms",
]
_SAMPLES = [
    "at_s",
    "primary",
    "epoch",
    "commit_seq",
    "waiting",
    "cloud_seq",
    "kitchen_seq",
    "cloud_lag",
    "kitchen_lag",
    "faults",
]
_FINDINGS = tuple(field.name for field in dataclasses.fields(Finding))


@dataclass(frozen=True)
class RunFrames:
    """One run as data frames.

    `attempts`: a row for each attempt of a client (also menus and reads), as in the history; `response_ms` counts from the
    intended start, `service_ms` from the send. `orders`: a row for each order submitted, with its folded outcome, the
    highest level told, and whether each place holds it. `faults`: what was injected, with how many orders it found in
    flight. `samples`: the stack about four times a second; the lags are entries behind the primary. `findings`: the
    audit's findings, one row each.
    """

    verdict: Verdict
    attempts: pd.DataFrame
    orders: pd.DataFrame
    faults: pd.DataFrame
    samples: pd.DataFrame
    findings: pd.DataFrame


def load_run(path: Path) -> RunFrames:
    """The run in folder `path`; raises `NotADirectoryError` if it is none. Missing files make empty frames."""
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a run folder")
    plan = read_plan(path)
    files = load_run_files(path, plan)
    verdict = judge_files(files, plan.budgets if isinstance(plan, Plan) else Budgets())

    def seconds(moment_us: int | None) -> float | None:
        return None if moment_us is None else (moment_us - files.start_us) / 1e6

    struck = exposed(verdict.effects)
    return RunFrames(
        verdict,
        attempts=_frame(_ATTEMPTS, _attempt_rows(files, seconds)),
        orders=_frame(
            _ORDERS, [_order_row(story, verdict, struck, seconds) for story in verdict.audit.stories.values()]
        ),
        faults=_frame(_FAULTS, [_fault_row(effect, seconds) for effect in verdict.effects]),
        samples=_frame(_SAMPLES, _sample_rows(files, seconds)),
        findings=_frame(_FINDINGS, [dataclasses.asdict(finding) for finding in verdict.audit.findings]),
    )


def _frame(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([dict(row) for row in rows], columns=list(columns))


def _attempt_rows(files: RunFiles, seconds: Seconds) -> list[dict[str, Any]]:
    rows = []
    for attempt in files.attempts:
        row = {field.name: getattr(attempt, field.name) for field in dataclasses.fields(attempt)}
        ended_us = attempt.completed_at_us
        row |= {
            "intended_s": seconds(attempt.intended_at_us),
            "invoked_s": seconds(attempt.invoked_at_us),
            "completed_s": seconds(ended_us),
            "response_ms": None if ended_us is None else (ended_us - attempt.intended_at_us) / 1000,
            "service_ms": None if ended_us is None else (ended_us - attempt.invoked_at_us) / 1000,
        }
        rows.append(row)
    return rows


def _order_row(story: OrderStory, verdict: Verdict, struck: frozenset[str], seconds: Seconds) -> dict[str, Any]:
    ledger, first = verdict.audit.ledgers[story.store], story.attempts[0]
    tickets = ledger.tickets.get(story.order_id, [])
    response_us = None if story.first_ok_us is None else story.first_ok_us - story.intended_at_us
    return {
        "order_id": story.order_id,
        "store": story.store,
        "intent_id": story.intent_id,
        "marker": story.marker,
        "channel": first.channel,
        "table": first.table,
        "total_minor": first.total_minor,
        "attempts": len(story.attempts),
        "outcome": story.outcome,
        "level": story.level,
        "intended_s": seconds(story.intended_at_us),
        "first_ok_s": seconds(story.first_ok_us),
        "response_ms": None if response_us is None else response_us / 1000,
        "seq": ledger.seq_of(story),
        "in_edge": story.order_id in ledger.order_entries,
        "in_cloud": story.order_id in ledger.cloud_orders,
        "in_kitchen": bool(tickets),
        "shown_s": seconds(min((ticket.shown_at_us for ticket in tickets), default=None)),
        "exposed": story.order_id in struck,
    }


def _fault_row(effect: FaultEffect, seconds: Seconds) -> dict[str, Any]:
    fault = effect.fault
    return {
        **fault.model_dump(),
        "start_s": seconds(fault.started_at_us),
        "end_s": seconds(fault.ended_at_us),
        "exposed": len(effect.exposed),
        "failover_ms": effect.failover_ms,
        "drain_ms": effect.drain_ms,
    }


def _sample_rows(files: RunFiles, seconds: Seconds) -> list[dict[str, Any]]:
    rows = []
    for sample in files.samples:
        primary = sample.primary
        commit_seq = primary.commit_seq if primary else None
        cloud_seq = sample.cloud.cursor.seq if sample.cloud else None
        kitchen_seq = sample.kitchen.cursor.seq if sample.kitchen else None
        rows.append(
            {
                "at_s": seconds(sample.at_us),
                "primary": primary.node_id if primary else None,
                "epoch": primary.epoch if primary else None,
                "commit_seq": commit_seq,
                "waiting": primary.waiting if primary else None,
                "cloud_seq": cloud_seq,
                "kitchen_seq": kitchen_seq,
                "cloud_lag": None if commit_seq is None or cloud_seq is None else commit_seq - cloud_seq,
                "kitchen_lag": None if commit_seq is None or kitchen_seq is None else commit_seq - kitchen_seq,
                "faults": ", ".join(sample.faults),
            }
        )
    return rows
