"""Whole runs of Locust as a process of its own: what it leaves on disk, and that it leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from loadtests.launch import LoadRun
from loadtests.plan import Retries, monotonic_us, read_plan, write_plan

if TYPE_CHECKING:
    from conftest import Ground, MakeDiner

ROOT = Path(__file__).resolve().parents[2]
Until = Callable[[Callable[[], bool]], None]

BROKEN_ADAPTER = """
from loadtests.contract import ReferenceApi

class Api(ReferenceApi):
    def answer(self, kind, order_id, reply):
        raise RuntimeError("this adapter is broken")
"""

PARENT = """
import sys, time
from pathlib import Path
from loadtests.launch import LoadRun
from loadtests.plan import read_plan
folder = Path(sys.argv[1])
run = LoadRun(folder, read_plan(folder / "wanted.json"), processes=int(sys.argv[2]))
run.start()
print(run.pid, flush=True)
time.sleep(600)
"""


def soon_us(seconds: float = 3.0) -> int:
    return monotonic_us() + round(seconds * 1_000_000)


def group(leader: int) -> list[int]:
    """The live processes of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def log(ground: Ground) -> str:
    return (ground.folder / "logs" / "locust.log").read_text()


@pytest.mark.slow
def test_a_run_ends_by_itself_and_leaves_nothing_running(ground: Ground, make_diner: MakeDiner) -> None:
    diners = [make_diner(number, at_us=number * 5000) for number in range(100)]
    run = LoadRun(ground.folder, ground.plan(diners, start_us=soon_us()))
    with run:
        assert run.wait(30) == 0, log(ground)
        assert run.pid is not None
        assert group(run.pid) == []
    metrics = ground.metrics("load-locust-0.json")
    assert (metrics["planned"], metrics["started"], metrics["finished"]) == (100, 100, True)
    assert set(metrics) == {
        *("process", "planned", "started", "late_starts", "dropped_starts", "lateness_ms_max"),
        *("cpu_percent_max", "finished", "late_after_ms"),
    }
    assert metrics["cpu_percent_max"] > 0
    progress = run.progress()
    assert (progress.started, progress.ok, progress.in_flight) == (100, 100, 0)
    acknowledged = {a.order_id for a in ground.history() if a.kind == "order" and a.outcome == "ok"}
    assert acknowledged == set(ground.stack.orders)
    assert len(acknowledged) == 100
    assert "POST" in log(ground)
    assert "Traceback" not in log(ground)


@pytest.mark.slow
def test_two_processes_share_the_timetable_and_lose_nobody(ground: Ground, make_diner: MakeDiner) -> None:
    diners = [make_diner(number, at_us=number * 5000) for number in range(100)]
    with LoadRun(ground.folder, ground.plan(diners, start_us=soon_us(4)), processes=2) as run:
        assert run.wait(40) == 0, log(ground)
        assert run.pid is not None
        assert group(run.pid) == []
    intents = Counter(a.intent_id for a in ground.history() if a.kind == "order" and a.outcome == "ok")
    assert intents == {f"r1-{number}": 1 for number in range(100)}
    for index in (0, 1):
        metrics = ground.metrics(f"load-locust-{index}.json")
        assert (metrics["planned"], metrics["started"], metrics["finished"]) == (50, 50, True)
    by_process = {a.process: int(a.intent_id[3:]) % 2 for a in ground.history()}
    assert by_process == {"locust-0": 0, "locust-1": 1}


