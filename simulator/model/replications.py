"""Repeats an evening under other draws until its figures are known well enough, and says how well that is.

A peak is a terminating simulation: no warm-up is cut off, each replication starts empty. A percentile is taken of each
replication, then an interval over them (`intervals.py`). Replications are worked out by a `Runner`, on as many processes as it
has; the rule that ends them (`stopping.py`) looks at one after the other in their order, so they are as many whoever worked
them out.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, cast

from simulator.batches.runner import Runner, Stretch
from simulator.batches.series import Kind, Unit, Values
from simulator.diners import Diner
from simulator.evenings import by_evening, evening_timetable
from simulator.model.conditions import not_modelled, sections_not_modelled
from simulator.model.draws import Key, make_key
from simulator.model.engines import DEFAULT_ENGINE, EngineName, engine_of
from simulator.model.figures import BY_NAME, COLUMNS, FIGURES, Evening, columns_of
from simulator.model.intervals import CONFIDENCE as CONFIDENCE
from simulator.model.intervals import Interval as Interval
from simulator.model.intervals import interval as interval
from simulator.model.intervals import paired as paired
from simulator.model.kitchens import stations_of
from simulator.model.known import Unvaried, interval_of, unvaried
from simulator.model.plan import make_plan
from simulator.model.stopping import AT_LEAST, AT_MOST, PRECISION, judge, shortfall, watched_of
from simulator.model.timetable import Integers, draw_timetable, make_recipe, timetable_of
from simulator.model.unshared import unshared
from simulator.replays import Replay as Replay
from simulator.replays import replayed_in
from simulator.scenario_model import Scenario, Store
from simulator.streams import Streams
from simulator.trace_table import item_ids
from simulator.traces import trace_menu, trace_timetable

Come: TypeAlias = Callable[[int, Store, Key], Integers]
"""Who comes to a store in a replication with this key, as the columns of `timetable`."""


@dataclass(frozen=True)
class Replications:
    """The replications of a scenario, all its stores in each, as a series to be worked out."""

    scenario: Scenario
    engine: EngineName = DEFAULT_ENGINE
    replay: Replay | None = None

    @property
    def unit(self) -> str:
        """As the protocol says."""
        return "replication"

    @property
    def columns(self) -> Mapping[str, Kind]:
        """The figures and what their intervals are made of, how many events there were, and their hash."""
        return {**dict.fromkeys(COLUMNS, "float"), "events": "integer", "hash": "unsigned"}

    def identity(self) -> Mapping[str, Any]:
        """The scenario with all its defaults, the engine, and the orders that are replayed."""
        return {
            "scenario": self.scenario.model_dump(mode="json", exclude_none=True),
            "engine": self.engine,
            "replay": None if self.replay is None else self.replay.identity(),
        }

    @property
    def rounds(self) -> int | None:
        """How many there are if nobody says it and real evenings are replayed: each comes once, or so often that there are
        `AT_LEAST`. None: no such evenings, so as many as the figures need."""
        each = 0 if self.replay is None else len(self.replay.starts)
        return each * math.ceil(AT_LEAST / each) if each else None

    def load(self) -> None:
        """The engine."""
        engine_of(self.engine)

    def evenings(self, first: int = 0) -> Iterator[Evening]:
        """Replication after replication."""
        come = None if self.replay is None else replayed(self.scenario, self.replay)
        return evenings(self.scenario, self.engine, come, first)

    def units(self, first: int, after: int, *, rows: bool) -> Iterator[Unit]:
        """As the protocol says."""
        for evening in itertools.islice(self.evenings(first), after - first):
            events = sum(run.events for run in evening.runs)
            blocks = [(store.name, run.rows) for store, run in zip(self.scenario.stores, evening.runs, strict=True)]
            values = {**columns_of(evening), "events": events, "hash": _hash(evening)}
            yield Unit(values, blocks if rows else ())


@dataclass(frozen=True)
class Forecast:
    """What was found, replication by replication.

    `watched`: the figures whose precision ended the replications; none if their number was given.
    """

    series: Replications
    units: Sequence[Values]
    watched: Sequence[str] = ()
    precision: float = PRECISION

    @property
    def scenario(self) -> Scenario:
        """What was run."""
        return self.series.scenario

    @property
    def engine(self) -> EngineName:
        """By what it was run."""
        return self.series.engine

    @cached_property
    def values(self) -> Mapping[str, Sequence[float | None]]:
        """The columns: each figure's values, and `events` and `hash` of each replication."""
        return {name: [cast("float | None", unit[name]) for unit in self.units] for name in self.series.columns}

    @property
    def replications(self) -> int:
        """How many there were."""
        return len(self.units)

    @property
    def events(self) -> int:
        """Of all replications together."""
        return sum(int(each or 0) for each in self.values["events"])

    def interval(self, name: str) -> Interval | None:
        """A figure's interval; None if no replication had it."""
        return interval_of(name, self.values)

    def unvaried(self, names: Iterable[str] = BY_NAME) -> Unvaried | None:
        """Those of these figures that are a share, and the same 0 or 1 in every replication."""
        return unvaried(names, self.values)

    def not_known(self) -> list[str]:
        """A sentence for each watched figure that is not known as well as was wanted."""
        found = [shortfall(self.scenario, name, self.interval(name), self.precision) for name in self.watched]
        return [sentence for sentence in found if sentence is not None]

    def not_modelled(self) -> list[str]:
        """The scenario's sections and faults that have no effect here, and what is shared in reality and not here."""
        faults = [each for store in self.scenario.stores for each in not_modelled(self.scenario, store)]
        return list(dict.fromkeys([*sections_not_modelled(self.scenario), *faults, *unshared(self.scenario)]))

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        figures: dict[str, Any] = {}
        replay, same = self.series.replay, self.unvaried()
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
            "time_scale": self.scenario.time_scale,
            "engine": self.engine,
            "replications": self.replications,
            "replayed": None if replay is None else replayed_in(replay, self.scenario).to_json(),
            "confidence": CONFIDENCE,
            "events": self.events,
            "figures": figures,
            "same_in_all": None if same is None else same.to_json(),
            "watched": list(self.watched),
            "not_known": self.not_known(),
            "not_modelled": self.not_modelled(),
        }


