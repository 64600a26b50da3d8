"""A table of real orders in place of drawn diners: how much of it comes in an evening, how fast, and what it leaves to vary."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from simulator.arrivals import ARRIVALS_MAX
from simulator.trace_table import TraceError, TraceOrder
from simulator.traces import check_copies, fit_rate_factor, orders_wanted, trace_length_s, trading_times_s

if TYPE_CHECKING:
    from simulator.model.replications import Replay
    from simulator.scenario_model import Scenario

OF_DRAWN_DINERS = ("diners.arrivals", "diners.basket")
"""Sections that say who comes and what they order; a table says it itself."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """How much of a table comes in an evening.

    `orders` are those whose minute begins before the end; the load is over after `filled_s`.
    """

    orders: int
    of: int
    rate_factor: float
    copies: int
    filled_s: float
    duration_s: float

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        copies = "" if self.copies == 1 else f", {self.copies} copies of each at once"
        ends = "" if self.filled_s >= self.duration_s else f"; the table ends after {self.filled_s:.3g} s"
        faster = f"{self.rate_factor:,.6g} times faster than they came"
        return f"replayed: {self.orders:,} of {self.of:,} orders in {self.duration_s:g} s, {faster}{copies}{ends}"


def pinned(replay: Replay, scenario: Scenario) -> Replay:
    """The same with its rate factor said, so that all designs have the same orders at the same times. Raises `TraceError`."""
    check_copies(replay.copies)
    if replay.rate_factor is not None:
        return replay
    factor = fit_rate_factor(replay.orders, scenario.duration_s, orders_wanted(scenario, replay.copies))
    return dataclasses.replace(replay, rate_factor=factor)


def replayed_in(replay: Replay, scenario: Scenario) -> Replayed:
    """How much of the table comes in this scenario. Raises `TraceError`."""
    said = pinned(replay, scenario)
    assert said.rate_factor is not None
    length_s = trace_length_s(said.orders, said.rate_factor)
    times = [at_s for at_s, _ in trading_times_s(said.orders)]
    count = bisect_left(times, scenario.duration_s * said.rate_factor)
    filled_s = min(scenario.duration_s, length_s)
    if math.isclose(length_s, scenario.duration_s):
        filled_s = scenario.duration_s
    return Replayed(count, len(times), said.rate_factor, said.copies, filled_s, scenario.duration_s)


def refuse_fields(fields: Iterable[str]) -> None:
    """Raise `TraceError` for a field that has no effect when a table is replayed."""
    for field in fields:
        for section in OF_DRAWN_DINERS:
            if field == section or field.startswith(f"{section}."):
                raise TraceError(
                    f"{field} has no effect with --trace, whose table says who comes and what they order; vary another field"
                )


def denser(replay: Replay, scenario: Scenario, factor: float) -> Replay:
    """The replay with so many times as many orders a second; when the table is at its end it begins again.

    Raises `TraceError` if the table does not last through the evening as it is, or there would be too many diners.
    """
    said = pinned(replay, scenario)
    now = replayed_in(said, scenario)
    if now.filled_s < scenario.duration_s:
        raise TraceError(
            f"the table fills {now.filled_s:.3g} of {now.duration_s:g} s; give a --rate-factor below {now.rate_factor:g}, or none"
        )
    diners = now.orders * now.copies * factor
    if diners > ARRIVALS_MAX:
        raise TraceError(f"the replay has about {diners:.0f} diners; {ARRIVALS_MAX} are the most")
    faster = now.rate_factor * factor
    laps = math.ceil(scenario.duration_s / trace_length_s(said.orders, faster) - 1e-9)
    return dataclasses.replace(said, orders=again(said.orders, laps), rate_factor=faster)


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
