"""Designs side by side on common random numbers, and the least (or most) that keeps given budgets."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simulator.batches.runner import Runner
from simulator.batches.tables import Design
from simulator.model.engines import DEFAULT_ENGINE, EngineName
from simulator.model.figures import BY_NAME
from simulator.model.replications import Forecast, Interval, Replay, Replications, forecast, forecasts
from simulator.monotony import doubts, unlimited_at_zero
from simulator.replaced_fields import with_field, with_fields
from simulator.scenario import Scenario

POINTS_MAX = 10_000
VALUES_MAX = 1_000_000
"""A plan's range has no more values than this."""
LEAST_TOLD = 0.99
"""A plan whose budgets are about diners who were told yes asks for this share of them, too, unless it is said otherwise."""
OF_THOSE_TOLD = frozenset({"answer_p50", "answer_p95", "answer_p99", "meal_p50", "meal_p95", "late", "offline_p99"})
"""Figures of diners who were told yes: who gave up is not in them, so they look best when hardly anybody is left."""
MOST_RENEGED = 0.05
"""A plan whose budgets are about parties that got a table lets no more than this share renege, and no more balk."""
OF_TABLES = frozenset({"table_wait", "reneged", "balked"})
"""Figures that only a scenario with `model.seating` has."""
OF_THOSE_SEATED = frozenset({"table_wait", "meal_p50", "meal_p95"})
"""Figures of parties that got a table, where there are tables: who went away is not in them."""
OF_THOSE_ACCEPTED = frozenset({"platform_p95"})
"""Figures of a platform's orders that were accepted in time: who was too late is not in them."""
_OF_WHOEVER_CAME = frozenset({"platform_late", "platform_cancelled", "balked", "reneged"})
_IF_ANYBODY_HAS = {"platform_p95": "platform_late", "table_wait": "reneged"}
"""Figures that somebody should have had where there is the other one."""
_BUDGET = re.compile(r"^\s*([a-z_0-9]+)\s*(<=|>=)\s*([0-9.eE+-]+)\s*$")


class SweepError(ValueError):
    """A sweep or a plan cannot be; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Point:
    """One design of a sweep, and what was found for it."""

    settings: Mapping[str, Any]
    found: Forecast


def sweep(
    scenario: Scenario,
    over: Mapping[str, Sequence[Any]],
    engine: EngineName = DEFAULT_ENGINE,
    replications: int | None = 20,
    *,
    watched: Sequence[str] | None = None,
    replay: Replay | None = None,
    runner: Runner | None = None,
    on_replication: Callable[[int], None] = lambda number: None,
) -> list[Point]:
    """Every combination of the values. All designs have the same draws, so that differences are not noise.

    `replications` None: of each design as many as its figures need, or those that `watched` names, as in `forecast`. The
    workers of `runner` share all designs; `on_replication` counts the replications of all of them. `replay`: a table of
    orders in place of drawn diners, at a rate factor that is said (`replays.pinned`), or designs of other durations have others.
    Raises `SweepError` and `FieldError`.
    """
    combinations = list(itertools.product(*over.values()))
    if len(combinations) > POINTS_MAX:
        raise SweepError(f"{len(combinations)} combinations are more than {POINTS_MAX}; take fewer values")
    for path, values in over.items():
        twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
        if twice is not None:
            raise SweepError(f"{path} has the value {twice} twice; give each value once")
    settings = [dict(zip(over, values, strict=True)) for values in combinations]
    designs = [Replications(with_fields(scenario, each), engine, replay) for each in settings]
    found = forecasts(designs, replications, watched=watched, runner=runner, on_replication=on_replication)
    return [Point(each, forecasted) for each, forecasted in zip(settings, found, strict=True)]


def designs_of(points: Sequence[Point]) -> list[Design]:
    """The designs of a sweep, to be written to a file."""
    return [Design(point.settings, point.found.series, point.found.units) for point in points]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a figure may be: `table_wait<=600`. It is kept only if the whole 95 % interval keeps it."""

    figure: str
    sign: Literal["<=", ">="]
    limit: float

    def __str__(self) -> str:
        return f"{self.figure}{self.sign}{self.limit:g}"

    def is_kept(self, found: Interval | None, lacking: int = 0) -> bool:
        """Whether this interval keeps it, when so many replications lack the figure although somebody should have had it.

        A figure that nobody should have had (None, and none lacking) keeps an upper limit.
        """
        if lacking:
            return False
        if found is None:
            return self.sign == "<="
        if self.sign == "<=":
            return (found.mean if found.high is None else found.high) <= self.limit
        return (found.mean if found.low is None else found.low) >= self.limit

    def is_open(self, found: Interval | None, lacking: int = 0) -> bool:
        """Whether the mean keeps it and the interval does not, so that more replications may show that it is kept."""
        if found is None or self.is_kept(found, lacking):
            return False
        return not lacking and (found.mean <= self.limit if self.sign == "<=" else found.mean >= self.limit)