@pytest.mark.slow
def test_the_progress_of_a_running_load_can_be_read(ground: Ground, make_diner: MakeDiner, until: Until) -> None:
    diners = [make_diner(number, at_us=number * 20_000, think_us=500_000) for number in range(150)]
    with LoadRun(ground.folder, ground.plan(diners, start_us=soon_us())) as run:
        assert run.progress().planned == 0
        until(lambda: run.progress().in_flight > 0)
        progress = run.progress()
        assert run.poll() is None
        assert (progress.planned, progress.started < 150) == (150, True)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_load_has_lost_no_attempt_that_it_sent(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any], until: Until, processes: int
) -> None:
    ground.stack.behave = lambda stack, seen: act(200, stack.serve(seen).document, after_s=0.2)
    diners = [make_diner(number, at_us=number * 3000) for number in range(2000)]
    with LoadRun(ground.folder, ground.plan(diners, start_us=soon_us()), processes=processes) as run:
        until(lambda: len(ground.stack.submissions) > 150)
        assert run.pid is not None
        os.killpg(run.pid, signal.SIGKILL)
        assert run.wait(10) == -signal.SIGKILL
    history = ground.history()
    sent = Counter(seen.key for seen in ground.stack.submissions)
    written = Counter(a.order_id for a in history if a.kind == "order")
    assert not sent - written, "a request reached the server and has no row"
    assert any(a.completed_at_us is None and a.outcome == "indefinite" for a in history)
    assert not ground.metrics("load-locust-0.json")["finished"]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_stopping_a_load_ends_every_process_at_once(
    ground: Ground, make_diner: MakeDiner, until: Until, processes: int
) -> None:
    diners = [make_diner(number, at_us=number * 20_000) for number in range(3000)]
    with LoadRun(ground.folder, ground.plan(diners, start_us=soon_us(2.5)), processes=processes) as run:
        until(lambda: len(ground.stack.submissions) > 10)
        assert run.pid is not None
        before_us = monotonic_us()
        run.stop()
        assert monotonic_us() - before_us < 9_000_000
        assert group(run.pid) == []
        run.stop()
    assert run.poll() is not None
    assert not ground.metrics("load-locust-0.json")["finished"]
    if processes == 1:
        assert run.poll() == 2
        assert ground.metrics("progress-locust-0.json")["in_flight"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_the_load_dies_with_whoever_launched_it(
    ground: Ground, make_diner: MakeDiner, until: Until, processes: int
) -> None:
    diners = [make_diner(number, at_us=number * 20_000) for number in range(3000)]
    write_plan(ground.folder / "wanted.json", ground.plan(diners, start_us=soon_us(2.5)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PARENT, str(ground.folder), str(processes)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        leader = int(parent.stdout.readline())
        try:
            until(lambda: len(ground.stack.submissions) > 10)
            assert len(group(leader)) == (1 if processes == 1 else 3)
            parent.kill()
            parent.wait()
            until(lambda: group(leader) == [])
        finally:
            for pid in group(leader):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_broken_adapter_makes_the_load_unfinished_and_never_hang(
    ground: Ground, make_diner: MakeDiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ground.folder / "broken_adapter.py").write_text(BROKEN_ADAPTER)
    monkeypatch.setenv("PYTHONPATH", str(ground.folder))
    plan = ground.plan([make_diner(0)], start_us=soon_us(), adapter="broken_adapter:Api")
    with LoadRun(ground.folder, plan) as run:
        assert run.wait(30) == 2
    assert "this adapter is broken" in log(ground)
    assert not ground.metrics("load-locust-0.json")["finished"]
    assert run.progress().broken_journeys == 1


@pytest.mark.slow
def test_a_timetable_that_cannot_be_read_ends_the_run_with_an_error(ground: Ground, make_diner: MakeDiner) -> None:
    plan = ground.plan([make_diner(0)])
    (ground.folder / "timetable.json").write_text("[{}]")
    with LoadRun(ground.folder, plan) as run:
        assert run.wait(30) == 2
    assert "not a timetable" in log(ground)


@pytest.mark.slow
def test_one_process_drives_at_least_400_requests_a_second(ground: Ground, make_diner: MakeDiner) -> None:
    diners = [make_diner(number, at_us=number * 6000, think_us=300_000) for number in range(800)]
    plan = ground.plan(diners, start_us=soon_us(6), late_after_ms=250, retries=Retries(6, 50, 500))
    with LoadRun(ground.folder, plan) as run:
        assert run.wait(60) == 0, log(ground)
    history = ground.history()
    seconds = (max(a.completed_at_us or 0 for a in history) - read_plan(run.plan_path).start_us) / 1_000_000
    assert len(history) / seconds >= 400
    metrics = ground.metrics("load-locust-0.json")
    assert (metrics["started"], metrics["dropped_starts"]) == (800, 0)


def test_a_used_run_folder_is_refused(ground: Ground, make_diner: MakeDiner) -> None:
    (ground.folder / "history").mkdir()
    (ground.folder / "history" / "locust-0.jsonl").write_text("")
    run = LoadRun(ground.folder, ground.plan([make_diner(0)]))
    with pytest.raises(FileExistsError, match=r"already used"):
        run.start()
    assert run.pid is None


def test_a_load_of_no_process_is_refused(ground: Ground, make_diner: MakeDiner) -> None:
    with pytest.raises(ValueError, match="at least one"):
        LoadRun(ground.folder, ground.plan([make_diner(0)]), processes=0)


def test_launching_does_not_import_locust_or_gevent() -> None:
    check = (
        "import sys, loadtests.launch, loadtests.latency; sys.exit(any(m in sys.modules for m in ('locust', 'gevent')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", check], env=environment, timeout=60, check=False).returncode == 0
