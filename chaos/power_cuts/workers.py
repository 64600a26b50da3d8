"""Cuts on several processes, a recording at a time, in their order: nothing depends on the number of workers."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType

from chaos.campaign.interruption import Interruption
from chaos.campaign.workers import WorkersDied
from chaos.faults.storage.simulated import SimulatedDisks
from chaos.power_cuts.cut import CutResult, lane_of, make_cut
from chaos.power_cuts.lane import CUTS_PER_RECORDING, Lane, Mode, make_lane

CHUNKS_AHEAD = 3
LOOK_EVERY_S = 0.1
SIGNAL_GRACE_S = 0.3


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
        self._ahead = count * CHUNKS_AHEAD
        self._pool: ProcessPoolExecutor | None = None
        if count > 1:
            context = multiprocessing.get_context("spawn")
            self._stop = context.Event()
            self._pool = ProcessPoolExecutor(count, context, _begin, (self._stop,))

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def chunks(self, seed: int, cuts: int, mode: Mode) -> Generator[Chunk, None, None]:
        """All cuts from 0 on, in their order; ends early when interrupted. Raises `WorkersDied`."""
        starts = range(0, cuts, CUTS_PER_RECORDING)
        work = deque((seed, range(start, min(cuts, start + CUTS_PER_RECORDING)), mode) for start in starts)
        if self._pool is None:
            while work and not self._interruption.noted:
                yield make_chunk(*work.popleft(), lambda: self._interruption.noted)
            return
        pending: deque[Future[Chunk]] = deque()
        try:
            while work or pending:
                while work and len(pending) < self._ahead:
                    with _sigint_held_back():
                        pending.append(self._pool.submit(_make_chunk, *work.popleft()))
                if not self._await(pending[0]):
                    return
                yield pending.popleft().result()
        except BrokenProcessPool:
            self._blame()
        finally:
            self._drop(pending)

    def _await(self, future: Future[Chunk]) -> bool:
        """Wait for `future`; False when interrupted before."""
        while not self._interruption.noted:
            if wait((future,), LOOK_EVERY_S).done:
                return True
        return False

    def _blame(self) -> None:
        """A signal to all processes ends the workers too, and may be told to this one a moment later."""
        threading.Event().wait(SIGNAL_GRACE_S)
        if not self._interruption.noted:
            raise WorkersDied

    def _drop(self, pending: Iterable[Future[Chunk]]) -> None:
        """Let go of what is under way: each worker ends at its next cut."""
        begun = [future for future in pending if not future.cancel()]
        if begun:
            self._stop.set()
            wait(begun)
            self._stop.clear()


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


@contextlib.contextmanager
def _sigint_held_back() -> Iterator[None]:
    """A process that is started meanwhile inherits the mask, and a Ctrl-C in the terminal never reaches it half started."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What follows runs in the worker processes.

_stop: Event


def _begin(stop: Event) -> None:
    global _stop
    _stop = stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed leaves no worker behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _make_chunk(seed: int, numbers: range, mode: Mode) -> Chunk:
    return make_chunk(seed, numbers, mode, _stop.is_set)
