"""Reduces a failing schedule while it fails alike: fewer strikes, fewer orders, one store, then shorter and rounder values.

Every draw within a run is keyed by its entity, so taking a strike or an order away leaves the draws of the others alone. When
`minimal` is true no single strike and no single order of the result can be taken away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from simulator.cluster.schedule import PlannedOrder, Schedule, Strike

RUNS_MAX = 300
SHRINK_MAX_S = 20.0
MS_US = 1_000
DURATIONS_US = tuple(ms * MS_US for ms in (1, 10, 20, 50, 100, 200, 500))
ROUND_TO_US = tuple(ms * MS_US for ms in (100, 10, 1))

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Shrunken:
    """The smallest schedule found, after how many runs, and whether the search came to its end within its limits."""

    schedule: Schedule
    runs: int
    minimal: bool


class _Spent(Exception):
    """The limit of runs or of time is reached."""


class _Search:
    """The smallest failing schedule so far. No schedule is run twice."""

    def __init__(
        self, schedule: Schedule, breaks: Callable[[Schedule], bool], runs_max: int, until: Callable[[], bool]
    ) -> None:
        self.best = schedule
        self.runs = 0
        self._breaks = breaks
        self._runs_max = runs_max
        self._until = until
        self._known: dict[str, bool] = {}

    def accept(self, candidate: Schedule) -> bool:
        """Take `candidate` for the best if it fails alike. Raises `_Spent`."""
        key = json.dumps(candidate.to_json(), sort_keys=True)
        if key not in self._known:
            if self.runs >= self._runs_max or self._until():
                raise _Spent
            self.runs += 1
            self._known[key] = self._breaks(candidate)
        if self._known[key]:
            self.best = candidate
        return self._known[key]


def shrink(
    schedule: Schedule,
    breaks: Callable[[Schedule], bool],
    *,
    runs_max: int = RUNS_MAX,
    max_s: float = SHRINK_MAX_S,
    interrupted: Callable[[], bool] = lambda: False,
) -> Shrunken:
    """The smallest schedule for which `breaks` still holds; `schedule` itself must be one."""
    ends_s = time.monotonic() + max_s
    search = _Search(schedule, breaks, runs_max, lambda: interrupted() or time.monotonic() > ends_s)
    try:
        before = None
        while before != search.best:  # what one step takes away may make more of the others needless
            before = search.best
            _reduce(search, search.best.strikes, lambda kept: replace(search.best, strikes=kept))
            _reduce(search, search.best.orders, lambda kept: replace(search.best, orders=kept))
            _plainer(search)
            _simplify(search)
    except _Spent:
        return Shrunken(search.best, search.runs, minimal=False)
    return Shrunken(search.best, search.runs, minimal=True)


def _reduce(search: _Search, parts: tuple[Part, ...], made: Callable[[tuple[Part, ...]], Schedule]) -> None:
    """Take away as many parts as possible: all of them, then ever smaller runs of neighbours, down to single ones."""
    if parts and search.accept(made(())):
        return
    size = max(1, len(parts) // 2)
    while True:
        at = 0
        while at < len(parts):
            kept = parts[:at] + parts[at + size :]
            if search.accept(made(kept)):
                parts = kept
            else:
                at += size
        if size == 1:
            return
        size = max(1, size // 2)


def _plainer(search: _Search) -> None:
    """One store, the usual policy, an arbiter in the store: each if it still fails."""
    search.accept(replace(search.best, stores=1))
    search.accept(replace(search.best, policy="available"))
    search.accept(replace(search.best, arbiter="in_store"))


def _simplify(search: _Search) -> None:
    """Shorter faults, round times, plain orders; of every part the simplest values that still fail."""
    for index in range(len(search.best.strikes)):
        for variants in (_shorter, _rounder):
            for strike in variants(search.best.strikes[index]):
                strikes = search.best.strikes
                if search.accept(replace(search.best, strikes=(*strikes[:index], strike, *strikes[index + 1 :]))):
                    break
    for index in range(len(search.best.orders)):
        for plainer in (_plain, _one_door, _unasked, _unrepeated, _single):
            orders = search.best.orders
            order = plainer(orders[index])
            if order != orders[index]:
                search.accept(replace(search.best, orders=(*orders[:index], order, *orders[index + 1 :])))


def _shorter(strike: Strike) -> Iterator[Strike]:
    for for_us in DURATIONS_US:
        if for_us < strike.for_us:
            yield replace(strike, for_us=for_us)


def _rounder(strike: Strike) -> Iterator[Strike]:
    for unit_us in ROUND_TO_US:
        if strike.at_us % unit_us == 0:
            return
        yield replace(strike, at_us=strike.at_us // unit_us * unit_us)


def _plain(order: PlannedOrder) -> PlannedOrder:
    return _one_door(_unasked(_unrepeated(_single(order))))


def _one_door(order: PlannedOrder) -> PlannedOrder:
    return replace(order, door="edge") if order.door == "both" else order


def _unasked(order: PlannedOrder) -> PlannedOrder:
    return replace(order, asks_at_us=None)


def _unrepeated(order: PlannedOrder) -> PlannedOrder:
    return replace(order, retap_us=None, other_us=None)


def _single(order: PlannedOrder) -> PlannedOrder:
    return replace(order, quantity=1)
