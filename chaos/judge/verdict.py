"""The verdict: pass, fail or unknown with its cause in one sentence, as values and as the published JSON.

The shape of the JSON is `verdict.schema.json` beside this module; `SCHEMA_VERSION` grows when it changes incompatibly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import Any, Literal

from chaos.judge.audit import Audit
from chaos.judge.findings import CLASSES
from chaos.judge.gate import Budgets, Outcome
from chaos.judge.orders import LEVELS
from chaos.judge.statistics import OUTCOMES, Latency, Percentiles
from chaos.judge.steady import SteadyAccount
from chaos.judge.timing import FaultEffect

SCHEMA_VERSION = 1
LISTED_MAX = 200

CheckVerdict = Literal["pass", "fail", "unknown", "not_exercised"]


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer. `detail` is a sentence. `not_exercised`: nothing in this stack could have failed it."""

    name: str
    verdict: CheckVerdict
    detail: str


@dataclass(frozen=True)
class Statistics:
    """What the numbers of orders and failovers can say about rates of loss."""

    loss_rate_upper_bound_95: float
    sentence: str
    orders_enough: int | None
    failovers: int
    failover_loss_rate_upper_bound_95: float | None


@dataclass(frozen=True)
class Verdict:
    """The judgement of one run, with everything that the reports show. `notes` are facts beside it, such as alarms."""

    verdict: Outcome
    cause: str
    scenario: str
    seed: int | None
    checks: tuple[Check, ...]
    audit: Audit
    effects: tuple[FaultEffect, ...]
    latency: Latency
    offline: Percentiles
    statistics: Statistics
    budgets: Budgets
    drain_ms: int | None
    notes: tuple[str, ...] = ()
    steady: tuple[SteadyAccount, ...] = ()
    blast_radius: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Every count, an integer; orders unless the class says otherwise."""
        outcomes = [story.outcome for story in self.audit.stories.values()]
        counts = {"attempted": len(outcomes)}
        counts |= {outcome: outcomes.count(outcome) for outcome in OUTCOMES}
        counts["exposed"] = len(exposed(self.effects))
        return counts | {audit_class.name: self.audit.count(audit_class.name) for audit_class in CLASSES}

    @property
    def failover_ms(self) -> list[int]:
        """The time to fail over for every fault of the primary after which a higher epoch answered."""
        return [effect.failover_ms for effect in self.effects if effect.failover_ms is not None]

    def to_json(self) -> dict[str, Any]:
        """The content of `verdict.json`; its checks are three-valued: what could not be exercised here is not among them."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict,
            "cause": self.cause,
            "scenario": self.scenario,
            "seed": self.seed,
            "counts": self.counts,
            "acknowledged": dict(self.audit.acknowledged),
            "lost_by": {level: dict(places) for level, places in self.audit.lost_by.items()},
            "loss_rate_upper_bound_95": self.statistics.loss_rate_upper_bound_95,
            "latency_ms": {
                "response": _quantiles(self.latency.response["ok"]),
                "service": _quantiles(self.latency.service["ok"]),
                "person": _quantiles(self.latency.person),
            },
            "failover_ms": self.failover_ms,
            "drain_ms": self.drain_ms,
            "checks": [asdict(check) for check in self.checks if check.verdict != "not_exercised"],
            "details": self._details(),
        }

    def _details(self) -> dict[str, Any]:
        latency = self.latency
        return {
            "findings": {
                name: _listed(asdict(finding) for finding in rows) for name, rows in self.audit.by_class.items()
            },
            "undecided": _listed(asdict(item) for item in self.audit.undecided),
            "faults": [_fault(effect) for effect in self.effects],
            "latency_ms_by_outcome": {
                "response": {outcome: times.to_json() for outcome, times in latency.response.items()},
                "service": {outcome: times.to_json() for outcome, times in latency.service.items()},
                "without_end": latency.without_end,
            },
            "people": {"ordered": latency.people, "told_yes": latency.person.count},
            "offline_ms": self.offline.to_json(),
            "kitchen_ms_by_channel": {
                times.channel: {"late": times.late, **times.shown.to_json()} for times in self.audit.kitchen
            },
            "statistics": asdict(self.statistics),
            "budgets": asdict(self.budgets),
            "notes": list(self.notes),
            "steady_state": [asdict(account) for account in self.steady],
            "blast_radius": {name: list(names) for name, names in self.blast_radius.items()},
            "payments": {store: asdict(sums) for store, sums in self.audit.payments.items()},
        }


def exposed(effects: Iterable[FaultEffect]) -> frozenset[str]:
    """The orders in flight when any fault struck, each once."""
    return frozenset(order_id for effect in effects for order_id in effect.exposed)


def verdict_schema() -> dict[str, Any]:
    """The JSON Schema of `verdict.json`."""
    schema: dict[str, Any] = json.loads(
        files("chaos.judge").joinpath("verdict.schema.json").read_text(encoding="utf-8")
    )
    return schema


def worst(checks: Iterable[Check]) -> tuple[Outcome, tuple[Check, ...]]:
    """The worst verdict (fail over unknown over pass) and the checks that came to it."""
    rows = tuple(checks)
    for outcome in ("fail", "unknown"):
        decisive = tuple(check for check in rows if check.verdict == outcome)
        if decisive:
            return outcome, decisive
    return "pass", ()


def level_names() -> tuple[str, ...]:
    """The levels under which losses are tabled; "none" is for orders that nobody was told yes for."""
    return (*LEVELS, "none")


def _quantiles(times: Percentiles) -> Mapping[str, float | None]:
    return {"p50": times.p50, "p95": times.p95, "p99": times.p99, "max": times.max}


def _listed(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    every = list(rows)
    return {"total": len(every), "listed": every[:LISTED_MAX]}


def _fault(effect: FaultEffect) -> dict[str, Any]:
    fault = effect.fault
    return {
        **fault.model_dump(mode="json"),
        "exposed": len(effect.exposed),
        "failover_ms": effect.failover_ms,
        "drain_ms": effect.drain_ms,
    }
