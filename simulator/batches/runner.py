"""Works out series of units: takes what is kept, cuts the rest into pieces of about a second, and puts all in order again.

A unit's figures depend on its series and its number alone, and are put together by number; so neither the workers nor where
the cuts were made can be seen in what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from threading import Event
from types import TracebackType
from typing import NamedTuple

from simulator.batches.folder import Folder
from simulator.batches.series import Chunk, Piece, Series, Values, work_out
from simulator.batches.version import model_version
from simulator.batches.workers import Pool, Work, Workers, pool

WORTH_STARTING = 4
"""Processes are started when so many pieces of work are left: to start one takes two seconds of its own."""
UNITS_MAX = 10_000_000


class Stretch(NamedTuple):
    """The units `first` … `after - 1` of a series."""

    series: Series
    first: int
    after: int


class Runner:
    """Works out what is asked for. Use as a context manager, at least if it has several workers or keeps what it finds.

    `folder` keeps figures and, with `rows`, each diner's row. `computed` and `kept` count the units that were worked out and
    those that were there already. Once `interrupted` is set, it raises `KeyboardInterrupt` after the next piece.
    """

    def __init__(
        self,
        workers: Workers | None = None,
        folder: Folder | None = None,
        *,
        rows: bool = False,
        interrupted: Event | None = None,
    ) -> None:
        self.workers = Workers() if workers is None else workers
        self.folder = folder
        self.rows = rows
        self.interrupted = interrupted or Event()
        self.computed = 0
        self.kept = 0
        self._pace = _Pace(self.workers.chunk_s)
        self._stack = ExitStack()
        self._act: Pool | None = None

    def __enter__(self) -> Runner:
        if self.folder is not None:
            self._stack.enter_context(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._act = None
        self._stack.close()

    def collect(
        self, wanted: Sequence[Stretch], on_units: Callable[[int], None] = lambda done: None
    ) -> list[list[Values]]:
        """The figures of all units of each stretch, by number; `on_units` is told how many are there. Raises `BatchError`."""
        found = [self._read(stretch) for stretch in wanted]
        there = sum(len(each) for each in found)
        self.kept += there
        missing = [piece for place, stretch in enumerate(wanted) for piece in _gaps(place, stretch, found[place])]
        if there:
            on_units(there)
        for chunk in self._work_out(missing, wanted):
            if self.folder is not None:
                self.folder.write(wanted[chunk.piece.place].series, chunk, rows=self.rows)
            for number, unit in enumerate(chunk.units, start=chunk.piece.first):
                found[chunk.piece.place][number] = unit.values
            there += len(chunk.units)
            self.computed += len(chunk.units)
            on_units(there)
            if self.interrupted.is_set():
                raise KeyboardInterrupt
        return [
            [found[place][number] for number in range(stretch.first, stretch.after)]
            for place, stretch in enumerate(wanted)
        ]

    def _read(self, stretch: Stretch) -> dict[int, Values]:
        if self.folder is None:
            return {}
        return self.folder.read(stretch.series, stretch.first, stretch.after, rows=self.rows)

    def _work_out(self, missing: Sequence[Piece], wanted: Sequence[Stretch]) -> Iterator[Chunk]:
        """The missing pieces; here as long as they are few, or one process is enough, and else by the workers."""
        version = model_version()
        left = sum(piece.after - piece.first for piece in missing)
        works = _cut(missing, wanted, self._pace)
        for work in works:
            if self._is_worth_starting(left):
                for chunks in self._pool()(_again(work, works), self.rows):
                    yield from self._timed(chunks)
                return
            for chunk in self._timed(work_out(work, version, self.rows)):
                left -= len(chunk.units)
                yield chunk

    def _pool(self) -> Pool:
        """The workers, started when they are needed first."""
        if self._act is None:
            self._act = self._stack.enter_context(pool(self.workers))
        return self._act

    def _is_worth_starting(self, left: int) -> bool:
        if self.workers.backend == "dask":
            return True
        if self.workers.count == 1 or self._pace.unit_s is None:
            return False
        return left * self._pace.unit_s > WORTH_STARTING * self.workers.chunk_s and self.workers.here > 1

    def _timed(self, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            self._pace.note(chunk)
            yield chunk


class _Pace:
    """How long a unit takes, by the latest chunk; so pieces are about as long as they should be."""

    def __init__(self, chunk_s: float) -> None:
        self.chunk_s = chunk_s
        self.unit_s: float | None = None

    def note(self, chunk: Chunk) -> None:
        self.unit_s = chunk.seconds / max(1, len(chunk.units))

    def units(self, seconds: float) -> int:
        """How many units take so long, one at least."""
        if self.unit_s is None:
            return 1
        return max(1, min(UNITS_MAX, round(seconds / max(1e-9, self.unit_s) + 0.5)))


def _cut(missing: Sequence[Piece], wanted: Sequence[Stretch], pace: _Pace) -> Iterator[Work]:
    """Pieces in order, laid together until they take long enough."""
    work: list[tuple[Piece, Series]] = []
    seconds = 0.0
    for piece in missing:
        first = piece.first
        while first < piece.after:
            after = min(piece.after, first + pace.units(pace.chunk_s - seconds))
            work.append((Piece(piece.place, first, after), wanted[piece.place].series))
            seconds += (after - first) * (pace.chunk_s if pace.unit_s is None else pace.unit_s)
            first = after
            if seconds >= pace.chunk_s:
                yield work
                work, seconds = [], 0.0
    if work:
        yield work


def _again(first: Work, rest: Iterator[Work]) -> Iterator[Work]:
    yield first
    yield from rest


def _gaps(place: int, stretch: Stretch, found: dict[int, Values]) -> Iterator[Piece]:
    """What of a stretch is not there."""
    begin = None
    for number in range(stretch.first, stretch.after + 1):
        absent = number < stretch.after and number not in found
        if absent and begin is None:
            begin = number
        elif not absent and begin is not None:
            yield Piece(place, begin, number)
            begin = None
