"""A failing schedule is made small: by synthetic failures whose smallest schedule is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import stand_in
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.campaign.shrinking import RUNS_MAX, Shrunken, shrink
from simulator.cluster.schedule import PlannedOrder, Schedule, Strike

SOME = settings(max_examples=60)


def strikes(schedule: Schedule) -> set[int]:
    return {strike.number for strike in schedule.strikes}


def orders(schedule: Schedule) -> set[int]:
    return {order.number for order in schedule.orders}


def needs(wanted_strikes: set[int], wanted_orders: set[int]) -> Callable[[Schedule], bool]:
    return lambda schedule: wanted_strikes <= strikes(schedule) and wanted_orders <= orders(schedule)


def large(number_of_strikes: int = 14, number_of_orders: int = 100) -> Schedule:
    return Schedule(
        1,
        2,
        "require_r2",
        "in_cloud",
        3_500_000,
        tuple(Strike(n, 234_567 + n, "device crash", 1, "b", 654_321) for n in range(number_of_strikes)),
        tuple(PlannedOrder(n, n, 1, "both", 3, 5, 6, 7) for n in range(number_of_orders)),
    )


def test_only_what_the_failure_needs_is_left() -> None:
    found = shrink(large(), needs({2, 5}, {17, 80}))
    assert strikes(found.schedule) == {2, 5}
    assert orders(found.schedule) == {17, 80}
    assert found.minimal


def test_what_is_left_is_short_round_and_plain() -> None:
    (strike,) = (found := shrink(large(), needs({2}, {17}))).schedule.strikes
    (order,) = found.schedule.orders
    assert (strike.at_us, strike.for_us) == (200_000, 1_000)
    assert (order.door, order.quantity, order.retap_us, order.other_us, order.asks_at_us) == (
        "edge",
        1,
        None,
        None,
        None,
    )
    assert (found.schedule.stores, found.schedule.policy, found.schedule.arbiter) == (1, "available", "in_store")


def test_a_duration_that_matters_is_kept_long_enough() -> None:
    found = shrink(large(), lambda schedule: any(strike.for_us > 60_000 for strike in schedule.strikes))
    (strike,) = found.schedule.strikes
    assert strike.for_us == 100_000


def test_a_time_that_matters_is_kept_as_it_is() -> None:
    found = shrink(large(), lambda schedule: any(strike.at_us == 234_570 for strike in schedule.strikes))
    (strike,) = found.schedule.strikes
    assert strike.at_us == 234_570


def test_a_failure_that_needs_nothing_loses_everything() -> None:
    found = shrink(large(), lambda schedule: True)
    assert found.schedule.strikes == found.schedule.orders == ()
    assert found.runs <= 10


@SOME
@given(data=st.data())
def test_nothing_more_can_be_taken_away(data: st.DataObject) -> None:
    """Whatever combination fails, monotone or not, the result fails and no single part of it is needless."""
    drawn_strikes = st.sets(st.integers(0, 7), max_size=4)
    drawn_orders = st.sets(st.integers(0, 29), max_size=4)
    ways = data.draw(st.lists(st.tuples(drawn_strikes, drawn_orders), min_size=1, max_size=3))
    spoiler = data.draw(st.integers(0, 7))
    whole = large(8, 30)

    def breaks(schedule: Schedule) -> bool:
        if schedule != whole and spoiler in strikes(schedule) and len(strikes(schedule)) % 3 == 2:
            return False
        return any(needs(*way)(schedule) for way in ways)

    found = shrink(whole, breaks, runs_max=5_000)
    assert found.minimal
    assert_is_minimal(found, breaks)


def assert_is_minimal(found: Shrunken, breaks: Callable[[Schedule], bool]) -> None:
    left = found.schedule
    assert breaks(left)
    for strike in left.strikes:
        assert not breaks(replace(left, strikes=tuple(each for each in left.strikes if each != strike)))
    for order in left.orders:
        assert not breaks(replace(left, orders=tuple(each for each in left.orders if each != order)))


def test_no_schedule_is_run_twice() -> None:
    seen: list[Schedule] = []

    def breaks(schedule: Schedule) -> bool:
        seen.append(schedule)
        return needs({1}, {3})(schedule)

    found = shrink(stand_in.draw(1), breaks)
    assert len(seen) == found.runs == len(set(seen))


def test_the_limit_of_runs_is_kept_and_the_best_so_far_is_told() -> None:
    wanted = set(range(0, 100, 2))
    found = shrink(large(), needs(set(), wanted), runs_max=40)
    assert (found.runs, found.minimal) == (40, False)
    assert wanted <= orders(found.schedule)
    assert not found.schedule.strikes
    assert shrink(large(), needs(set(), wanted)).runs <= RUNS_MAX


def test_the_limit_of_time_is_kept() -> None:
    found = shrink(large(), needs({1}, {1}), max_s=0.0)
    assert (found.runs, found.minimal, found.schedule) == (0, False, large())


def test_an_interruption_ends_the_search() -> None:
    runs: list[Schedule] = []

    def breaks(schedule: Schedule) -> bool:
        runs.append(schedule)
        return needs({1}, {1})(schedule)

    found = shrink(large(), breaks, interrupted=lambda: len(runs) >= 3)
    assert (found.runs, found.minimal) == (3, False)
