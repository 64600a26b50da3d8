"""Cuts on several processes, a recording at a time, in their order: nothing depends on the number of workers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from chaos.faults.storage.simulated import SimulatedDisks
from chaos.interruption import Interruption
from chaos.power_cuts.cut import CutResult, lane_of, make_cut
from chaos.power_cuts.lane import CUTS_PER_RECORDING, Lane, Mode, make_lane
from chaos.worker_pool import WorkerPool, stopped


@dataclass(frozen=True, slots=True)
class LaneNote:
    """What a campaign counts of a lane: kinds of work, troubles that took effect, virtual seconds that its disk stood still."""

    work: tuple[str, ...]
    troubles: tuple[str, ...]
    stalled_s: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """The cuts of one recording, or the first of them."""

    lanes: tuple[LaneNote, ...]
    results: tuple[CutResult, ...]


class Workers:
    """`count` processes, or this one if `count` is 1. Use as a context manager; no process is left behind."""

    def __init__(self, count: int, interruption: Interruption) -> None:
        self._interruption = interruption
        self._pool = WorkerPool(count, interruption) if count > 1 else None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.__exit__(kind, error, trace)

    def chunks(self, seed: int, cuts: int, mode: Mode) -> Generator[Chunk, None, None]:
        """All cuts from 0 on, in their order; ends early when interrupted. Raises `WorkersDied`."""
        starts = range(0, cuts, CUTS_PER_RECORDING)
        work = ((seed, range(start, min(cuts, start + CUTS_PER_RECORDING)), mode) for start in starts)
        if self._pool is None:
            for each in work:
                if self._interruption.noted:
                    return
                yield make_chunk(*each, lambda: self._interruption.noted)
            return
        chunks = self._pool.in_order(_make_chunk, work)
        try:
            yield from chunks
        finally:
            chunks.close()


def make_chunk(seed: int, numbers: range, mode: Mode, stopped: Callable[[], bool] = lambda: False) -> Chunk:
    """The cuts with these numbers, all of one recording; fewer when `stopped`."""
    lanes: dict[int, Lane] = {}
    results: list[CutResult] = []
    with tempfile.TemporaryDirectory(prefix="rushproof-") as folder, SimulatedDisks() as disks:
        for number in numbers:
            if stopped():
                break
            recording, index = lane_of(number)
            if index not in lanes:
                lanes[index] = make_lane(disks, Path(folder), seed, recording, index, mode)
            results.append(make_cut(disks, Path(folder), lanes[index], number))
    return Chunk(tuple(_note(lane) for lane in lanes.values()), tuple(results))


def _note(lane: Lane) -> LaneNote:
    return LaneNote(tuple(sorted(lane.workload.work)), tuple(struck.name for struck in lane.struck), lane.stalled_s)


def _make_chunk(seed: int, numbers: range, mode: Mode) -> Chunk:
    """In a worker: fewer cuts when told to stop."""
    return make_chunk(seed, numbers, mode, stopped)