def lacking(found: Forecast, figure: str) -> int:
    """In how many replications people came who should have had this figure, and none had it: nobody got that far.

    A share of a platform's orders, or of parties that came for a table, is absent only where there were none: then nothing is
    lacking.
    """
    if figure in _OF_WHOEVER_CAME:
        return 0
    if figure in _IF_ANYBODY_HAS:
        came = [share is not None for share in found.values[_IF_ANYBODY_HAS[figure]]]
    else:
        came = [bool(count) for count in found.values["diners"]]
    return sum(someone and value is None for someone, value in zip(came, found.values[figure], strict=True))


def with_implied(
    budgets: Sequence[Budget], scenario: Scenario, least_told: float = LEAST_TOLD, most_reneged: float = MOST_RENEGED
) -> list[Budget]:
    """These budgets, and those without which a figure of survivors would look best when hardly anybody is left.

    One about diners who were told yes asks for `told_yes>=least_told`; one about orders that a platform had accepted, that no
    more than the rest of them come too late; one about parties that got a table, where there are tables, for
    `reneged<=most_reneged` and as many at most who balk, where people do. A limit on the same figure that is said counts instead.
    Raises `SweepError` for a budget about tables where nobody needs one.
    """
    seating = None if scenario.model is None else scenario.model.seating
    leaving = () if seating is None else seating.leaving()
    floors = [
        (OF_THOSE_TOLD, Budget("told_yes", ">=", least_told), least_told > 0),
        (OF_THOSE_ACCEPTED, Budget("platform_late", "<=", round(1 - least_told, 9)), least_told > 0),
        *((OF_THOSE_SEATED, Budget(figure, "<=", most_reneged), most_reneged < 1) for figure in leaving),
    ]
    asked = list(budgets)
    for survivors, floor, is_asked in floors:
        is_said = any((budget.figure, budget.sign) == (floor.figure, floor.sign) for budget in budgets)
        if is_asked and not is_said and any(budget.figure in survivors for budget in budgets):
            asked.append(floor)
    of_tables = next((budget for budget in budgets if budget.figure in OF_TABLES), None)
    if of_tables is not None and seating is None:
        raise SweepError(
            f"{of_tables}: nobody needs a table in this scenario; say model.seating, or leave this budget out"
        )
    return asked


def read_budget(text: str) -> Budget:
    """`answer_p95<=500`; raises `SweepError`."""
    match = _BUDGET.match(text)
    if match is None:
        raise SweepError(f"{text!r} is no budget; write a figure, <= or >=, and a number, like answer_p95<=500")
    name, sign, limit = match.groups()
    if name not in BY_NAME:
        raise SweepError(f"there is no figure {name!r}; the figures are {', '.join(BY_NAME)}")
    try:
        number = float(limit)
    except ValueError as error:
        raise SweepError(f"{text!r}: {limit!r} is no number") from error
    if not math.isfinite(number):
        raise SweepError(f"{text!r}: {limit!r} is not a finite number")
    return Budget(name, "<=" if sign == "<=" else ">=", number)


