"""Real evenings out of a table of orders: of each evening its busiest stretch of a given length, the busiest evening first.

An evening is a business date, as in `traces.py`. A stretch begins at a minute in which somebody ordered, or at a time of day that
is said. Nothing is squeezed: an evening passes at one speed, with its quiet minutes, so people, kitchen and orders can have one
clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from refsystem.ordering.menu import Menu
from simulator.diners import Diner
from simulator.scenario_model import Scenario
from simulator.streams import Streams
from simulator.trace_table import TraceError, TraceOrder
from simulator.traces import DAY_STARTS_HOUR, HOUR_S, MINUTE_S, business_date, diners_of

DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of one evening: when it begins, and how many orders came in it."""

    starts_at: datetime
    orders: int

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d %H:%M} ({self.orders})"


def by_evening(orders: Sequence[TraceOrder]) -> dict[date, list[TraceOrder]]:
    """The orders of each evening, by time."""
    found: dict[date, list[TraceOrder]] = {}
    for order in sorted(orders, key=minute_of):
        found.setdefault(business_date(order), []).append(order)
    return found


def minute_of(order: TraceOrder) -> datetime:
    """The minute in which an order was made."""
    return order.ordered_at.replace(second=0, microsecond=0)


def busiest_stretches(orders: Sequence[TraceOrder], length_s: float, starts_at: time | None = None) -> list[Stretch]:
    """The busiest `length_s` real seconds of each evening, or those from `starts_at` on.

    The busiest evening comes first, of equals the earliest. Evenings without an order in it are left out.
    Raises `TraceError` for what is longer than a day, or shorter than a minute.
    """
    if length_s < MINUTE_S:
        raise TraceError(
            f"duration_s times time_scale are {length_s:.3g} s of real orders, and a table says the minute only; lengthen "
            "duration_s, or give another --rate-factor, which squeezes the whole table"
        )
    if length_s > DAY_S:
        raise TraceError(
            f"{length_s / HOUR_S:.3g} hours of real orders (duration_s times time_scale) are more than an evening; shorten "
            "duration_s, or give another --rate-factor, which squeezes the whole table"
        )
    found = []
    for evening, made in by_evening(orders).items():
        minutes = [minute_of(order) for order in made]
        begins = minutes if starts_at is None else [_time_of(evening, starts_at)]
        found.append(max((_stretch(minutes, begin, length_s) for begin in begins), key=lambda each: each.orders))
    return sorted((each for each in found if each.orders), key=lambda each: (-each.orders, each.starts_at))


def stretch_at(evenings: Mapping[date, Sequence[TraceOrder]], starts_at: datetime, length_s: float) -> Stretch:
    """What comes from this time on."""
    return _stretch([minute_of(order) for order in _evening(evenings, starts_at)], starts_at, length_s)


def evening_timetable(
    evenings: Mapping[date, Sequence[TraceOrder]],
    starts_at: datetime,
    scenario: Scenario,
    streams: Streams,
    rate_factor: float,
    copies: float,
    ids: dict[tuple[str, int], str],
    menu: Menu,
) -> list[Diner]:
    """The diners of one evening from `starts_at` on, by arrival; baskets and times are real, all else is the scenario's.

    A diner comes anywhere within the minute of the real order. With `copies` each order comes that often, on average: 2.5 is
    twice, and half of them three times. The first copy keeps its minute, the others only its hour, counted from the start.
    `ids`, `menu`: those of the whole table.
    """
    length_s = scenario.duration_s * rate_factor
    made = [
        (offset_s, order)
        for order in _evening(evenings, starts_at)
        if 0 <= (offset_s := (minute_of(order) - starts_at).total_seconds()) < length_s
    ]
    arrivals = [
        (at_s / rate_factor, order.order)
        for place, (offset_s, order) in enumerate(made)
        for at_s in _places(streams, place, offset_s, copies, length_s)
    ]
    return diners_of(sorted(arrivals), [order for _, order in made], scenario, streams, ids, menu)


def _places(streams: Streams, place: int, offset_s: float, copies: float, length_s: float) -> Iterator[float]:
    """When each copy of an order comes, in real seconds after the start."""
    whole = math.floor(copies)
    for copy in range(math.ceil(copies)):
        if copy == whole and streams.uniform("trace copy", diner=place, index=copy) >= copies - whole:
            continue
        begins_s, width_s = (offset_s // HOUR_S * HOUR_S, HOUR_S) if copy else (offset_s, MINUTE_S)
        yield begins_s + streams.uniform("trace place", diner=place, index=copy) * min(width_s, length_s - begins_s)


def _evening(evenings: Mapping[date, Sequence[TraceOrder]], at: datetime) -> Sequence[TraceOrder]:
    """The orders of the evening to which a time belongs."""
    return evenings.get((at - timedelta(hours=DAY_STARTS_HOUR)).date(), ())


def _stretch(minutes: Sequence[datetime], begin: datetime, length_s: float) -> Stretch:
    end = begin + timedelta(seconds=length_s)
    return Stretch(begin, bisect_left(minutes, end) - bisect_left(minutes, begin))


def _time_of(evening: date, at: time) -> datetime:
    """This time of day on an evening; before 05:00 it is the next day of the calendar."""
    return datetime.combine(evening + timedelta(days=at.hour < DAY_STARTS_HOUR), at)
