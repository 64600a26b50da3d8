"""Does what falls due, when it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from refsystem.partners.host_time import now_us
from refsystem.problems import ProblemError

IDLE_S = 1.0


class DueLoop:
    """Calls `work` now and again: it does what is due and says when the next of it will be (None: nothing is known of)."""

    def __init__(self, work: Callable[[], Awaitable[int | None]], wait_min_s: float = 0.0) -> None:
        self._work = work
        self._wait_min_s = wait_min_s
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Something may be due earlier than it was said."""
        self._wanted.set()

    async def stop(self) -> None:
        """End; what is due stays so."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            try:
                next_us = await self._work()
            except ProblemError:  # the database failed, which is logged: try again
                next_us = None
            wait_s = IDLE_S if next_us is None else min(IDLE_S, (next_us - now_us()) / 1_000_000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self._wait_min_s, wait_s)):
                    await self._wanted.wait()
