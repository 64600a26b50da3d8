"""How many times today's load the stack bears before it collapses.

The load is all that comes: diners, or the orders of a replayed table, and orders at a delivery platform. It holds if, by their
95 % intervals, nearly all who order are told yes, hardly anybody gives up, goodput is not below that at a smaller load, and what
was asked for besides is kept. Where people came and none had a figure, it does not hold. All loads have the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.batches.runner import Runner
from simulator.model.engines import DEFAULT_ENGINE, EngineName
from simulator.model.replications import Forecast, Interval, Replay, forecast
from simulator.replaced_fields import with_field
from simulator.replays import denser
from simulator.scenario import Scenario
from simulator.sweeps import LEAST_TOLD, Budget, Point, SweepError, lacking, with_least_told

AT_MOST = 64.0
"""No load beyond so many times today's is tried."""
STEPS_MAX = 10_000
LOAD = "load"


@dataclass(frozen=True, slots=True)
class Load:
    """One load that was tried, in times of today's: the figures it is judged by, and in what it gave way (empty: it holds)."""

    factor: float
    figures: Mapping[str, Interval | None]
    gave_way: Sequence[str]
    point: Point

    @property
    def holds(self) -> bool:
        """Whether it did not give way in anything."""
        return not self.gave_way


@dataclass(frozen=True, slots=True)
class Headroom:
    """The greatest load that holds (None: not even the smallest), the smallest that does not (None: none was found), and all."""

    holds: float | None
    collapses: float | None
    step: float
    loads: Sequence[Load]


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
    limits = with_least_told([*at_least_told(least_told), *budgets], least_told)
    count = 0

    def try_load(factor: float, smaller: Sequence[Load]) -> Load:
        nonlocal count
        more, orders = loaded(scenario, replay, factor)
        found = forecast(more, engine, replications, replay=orders, runner=runner)
        names = dict.fromkeys((*(budget.figure for budget in limits), "goodput"))
        figures = {name: found.interval(name) for name in names}
        gave_way = [*_broken(limits, figures, found), *_fallen(figures["goodput"], smaller)]
        count += 1
        on_trial(count)
        return Load(factor, figures, gave_way, Point({LOAD: factor}, found))

    search = _Search(try_load, step, at_most)
    least = 1 - math.ceil(1 / step - 1e-9)
    most = _most(scenario, replay, search, max(0, math.ceil((at_most - 1) / step - 1e-9)))
    good, bad = search.bounds(least, most)
    return Headroom(
        search.factor(good) if good >= least else None,
        search.factor(bad) if bad <= most else None,
        step,
        [search.tried[number] for number in sorted(search.tried)],
    )


def at_least_told(share: float) -> tuple[Budget, Budget]:
    """What is kept while the stack holds: so many of those who order are told yes, and of all who come only the rest give up."""
    if not 0 < share <= 1:
        raise SweepError(f"the least share that is told yes is {share:g}; it must be above 0, and 1 at most")
    return Budget("told_yes", ">=", share), Budget("gave_up", "<=", round(1 - share, 9))


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


def _broken(limits: Sequence[Budget], figures: Mapping[str, Interval | None], found: Forecast) -> Iterator[str]:
    """The limits that are not kept; a figure that some replication lacks keeps none."""
    for limit in limits:
        absent = lacking(found, limit.figure)
        if absent:
            yield f"nobody had {limit.figure} in {absent} of {found.replications} replications"
        elif limit.is_open(figures[limit.figure]):
            yield f"{limit} (its mean does, but {found.replications} replications are too few to know)"
        elif not limit.is_kept(figures[limit.figure]):
            yield str(limit)


def _fallen(goodput: Interval | None, smaller: Sequence[Load]) -> Iterator[str]:
    """Goodput below that of a smaller load, by both intervals: more load, and fewer are served."""
    for load in smaller:
        before = load.figures["goodput"]
        if goodput is None or before is None or goodput.high is None or before.low is None:
            continue
        if goodput.high < before.low:
            yield f"goodput below that at {load.factor:g} times"
            return
