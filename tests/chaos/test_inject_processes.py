"""Processes of one's own under inject, without its command: real processes, found, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.inject.course import Course, Row
from chaos.inject.journal import Journal
from chaos.inject.preparation import Prepared, prepare
from chaos.inject.processes import OwnProcess
from chaos.inject.targets import InjectError, InjectMap
from chaos.steady_state.watch import SteadyWatch
from simulator.scenario import load_scenario
from simulator.scenario_steady_state import HttpProbe

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


def course(tmp_path: Path, faults: str, probes: Sequence[HttpProbe] = (), **process: Any) -> Course:
    given = InjectMap.model_validate(
        {"probes": probes, "processes": {"primary": process}, "blast_radius": ("primary",)}
    )
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


def test_only_looks_between_the_first_fault_and_the_last_undoing_are_looks_during(mark: str, tmp_path: Path) -> None:
    """A fault late in the scenario: what the system did before it is not its doing."""
    start(mark)
    probe = {"probe": "http", "name": "page", "url": "http://127.0.0.1:9/", "during": "judged"}
    probes = InjectMap.model_validate_json(json.dumps({"probes": [probe]})).probes
    made = course(tmp_path, KILL, probes=probes, command=mark, start="same")
    (row,) = made.injection.rows
    row.started_at_s, row.ended_at_s = 2.0, 3.0
    watch = SteadyWatch({})

    def look(at_s: float) -> None:
        at_us = round((made._began_s + at_s) * 1e6)
        watch.rows.append({"at_us": at_us, "probe": "page", "holds": False, "detail": f"at {at_s}"})

    for at_s in (0.5, 1.9, 3.1):
        look(at_s)
    made._judge_during(watch)
    assert (made.injection.steady.judged_during, made.injection.steady.broken_during) == (True, {})
    look(2.5)
    made._judge_during(watch)
    assert made.injection.steady.judged_during is False
    assert made.injection.steady.broken_during == {"page": "at 2.5"}


SERVES = """
import os, pathlib, subprocess, sys, time
mark, pidfile, mode = sys.argv[1:]
if mode == "fails":
    sys.exit(7)
if mode == "slowly":
    time.sleep(1.5)
service = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)", mark], start_new_session=True)
pathlib.Path(pidfile).write_text(str(service.pid))
if mode == "stays":
    time.sleep(1)
"""
KILL_AT_ONCE = "  - {name: kill, fault: process_restarted, process: primary, at_s: 0}\n"
LOOP = "  - {name: loop, fault: restart_loop, process: primary, at_s: 0, for_s: 2.2, every_s: 0.5}\n"


def starter(tmp_path: Path, mark: str, mode: str = "at once") -> tuple[str, ...]:
    """A start command that ends by itself when it has started the service and written its pid file."""
    (tmp_path / "starter.py").write_text(SERVES)
    return (sys.executable, str(tmp_path / "starter.py"), mark, str(tmp_path / "pid"), mode)


@pytest.mark.parametrize("by", ["pidfile", "command"])
@pytest.mark.parametrize("fault", [KILL, KILL_AT_ONCE])
def test_the_service_is_found_by_the_map_not_taken_for_its_start_command(
    mark: str, tmp_path: Path, by: str, fault: str
) -> None:
    former = start(mark)
    (tmp_path / "pid").write_text(str(former.pid))
    said: dict[str, Any] = {"pidfile": str(tmp_path / "pid")} if by == "pidfile" else {"command": f"sleep(100)' {mark}"}
    made = course(tmp_path, fault, start=starter(tmp_path, mark, "stays"), **said)
    asyncio.run(made.run())
    (row,) = made.injection.rows
    assert row.took_effect, row.evidence
    assert row.undone, row.undo_detail
    (found,) = running_service(mark)
    assert row.undo_detail == f"primary runs as process {found.pid}"


def test_a_start_command_that_fails_is_told_at_once(mark: str, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(start(mark).pid))
    made = course(tmp_path, KILL, start=starter(tmp_path, mark, "fails"), pidfile=str(tmp_path / "pid"))
    began_s = time.monotonic()
    asyncio.run(made.run())
    (row,) = made.injection.rows
    assert not row.undone
    assert "its start command ended with exit code 7" in row.undo_detail
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize("mode", ["at once", "slowly"])
def test_a_restart_loop_on_a_pid_file_leaves_one_service(mark: str, tmp_path: Path, mode: str) -> None:
    """Also if it is slower to come up than the rounds of the loop: no copy is started beside it."""
    (tmp_path / "pid").write_text(str(start(mark).pid))
    made = course(tmp_path, LOOP, start=starter(tmp_path, mark, mode), pidfile=str(tmp_path / "pid"))
    asyncio.run(made.run())
    (row,) = made.injection.rows
    assert row.undone, row.undo_detail
    assert row.took_effect or mode == "slowly", row.evidence
    (found,) = running_service(mark)
    assert int((tmp_path / "pid").read_text()) == found.pid


def running_service(mark: str) -> list[psutil.Process]:
    return [process for process in running(mark) if "starter.py" not in " ".join(process.cmdline())]


STORES = "stores: [{name: s1}, {name: s2}]\n"


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (
            "  - {fault: link_down, link: edge_cloud, store: s1, at_s: 0, for_s: 1}\n"
            "  - {fault: link_down, link: edge_edge, store: s1, at_s: 2, for_s: 1}\n",
            "links edge_cloud and edge_edge are one: the proxy web; map each to its own",
        ),
        (
            "  - {name: first, fault: link_down, link: edge_edge, store: s1, at_s: 0, for_s: 2}\n"
            "  - {name: second, fault: link_down, link: edge_edge, store: s2, at_s: 1, for_s: 2}\n",
            "'second' hits edge_edge while 'first' still lasts",
        ),
        (
            "  - {name: first, fault: process_killed, process: primary, store: s1, at_s: 0, for_s: 2}\n"
            "  - {name: second, fault: process_paused, process: primary, store: s2, at_s: 1, for_s: 2}\n",
            "'second' hits primary while 'first' still lasts",
        ),
    ],
)
def test_faults_that_would_undo_each_other_are_refused(faults: str, words: str) -> None:
    proxy = {"proxy": "web"}
    given = InjectMap.model_validate(
        {
            "toxiproxy": "http://127.0.0.1:9",
            "links": {"edge_cloud": proxy, "edge_edge": proxy},
            "processes": {"primary": {"pid": 2, "start": "itself"}},
            "blast_radius": ("edge_cloud", "edge_edge", "primary"),
        }
    )
    with pytest.raises(InjectError) as refused:
        prepare(load_scenario(SCENARIO.replace("faults:", STORES + "faults:") + faults), given, "run")
    assert words in str(refused.value)


def test_faults_of_one_name_have_entries_of_their_own_in_the_journal(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stores' faults may be called the same; the end of one must not forget what the other needs."""
    start(mark)
    made = course(tmp_path, KILL, command=mark, start="same")
    (prepared,), (row,) = made._preparation.faults, made.injection.rows
    made._preparation = replace(made._preparation, faults=(prepared, prepared))
    made.injection.rows.append(replace(row))
    labels: list[str] = []

    async def noted(course: Course, prepared: Prepared, row: Row, label: str) -> None:
        labels.append(label)

    monkeypatch.setattr(Course, "_one", noted)
    asyncio.run(made.run())
    assert labels == ["1. kill", "2. kill"]
