from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta

import pytest

from simulator.batches.series import digest
from simulator.evenings import Stretch, busiest_stretches, by_evening, evening_timetable
from simulator.headroom import loaded
from simulator.model.draws import make_key
from simulator.model.people import AT
from simulator.model.replications import Replay, Replications, forecast, replayed
from simulator.replays import denser, evening_by_evening, replayed_in
from simulator.scenario import Scenario, with_changes
from simulator.streams import Streams
from simulator.trace_table import TraceError, TraceLine, TraceOrder, item_ids
from simulator.traces import trace_menu

HALF_AN_HOUR_S = 1800.0
"""What `small` lasts on its own clock: 30 s, 60 times faster than real."""


def _order(at: str, number: int = 0, price_minor: int = 250) -> TraceOrder:
    return TraceOrder(f"{at}/{number}", datetime.fromisoformat(at), (TraceLine("Naan", 1, price_minor),))


TABLE = [
    *(_order(f"2018-04-27T{hour:02}:10") for hour in range(12, 20)),
    *(_order(f"2018-04-28T18:{minute}") for minute in (10, 25, 39, 40, 59)),
    *(_order(f"2018-04-29T{at}") for at in ("23:50", "23:58")),
    *(_order(f"2018-04-30T{at}") for at in ("00:10", "00:25:30", "21:00")),
]
"""A quiet day with the most orders, the busiest half hour, one over midnight, and a lonely order."""


def test_the_busiest_stretch_of_each_evening_is_found_and_the_busiest_evening_comes_first() -> None:
    found = busiest_stretches(TABLE[::-1], HALF_AN_HOUR_S)
    assert found == [
        Stretch(datetime(2018, 4, 28, 18, 10), 3),
        Stretch(datetime(2018, 4, 29, 23, 50), 3),
        Stretch(datetime(2018, 4, 27, 12, 10), 1),
        Stretch(datetime(2018, 4, 30, 21, 0), 1),
    ], "the half hour ends before 18:40 and before 00:20; of equals the earliest"
    assert busiest_stretches(TABLE, 24 * 3600)[0] == Stretch(datetime(2018, 4, 27, 12, 10), 8)
    with pytest.raises(TraceError, match=r"25 hours of real orders .* are more than an evening; shorten duration_s"):
        busiest_stretches(TABLE, 25 * 3600)
    with pytest.raises(
        TraceError, match="are 59 s of real orders, and a table says the minute only; lengthen duration_s"
    ):
        busiest_stretches(TABLE, 59)


def test_a_time_of_day_that_is_said_is_that_of_the_evening_even_after_midnight() -> None:
    assert busiest_stretches(TABLE, 3600, time(0, 0)) == [Stretch(datetime(2018, 4, 30, 0, 0), 2)]
    assert [each.orders for each in busiest_stretches(TABLE, 3600, time(18, 0))] == [5, 1]


def _came(starts_at: datetime, scenario: Scenario, copies: float = 1, replication: int = 0) -> list[tuple[int, int]]:
    """When they come on the evening's clock, in microseconds, and what they pay: their order's place."""
    table = [_order(f"2018-04-28T18:{minute:02}", 0, 100 + minute) for minute in range(0, 60, 7)]
    made, ids, streams = by_evening(table), item_ids(table), Streams(scenario.seed, replication)
    found = evening_timetable(made, starts_at, scenario, streams, scenario.time_scale, copies, ids, trace_menu(table))
    assert [diner.at_us for diner in found] == sorted(diner.at_us for diner in found)
    return [(round(diner.at_us * scenario.time_scale), diner.total_minor - 100) for diner in found]


def test_an_order_comes_within_its_real_minute_and_copies_within_the_evenings_hour(small: Scenario) -> None:
    six = datetime(2018, 4, 28, 18, 0)
    for at_us, minute in _came(six, small):
        assert minute * 60e6 - 60 <= at_us <= (minute + 1) * 60e6 + 60
    assert [minute for _, minute in _came(six, small)] == [0, 7, 14, 21, 28]
    assert [minute for _, minute in _came(six + timedelta(minutes=14), small)] == [14, 21, 28, 35, 42]
    assert _came(six, small) != _came(six, small, replication=1)
    longer = with_changes(small, {"duration_s": 59.5})  # ends within the minute of the last
    last = _came(six - timedelta(minutes=3), longer)[-1]
    assert last[1] == 56
    assert last[0] < 59.5 * 60e6
    few, twice, more = (_came(six, small, copies) for copies in (0.5, 2, 2.5))
    assert len(twice) == 10
    assert set(few) < set(_came(six, small)) < set(twice) < set(more), "the same people, and others"
    assert 10 < len(more) < 15
    assert all(at_us < HALF_AN_HOUR_S * 1e6 for at_us, _ in more)


