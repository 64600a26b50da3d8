"""Schedules are values: drawn from a seed, stored as JSON, made smaller without changing what is left."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cluster.schedule import FAULT_KINDS, ORDERS, Schedule, draw_schedule


@given(st.integers(0, 2**63 - 1))
def test_a_schedule_comes_back_from_json_as_it_was(seed: int) -> None:
    schedule = draw_schedule(seed)
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule
    assert draw_schedule(seed) == schedule


@given(st.integers(0, 2**63 - 1))
def test_a_schedule_keeps_to_its_window_and_its_stores(seed: int) -> None:
    schedule = draw_schedule(seed)
    assert len(schedule.orders) == ORDERS
    assert all(0 <= strike.at_us < schedule.window_us and strike.for_us > 0 for strike in schedule.strikes)
    assert all(0 <= order.at_us < schedule.window_us for order in schedule.orders)
    assert {strike.store for strike in schedule.strikes} | {order.store for order in schedule.orders} <= set(
        range(schedule.stores)
    )


def test_seeds_differ_and_every_kind_of_fault_is_drawn() -> None:
    schedules = [draw_schedule(seed) for seed in range(300)]
    assert len({schedule.strikes for schedule in schedules if schedule.strikes}) > 250
    kinds = Counter(strike.kind for schedule in schedules for strike in schedule.strikes)
    assert set(kinds) == set(FAULT_KINDS)
    assert {schedule.stores for schedule in schedules} == {1, 2}
    assert {schedule.policy for schedule in schedules} == {"available", "require_r2"}
    assert {schedule.arbiter for schedule in schedules} == {"in_store", "in_cloud"}


def test_a_seed_favours_a_few_kinds() -> None:
    """Swarm testing: kinds that are drawn together often meet one another."""
    many = [schedule for schedule in map(draw_schedule, range(400)) if len(schedule.strikes) >= 12]
    shares = [
        sum(count for _, count in Counter(strike.kind for strike in schedule.strikes).most_common(4))
        / len(schedule.strikes)
        for schedule in many
    ]
    assert sum(shares) / len(shares) > 0.65


def test_a_kind_that_is_not_known_is_refused_by_name() -> None:
    schedule = draw_schedule(3)
    strike = replace(draw_schedule(5).strikes[0], kind="meteor")
    with pytest.raises(ValueError, match="meteor"):
        Schedule.from_json(replace(schedule, strikes=(strike,)).to_json())


def test_a_strike_on_a_whole_store_names_no_device() -> None:
    strike = replace(draw_schedule(5).strikes[0], kind="wan cut", target="a", store=1)
    assert "store 2 for" in strike.describe()
    assert "device a" in replace(strike, kind="device paused").describe()
