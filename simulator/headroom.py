"""How many times today's load a store bears before it gives way: its stack, its tables and its kitchen.

The load is all that comes: diners, or the orders of a replayed table, and orders at a delivery platform. Whether one holds is
asked of `strain`: the same rules for each. All loads have the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulator.batches.runner import Runner
from simulator.model.engines import DEFAULT_ENGINE, EngineName
from simulator.model.replications import Replay, forecast
from simulator.replaced_fields import with_field
from simulator.replays import denser
from simulator.scenario import Scenario
from simulator.strain import Load, limits_of, strained
from simulator.sweeps import LEAST_TOLD, MOST_RENEGED, Budget, SweepError

AT_MOST = 64.0
"""No load beyond so many times today's is tried."""
STEPS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Headroom:
    """The greatest load that holds (None: not even the smallest), the smallest that does not (None: none was found), and all.

    `limits` are the budgets that each load had to keep.
    """

    holds: float | None
    collapses: float | None
    step: float
    loads: Sequence[Load]
    limits: Sequence[Budget]

    @property
    def today(self) -> Load:
        """Today's load, which is always tried."""
        return next(load for load in self.loads if load.factor == 1)


@dataclass(slots=True)
class _Search:
    """Tries loads `1 + n * step` times today's, but none above `at_most`; n from `least` to `most`."""

    try_load: Callable[[float, Sequence[Load]], Load]
    step: float
    at_most: float
    tried: dict[int, Load] = field(default_factory=dict)

    def factor(self, number: int) -> float:
        return round(min(1 + number * self.step, self.at_most), 9)

    def holds(self, number: int) -> bool:
        smaller = [self.tried[each] for each in sorted(self.tried) if each < number]
        self.tried[number] = self.try_load(self.factor(number), smaller)
        return self.tried[number].holds

    def bounds(self, least: int, most: int) -> tuple[int, int]:
        """The greatest that holds and the next, which does not: doubled until one gives way, then halved between both."""
        good, bad = least - 1, most + 1
        number = 0
        while good < number < bad:
            if self.holds(number):
                good = number
                number = min(most, max(number + 1, round((2 * self.factor(number) - 1) / self.step)))
            else:
                bad = number
        while bad - good > 1 and bad <= most:
            middle = (good + bad) // 2
            if self.holds(middle):
                good = middle
            else:
                bad = middle
        return good, bad


def headroom(
    scenario: Scenario,
    budgets: Sequence[Budget] = (),
    *,
    step: float = 0.1,
    at_most: float = AT_MOST,
    least_told: float = LEAST_TOLD,
    most_reneged: float = MOST_RENEGED,
    engine: EngineName = DEFAULT_ENGINE,
    replications: int = 20,
    replay: Replay | None = None,
    runner: Runner | None = None,
    on_trial: Callable[[int], None] = lambda number: None,
) -> Headroom:
    """Find it to one `step` of today's load, up to `at_most` times; more load is taken to be never better.

    Raises `SweepError`, and `TraceError` for a table that is too short. `replications` must be two at least, for intervals.
    """
    if not 0 < step <= 1 or not 1 <= at_most <= AT_MOST or (at_most - 1) / step > STEPS_MAX:
        raise SweepError(
            f"loads up to {at_most:g} times by {step:g} are no range; the step is above 0, at most 1, the limit 1 to {AT_MOST:g}"
        )
    if scenario.model is not None and scenario.model.visit == "table_only":
        raise SweepError(
            "nobody orders in this scenario (model.visit is table_only), so there is no headroom of the stack"
        )
    limits = limits_of(scenario, budgets, least_told, most_reneged)
    count = 0

    def try_load(factor: float, smaller: Sequence[Load]) -> Load:
        nonlocal count
        more, orders = loaded(scenario, replay, factor)
        found = forecast(more, engine, replications, replay=orders, runner=runner)
        count += 1
        on_trial(count)
        return strained(factor, found, limits, smaller)

    search = _Search(try_load, step, at_most)
    least = 1 - math.ceil(1 / step - 1e-9)
    most = _most(scenario, replay, search, max(0, math.ceil((at_most - 1) / step - 1e-9)))
    good, bad = search.bounds(least, most)
    return Headroom(
        search.factor(good) if good >= least else None,
        search.factor(bad) if bad <= most else None,
        step,
        [search.tried[number] for number in sorted(search.tried)],
        limits,
    )


def loaded(scenario: Scenario, replay: Replay | None, factor: float) -> tuple[Scenario, Replay | None]:
    """The evening with so many times the load. Raises `SweepError` or `TraceError` beyond what can be."""
    found = scenario
    if replay is None:
        found = with_field(found, "diners.arrivals.rate_per_s", scenario.diners.arrivals.rate_per_s * factor)
    if scenario.delivery is not None:
        found = with_field(found, "delivery.orders_per_s", scenario.delivery.orders_per_s * factor)
    return found, None if replay is None else denser(replay, scenario, factor)


def _most(scenario: Scenario, replay: Replay | None, search: _Search, wanted: int) -> int:
    """The greatest number up to `wanted` whose load can be drawn at all."""
    loaded(scenario, replay, 1.0)
    can, cannot = 0, wanted + 1
    while cannot - can > 1:
        middle = (can + cannot) // 2 if cannot <= wanted else wanted
        try:
            loaded(scenario, replay, search.factor(middle))
            can = middle
        except ValueError:
            cannot = middle
    return can
