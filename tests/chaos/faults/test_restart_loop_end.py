"""The end of a restart loop, while a kill is under way: found by random drill 19 of calm."""

from __future__ import annotations

import asyncio
import threading

import pytest

from chaos.faults.base import Target
from chaos.faults.restarts import RestartLoop


class SlowToDie:
    """Stands for a process: the second kill waits for its turn, as on a machine whose threads are all busy."""

    name = "s1.kitchen"

    def __init__(self) -> None:
        self.pid: int | None = 1
        self.kills = 0
        self.second = threading.Event()
        self.go_on = threading.Event()

    def kill(self) -> None:
        self.kills += 1
        if self.kills == 2:
            self.second.set()
            assert self.go_on.wait(10)
        self.pid = None

    def start(self) -> None:
        assert self.pid is None
        self.pid = 10 + self.kills

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def wait_ready(self, timeout_s: float = 1.0) -> None:
        assert self.pid is not None


@pytest.mark.parametrize("first", ["held", "undo"])
def test_a_kill_under_way_is_over_before_the_process_counts_as_up(first: str) -> None:
    process = SlowToDie()
    loop = RestartLoop(process, 0.01, Target("kitchen", "kitchen"))

    async def run() -> None:
        await loop.begin()
        await asyncio.to_thread(process.second.wait, 10)
        ending = asyncio.create_task(loop.held() if first == "held" else loop.undo())
        await asyncio.sleep(0.05)
        process.go_on.set()
        await ending
        await loop.undo()
        await asyncio.sleep(0.05)

    asyncio.run(run())
    assert process.pid is not None, "it was killed after it had been started for good"
    assert process.kills == 2