@dataclass(frozen=True, slots=True)
class Trial:
    """One value that a plan tried: whether it keeps the budgets, the figures they are about, and all that was found.

    `lacking`: in how many replications somebody should have had the figure, and nobody had it.
    """

    value: float
    keeps: bool
    figures: Mapping[str, Interval | None]
    lacking: Mapping[str, int]
    point: Point


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plan found: the value (None: none in the range keeps the budgets), all trials, and what had to be kept.

    `doubts` says where trials contradict that more is never worse.
    """

    value: float | None
    trials: Sequence[Trial]
    budgets: Sequence[Budget]
    doubts: Sequence[str] = ()


def _steps(low: float, high: float, step: float) -> int:
    """How many steps there are from `low` to `high`, the last of which may be shorter; raises `SweepError`."""
    if not all(map(math.isfinite, (low, high, step))) or step <= 0 or high < low:
        raise SweepError(
            f"from {low:g} to {high:g} by {step:g} is no range; give finite numbers, the smaller first, and a step above 0"
        )
    steps = (high - low) / step - 1e-9
    if not steps < VALUES_MAX:
        raise SweepError(f"from {low:g} to {high:g} by {step:g} are more than {VALUES_MAX} values; take a larger step")
    return max(0, math.ceil(steps))


def plan(
    scenario: Scenario,
    path: str,
    low: float,
    high: float,
    budgets: Sequence[Budget],
    *,
    most: bool = False,
    step: float = 1.0,
    engine: EngineName = DEFAULT_ENGINE,
    replications: int = 20,
    least_told: float = LEAST_TOLD,
    most_reneged: float = MOST_RENEGED,
    replay: Replay | None = None,
    runner: Runner | None = None,
    on_trial: Callable[[int], None] = lambda number: None,
) -> Answer:
    """The least value of a field (with `most`: the greatest) from `low` to `high` by `step` that keeps the budgets.

    The last step may be shorter, so that `high` is among the values.

    By bisection: more of it is taken to be never worse (with `most`: never better); both ends of the range are tried in any
    case, to see whether that holds. All trials have the same draws. One trial follows the other; the workers of `runner` share
    its replications. `least_told`, `most_reneged`: see `with_implied`. Raises `SweepError` and `FieldError`.
    """
    count = _steps(low, high, step)
    if said := unlimited_at_zero(path, low, high):
        raise SweepError(said)
    if path == "seed":
        raise SweepError("seed is no quantity: more of it is neither better nor worse; name another field")

    def value_of(number: int) -> float:
        return round(float(min(low + number * step, high)), 9)

    def design(number: int) -> tuple[float | int, Scenario]:
        value = value_of(number)
        said = int(value) if value.is_integer() and step >= 1 else value
        return said, with_field(scenario, path, said)

    for end in (0, count):
        design(end)  # what cannot be is said before anything is run
    asked = with_implied(budgets, design(0)[1], least_told, most_reneged)
    trials: list[Trial] = []
    kept_at: dict[int, bool] = {}

    def keeps(number: int) -> bool:
        said, changed = design(number)
        found = forecast(changed, engine, replications, replay=replay, runner=runner)
        figures = {budget.figure: found.interval(budget.figure) for budget in asked}
        absent = {name: lacking(found, name) for name in figures}
        kept = all(budget.is_kept(figures[budget.figure], absent[budget.figure]) for budget in asked)
        trials.append(Trial(float(said), kept, figures, absent, Point({path: said}, found)))
        kept_at[number] = kept
        on_trial(len(trials))
        return kept

    best: int | None = None
    first, last = 0, count
    while first <= last:
        middle = (first + last) // 2
        if keeps(middle):
            best = middle
            first, last = (middle + 1, last) if most else (first, middle - 1)
        else:
            first, last = (first, middle - 1) if most else (middle + 1, last)
    best_end, other_end = (count, 0) if most else (0, count)
    for end in (best_end, other_end):
        if end not in kept_at:
            keeps(end)
    if kept_at[best_end]:
        best = best_end
    value = None if best is None else value_of(best)
    tried = sorted(trials, key=lambda trial: trial.value)
    return Answer(value, tried, asked, doubts([(trial.value, trial.keeps) for trial in tried], most=most))


def rows(points: Sequence[Point], figures: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One flat row for each design, for a table or a file: its settings, how many replications it had, and mean, low and high
    of each figure."""
    for point in points:
        row: dict[str, Any] = {**point.settings, "replications": point.found.replications}
        for name in figures:
            row |= cells(name, point.found.interval(name))
        yield row


def cells(name: str, found: Interval | None) -> dict[str, float | None]:
    """Mean, low and high of a figure as cells of a row."""
    ends = (None,) * 3 if found is None else (found.mean, found.low, found.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
