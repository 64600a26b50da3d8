"""Whether an evening bears its load: by what people are told, by who goes away, and by what waits when it ends.

A load gives way if, by the 95 % intervals of its figures,

- fewer than nearly all of those who order are told yes, or more than the rest of all who come give up;
- where there are tables, more than `most_reneged` of the parties renege, or as many balk;
- goodput is below that at a smaller load;
- answers or meals took longer and longer from the middle of the evening to its end, and not by chance: the queue still grew, so
  the evening was too short to show what becomes of it;
- above today's load: meals take twice as long as today;
- a budget that was asked for besides is not kept. One on meals stands in place of both rules about these.

Where people came and none had a figure that is asked for, it gives way, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulator.model.replications import Forecast, Interval
from simulator.scenario import Scenario
from simulator.sweeps import LEAST_TOLD, MOST_RENEGED, Budget, Point, SweepError, lacking, with_implied

LOAD = "load"
GROWS = 0.05
"""A wait that becomes longer by this much each second means that so much more comes than is served: 3 minutes an hour."""
MEALS = 2.0
"""Meals may take so many times as long as today."""
OF_MEALS = ("meal_p50", "meal_p95")
QUEUES = {"answer_drift": "the queue for answers", "meal_drift": "the queue in the kitchen"}


@dataclass(frozen=True, slots=True)
class Load:
    """One load that was tried, in times of today's: the figures it is judged by, and in which it gave way and how.

    `broken` is empty where it holds.
    """

    factor: float
    figures: Mapping[str, Interval | None]
    broken: Sequence[tuple[str, str]]
    point: Point

    @property
    def gave_way(self) -> list[str]:
        """In what, each as a sentence's end."""
        return [sentence for _, sentence in self.broken]

    @property
    def holds(self) -> bool:
        """Whether it did not give way in anything."""
        return not self.broken


def limits_of(
    scenario: Scenario,
    budgets: Sequence[Budget],
    least_told: float = LEAST_TOLD,
    most_reneged: float = MOST_RENEGED,
) -> list[Budget]:
    """What every load has to keep: these budgets, and those that are asked for in any case. Raises `SweepError`."""
    if not 0 < least_told <= 1:
        raise SweepError(f"the least share that is told yes is {least_told:g}; it must be above 0, and 1 at most")
    asked = [Budget("told_yes", ">=", least_told), Budget("gave_up", "<=", round(1 - least_told, 9))]
    if scenario.model is not None and scenario.model.seating is not None and most_reneged < 1:
        said = {(budget.figure, budget.sign) for budget in budgets}
        away = [Budget(figure, "<=", most_reneged) for figure in scenario.model.seating.leaving()]
        asked += [budget for budget in away if (budget.figure, budget.sign) not in said]
    return with_implied([*asked, *budgets], scenario, least_told, most_reneged)


def strained(factor: float, found: Forecast, limits: Sequence[Budget], smaller: Sequence[Load]) -> Load:
    """This load, judged beside smaller ones, among which is today's if this is more."""
    asks_meals = any(limit.figure in OF_MEALS for limit in limits)
    meals = () if asks_meals else ("meal_p95", "meal_drift")
    names = dict.fromkeys((*(limit.figure for limit in limits), "goodput", "answer_drift", *meals))
    figures = {name: found.interval(name) for name in names}
    broken = [
        *_not_kept(limits, figures, found),
        *_fallen(figures["goodput"], smaller),
        *(each for each in still_growing(found) if each[0] in names),
        *(() if asks_meals else _slower(figures["meal_p95"], smaller)),
    ]
    return Load(factor, figures, broken, Point({LOAD: factor}, found))


def _not_kept(
    limits: Sequence[Budget], figures: Mapping[str, Interval | None], found: Forecast
) -> Iterator[tuple[str, str]]:
    """The limits that are not kept; a figure that some replication lacks keeps none."""
    for limit in limits:
        absent = lacking(found, limit.figure)
        if absent:
            yield limit.figure, f"nobody had {limit.figure} in {absent} of {found.replications} replications"
        elif limit.is_open(figures[limit.figure]):
            too_few = f"its mean does, but {found.replications} replications are too few to know"
            yield limit.figure, f"{limit} ({too_few})"
        elif not limit.is_kept(figures[limit.figure]):
            yield limit.figure, str(limit)


def _fallen(goodput: Interval | None, smaller: Sequence[Load]) -> Iterator[tuple[str, str]]:
    """Goodput below that of a smaller load, by both intervals: more load, and fewer are served."""
    for load in smaller:
        before = load.figures["goodput"]
        if goodput is None or before is None or goodput.high is None or before.low is None:
            continue
        if goodput.high < before.low:
            yield "goodput", f"goodput below that at {load.factor:g} times"
            return


def still_growing(found: Forecast) -> Iterator[tuple[str, str]]:
    """The waits that became longer until the evening ended, by more than a little and not by chance."""
    for name, queue in QUEUES.items():
        drift = found.interval(name)
        if drift is not None and drift.low is not None and drift.mean > GROWS and drift.low > 0:
            yield name, f"{queue} still grew when the evening ended"


def _slower(meal: Interval | None, smaller: Sequence[Load]) -> Iterator[tuple[str, str]]:
    """Meals that take more than so many times as long as today, by the whole interval."""
    today = next((load.figures["meal_p95"] for load in smaller if load.factor == 1), None)
    if meal is None or today is None:
        return
    limit = Budget("meal_p95", "<=", MEALS * today.mean)
    if not limit.is_kept(meal):
        yield "meal_p95", f"{limit} ({MEALS:g} times today's)"
