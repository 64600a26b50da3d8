"""Repeats an evening under other draws until its figures are known well enough, and says how well that is.

A peak is a terminating simulation: no warm-up is cut off, each replication starts empty. A percentile is taken of each
replication, then an interval over them (95 %, Student's t).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from scipy.special import stdtrit

from simulator.diners import Diner
from simulator.model.conditions import not_modelled, sections_not_modelled
from simulator.model.draws import Key, make_key
from simulator.model.engines import DEFAULT_ENGINE, EngineName, engine_of
from simulator.model.figures import FIGURES, Evening, figures_of
from simulator.model.plan import make_plan
from simulator.model.timetable import Integers, draw_timetable, make_recipe, timetable_of
from simulator.scenario_model import Scenario, Store
from simulator.trace_table import TraceOrder, item_ids
from simulator.traces import trace_timetable

CONFIDENCE = 0.95
AT_LEAST = 10
AT_MOST = 1_000
PRECISION = 0.05
"""Automatic replications end when each watched figure is known to this part of itself."""
WATCHED = ("told_yes", "answer_p95")


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over replications with its confidence interval; without one (None) there was one value, or none."""

    mean: float
    half_width: float | None
    values: int

    @property
    def low(self) -> float | None:
        """The lower end."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """The upper end."""
        return None if self.half_width is None else self.mean + self.half_width

    def is_narrow(self, precision: float) -> bool:
        """Whether the true value is within this part of the mean: t·s/√n ≤ p/(1+p)·|mean|."""
        return self.half_width is not None and self.half_width <= precision / (1 + precision) * abs(self.mean)


def interval(values: Sequence[float]) -> Interval:
    """The t-interval of the mean of these values."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Interval(mean, None, count)
    spread = float(np.std(np.asarray(values), ddof=1))
    return Interval(mean, float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * spread / math.sqrt(count), count)


def paired(one: Sequence[float], other: Sequence[float]) -> Interval:
    """The interval of the difference `other - one` of two designs on common random numbers."""
    return interval([b - a for a, b in zip(one, other, strict=True)])


@dataclass
class Forecast:
    """What was found: each figure's values, replication by replication."""

    scenario: Scenario
    engine: EngineName
    values: dict[str, list[float | None]] = field(default_factory=dict)
    events: int = 0
    first: Evening | None = None

    @property
    def replications(self) -> int:
        """How many there were."""
        return max((len(each) for each in self.values.values()), default=0)

    def interval(self, name: str) -> Interval | None:
        """A figure's interval; None if no replication had it."""
        found = [value for value in self.values.get(name, ()) if value is not None]
        return interval(found) if found else None

    def not_modelled(self) -> list[str]:
        """The scenario's sections and faults that have no effect here."""
        faults = [each for store in self.scenario.stores for each in not_modelled(self.scenario, store)]
        return list(dict.fromkeys([*sections_not_modelled(self.scenario), *faults]))

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        figures: dict[str, Any] = {}
        for figure in FIGURES:
            found = self.interval(figure.name)
            figures[figure.name] = {
                "unit": figure.unit,
                "says": figure.says,
                "mean": None if found is None else found.mean,
                "low": None if found is None else found.low,
                "high": None if found is None else found.high,
            }
        return {
            "kind": "forecast",
            "scenario": self.scenario.name,
            "seed": self.scenario.seed,
            "engine": self.engine,
            "replications": self.replications,
            "confidence": CONFIDENCE,
            "events": self.events,
            "figures": figures,
            "not_modelled": self.not_modelled(),
        }


Come: TypeAlias = Callable[[int, Store, Key], Integers]
"""Who comes to a store in a replication with this key, as the columns of `timetable`."""


def evenings(scenario: Scenario, engine: EngineName = DEFAULT_ENGINE, come: Come | None = None) -> Iterator[Evening]:
    """Replication after replication, without end; all stores of the scenario in each. Diners are drawn, or those of `come`."""
    run, recipe = engine_of(engine), make_recipe(scenario)
    plans = [(store, make_plan(scenario, store)) for store in scenario.stores]
    for number in itertools.count():
        runs = []
        for store, plan in plans:
            key = make_key(scenario.seed, store.name, number)
            timetable = draw_timetable(recipe, key) if come is None else come(number, store, key)
            runs.append(run(plan, timetable, key))
        yield Evening(scenario, runs)


def replayed(scenario: Scenario, orders: Sequence[TraceOrder], rate_factor: float | None, copies: int) -> Come:
    """The diners of a replayed table of orders, as a drill replays it; each replication places them within their minutes anew.

    A table does not say where an item is made: items are spread evenly over the stations.
    """
    items = {item_id: number for number, item_id in enumerate(sorted(item_ids(orders).values()))}
    stations = max(1, len(scenario.model.kitchen) if scenario.model else 1)
    made = {item_id: number % stations for item_id, number in items.items()}
    latest: list[tuple[int, list[Diner]]] = []

    def come(number: int, store: Store, key: Key) -> Integers:
        if not latest or latest[0][0] != number:
            seed = scenario.seed + number
            latest[:] = [(number, trace_timetable(orders, scenario, seed, rate_factor, copies))]
        return timetable_of(latest[0][1], scenario, store, made, key)

    return come


def forecast(
    scenario: Scenario,
    engine: EngineName = DEFAULT_ENGINE,
    replications: int | None = None,
    *,
    precision: float = PRECISION,
    at_most: int = AT_MOST,
    come: Come | None = None,
    on_replication: Callable[[int], None] = lambda number: None,
) -> Forecast:
    """Run `replications` evenings, or (None) at least `AT_LEAST` and as many as the watched figures need."""
    found = Forecast(scenario, engine, {figure.name: [] for figure in FIGURES})
    for number, evening in enumerate(evenings(scenario, engine, come), start=1):
        for name, value in figures_of(evening).items():
            found.values[name].append(value)
        found.events += sum(run.events for run in evening.runs)
        found.first = found.first or evening
        on_replication(number)
        if number >= (at_most if replications is None else replications):
            break
        if replications is None and number >= AT_LEAST and _is_known(found, precision):
            break
    return found


def _is_known(found: Forecast, precision: float) -> bool:
    """Whether every watched figure that the scenario has is known well enough."""
    watched = [found.interval(name) for name in WATCHED]
    return all(each is None or each.is_narrow(precision) for each in watched)
