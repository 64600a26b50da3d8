from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from simulator.headroom import Headroom, headroom, loaded
from simulator.model.replications import Replay, forecast
from simulator.replaced_fields import with_field
from simulator.scenario import Scenario, load_scenario
from simulator.strain import Load, limits_of, strained
from simulator.sweeps import SweepError, read_budget
from simulator.trace_table import TraceLine, TraceOrder

pytestmark = pytest.mark.slow

CAPACITY_PER_S = 25
STORM = """\
name: storm
duration_s: 5
diners:
  arrivals: {rate_per_s: 5}
  channels: {qr: 0.0, cashier: 0.0, mini_program: 1.0}
  polls_max: 0
  think_s: 0
  patience_s: 60
  attempt_timeout_ms: 400
  retries: {attempts_max: 4, backoff_ms: 100, backoff_max_ms: 400}
  behaviours: {double_tap: 0.0, two_doors: 0.0, reorders: 0.0}
model:
  cloud: {workers: 1, menu_ms: 0, order_ms: 40, ingest_ms: 0, shape: exponential}
  database: {transaction_ms: 1, connections: 50}
"""


@pytest.fixture
def storm() -> Scenario:
    return load_scenario(STORM)


def _why(found: Headroom) -> str:
    (load,) = (each for each in found.loads if each.factor == found.collapses)
    assert not load.holds
    return " and ".join(load.gave_way)


def test_headroom_ends_before_the_capacity_and_twice_the_servers_bear_more(storm: Scenario) -> None:
    found = headroom(storm, step=0.5, least_told=0.9, engine="simpy", replications=10)
    assert found.holds is not None
    assert found.collapses == found.holds + 0.5
    assert 2 <= found.holds < CAPACITY_PER_S / 5
    assert "told_yes>=0.9" in _why(found)
    assert [load.holds for load in found.loads] == sorted((load.holds for load in found.loads), reverse=True)
    diners = [load.point.found.interval("diners") for load in found.loads]
    assert all(each is not None for each in diners)
    per_load = [each.mean / load.factor for each, load in zip(diners, found.loads, strict=True) if each is not None]
    assert per_load == pytest.approx([25] * len(per_load), rel=0.25), "so many times as many come"
    more = headroom(
        with_field(storm, "model.cloud.workers", 2), step=0.5, least_told=0.9, engine="simpy", replications=10
    )
    assert more.holds is not None
    assert more.holds >= 1.5 * found.holds


def test_less_goodput_than_at_a_smaller_load_is_collapse_even_if_nobody_has_to_be_told_yes(storm: Scenario) -> None:
    tried: list[Load] = []
    for factor in (4, 24):
        found = forecast(loaded(storm, None, factor)[0], "simpy", 4)
        tried.append(strained(factor, found, limits_of(storm, [], least_told=0.01), tried))
    assert tried[0].holds
    assert "goodput below that at 4 times" in tried[1].gave_way


def test_a_budget_beside_it_ends_it_sooner_and_a_stack_that_cannot_bear_today_has_none(storm: Scenario) -> None:
    slow = with_field(storm, "model.cloud.order_ms", 400)
    found = headroom(slow, step=0.25, engine="simpy", replications=3)
    assert found.holds is None or found.holds < 1
    assert found.loads[-1].factor == 1
    assert headroom(storm, [read_budget("answer_p95<=1")], step=0.5, engine="simpy", replications=2).holds is None
    enough = headroom(storm, step=0.5, at_most=1.5, least_told=0.9, engine="simpy", replications=10)
    assert (enough.holds, enough.collapses) == (1.5, None)


RESTAURANT = """\
name: restaurant
duration_s: 150
stores: [{name: s1, tables: 38}]
diners:
  arrivals: {rate_per_s: 0.4}
  channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}
  think_s: 1
  polls_max: 0
  patience_s: 60
model:
  seating: {dining_s: 30, patience_s: 10}
  kitchen: [{name: wok, cooks: 8, setup_s: 2}]
"""


def test_people_who_go_away_or_wait_for_meals_end_it_too_and_today_may_not_hold_already() -> None:
    def found(*changes: tuple[str, float], budgets: Sequence[str] = (), most_reneged: float = 0.05) -> Headroom:
        scenario = load_scenario(RESTAURANT)
        for field, value in changes:
            scenario = with_field(scenario, field, value)
        asked = [read_budget(budget) for budget in budgets]
        return headroom(
            scenario,
            asked,
            step=1,
            at_most=3,
            least_told=0.8,
            engine="simpy",
            replications=6,
            most_reneged=most_reneged,
        )

    plenty = (("stores.tables", 1000), ("model.kitchen.wok.cooks", 100))
    tables = found(plenty[1])
    assert (tables.holds, tables.collapses, _why(tables)) == (2, 3, "reneged<=0.05")
    assert tables.today.holds
    assert found(plenty[1], most_reneged=1).holds == 3, "no matter who goes away"
    few = found(plenty[1], ("stores.tables", 5))
    assert few.today.gave_way == ["reneged<=0.05"]
    assert few.holds is None
    few_cooks = found(plenty[0], ("model.kitchen.wok.cooks", 1))
    assert few_cooks.holds == 1
    assert _why(few_cooks).startswith("the queue in the kitchen still grew when the evening ended and meal_p95<=")
    assert _why(few_cooks).endswith("(2 times today's)")
    assert found(plenty[0], ("model.kitchen.wok.cooks", 1), budgets=["meal_p95<=1e6"]).holds == 3


def test_a_short_evening_may_end_before_the_queue_has_grown_and_that_is_said(storm: Scenario) -> None:
    """A server for 25 orders a second and people who wait for a minute: all are told yes, most of them when the load is over."""
    patient = with_field(with_field(storm, "diners.attempt_timeout_ms", 30_000), "duration_s", 4)
    found = headroom(patient, step=1, at_most=10, least_told=0.5, engine="simpy", replications=10)
    assert found.holds is not None
    assert 4 <= found.holds <= CAPACITY_PER_S / 5 + 1
    assert _why(found) == "the queue for answers still grew when the evening ended"
    most = found.loads[-1].point.found.interval("told_yes")
    assert most is not None
    assert most.mean == 1


def test_the_load_of_a_table_is_its_orders_and_a_platforms_grow_with_it(storm: Scenario) -> None:
    noon, line = datetime(2018, 4, 28, 12, 0), TraceLine("Naan", 1, 250)
    orders = [TraceOrder(str(number), noon + timedelta(minutes=number), (line,)) for number in range(60)]
    both = with_field(storm, "delivery.orders_per_s", 2)
    more, replay = loaded(both, Replay(orders), 3)
    assert more.delivery is not None
    assert more.delivery.orders_per_s == 6
    assert more.diners.arrivals.rate_per_s == 5, "no diner is drawn"
    assert replay is not None
    assert len(replay.orders) == 180
    assert replay.rate_factor == pytest.approx(3 * 3600 / 5)
    found = headroom(storm, step=1, at_most=2, least_told=0.5, engine="simpy", replications=2, replay=Replay(orders))
    assert [load.point.found.values["diners"] for load in found.loads] == [[60, 60], [120, 120]]


def test_what_cannot_be_is_said_in_a_sentence(storm: Scenario) -> None:
    with pytest.raises(SweepError, match="the step is above 0"):
        headroom(storm, step=0)
    with pytest.raises(SweepError, match="the least share that is told yes is 0"):
        headroom(storm, least_told=0)
    with pytest.raises(SweepError, match="nobody orders in this scenario"):
        headroom(with_field(storm, "model.visit", "table_only"))
