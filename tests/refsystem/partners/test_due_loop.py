"""The loop that does what falls due."""

from __future__ import annotations

import asyncio

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners import due_loop
from refsystem.problems import ProblemError


def test_it_is_woken_before_its_time_and_goes_on_after_a_failure(monkeypatch):
    monkeypatch.setattr(due_loop, "IDLE_S", 3_600.0)
    calls = []

    async def main() -> None:
        called = asyncio.Event()

        async def work() -> int | None:
            calls.append(len(calls))
            called.set()
            if len(calls) == 1:
                raise ProblemError(OUTCOME_UNKNOWN)
            return None

        loop = due_loop.DueLoop(work)
        loop.start()
        for _ in range(2):
            async with asyncio.timeout(10):
                await called.wait()
            called.clear()
            loop.wake()
        async with asyncio.timeout(10):
            await called.wait()
        await loop.stop()

    asyncio.run(main())
    assert calls == [0, 1, 2]
