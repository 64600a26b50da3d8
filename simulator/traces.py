"""Replay of real orders: real evenings laid one behind another and squeezed into a drill (one by one: `evenings.py`).

An evening is a business date: what is ordered before 05:00 belongs to the day before. The busiest evening comes first, then
the following ones in order, and after the last of the table the earliest. Only trading hours count: an hour of the clock
in which an evening has no order is left out, and so is the time between two evenings. `rate_factor` says how many times
faster than real the trading hours pass, so one order each quarter of an hour at a factor of 18,000 is 20 a second.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from refsystem.ordering.menu import Menu
from simulator.arrivals import ARRIVALS_MAX
from simulator.diners import Diner, make_diner
from simulator.scenario_model import Scenario
from simulator.streams import Streams
from simulator.trace_table import TraceError, TraceLine, TraceOrder, item_ids, read_trace, trace_items, trace_menu

__all__ = [
    "ORDERS_FIT",
    "TraceError",
    "TraceLine",
    "TraceOrder",
    "business_date",
    "check_copies",
    "diners_of",
    "evenings",
    "fit_rate_factor",
    "orders_wanted",
    "read_trace",
    "trace_length_s",
    "trace_menu",
    "trace_timetable",
    "trading_times_s",
]

ORDERS_FIT = 1_600
"""How many real orders are replayed if nobody says how fast; more if the scenario asks for more acknowledgements."""
DAY_STARTS_HOUR = 5
HOUR_S = 3_600.0
MINUTE_S = 60.0
FIT_MARGIN = 1.1


def business_date(order: TraceOrder) -> date:
    """The evening to which an order belongs."""
    return (order.ordered_at - timedelta(hours=DAY_STARTS_HOUR)).date()


def evenings(orders: Sequence[TraceOrder]) -> list[date]:
    """The evenings of a trace as they are replayed: from the busiest (the first of equals) on, then round to the start."""
    counts = Counter(business_date(order) for order in orders)
    if not counts:
        return []
    in_order = sorted(counts)
    first = in_order.index(max(in_order, key=lambda evening: counts[evening]))
    return in_order[first:] + in_order[:first]


def trading_times_s(orders: Sequence[TraceOrder]) -> list[tuple[float, TraceOrder]]:
    """Every order with its trading time, real seconds after the first trading hour began, ascending."""
    place = {evening: number for number, evening in enumerate(evenings(orders))}
    ordered = sorted(orders, key=lambda order: (place[business_date(order)], order.ordered_at))
    hours: dict[tuple[date, int], int] = {}
    timed: list[tuple[float, TraceOrder]] = []
    for order in ordered:
        at = order.ordered_at
        hour = hours.setdefault((at.date(), at.hour), len(hours))
        timed.append((hour * HOUR_S + at.minute * MINUTE_S + at.second, order))
    return timed


def fit_rate_factor(orders: Sequence[TraceOrder], duration_s: float, orders_wanted: int = ORDERS_FIT) -> float:
    """The factor at which the first `orders_wanted` orders (all, if there are fewer) fill `duration_s`."""
    return _length_s(trading_times_s(orders), orders_wanted) / duration_s


def trace_length_s(orders: Sequence[TraceOrder], rate_factor: float) -> float:
    """How long a replay of the whole trace lasts at this factor, in seconds."""
    _check_factor(rate_factor)
    return _length_s(trading_times_s(orders), len(orders)) / rate_factor


def trace_timetable(
    orders: Sequence[TraceOrder],
    scenario: Scenario,
    seed: int,
    rate_factor: float | None = None,
    copies: int = 1,
    duration_s: float | None = None,
    replication: int = 0,
) -> list[Diner]:
    """The diners of a replay, in order of arrival, numbered from 0; baskets and times are real, all else is the scenario's.

    A diner comes when the real order was made, anywhere within its minute. `rate_factor` None fits `ORDERS_FIT`
    orders, or a tenth more than the scenario's `least_acknowledged`, into the duration. With `copies` the trace is
    replayed that often at once: the first copy keeps the minute of an order, the others only its trading hour.
    `duration_s` (default: the scenario's) cuts the replay off; `replication` 0 is a drill's. Raises `TraceError` for a factor
    or a number of copies that cannot be.
    """
    length_s = scenario.duration_s if duration_s is None else duration_s
    check_copies(copies)
    if rate_factor is None:
        rate_factor = fit_rate_factor(orders, length_s, orders_wanted(scenario, copies))
    _check_factor(rate_factor)
    streams, ids, menu = Streams(seed, replication), item_ids(orders), trace_menu(orders)
    arrivals = sorted(_arrivals(trading_times_s(orders), streams, rate_factor, copies, length_s))
    if len(arrivals) > ARRIVALS_MAX:
        raise TraceError(
            f"the replay has {len(arrivals)} diners; {ARRIVALS_MAX} are the most, so lower copies or rate_factor"
        )
    return diners_of(arrivals, orders, scenario, streams, ids, menu)


def diners_of(
    arrivals: Sequence[tuple[float, str]],
    orders: Sequence[TraceOrder],
    scenario: Scenario,
    streams: Streams,
    ids: dict[tuple[str, int], str],
    menu: Menu,
) -> list[Diner]:
    """The diners who order what these orders say, at these seconds after the start of the run."""
    baskets = {order.order: trace_items(order, ids) for order in orders}
    return [
        make_diner(scenario, menu, streams, number, round(at_s * 1_000_000), baskets[order])
        for number, (at_s, order) in enumerate(arrivals)
    ]


def orders_wanted(scenario: Scenario, copies: int = 1) -> int:
    """How many real orders a replay needs: `ORDERS_FIT`, or a tenth more than the scenario wants acknowledged."""
    return max(ORDERS_FIT, math.ceil(FIT_MARGIN * scenario.least_acknowledged / copies))


def _arrivals(
    timed: Sequence[tuple[float, TraceOrder]], streams: Streams, rate_factor: float, copies: int, duration_s: float
) -> Iterator[tuple[float, str]]:
    """When each copy of each order comes, in seconds after the start of the run, and which order it is."""
    for place, (trading_s, order) in enumerate(timed):
        hour_s = trading_s // HOUR_S * HOUR_S
        if hour_s / rate_factor >= duration_s:
            return
        for copy in range(copies):
            uniform = streams.uniform("trace place", diner=place, index=copy)
            at_s = (hour_s + uniform * HOUR_S if copy else trading_s + uniform * MINUTE_S) / rate_factor
            if at_s < duration_s:
                yield at_s, order.order


def _length_s(timed: Sequence[tuple[float, TraceOrder]], wanted: int) -> float:
    """The trading time at which `wanted` orders have come; a minute's orders come anywhere within it."""
    return timed[min(wanted, len(timed)) - 1][0] + MINUTE_S if timed else 0.0


def check_copies(copies: float) -> None:
    """Raise `TraceError` if a table cannot be replayed so often at once."""
    if not 1 <= copies <= 1_000:
        raise TraceError(f"copies is {copies:g}; it must be from 1 to 1000")


def _check_factor(rate_factor: float) -> None:
    if not 0 < rate_factor < math.inf:
        raise TraceError(f"rate_factor is {rate_factor:g}; it must be above 0, say how many times faster than real")
