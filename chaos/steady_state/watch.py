"""Asks every probe again and again, and writes down what each said. Whoever judges sees the times of the faults beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from chaos.observer import now_us
from chaos.steady_state.readings import Reading

EVERY_S = 0.5

Reader = Callable[[], Awaitable[Reading]]


class SteadyWatch:
    """The probes of one experiment by name. `latest` is what each said last, without what said nothing then."""

    def __init__(self, readers: Mapping[str, Reader], path: Path | None = None) -> None:
        self._readers = readers
        self._path = path
        self.rows: list[dict[str, Any]] = []
        self.latest: dict[str, Reading] = {}

    @property
    def broken(self) -> dict[str, Reading]:
        """The probes that did not hold when they were last asked."""
        return {name: reading for name, reading in self.latest.items() if reading.holds is False}

    async def ask(self) -> None:
        """Ask every probe once."""
        at_us = now_us()
        readings = await asyncio.gather(*(read() for read in self._readers.values()))
        for name, reading in zip(self._readers, readings, strict=True):
            if reading.holds is None:
                self.latest.pop(name, None)
            else:
                self.latest[name] = reading
            row = {"at_us": at_us, "probe": name, "holds": reading.holds}
            self._write(row | {"value": reading.value, "detail": reading.detail})

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask all the while."""
        task = asyncio.create_task(self._ask_for_ever())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def wait_holding(self, timeout_s: float) -> bool:
        """Ask until every probe holds or the time is over; what it said before does not count."""
        deadline_s = time.monotonic() + timeout_s
        self.latest.clear()
        while True:
            await self.ask()
            if not self.broken:
                return True
            if time.monotonic() > deadline_s:
                return False
            await asyncio.sleep(EVERY_S)

    async def _ask_for_ever(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(EVERY_S)

    def _write(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
