"""Work on several processes, its results in the order of the work, so that nothing depends on the number of workers."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any, TypeVar

from chaos.interruption import Interruption

AHEAD = 4
LOOK_EVERY_S = 0.1
SIGNAL_GRACE_S = 0.3

Result = TypeVar("Result")


class WorkersDied(RuntimeError):
    """A worker process ended in the middle of its work, perhaps for want of memory."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else str(type(self).__doc__)


class WorkerPool:
    """`count` processes. Use as a context manager; no process is left behind.

    They are started afresh, not forked: each has its own hash seed, so that an order of events which hangs on one differs
    from process to process and is found. Work that takes long asks `stopped` now and then.
    """

    def __init__(self, count: int, interruption: Interruption) -> None:
        self.count = count
        self._interruption = interruption
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._pool = ProcessPoolExecutor(count, context, _begin, (self._stop,))

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def in_order(
        self, work: Callable[..., Result], arguments: Iterable[tuple[Any, ...]]
    ) -> Generator[Result, None, None]:
        """`work(*each)` for each of `arguments`, in their order; ends early when interrupted. Raises `WorkersDied`."""
        pending: deque[Future[Result]] = deque()
        remaining = iter(arguments)
        try:
            while True:
                for each in itertools.islice(remaining, self.count * AHEAD - len(pending)):
                    pending.append(self._submit(work, *each))
                if not pending:
                    return
                if not self._await(pending[0]):
                    return
                yield pending.popleft().result()
        except BrokenProcessPool:
            self._blame()
        finally:
            self._drop(pending)

    def once(self, work: Callable[..., Result], *arguments: Any) -> Result | None:
        """`work(*arguments)` in a worker; None when interrupted. Raises `WorkersDied`."""
        try:
            future = self._submit(work, *arguments)
            return future.result() if self._await(future) else None
        except BrokenProcessPool:
            self._blame()
            return None

    def _submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        with _sigint_held_back():
            return self._pool.submit(work, *arguments)

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

    def _drop(self, pending: Iterable[Future[Any]]) -> None:
        """Let go of what is under way: each worker ends as soon as its work asks whether it should."""
        begun = [future for future in pending if not future.cancel()]
        if begun:
            self._stop.set()
            wait(begun)
            self._stop.clear()


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


def stopped() -> bool:
    """In a worker: whether to end the work that is under way."""
    return _stop.is_set()


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
