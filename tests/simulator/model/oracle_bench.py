"""What an oracle is made with: a claim and its test, and a bench that runs the model set up as a bare queue."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from simulator.model.draws import make_key
from simulator.model.engines import Engine
from simulator.model.plan import make_plan
from simulator.model.records import Run
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.scenario import Scenario, load_scenario

SEED = 20_26
Column = npt.NDArray[np.float64]
US = 1e6
IN_STORE = {"channels": {"qr": 1.0, "cashier": 0.0, "mini_program": 0.0}}


@dataclass(frozen=True)
class Claim:
    """What theory says, and what each replication found."""

    name: str
    expected: float
    found: Sequence[float]

    @property
    def p_value(self) -> float:
        values = np.asarray(self.found, dtype=np.float64)
        if np.ptp(values) == 0:
            return 1.0 if math.isclose(values[0], self.expected, rel_tol=1e-12) else 0.0
        return float(stats.ttest_1samp(values, self.expected).pvalue)


def holm(claims: Sequence[Claim], level: float) -> list[Claim]:
    """The claims that are refused at this level of the whole suite."""
    refused: list[Claim] = []
    ordered = sorted(claims, key=lambda claim: claim.p_value)
    for place, claim in enumerate(ordered):
        if claim.p_value > level / (len(ordered) - place):
            break
        refused.append(claim)
    return refused


@dataclass(frozen=True)
class Bench:
    """An engine, and how long and how often each oracle runs; `load` times as much comes as theory is told."""

    engine: Engine
    customers: int
    replications: int
    evenings: int
    load: float = 1.0

    def runs(self, rate: float, evening_s: float | None = None, **said: Any) -> Iterator[tuple[Scenario, Run]]:
        """Replications with about this bench's customers, or short evenings."""
        scenario = _scenario(rate * self.load, self.customers / rate if evening_s is None else evening_s, **said)
        plan, recipe = make_plan(scenario), make_recipe(scenario)
        for replication in range(self.replications if evening_s is None else self.evenings):
            key = make_key(SEED, "s1", replication)
            yield scenario, self.engine(plan, draw_timetable(recipe, key), key)


def _scenario(
    rate: float,
    duration_s: float,
    tables: int = 1,
    points: Any = None,
    diners: Any = None,
    faults: Any = (),
    **model: Any,
) -> Scenario:
    arrivals: dict[str, Any] = {"rate_per_s": rate}
    if points is not None:
        arrivals |= {"profile": "points", "points": points}
    server = {"workers": 1, "menu_ms": 0, "order_ms": 0, "read_ms": 0, "pay_ms": 0, "ingest_ms": 0}
    free = {
        "edge": server, "cloud": server, "disk": {"flush_ms": 0, "shape": "deterministic"},
        "database": {"connections": 1000, "transaction_ms": 0, "shape": "deterministic"},
    }  # fmt: skip
    said = {
        "name": "oracle",
        "duration_s": duration_s,
        "stores": [{"name": "s1", "tables": tables}],
        "diners": {
            "arrivals": arrivals, "polls_max": 0, "attempt_timeout_ms": 600_000, "patience_s": 86_000, "think_s": 0,
            "basket": {"lines_mean": 1, "quantity_max": 1}, "retries": {"attempts_max": 1},
            "behaviours": {"double_tap": 0.0, "two_doors": 0.0, "reorders": 0.0},
            "channels": {"qr": 0.0, "cashier": 0.0, "mini_program": 1.0}, **(diners or {}),
        },
        "model": free | model,
        "faults": list(faults),
    }  # fmt: skip
    return load_scenario(json.dumps(said, indent=1))


def tables_of(service_s: float, **seating: Any) -> dict[str, Any]:
    return {
        "visit": "table_only",
        "seating": {
            "dining_s": service_s, "dining_shape": "exponential", "party_dining": [1.0], "patience_shape": "endless", **seating
        },
    }  # fmt: skip


def seconds_between(run: Run, later: str, earlier: str) -> Column:
    """The time from one moment to a later one, of the diners who came when the start was forgotten."""
    after = run.column("at") >= 0.2 * run.column("at").max()
    whole = after & (run.column(later) >= 0) & (run.column(earlier) >= 0)
    return (run.column(later) - run.column(earlier))[whole] / US
