"""What a drill's scenario says of an evening has its effect in the model: formats, orders made ahead, a delivery platform."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.model.conditions import sections_not_modelled
from simulator.model.draws import make_key
from simulator.model.figures import Evening, figures_of
from simulator.model.kitchens import stations_of
from simulator.model.people import CANCELS, DOOR, ITEMS, PICKUP, PLAIN, TAPS
from simulator.model.plan import make_plan
from simulator.model.platforms import AT_PLATFORM
from simulator.model.processes.run import run_on_simpy
from simulator.model.records import ABSENT, Run
from simulator.model.timetable import Integers, draw_timetable, make_recipe
from simulator.model.vocabulary import ARGUMENT_BITS, CLASS_SHIFT, Event, Outcome
from simulator.scenario import Scenario, load_scenario, shipped_scenarios, with_changes

SEED = 5


def _run(scenario: Scenario, *, traced: bool = False) -> tuple[Integers, Run]:
    key = make_key(SEED, scenario.stores[0].name)
    timetable = draw_timetable(make_recipe(scenario), key)
    return timetable, run_on_simpy(make_plan(scenario), timetable, key, traced=traced)


def _shipped(name: str, **changes: Any) -> Scenario:
    return with_changes(load_scenario(shipped_scenarios()[name]), changes)


def test_a_format_s_courses_are_cooked_one_after_the_other_each_in_kitchen_seconds() -> None:
    """Exact: with cooks for all, an order is done after its time for each stage of which it has something."""
    scenario = _shipped("holiday_hotpot", duration_s=6, faults=[])
    stations = stations_of(scenario, scenario.stores[0])
    assert {station.stage for station in stations} == {1, 2, 3}
    timetable, run = _run(scenario)
    stage_of = np.array([station.stage for station in stations])
    items = timetable[:, ITEMS : ITEMS + len(stations)] > 0
    assert items[:, stage_of == 1].any(axis=1).all(), "a hotpot begins with a broth"
    stages = np.array([[row[stage_of == stage].any() for stage in (1, 2, 3)] for row in items]).sum(axis=1)
    done = run.column("served_0") != ABSENT
    cooked = (run.column("served_0") - run.column("shown_0"))[done]
    each = scenario.scaled_us(scenario.stores[0].kitchen_seconds)
    assert done.sum() > 5
    assert np.array_equal(cooked, stages[done] * each)


def test_who_ordered_ahead_looks_from_the_pick_up_on() -> None:
    scenario = _shipped("tea_surge", duration_s=12, faults=[])
    timetable, run = _run(scenario, traced=True)
    assert run.trace is not None
    ahead = (timetable[:, PICKUP] > 0) & (timetable[:, TAPS] == PLAIN)
    assert 0 < ahead.sum() < len(timetable)
    begins = np.maximum(run.column("told"), run.column("meant") + timetable[:, PICKUP])
    looks = 0
    for tick, key in run.trace.tolist():
        lane = (key >> ARGUMENT_BITS) & 0xFFFFFFFF
        diner = lane >> 1
        if (
            key >> CLASS_SHIFT == Event.REQUEST
            and lane & 1 == 0
            and ahead[diner]
            and 0 <= run.column("told")[diner] < tick
        ):
            looks += 1
            assert tick > begins[diner]
    assert looks > 0


PLATFORM = """\
name: platform
duration_s: 20
time_scale: 100
diners: {arrivals: {rate_per_s: 1}}
delivery: {orders_per_s: 8, cancel_share: 0.3, cancel_after_s: 60, accepts: %s}
faults: [%s]
"""
CUT = "{fault: link_down, link: edge_cloud, at_s: 5, for_s: 12}"


def test_a_platform_s_orders_end_as_its_rules_say() -> None:
    """Its deadline is 11.5 min, here 6.9 s: in a cut of 12 s the first ones are late."""
    late = {}
    for accepts, faults in (("store", ""), ("store", CUT), ("cloud", CUT)):
        scenario = load_scenario(PLATFORM % (accepts, faults))
        timetable, run = _run(scenario)
        mine = timetable[:, DOOR] == AT_PLATFORM
        placed, left = run.column("placed")[mine], run.column("left")[mine]
        outcome, told, cancels = run.column("outcome")[mine], run.column("told")[mine], timetable[mine, CANCELS]
        assert (placed == timetable[mine, 0]).all()
        assert np.isin(outcome, (Outcome.SERVED, Outcome.EXPIRED, Outcome.CANCELLED)).all()
        assert (left[outcome == Outcome.EXPIRED] - placed[outcome == Outcome.EXPIRED] == 6_900_000).all()
        wait = told - placed
        assert (wait[told != ABSENT] < np.minimum(6_900_000, cancels[told != ABSENT])).all()
        assert (run.column("outcome")[~mine] != Outcome.EXPIRED).all()
        late[accepts, faults] = figures_of(Evening(scenario, [run]))["platform_late"]
        if accepts == "store" and faults:
            assert (outcome[(placed > 5_100_000) & (placed < 10_000_000)] != Outcome.SERVED).all()
    assert late["store", ""] == late["cloud", CUT] == 0
    assert 0.1 < (late["store", CUT] or 0) < 0.4


def test_only_what_has_no_effect_is_said_to_have_none() -> None:
    said = {name: sections_not_modelled(load_scenario(path)) for name, path in shipped_scenarios().items()}
    assert said["retry_storm"] == said["fast_food_noon"] == said["tea_surge"] == []
    coupons = [f"payments.tenders.{name} (paid as a card)" for name in ("coupon", "stored_value")]
    assert said["delivery_evening"] == ["pauses", "delivery.misbehaviour", *coupons]
    assert said["holiday_hotpot"] == [
        "staff",
        "diners.parties",
        "payments.misbehaviour (timeout_after, callback_twice)",
    ]
    assert said["stock_run_out"] == ["stock"]
