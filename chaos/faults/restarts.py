"""A process that dies again and again and is started again each time, as under a supervisor that never gives up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from chaos.faults.base import Effect, FaultError, Target
from refsystem.processes import Managed, process_state

BACK_TIMEOUT_S = 30.0
PROOF_SLACK_S = 3.0


class RestartLoop:
    """SIGKILL and a start at once, then again every `every_s` seconds."""

    def __init__(
        self, process: Managed, every_s: float, target: Target, look: Callable[[], object] = lambda: None
    ) -> None:
        """`look` is called before each round: it finds anew a process that does not come back as a child of ours."""
        self.target = target
        self._look = look
        self._process = process
        self._every_s = every_s
        self._loop: asyncio.Task[None] | None = None
        self._killed: list[int] = []
        self._second = asyncio.Event()
        self._end = asyncio.Event()

    async def begin(self) -> None:
        """The first kill and start; raises `FaultError` if the process does not run."""
        if self._process.pid is None:
            raise FaultError(f"{self._process.name} does not run, so it cannot be restarted")
        await self._restart()
        self._loop = asyncio.create_task(self._go_on())

    async def prove(self) -> Effect:
        """It was killed twice, each time under another process id, and the kernel does not know either any more."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._second.wait(), self._every_s + PROOF_SLACK_S)
        return self._effect(least=2)

    async def held(self) -> Effect:
        """It has gone on to the end."""
        await self._stop()
        return self._effect(least=2)

    async def undo(self) -> str:
        """Kill it no more, and wait until it answers."""
        await self._stop()
        await asyncio.to_thread(self._look)
        if self._process.pid is None:
            self._process.start()
        await self._process.wait_ready(BACK_TIMEOUT_S)
        return f"{self._process.name} stays up (process {self._process.pid})"

    def _effect(self, least: int) -> Effect:
        gone = [pid for pid in self._killed if _is_gone(pid)]
        loop = self._loop
        stopped = loop is not None and loop.done() and (loop.cancelled() or loop.exception() or not self._end.is_set())
        ended = ", then it stopped" if stopped else ""
        told = f"{self._process.name} was killed {len(self._killed)} times ({len(gone)} processes are gone){ended}"
        return Effect(len(gone) >= least and len(gone) == len(self._killed) and not ended, told)

    async def _go_on(self) -> None:
        while not await self._ends_within(self._every_s):
            await self._restart()
            if len(self._killed) > 1:
                self._second.set()

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._end.wait(), seconds)
        return False

    async def _restart(self) -> None:
        await asyncio.to_thread(self._look)
        pid = self._process.pid
        if pid is not None:
            await asyncio.to_thread(self._process.kill)
            self._killed.append(pid)
        if self._process.pid is None:
            self._process.start()

    async def _stop(self) -> None:
        """Let a kill under way come to its end: cancelled, its thread would still kill what was started for good."""
        self._end.set()
        if self._loop is not None:
            await asyncio.gather(self._loop, return_exceptions=True)


def _is_gone(pid: int) -> bool:
    return process_state(pid) in (None, "Z")
