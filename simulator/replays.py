"""A table of real orders in place of drawn diners: how much of it comes in an evening, how fast, and what it leaves to vary."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from simulator.arrivals import ARRIVALS_MAX
from simulator.evenings import Stretch, busiest_stretches, by_evening, stretch_at
from simulator.scenario_model import Scenario
from simulator.trace_table import TraceError, TraceOrder
from simulator.traces import check_copies, fit_rate_factor, orders_wanted, trace_length_s, trading_times_s

OF_DRAWN_DINERS = ("diners.arrivals", "diners.basket")
"""Sections that say who comes and what they order; a table says it itself."""
EVENINGS = 20
"""So many evenings are replayed if nobody says how many."""
EVENINGS_NAMED = 5


@dataclass(frozen=True)
class Replay:
    """A table of real orders in place of drawn diners.

    `starts`: where the stretches begin that are replayed, one a replication. Without any the whole table is squeezed, as a drill
    replays it; then `rate_factor` None fits it.
    """

    orders: Sequence[TraceOrder]
    rate_factor: float | None = None
    copies: float = 1
    starts: tuple[datetime, ...] = ()

    def identity(self) -> Mapping[str, Any]:
        """Its content, in short."""
        found = hashlib.blake2b(digest_size=16)
        for order in self.orders:
            found.update(repr(order).encode() + b"\n")
        return {
            "orders": found.hexdigest(),
            "rate_factor": self.rate_factor,
            "copies": self.copies,
            "starts": [start.isoformat() for start in self.starts],
        }


@dataclass(frozen=True, slots=True)
class Replayed:
    """How much of a table comes: in each replication, or with `evenings` in all of them together.

    `orders` are those whose minute begins before the end; the load is over after `filled_s`.
    """

    orders: int
    of: int
    rate_factor: float
    copies: float
    filled_s: float
    duration_s: float
    time_scale: float = 1.0
    evenings: tuple[Stretch, ...] = ()
    of_evenings: int = 0
    stores: int = 1

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        said = dataclasses.asdict(self)
        said["evenings"] = [
            {"starts_at": each.starts_at.isoformat(timespec="minutes"), "orders": each.orders} for each in self.evenings
        ]
        return said

    def __str__(self) -> str:
        copies = "" if self.copies == 1 else f", {self.copies:g} copies of each at once"
        copies += "" if self.stores == 1 else f", divided among {self.stores:,} stores"
        if self.evenings:
            minutes = f"{self.duration_s * self.rate_factor / 60:.4g} minutes"
            which = f"{len(self.evenings):,} of {self.of_evenings:,} evenings, the busiest first"
            clock = "on one clock with people and kitchen"
            return f"replayed: {self.orders:,} of {self.of:,} orders, {minutes} of {which}, {clock}{copies}"
        ends = "" if self.filled_s >= self.duration_s else f"; the table ends after {self.filled_s:.3g} s"
        faster = f"{self.rate_factor:,.6g} times faster than they came"
        return f"replayed: {self.orders:,} of {self.of:,} orders in {self.duration_s:g} s, {faster}{copies}{ends}"

    def remarks(self, replications: int | None = None) -> list[str]:
        """What whoever reads figures of so many replications (None: not said) must know besides."""
        if not self.evenings:
            one_clock, real = math.isclose(self.rate_factor, self.time_scale), "times real speed"
            clocks = (
                f"orders come at {self.rate_factor:,.6g} {real}, people and kitchens act at {self.time_scale:g} {real}"
            )
            return [
                *([] if one_clock else [f"{clocks}: waits for tables and meals are those of no real evening"]),
                "each replication has the same orders, so intervals are over draws, not over evenings",
            ]
        count, named = len(self.evenings), self.evenings[:EVENINGS_NAMED]
        rest = f" … {self.evenings[-1]}" if count > len(named) else ""
        said = [f"evenings (orders): {', '.join(map(str, named))}{rest}"]
        if replications is not None and replications > count:
            again = f"{replications:,} replications of {count:,} {'evening' if count == 1 else 'evenings'}"
            said.append(f"{again}: they come again under other draws, so intervals are of these alone, not of others")
        return said


def evening_by_evening(
    replay: Replay, scenario: Scenario, count: int = EVENINGS, starts_at: time | None = None
) -> Replay:
    """The table's `count` busiest evenings (all, if there are fewer), one a replication, people and kitchen on the same clock.

    Of each as much as the scenario lasts: the busiest stretch, or from `starts_at` on. All designs have the same evenings. Raises
    `TraceError`.
    """
    check_copies(replay.copies)
    factor = scenario.time_scale
    found = busiest_stretches(replay.orders, scenario.duration_s * factor, starts_at)[:count]
    if not found:
        assert starts_at is not None
        until = (datetime.min + timedelta(hours=starts_at.hour, minutes=starts_at.minute)) + timedelta(
            seconds=scenario.duration_s * factor
        )
        raise TraceError(
            f"no evening of the table has an order from {starts_at:%H:%M} to {until:%H:%M}; give another time"
        )
    return dataclasses.replace(replay, rate_factor=factor, starts=tuple(each.starts_at for each in found))


def pinned(replay: Replay, scenario: Scenario) -> Replay:
    """The same with its rate factor said, so that all designs have the same orders at the same times. Raises `TraceError`."""
    if replay.starts:
        return replay
    check_copies(replay.copies)
    if replay.rate_factor is not None:
        return replay
    factor = fit_rate_factor(replay.orders, scenario.duration_s, orders_wanted(scenario, round(replay.copies)))
    return dataclasses.replace(replay, rate_factor=factor)


def replayed_in(replay: Replay, scenario: Scenario) -> Replayed:
    """How much of the table comes in this scenario. Raises `TraceError`."""
    said = pinned(replay, scenario)
    factor, duration_s, scale = said.rate_factor, scenario.duration_s, scenario.time_scale
    assert factor is not None
    if said.starts:
        made = by_evening(said.orders)
        found = tuple(stretch_at(made, start, duration_s * factor) for start in said.starts)
        orders = sum(each.orders for each in found)
        return Replayed(
            orders,
            len(said.orders),
            factor,
            said.copies,
            duration_s,
            duration_s,
            scale,
            found,
            len(made),
            len(scenario.stores),
        )
    length_s = trace_length_s(said.orders, factor)
    times = [at_s for at_s, _ in trading_times_s(said.orders)]
    count = bisect_left(times, duration_s * factor)
    filled_s = min(duration_s, length_s)
    if math.isclose(length_s, duration_s):
        filled_s = duration_s
    return Replayed(count, len(times), factor, said.copies, filled_s, duration_s, scale, stores=len(scenario.stores))


def refuse_fields(fields: Iterable[str]) -> None:
    """Raise `TraceError` for a field that has no effect when a table is replayed."""
    for field in fields:
        for section in OF_DRAWN_DINERS:
            if field == section or field.startswith(f"{section}."):
                raise TraceError(
                    f"{field} has no effect with --trace, whose table says who comes and what they order; vary another field"
                )


def denser(replay: Replay, scenario: Scenario, factor: float) -> Replay:
    """The replay with so many times as many orders a second: a squeezed table faster, and from the start again when it ends; of
    evenings each order so many times as often.

    Raises `TraceError` if the table does not last through the evening as it is, or there would be too many diners.
    """
    said = pinned(replay, scenario)
    now = replayed_in(said, scenario)
    if now.evenings:
        diners = max(each.orders for each in now.evenings) * now.copies * factor
        _check_diners(diners)
        return dataclasses.replace(said, copies=said.copies * factor)
    if now.filled_s < scenario.duration_s:
        raise TraceError(
            f"the table fills {now.filled_s:.3g} of {now.duration_s:g} s; give a --rate-factor below {now.rate_factor:g}, or none"
        )
    _check_diners(now.orders * now.copies * factor)
    faster = now.rate_factor * factor
    laps = math.ceil(scenario.duration_s / trace_length_s(said.orders, faster) - 1e-9)
    return dataclasses.replace(said, orders=again(said.orders, laps), rate_factor=faster)


def _check_diners(diners: float) -> None:
    if diners > ARRIVALS_MAX:
        raise TraceError(f"the replay has about {diners:.0f} diners; {ARRIVALS_MAX} are the most")


def again(orders: Sequence[TraceOrder], laps: int) -> Sequence[TraceOrder]:
    """The table so many times, one after the other, at the same times of day."""
    if laps <= 1:
        return orders
    days = (max(order.ordered_at for order in orders) - min(order.ordered_at for order in orders)).days + 2
    return [
        dataclasses.replace(order, order=f"{order.order}#{lap}", ordered_at=order.ordered_at + timedelta(days * lap))
        if lap
        else order
        for lap in range(laps)
        for order in orders
    ]
