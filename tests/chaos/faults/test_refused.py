"""A fault whose beginning was refused has nothing to undo: process, limits and files stay as they are."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from chaos.faults import resources
from chaos.faults.base import FaultError, Target
from chaos.faults.disks import DiskDied, DiskTroubled
from chaos.faults.resources import DescriptorsExhausted, MemoryExhausted
from refsystem import drill_control
from refsystem.drill_control import Control, DiskTrouble
from refsystem.stack import Stack


class Program:
    """A process that lives and listens nowhere."""

    name = "s1.edge_a"
    exit_code = None

    def __init__(self, port: int) -> None:
        self.port = port
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process.poll() is None else None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        raise AssertionError("nothing was to be started")


class Plain:
    """The part of a stack that a disk's fault uses; removes files for good."""

    def __init__(self, folder: Path, *, controlled: bool) -> None:
        self.settings = SimpleNamespace(controlled=controlled)
        self.folder = folder
        self.removed: list[str] = []

    def control_path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def remove_data(self, name: str) -> None:
        self.removed.append(name)


@pytest.fixture
def program() -> Iterator[Any]:
    with socket.socket() as taken:  # bound, never listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        made = Program(taken.getsockname()[1])
        yield made
        made.kill()
        assert made.process.stdin is not None
        made.process.stdin.close()


def target() -> Target:
    return Target("edge_a", "edge_a")


def test_a_disk_that_was_not_killed_is_not_wiped(program: Any, tmp_path: Path) -> None:
    stack = Plain(tmp_path, controlled=False)
    fault = DiskDied(cast(Stack, stack), program, target())
    with pytest.raises(FaultError, match="without a control file"):
        asyncio.run(fault.begin())
    assert asyncio.run(fault.undo()).startswith("nothing to undo")
    assert program.pid is not None
    assert not stack.removed


def test_the_trouble_of_another_fault_stays_when_one_on_a_dead_process_is_refused(program: Any, tmp_path: Path) -> None:
    stack = Plain(tmp_path, controlled=True)
    control = Control(stack.control_path(program.name))
    drill_control.change(control.path, disk=DiskTrouble("full"))
    program.kill()
    fault = DiskTroubled(cast(Stack, stack), program, DiskTrouble("slow", 5.0), target())
    with pytest.raises(FaultError, match="does not run"):
        asyncio.run(fault.begin())
    assert asyncio.run(fault.undo()).startswith("nothing to undo")
    assert control.read().disk == DiskTrouble("full")


@pytest.mark.parametrize("fault_type", [MemoryExhausted, DescriptorsExhausted])
def test_a_limit_that_was_not_lowered_is_not_set(
    program: Any, fault_type: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hard limit could not be raised again by anybody but root."""
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)
    before = [psutil.Process(program.pid).rlimit(kind) for kind in kinds]

    def gone(pid: int) -> list[int]:
        raise FaultError("refused")

    monkeypatch.setattr(resources, "_open_descriptors", gone)
    fault = fault_type(program, 0, target())
    with pytest.raises(FaultError, match=r"does not hold a request|refused"):
        asyncio.run(fault.begin())
    assert asyncio.run(fault.undo()) == "nothing to undo: the limit was not lowered"
    assert [psutil.Process(program.pid).rlimit(kind) for kind in kinds] == before
