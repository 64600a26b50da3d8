from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from simulator.model.replications import Replay
from simulator.replays import Replayed, denser, pinned, refuse_fields, replayed_in
from simulator.scenario import Scenario, with_changes
from simulator.trace_table import TraceError, TraceLine, TraceOrder
from simulator.traces import trace_timetable

NOON = datetime(2018, 4, 28, 12, 0)


def _orders(count: int) -> list[TraceOrder]:
    """One every two minutes."""
    line = TraceLine("Naan", 1, 250)
    return [TraceOrder(str(number), NOON + timedelta(minutes=2 * number), (line,)) for number in range(count)]


def test_what_is_told_of_a_replay_is_what_comes(small: Scenario) -> None:
    replay = Replay(_orders(90), rate_factor=240, copies=2)
    told = replayed_in(replay, small)
    assert told == Replayed(60, 90, 240, 2, 30, 30, 60)
    came = trace_timetable(replay.orders, small, 1, 240, copies=1)
    assert len(came) == told.orders
    assert str(told) == "replayed: 60 of 90 orders in 30 s, 240 times faster than they came, 2 copies of each at once"
    fitted = replayed_in(Replay(_orders(90)), small)
    assert (fitted.orders, fitted.filled_s) == (90, 30)
    ends = replayed_in(Replay(_orders(90), rate_factor=1000), small)
    assert ends.filled_s == pytest.approx(179 * 60 / 1000)
    assert str(ends).endswith("the table ends after 10.7 s")


def test_all_designs_have_one_rate_factor(small: Scenario) -> None:
    replay = pinned(Replay(_orders(90)), small)
    assert replay.rate_factor == pytest.approx(179 * 60 / 30)
    assert replayed_in(replay, with_changes(small, {"duration_s": 15})).orders == 45


def test_a_denser_replay_has_so_many_times_the_orders_and_the_table_begins_again(small: Scenario) -> None:
    replay, now = Replay(_orders(90)), 90
    for factor in (0.5, 1.0, 2.0, 3.5):
        more = denser(replay, small, factor)
        came = trace_timetable(more.orders, small, 1, more.rate_factor)
        assert len(came) == pytest.approx(now * factor, abs=2)
        assert came[-1].at_us > 28_000_000, "the load lasts as long as before"
        assert {diner.items for diner in came} == {(("naan", 1),)}
    with pytest.raises(TraceError, match=r"the table fills 10\.7 of 30 s; give a --rate-factor below 1000"):
        denser(Replay(_orders(90), 1000), small, 2)


def test_what_a_table_says_itself_cannot_be_varied_beside_it() -> None:
    refuse_fields(["stores.tables", "diners.think_s"])
    with pytest.raises(TraceError, match=r"diners.arrivals.rate_per_s has no effect with --trace"):
        refuse_fields(["stores.tables", "diners.arrivals.rate_per_s"])
