"""Seeds on several processes. Results come in the order of the seeds, so that nothing depends on the number of workers."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any

from chaos.campaign.interruption import Interruption
from chaos.campaign.results import SeedResult, result_of, run_seed
from chaos.campaign.simulation import Simulation
from simulator.cluster.schedule import Schedule

SEEDS_PER_CHUNK = 4
CHUNKS_AHEAD = 4
LOOK_EVERY_S = 0.1
SIGNAL_GRACE_S = 0.3


class WorkersDied(RuntimeError):
    """A worker process ended in the middle of its work, perhaps for want of memory."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else str(type(self).__doc__)


class Workers:
    """`count` processes that run seeds of `simulation`. Use as a context manager; no process is left behind.

    They are started afresh, not forked: each has its own hash seed, so that an order of events which hangs on one differs
    from process to process and is found.
    """

    def __init__(self, simulation: Simulation, count: int, interruption: Interruption) -> None:
        self.count = count
        self._interruption = interruption
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._pool = ProcessPoolExecutor(count, context, _begin, (simulation, self._stop))

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def results(self, seeds: Iterable[int], variant: str | None) -> Generator[SeedResult, None, None]:
        """The result of every seed, in their order; ends early when interrupted. Raises `WorkersDied`."""
        pending: deque[Future[list[SeedResult]]] = deque()
        chunks = _chunks(seeds)
        try:
            while True:
                for chunk in itertools.islice(chunks, self.count * CHUNKS_AHEAD - len(pending)):
                    pending.append(self._submit(chunk, variant))
                if not pending:
                    return
                if not self._await(pending[0]):
                    return
                yield from pending.popleft().result()
        except BrokenProcessPool:
            self._blame()
        finally:
            self._drop(pending)

    def again(self, schedule: Schedule, variant: str | None) -> SeedResult | None:
        """Run one schedule in a worker; None when interrupted. Raises `WorkersDied`."""
        try:
            with _sigint_held_back():
                future = self._pool.submit(_run_schedule, schedule, variant)
            return future.result() if self._await(future) else None
        except BrokenProcessPool:
            self._blame()
            return None

    def _submit(self, chunk: tuple[int, ...], variant: str | None) -> Future[list[SeedResult]]:
        with _sigint_held_back():
            return self._pool.submit(_run_chunk, chunk, variant)

    def _await(self, future: Future[Any]) -> bool:
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

    def _drop(self, pending: Iterable[Future[list[SeedResult]]]) -> None:
        """Let go of what is under way: each worker ends at its next seed."""
        begun = [future for future in pending if not future.cancel()]
        if begun:
            self._stop.set()
            wait(begun)
            self._stop.clear()


def _chunks(seeds: Iterable[int]) -> Iterator[tuple[int, ...]]:
    remaining = iter(seeds)
    while chunk := tuple(itertools.islice(remaining, SEEDS_PER_CHUNK)):
        yield chunk


@contextlib.contextmanager
def _sigint_held_back() -> Iterator[None]:
    """A process that is started meanwhile inherits the mask, and a Ctrl-C in the terminal never reaches it half started."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What follows runs in the worker processes.

_simulation: Simulation
_stop: Event


def _begin(simulation: Simulation, stop: Event) -> None:
    global _simulation, _stop
    _simulation, _stop = simulation, stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed leaves no worker behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _run_chunk(seeds: tuple[int, ...], variant: str | None) -> list[SeedResult]:
    """The results of `seeds`, or of the first of them when told to stop."""
    results: list[SeedResult] = []
    for seed in seeds:
        if _stop.is_set():
            break
        results.append(run_seed(_simulation, seed, variant))
    return results


def _run_schedule(schedule: Schedule, variant: str | None) -> SeedResult:
    return result_of(_simulation, schedule, variant)
