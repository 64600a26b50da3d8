"""More of what people wait for never makes anybody wait longer, on the same draws: event loops, connections, cooks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.model.draws import make_key
from simulator.model.engines import EngineName, engine_of
from simulator.model.people import AT, FIRST_EDGE, THINK
from simulator.model.plan import make_plan
from simulator.model.records import ABSENT
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.scenario import load_scenario, with_changes

SEED = 7
FREE = {"menu_ms": 0, "order_ms": 0, "read_ms": 0, "ingest_ms": 0, "workers": 1_000}
EVENING = {
    "name": "queues",
    "duration_s": 8,
    "stores": [{"name": "s1"}],
    "diners": {
        "arrivals": {"rate_per_s": 10}, "polls_max": 0, "patience_s": 86_400, "attempt_timeout_ms": 600_000,
        "channels": {"qr": 1.0, "cashier": 0.0, "mini_program": 0.0}, "retries": {"attempts_max": 1}, "think_s": 0,
        "behaviours": {"double_tap": 0.0, "two_doors": 0.0, "reorders": 0.0},
    },
    "model": {
        "edge": FREE, "cloud": FREE, "disk": {"flush_ms": 0}, "patience_shape": "deterministic",
        "database": {"transaction_ms": 0, "connections": 1_000},
        "kitchen": [{"name": "wok", "cooks": 0, "shape": "exponential"}],
    },
}  # fmt: skip
LATER = {"order_ms": 600_000, "shape": "deterministic"}
"""A device that has the cloud's orders only when all is over, so that nothing comes back to the cloud meanwhile."""
AT_THE_CLOUD = {"qr": 0.0, "cashier": 0.0, "mini_program": 1.0}
WAITS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "event loops of a device": ("told", {}, {"edge": {"order_ms": 250, "shape": "exponential", "workers": 0}}),
    "event loops of the cloud": (
        "told", AT_THE_CLOUD, {"cloud": {"order_ms": 250, "shape": "exponential", "workers": 0}, "edge": LATER},
    ),
    "connections": (
        "told", AT_THE_CLOUD, {"database": {"transaction_ms": 250, "shape": "exponential", "connections": 0}, "edge": LATER}
    ),
    "cooks": ("served_0", {}, {"kitchen": [{"name": "wok", "setup_s": 0.25, "shape": "exponential", "cooks": 0}]}),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["simpy", pytest.param("compiled", marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", WAITS)
def test_with_more_of_them_nobody_waits_longer(what: str, engine: EngineName, request: pytest.FixtureRequest) -> None:
    if engine == "compiled":
        request.getfixturevalue("compiled_engine")
    until, channels, model = WAITS[what]
    ends = []
    for number in (1, 2, 4):
        changed = json.loads(json.dumps(model).replace(": 0}", f": {number}}}"))
        scenario = with_changes(
            load_scenario(json.dumps(EVENING, indent=1)), {"diners": {"channels": channels}, "model": changed}
        )
        key = make_key(SEED, "s1")
        people = draw_timetable(make_recipe(scenario), key)
        people[:, THINK], people[:, AT], people[:, FIRST_EDGE] = people[:, AT], 0, 0  # only orders wait, at the primary
        run = engine_of(engine)(make_plan(scenario), people, key)
        ends.append(run.column(until))
        assert (ends[-1] != ABSENT).all()
    assert (ends[0] >= ends[1]).all()
    assert (ends[1] >= ends[2]).all()
    assert ends[0].sum() > ends[1].sum() > ends[2].sum()
