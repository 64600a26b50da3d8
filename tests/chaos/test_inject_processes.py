"""Processes of one's own under inject, without its command: real processes, found, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.inject.course import Course
from chaos.inject.journal import Journal
from chaos.inject.preparation import prepare
from chaos.inject.processes import OwnProcess
from chaos.inject.targets import InjectMap
from simulator.scenario import load_scenario

SCENARIO = "name: mine\nduration_s: 6\ndiners:\n  arrivals: {rate_per_s: 1}\nfaults:\n"
KILL = "  - {name: kill, fault: process_killed, process: primary, at_s: 0, for_s: 0.3}\n"


@pytest.fixture
def mark() -> Iterator[str]:
    """What stands in the command line of the service alone; all that has it is ended at last."""
    made = f"service-{uuid.uuid4().hex}"
    yield made
    for process in running(made):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def running(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if mark in process.cmdline():
                found.append(process)
    return found


def service(mark: str) -> list[str]:
    return [sys.executable, "-c", "import time; time.sleep(100)", mark]


def start(mark: str) -> subprocess.Popen[bytes]:
    """The service; its end is waited for, so that it leaves no zombie."""
    process = subprocess.Popen(service(mark), start_new_session=True)
    threading.Thread(target=process.wait, daemon=True).start()
    deadline_s = time.monotonic() + 10
    while not running(mark):
        assert time.monotonic() < deadline_s, "the service does not run"
        time.sleep(0.01)
    return process


def course(tmp_path: Path, faults: str, **process: Any) -> Course:
    given = InjectMap.model_validate({"processes": {"primary": process}, "blast_radius": ("primary",)})
    scenario = load_scenario(SCENARIO + faults)
    preparation = prepare(scenario, given, "run")
    return Course(scenario, preparation, Journal(tmp_path / "journal.json", given.toxiproxy), lambda line: None)


def test_a_process_whose_kill_is_interrupted_is_started_again(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing, kill = threading.Event(), OwnProcess.kill

    def slowly(process: OwnProcess) -> None:
        killing.set()
        time.sleep(0.4)
        kill(process)

    monkeypatch.setattr(OwnProcess, "kill", slowly)
    former = start(mark)
    made = course(tmp_path, KILL, command=mark, start="same")

    async def interrupted() -> None:
        task = asyncio.create_task(made.run())
        assert await asyncio.to_thread(killing.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    (row,) = made.injection.rows
    assert row.undone, row.undo_detail
    (found,) = running(mark)
    assert found.pid != former.pid
    assert not (tmp_path / "journal.json").exists()
