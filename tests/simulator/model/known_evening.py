"""One small evening whose every moment is known, and who comes to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from simulator.model import people
from simulator.model.draws import make_key
from simulator.model.engines import EngineName, engine_of
from simulator.model.laws import NEVER
from simulator.model.people import (
    CANCELS,
    COLUMNS,
    DINING,
    ITEMS,
    NO_TENDER,
    PATIENCE,
    POLL,
    SEAT_PATIENCE,
    TENDER,
    THINK,
)
from simulator.model.plan import make_plan
from simulator.model.records import Run
from simulator.model.timetable import Integers
from simulator.model.vocabulary import CLASS_SHIFT
from simulator.scenario import Scenario, load_scenario, with_changes

SEED = 6
MS, S = 1_000, 1_000_000
SERVICE, FLUSH = 4 * MS, 50 * MS
SURE = {"shape": "deterministic", "menu_ms": 0, "order_ms": 4, "read_ms": 0, "pay_ms": 0}
EVENING = {
    "name": "known",
    "duration_s": 20,
    "stores": [{"name": "s1", "tables": 2, "kitchen_seconds": 1}],
    "diners": {
        "arrivals": {"rate_per_s": 10}, "polls_max": 0, "attempt_timeout_ms": 2_000, "retries": {"attempts_max": 1},
        "channels": {"qr": 1.0, "cashier": 0.0, "mini_program": 0.0},
    },
    "model": {
        "edge": SURE | {"workers": 20}, "cloud": SURE | {"workers": 20, "ingest_ms": 0},
        "disk": {"flush_ms": 50, "shape": "deterministic"},
        "database": {"transaction_ms": 0, "connections": 100},
    },
}  # fmt: skip


def evening(**changes: Any) -> Scenario:
    scenario = load_scenario(json.dumps(EVENING, indent=1))
    return with_changes(scenario, changes) if changes else scenario


def people_who(meant_ms: Sequence[float], **columns: int | list[int]) -> Integers:
    """Everybody comes at 0, and orders one item when it is meant."""
    table = np.zeros((len(meant_ms), COLUMNS), dtype=np.int64)
    table[:, THINK] = [round(each * MS) for each in meant_ms]
    table[:, PATIENCE], table[:, POLL], table[:, TENDER] = 60 * S, S, NO_TENDER
    table[:, SEAT_PATIENCE], table[:, DINING], table[:, CANCELS], table[:, ITEMS] = NEVER, 1, NEVER, 1
    for name, values in columns.items():
        table[:, getattr(people, name)] = values
    return table


def run_on(engine: EngineName, scenario: Scenario, people: Integers, **changed: Any) -> Run:
    key = make_key(SEED, "s1")
    return engine_of(engine)(make_plan(scenario)._replace(**changed), people, key, traced=True)  # type: ignore[call-arg]


def events_of(run: Run) -> Counter[int]:
    assert run.trace is not None
    return Counter((run.trace[:, 1] >> CLASS_SHIFT).tolist())