def _hash(evening: Evening) -> int:
    """Of all events: the run's, or one made of those of all stores."""
    if len(evening.runs) == 1:
        return evening.runs[0].hash
    words = b"".join(run.hash.to_bytes(8, "little") for run in evening.runs)
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "little")


def evenings(
    scenario: Scenario, engine: EngineName = DEFAULT_ENGINE, come: Come | None = None, first: int = 0
) -> Iterator[Evening]:
    """Replication after replication from `first` on, without end; all stores in each. Diners are drawn, or those of `come`."""
    run, recipe = engine_of(engine), make_recipe(scenario)
    plans = [(store, make_plan(scenario, store)) for store in scenario.stores]
    for number in itertools.count(first):
        runs = []
        for store, plan in plans:
            key = make_key(scenario.seed, store.name, number)
            timetable = draw_timetable(recipe, key) if come is None else come(number, store, key)
            runs.append(run(plan, timetable, key))
        yield Evening(scenario, runs)


def replayed(scenario: Scenario, replay: Replay) -> Come:
    """The diners of a replayed table of orders: evening by evening, or as a drill replays it.

    Replication n has the n-th evening of `replay.starts`, and after the last the first again; without these, all have the same
    orders. Each places them within their minutes anew. A table does not say where an item is made: items are spread evenly over
    the stations.
    """
    ids = item_ids(replay.orders)
    items = sorted(ids.values())
    stations = {store.name: max(1, len(stations_of(scenario, store))) for store in scenario.stores}
    made = {name: {item_id: number % count for number, item_id in enumerate(items)} for name, count in stations.items()}
    evenings, menu = by_evening(replay.orders), trace_menu(replay.orders)
    latest: list[tuple[int, list[Diner]]] = []

    def diners(number: int) -> list[Diner]:
        if not replay.starts:
            factor, copies = replay.rate_factor, round(replay.copies)
            return trace_timetable(replay.orders, scenario, scenario.seed, factor, copies, replication=number)
        assert replay.rate_factor is not None
        starts_at, streams = replay.starts[number % len(replay.starts)], Streams(scenario.seed, number)
        return evening_timetable(evenings, starts_at, scenario, streams, replay.rate_factor, replay.copies, ids, menu)

    def come(number: int, store: Store, key: Key) -> Integers:
        if not latest or latest[0][0] != number:
            latest[:] = [(number, diners(number))]
        return timetable_of(latest[0][1], scenario, store, made[store.name], key)

    return come


def forecast(
    scenario: Scenario,
    engine: EngineName = DEFAULT_ENGINE,
    replications: int | None = None,
    *,
    precision: float = PRECISION,
    at_most: int = AT_MOST,
    watched: Sequence[str] | None = None,
    replay: Replay | None = None,
    runner: Runner | None = None,
    on_replication: Callable[[int], None] = lambda number: None,
) -> Forecast:
    """Run `replications` evenings, or (None) at least `AT_LEAST` and as many as the watched figures need; real ones: `rounds`.

    `watched`: these; None: those that the scenario is about (`stopping.watched_of`).
    """
    series = Replications(scenario, engine, replay)
    (found,) = forecasts(
        [series],
        replications,
        precision=precision,
        at_most=at_most,
        watched=watched,
        runner=runner,
        on_replication=on_replication,
    )
    return found


def forecasts(
    designs: Sequence[Replications],
    replications: int | None = None,
    *,
    precision: float = PRECISION,
    at_most: int = AT_MOST,
    watched: Sequence[str] | None = None,
    runner: Runner | None = None,
    on_replication: Callable[[int], None] = lambda number: None,
) -> list[Forecast]:
    """`forecast` of several designs, which the workers share; `on_replication` counts those of all designs."""
    acting = runner or Runner()
    ending = [
        () if replications is not None else watched_of(each.scenario) if watched is None else watched
        for each in designs
    ]
    units: list[list[Values]] = [[] for _ in designs]
    wanted = [(each.rounds or min(AT_LEAST, at_most)) if replications is None else replications for each in designs]
    done = 0
    while open_ := [place for place, count in enumerate(wanted) if len(units[place]) < count]:
        stretches = [Stretch(designs[place], len(units[place]), wanted[place]) for place in open_]
        before = done

        def count(there: int, before: int = before) -> None:
            on_replication(before + there)

        for place, found in zip(open_, acting.collect(stretches, count), strict=True):
            units[place] += found
            done += len(found)
            if replications is None and designs[place].rounds is None:
                scenario = designs[place].scenario
                units[place], wanted[place] = judge(
                    units[place], len(found), scenario, ending[place], precision, at_most
                )
    return [
        Forecast(design, each, tuple(names), precision)
        for design, each, names in zip(designs, units, ending, strict=True)
    ]