def test_replication_n_has_the_nth_evening_whatever_the_design(small: Scenario) -> None:
    replay = evening_by_evening(Replay(TABLE), small, 3)
    assert replay.rate_factor == small.time_scale
    designs = [small, with_changes(small, {"duration_s": 51}), with_changes(small, {"diners": {"think_s": 1}})]
    came = [forecast(each, "simpy", 4, replay=replay).values["diners"] for each in designs]
    assert came == [[3, 3, 1, 3], [5, 4, 1, 5], [3, 3, 1, 3]], "51 s are 51 minutes: the same evenings, a longer part"
    found = forecast(small, "simpy", None, replay=replay)
    assert found.values["diners"] == [3, 3, 1] * 4, "whole rounds, at least ten"
    assert found.not_known(), "it says what these evenings do not tell"
    hashes = found.values["hash"]
    assert len(set(hashes)) == 12, "an evening that comes again has other draws"
    one_by_one = Replications(small, "simpy", replay).units(4, 5, rows=False)
    assert [unit.values["hash"] for unit in one_by_one] == [hashes[4]]


def test_replications_place_the_same_orders_anew_and_no_other_seed_places_them_so(small: Scenario) -> None:
    def arrivals(replay: Replay, seed: int, number: int) -> list[int]:
        scenario = with_changes(small, {"seed": seed})
        store = scenario.stores[0]
        found: list[int] = replayed(scenario, replay)(number, store, make_key(seed, store.name, number))[:, AT].tolist()
        return found

    for replay in (evening_by_evening(Replay(TABLE), small, 1), Replay(TABLE, 300)):
        placed = [arrivals(replay, seed, number) for seed, number in ((1, 0), (1, 1), (2, 0))]
        assert len({tuple(each) for each in placed}) == 3
        assert len({len(each) for each in placed}) == 1


def test_a_denser_replay_has_the_same_evenings_with_more_of_each_order(small: Scenario) -> None:
    replay = evening_by_evening(Replay(TABLE, copies=2), small, 2)
    for factor in (0.5, 1.0, 3.0):
        _, more = loaded(small, replay, factor)
        assert more is not None
        assert more.starts == replay.starts
        assert replayed_in(more, small).evenings == replayed_in(replay, small).evenings
        came = forecast(small, "simpy", 6, replay=more).values["diners"]
        assert sum(count or 0 for count in came) == pytest.approx(6 * 3 * 2 * factor, abs=6 if factor < 1 else 0)
    with pytest.raises(TraceError, match="the replay has about 1200000 diners"):
        denser(replay, small, 200_000)


def test_what_is_told_of_evenings_is_what_comes(small: Scenario) -> None:
    told = replayed_in(evening_by_evening(Replay(TABLE), small), small)
    assert str(told) == (
        "replayed: 8 of 18 orders, 30 minutes of 4 of 4 evenings, the busiest first, on one clock with people and kitchen"
    )
    named = "evenings (orders): 2018-04-28 18:10 (3), 2018-04-29 23:50 (3), 2018-04-27 12:10 (1), 2018-04-30 21:00 (1)"
    assert told.remarks(4) == [named]
    assert told.remarks(5) == [
        named,
        "5 replications of 4 evenings: they come again under other draws, so intervals are of these alone, not of others",
    ]
    assert told.to_json()["evenings"][0] == {"starts_at": "2018-04-28T18:10", "orders": 3}
    with pytest.raises(TraceError, match="no evening of the table has an order from 07:00 to 07:30; give another time"):
        evening_by_evening(Replay(TABLE), small, 3, time(7, 0))


def test_two_clocks_are_told_and_what_the_intervals_are_over(small: Scenario) -> None:
    two = replayed_in(Replay(TABLE, 348), small)
    assert two.remarks(20) == [
        "orders come at 348 times real speed, people and kitchens act at 60 times real speed: "
        "waits for tables and meals are those of no real evening",
        "each replication has the same orders, so intervals are over draws, not over evenings",
    ]
    assert len(replayed_in(Replay(TABLE, 60), small).remarks()) == 1


def test_what_is_kept_of_a_replay_is_found_again_for_the_same_table_factor_copies_and_evenings_only(
    small: Scenario,
) -> None:
    def name(orders: Sequence[TraceOrder], factor: float, copies: int, starts: tuple[datetime, ...] = ()) -> str:
        return digest(Replications(small, "simpy", Replay(orders, factor, copies, starts)))

    dearer = [*TABLE[:-1], _order("2018-04-30T21:00", 0, 251)]
    first, second = TABLE[0].ordered_at, TABLE[1].ordered_at
    names = [
        digest(Replications(small, "simpy")),
        name(TABLE, 60, 1),
        name(TABLE[:-1], 60, 1),
        name(dearer, 60, 1),
        name(TABLE, 61, 1),
        name(TABLE, 60, 2),
        name(TABLE, 60, 1, (first, second)),
        name(TABLE, 60, 1, (second, first)),
    ]
    assert len(set(names)) == len(names)
    assert name(list(TABLE), 60, 1) == names[1]


def test_the_busiest_evenings_of_the_real_table(takeaway: list[TraceOrder], small: Scenario) -> None:
    two_hours = with_changes(small, {"duration_s": 120})
    told = replayed_in(evening_by_evening(Replay(takeaway), two_hours), two_hours)
    assert (told.of, told.of_evenings, len(told.evenings)) == (13_397, 1_210, 20)
    counts = [each.orders for each in told.evenings]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 20 > 3, "at real speed the first two hours of the busiest evening are quiet: 3 orders"
    assert sum(counts) == told.orders
