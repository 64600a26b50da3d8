"""The compiled twin and SimPy: the same events to the last bit. A difference is told as the first event that differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_scenarios import drawn_scenario

from refsystem.ordering.menu import DEMO_MENU
from simulator.diners import make_timetable
from simulator.model.draws import make_key
from simulator.model.engines import Engine
from simulator.model.people import AT, COLUMNS, fill
from simulator.model.plan import make_plan
from simulator.model.processes.run import run_on_simpy
from simulator.model.records import Run, first_difference
from simulator.model.timetable import draw_timetable, make_recipe, timetable_of
from simulator.scenario import Scenario, load_scenario, shipped_scenarios

pytestmark = pytest.mark.slow
LINE_ROOM = 1 << 12
"""As in `compiled.memory`, which is loaded only where numba is."""


def _difference(scenario: Scenario, compiled: Engine, replication: int = 0) -> str | None:
    key, plan = make_key(scenario.seed, scenario.stores[0].name, replication), make_plan(scenario)
    timetable = draw_timetable(make_recipe(scenario), key)
    one, other = run_on_simpy(plan, timetable, key), compiled(plan, timetable, key)
    if first_difference(one, other) is None:
        return None
    traced = run_on_simpy(plan, timetable, key, traced=True), compiled(plan, timetable, key, traced=True)  # type: ignore[call-arg]
    return f"{scenario.name}: {first_difference(*traced)}"


def test_all_shipped_scenarios(compiled_engine: Engine) -> None:
    assert [_difference(load_scenario(path), compiled_engine) for path in shipped_scenarios().values()] == [None] * len(
        shipped_scenarios()
    )


def test_a_hundred_random_scenarios(compiled_engine: Engine) -> None:
    found = [_difference(drawn_scenario(seed), compiled_engine) for seed in range(100)]
    assert [each for each in found if each is not None] == []


def test_a_crowd_at_once(compiled_engine: Engine) -> None:
    """More time-outs at once than stand in line, and more events than stand in order."""
    scenario = load_scenario(shipped_scenarios()["calm"])
    key, recipe = make_key(3, "s1"), make_recipe(scenario)._replace(expected=LINE_ROOM * 1.2)
    plan = make_plan(scenario)._replace(attempts_max=1, polls_max=0)
    timetable = draw_timetable(recipe, key)
    timetable[:, AT] //= 10_000
    assert timetable[LINE_ROOM, AT] < plan.attempt_timeout
    one, other = run_on_simpy(plan, timetable, key), compiled_engine(plan, timetable, key)
    assert first_difference(one, other) is None


def test_people_are_drawn_the_same_interpreted_and_compiled(compiled_engine: Engine) -> None:
    for seed in range(12):
        recipe, key = make_recipe(drawn_scenario(seed))._replace(placed=0.0), make_key(seed, "s1")
        compiled = draw_timetable(recipe, key)
        interpreted = np.zeros((len(compiled) + 1, COLUMNS), dtype=np.int64)
        assert fill(recipe, (key.low, key.high), interpreted) == len(compiled)
        assert np.array_equal(interpreted[:-1], compiled)


def test_a_drill_s_own_timetable(compiled_engine: Engine) -> None:
    scenario = load_scenario(shipped_scenarios()["gateway_timeouts"])
    diners, key = make_timetable(scenario, DEMO_MENU, 1), make_key(1, "s1")
    timetable = timetable_of(diners, scenario, scenario.stores[0], {}, key)
    assert timetable[:, 0].tolist() == [diner.at_us for diner in diners]
    plan = make_plan(scenario)
    assert first_difference(run_on_simpy(plan, timetable, key), compiled_engine(plan, timetable, key)) is None


def test_a_difference_is_told_as_the_first_event_that_differs() -> None:
    scenario = load_scenario(shipped_scenarios()["calm"])
    key, plan = make_key(1, "s1"), make_plan(scenario)
    timetable = draw_timetable(make_recipe(scenario), key)[:30]
    one = run_on_simpy(plan, timetable, key, traced=True)
    other = run_on_simpy(plan._replace(flush=plan.flush + 1), timetable, key, traced=True)
    said = first_difference(one, other)
    assert said is not None
    assert "FLUSHED" in said
    rows = one.rows.copy()
    rows[4, 5] += 1
    same: Run = replace(one, rows=rows, trace=None)
    assert first_difference(one, same) == f"diner 4: told is {one.rows[4, 5]} and {rows[4, 5]}"
    assert first_difference(one, replace(one, rows=np.array(one.rows))) is None
