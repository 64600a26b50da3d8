"""Processes of one's own under inject, without its command: real processes, found, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
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
from pydantic import ValidationError

from chaos.cli.interruptible import run_interruptible
from chaos.inject.course import Course, Row
from chaos.inject.journal import Journal, undo_journal
from chaos.inject.preparation import Prepared, prepare
from chaos.inject.processes import OwnProcess
from chaos.inject.targets import InjectError, InjectMap, ProcessTarget
from chaos.steady_state.watch import SteadyWatch
from simulator.scenario import load_scenario
from simulator.scenario_steady_state import HttpProbe

pytestmark = pytest.mark.slow

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
            "processes": {"primary": {"command": "my service", "start": "itself"}},
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


def test_what_a_supervisor_starts_is_not_named_by_its_id() -> None:
    with pytest.raises(ValidationError, match="give pidfile or command"):
        ProcessTarget.model_validate({"pid": 4711, "start": "itself"})


@pytest.mark.parametrize("given", ["same", ("no-such-program-anywhere", "start")])
def test_what_could_not_be_started_again_is_refused_before_the_kill(
    mark: str, given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`same` of a program that was removed or goes by a title of its own, or a command with a slip."""
    service = start(mark)
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [f"worker: {mark}"])
    with pytest.raises(InjectError, match="could not be started again, for there is no program"):
        course(tmp_path, KILL, pid=service.pid, start=given)
    assert service.poll() is None


def journal(path: Path, command: list[str]) -> None:
    origin = {"command": command, "folder": None, "environment": None}
    entry = {"what": "process", "name": "p", "target": {"command": uuid.uuid4().hex}, "pid": 999_999, "created": 1.0}
    content = {"kind": "rushproof-inject", "format": 1, "toxiproxy": "http://127.0.0.1:1"}
    writer = {"pid": 999_999, "created": 1.0}
    path.write_text(json.dumps(content | {"inject": writer, "entries": {"1. kill": entry | {"origin": origin}}}))


@pytest.mark.parametrize("how", ["writable", "link", "of another"])
def test_a_journal_that_others_may_have_written_is_not_run(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = tmp_path / "journal.json", tmp_path / "done"
    journal(path, ["touch", str(done)])
    path.chmod(0o666 if how == "writable" else 0o600)
    if how == "link":
        (tmp_path / "link.json").symlink_to(path)
        path = tmp_path / "link.json"
    if how == "of another":
        own = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(InjectError):
        asyncio.run(undo_journal(path))
    assert not done.exists()


def test_a_journal_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".journal.json.partial").symlink_to(victim)
    made = Journal(tmp_path / "journal.json", "http://127.0.0.1:1")
    made.create()
    assert victim.read_text() == "precious"
    (tmp_path / "other.json").symlink_to(tmp_path / "absent")
    with pytest.raises(InjectError, match="a former inject has left this file"):
        Journal(tmp_path / "other.json", "http://127.0.0.1:1").create()


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_closed_ends_the_work_in_order_but_not_under_nohup(ignored: bool) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.3)
            ended.append("by itself")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else lambda *_: None)
    try:
        assert run_interruptible(work()) is not ignored
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended == ["by itself" if ignored else "cancelled"]
