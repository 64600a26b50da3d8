"""Out of descriptors is what the kernel shows: a process that only hangs is not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from chaos.faults import resources
from chaos.faults.base import Target
from chaos.faults.resources import DescriptorsExhausted

pytestmark = pytest.mark.slow

HANGS = """
import socket, sys, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
taken = []
for _ in range(int(sys.argv[1])):
    taken.append(listening.accept())
time.sleep(100)
"""


class Hanging:
    """Accepts so many connections, answers none."""

    name = "s1.kitchen"
    exit_code = None

    def __init__(self, accepts: int) -> None:
        arguments = [sys.executable, "-c", HANGS, str(accepts)]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        with self.process.stdout:
            self.port = int(self.process.stdout.readline())

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process.poll() is None else None


@pytest.fixture
def hanging(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = Hanging(request.param)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.parametrize(("hanging", "spare", "proven"), [(0, 50, False), (2, 2, True)], indirect=["hanging"])
def test_a_process_that_hangs_has_descriptors_to_spare(
    hanging: Any, spare: int, proven: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "ANSWER_TIMEOUT_S", 0.3)
    fault = DescriptorsExhausted(hanging, spare, Target("kitchen", "s1.kitchen"))

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven is proven, effect.evidence
        assert (f"{spare} descriptors below the limit are free" in effect.evidence) is not proven
        held = await fault.held()
        assert held.proven is proven, held.evidence
        await fault.undo()

    asyncio.run(conversation())
