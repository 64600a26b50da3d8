"""What links do to requests, what the stack's refusals say, and what a slow way to the database costs: to the tick."""

from __future__ import annotations

from typing import Any

import pytest
from known_evening import FLUSH, MS, SERVICE, S, evening, people_who, run_on

from refsystem.problems import RETRY_AFTER_S
from simulator.model.conditions import store_segments
from simulator.model.engines import EngineName
from simulator.model.plan import CONDITION, POSTGRES, make_plan
from simulator.model.records import ARRIVED, Run
from simulator.model.vocabulary import CLASS_SHIFT, COME_BACK_US, EDGE_B, REFUSED_US, Condition, Event
from simulator.scenario import Scenario

RETRYING = {"polls_max": 0, "attempt_timeout_ms": 2_000, "retries": {"attempts_max": 3, "backoff_ms": 100}}
WAY = 20 * MS
FAR_DATABASE = {"links": {"cloud_database": {"profile": "far"}}, "profiles": {"far": {"latency_ms": 20}}}


def _ticks(run: Run, event: Event) -> list[int]:
    assert run.trace is not None
    found: list[int] = run.trace[run.trace[:, 1] >> CLASS_SHIFT == event, 0].tolist()
    return found


def _down(direction: str, at_s: float, for_s: float) -> dict[str, Any]:
    return {"fault": "link_down", "link": "diner_edge", "direction": direction, "at_s": at_s, "for_s": for_s}


def test_a_link_that_is_shut_ends_what_is_under_way_and_refuses_what_comes(engine: EngineName) -> None:
    run = run_on(engine, evening(faults=[_down("both", 5, 3)]), people_who([4_000, 4_980, 6_000, 8_500]))
    told = run.column("told") - run.column("meant")
    assert told.tolist() == [SERVICE + FLUSH, told[1], told[2], SERVICE + FLUSH]
    assert (run.column("told")[1:3] < 0).all()
    timeouts = _ticks(run, Event.TIMEOUT)
    assert 5 * S in timeouts, "the connection is closed when the link is shut, long before the attempt would time out"
    assert 6 * S + REFUSED_US in timeouts, "a connection is refused at once"
    assert run.column("committed_0")[1] > 0, "the order arrived: the diner does not know it"


@pytest.mark.parametrize("direction", ["to", "from"])
def test_what_one_direction_swallowed_is_cut_off_when_it_is_whole_again(engine: EngineName, direction: str) -> None:
    run = run_on(engine, evening(faults=[_down(direction, 5, 1.5)]), people_who([5_200, 3_000]))
    assert 6_500 * MS in _ticks(run, Event.TIMEOUT)
    assert 7_200 * MS not in _ticks(run, Event.TIMEOUT)
    assert (run.column("committed_0")[0] > 0) == (direction == "from"), "a request arrives, its answer does not"


def test_who_is_told_that_the_database_is_away_comes_back_when_told_to(engine: EngineName) -> None:
    assert COME_BACK_US == RETRY_AFTER_S * S
    killed = {"fault": "process_killed", "process": "postgres", "at_s": 5, "for_s": 0.5}
    run = run_on(engine, evening(faults=[killed], diners=RETRYING), people_who([5_300], DOOR=1))
    assert _ticks(run, Event.REQUEST)[1:] == [5_300 * MS, 5_300 * MS + SERVICE + COME_BACK_US]
    assert run.column("told")[0] == 5_300 * MS + COME_BACK_US + 2 * SERVICE


def test_who_is_told_that_two_devices_are_required_asks_the_same_one_later(engine: EngineName) -> None:
    store = {"name": "s1", "tables": 2, "kitchen_seconds": 1, "policy": "require_r2"}
    killed = {"fault": "process_killed", "process": "edge_b", "at_s": 2, "for_s": 15}
    run = run_on(engine, evening(stores=[store], faults=[killed], diners=RETRYING), people_who([9_000]))
    first, second, third = _ticks(run, Event.REQUEST)[1:]
    assert (second - first, third - second) == (SERVICE + COME_BACK_US, SERVICE + COME_BACK_US)


def test_an_error_on_the_way_is_no_reason_to_go_to_the_other_device(engine: EngineName) -> None:
    errors = {"fault": "http_errors", "link": "diner_edge", "at_s": 0, "for_s": 1, "share": 1.0, "path": "/v1/orders"}
    run = run_on(engine, evening(faults=[errors], diners=RETRYING), people_who([980]))
    assert run.column("told")[0] > 0
    assert run.column("attempts")[0] == 3, "a look at the menu, an order that failed, and the same again"
    assert run.servers[EDGE_B, ARRIVED] == 0


def test_each_exchange_with_the_database_costs_its_way_and_a_new_connection_more(engine: EngineName) -> None:
    people = people_who([1_000, 2_500, 4_500, 4_500, 4_500], DOOR=1)
    run = run_on(engine, evening(**FAR_DATABASE), people)
    exchanges = ((run.column("told") - run.column("meant") - SERVICE) // (2 * WAY)).tolist()
    assert exchanges[:2] == [6, 3], "an order's three are prepared by three more, once for each connection"
    assert sorted(exchanges[2:]) == [3, 6, 4 + 6], "one that is ready, one that is open, and one that is not"


def _served_again(scenario: Scenario) -> list[int]:
    plan = make_plan(scenario)
    down = plan.segment[:, CONDITION + POSTGRES] == Condition.DOWN
    return [int(at) for at, was, now in zip(plan.segment_at[1:], down[:-1], down[1:], strict=True) if was and not now]


def test_a_cloud_that_starts_again_opens_its_database_first() -> None:
    restarted = {"fault": "process_restarted", "process": "cloud", "at_s": 5}
    boot = 700 * MS
    assert _served_again(evening(faults=[restarted])) == [], "next door it takes no time"
    far = evening(faults=[restarted], **FAR_DATABASE)
    assert _served_again(far) == [5 * S + boot + 9 * 2 * WAY]
    weak = {"fault": "link_weak", "link": "cloud_database", "at_s": 4, "for_s": 2, "latency_ms": 100}
    assert _served_again(evening(faults=[restarted, weak])) == [5 * S + boot + 2 * 200 * MS], "the rest takes no time"


def test_a_device_that_starts_again_waits_for_no_database() -> None:
    restarted = {"fault": "process_restarted", "process": "edge_a", "at_s": 5}
    scenario = evening(faults=[restarted], **FAR_DATABASE)
    for each in store_segments(scenario, scenario.stores[0], boot=1, join=1, open_round_trips=9):
        assert each.condition[POSTGRES] == Condition.UP
