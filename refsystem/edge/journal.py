"""The one writer of a device's log: a thread that flushes everything waiting in one transaction (group commit)."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from refsystem.edge.store import EdgeStore
from refsystem.protocol.messages import PersistOp, Ready

logger = logging.getLogger(__name__)

GROUP_MAX = 500
FLUSH_FAILED_EXIT_CODE = 70


class Journal:
    """Flushes `Ready` values in their order; `on_flushed` is called in the writer's thread with each group flushed.

    A flush that fails ends the process (P2): what the disk holds then is known only after a restart.
    """

    def __init__(self, store: EdgeStore, on_flushed: Callable[[list[Ready]], None]) -> None:
        self._store = store
        self._on_flushed = on_flushed
        self._queue: queue.SimpleQueue[Ready | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self.flush_us_max = 0
        self.flushes = 0
        self.entries = 0

    def start(self) -> None:
        """Start the writer's thread."""
        self._thread.start()

    def add(self, ready: Ready) -> None:
        """Flush this after everything added before it. The machine bounds how much can wait."""
        self._queue.put(ready)

    def stop(self) -> None:
        """Flush what waits, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        """A thread that ended without its process would leave a device that takes part and flushes nothing."""
        try:
            while group := self._next_group():
                ops = [op for ready in group for op in ready.persist]
                if ops:
                    self._flush(ops)
                self._on_flushed(group)
        except BaseException:
            _end("the journal failed")

    def _next_group(self) -> list[Ready]:
        first = self._queue.get()
        group = [] if first is None else [first]
        while group and len(group) < GROUP_MAX:
            try:
                ready = self._queue.get_nowait()
            except queue.Empty:
                break
            if ready is None:
                self._queue.put(None)
                break
            group.append(ready)
        return group

    def _flush(self, ops: list[PersistOp]) -> None:
        started_ns = time.monotonic_ns()
        try:
            self._store.apply(ops)
        except BaseException:
            _end("a flush failed")
        self.flush_us_max = max(self.flush_us_max, (time.monotonic_ns() - started_ns) // 1000)
        self.flushes += 1
        self.entries += len(ops)


def _end(what: str) -> NoReturn:
    """End the process, also when there is no memory to say why."""
    try:
        logger.critical("%s; this process ends and nothing of it is acknowledged", what, exc_info=True)
    finally:
        os._exit(FLUSH_FAILED_EXIT_CODE)
