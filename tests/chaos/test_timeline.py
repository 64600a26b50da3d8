"""The faults of a scenario on their timeline: found, written down and undone, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from chaos import timeline as timeline_module
from chaos.faults.base import Effect
from chaos.faults.processes import Paused
from chaos.observer import Observer, Sample, now_us
from chaos.timeline import Timeline, cuts_power, troubles_files
from refsystem.processes import StackError, process_state
from simulator.scenario import Scenario, load_scenario

ROW_FIELDS = {
    "name",
    "kind",
    "target",
    "resolved",
    "store",
    "planned_at_us",
    "started_at_us",
    "ended_at_us",
    "took_effect",
    "evidence",
    "undone",
    "undo_detail",
    "hits_primary",
    "epoch_before",
    "disk_lost_node_ids",
    "off_node_ids",
}


class Sleeper:
    """A real process that does nothing, with the signals of a managed one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fails_to_start: Exception | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(19)
        while process_state(self._process.pid) != "T":
            time.sleep(0.001)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(18)

    def start(self) -> None:
        if self._process is not None and self.fails_to_start is not None:
            raise self.fails_to_start
        self._process = subprocess.Popen(["sleep", "100"])

    async def wait_ready(self, timeout_s: float = 1.0) -> None:
        await asyncio.sleep(0)


class Sleepers:
    """Stands for the stack."""

    def __init__(self) -> None:
        names = ("s1.edge_a", "s1.edge_b", "s1.arbiter", "s1.kitchen", "cloud")
        self.processes = {name: Sleeper(name) for name in names}
        self.settings = type("Settings", (), {"volatile": True})

    def process(self, name: str) -> Sleeper:
        if name == "postgres":
            raise StackError("PostgreSQL is not this stack's own; faults cannot be put on it")
        return self.processes[name]


class Watcher:
    """Stands for the observer: `primary` is the slot that says it is primary."""

    def __init__(self) -> None:
        self.primary: str | None = "a"

    async def sample(self, store: str, timeout_s: float = 0.4) -> Sample:
        def status(slot: str) -> dict[str, Any]:
            role = "primary" if slot == self.primary else "standby"
            return {"slot": slot, "role": role, "epoch": 7, "node_id": f"{slot}-1"}

        return Sample(now_us(), store, {"a": status("a"), "b": status("b")}, None, None)


class NoLinks:
    """Stands for the links: there are none."""

    def matching(self, kind: str, store: str | None) -> Sequence[Any]:
        return []


class Course:
    """One timeline over sleeping processes."""

    def __init__(self, folder: Path) -> None:
        self.stack = Sleepers()
        self.observer = Watcher()
        self.path = folder / "faults.jsonl"
        self.said: list[str] = []

    def timeline(self, *faults: str, arbiter: str = "in_store", links: Any = None) -> Timeline:
        return Timeline(
            scenario(*faults, arbiter=arbiter),
            cast(Any, self.stack),
            cast(Any, links or NoLinks()),
            cast(Observer, self.observer),
            self.path,
            self.said.append,
        )

    def run(self, *faults: str) -> list[dict[str, Any]]:
        asyncio.run(self.timeline(*faults).run(now_us()))
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def __getitem__(self, name: str) -> Sleeper:
        return self.stack.processes[name]


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    made = Course(tmp_path)
    yield made
    for process in made.stack.processes.values():
        process.kill()


def scenario(*faults: str, arbiter: str = "in_store") -> Scenario:
    lines = "".join(f"  - {{{fault}}}\n" for fault in faults)
    return load_scenario(
        "name: test\ntitle: A test\ndescription: A test of the timeline.\nduration_s: 10\n"
        f"stores:\n  - {{name: s1, tables: 10, arbiter: {arbiter}}}\n"
        "diners:\n  arrivals: {rate_per_s: 1, profile: constant}\n" + (f"faults:\n{lines}" if faults else "")
    )


KILL_PRIMARY = "fault: process_killed, process: primary, at_s: 0.05, for_s: 0.1"
PAUSE = "fault: process_paused, process: arbiter, at_s: 0.05, for_s: 0.2"
LONG_ENOUGH = "fault: process_paused, process: arbiter, at_s: 0, for_s: 0.6"
LONG_PAUSE = "fault: process_paused, process: edge_b, at_s: 0, for_s: 9"


def test_a_fault_is_written_down_with_its_times_and_what_it_hit(course: Course) -> None:
    pid = course["s1.edge_a"].pid
    began_us = now_us()
    (row,) = course.run(KILL_PRIMARY)
    assert set(row) == ROW_FIELDS
    assert (row["kind"], row["target"], row["resolved"], row["store"]) == ("process_killed", "primary", "edge_a", "s1")
    assert (row["took_effect"], row["undone"], row["hits_primary"], row["epoch_before"]) == (True, True, True, 7)
    assert str(pid) in row["evidence"]
    assert began_us + 50_000 <= row["planned_at_us"] <= row["started_at_us"] <= row["ended_at_us"]
    assert row["ended_at_us"] - row["planned_at_us"] >= 100_000
    assert course["s1.edge_a"].pid not in (None, pid)
    assert [line.split(":")[0] for line in course.said] == ["fault", "undone"]


def test_the_standby_is_the_other_one_and_no_hit_of_the_primary(course: Course) -> None:
    course.observer.primary = "b"
    (row,) = course.run("fault: process_killed, process: standby, at_s: 0, for_s: 0.05")
    assert (row["resolved"], row["hits_primary"]) == ("edge_a", False)


def test_faults_overlap_and_say_which_are_in_force(course: Course) -> None:
    timeline = course.timeline(KILL_PRIMARY, PAUSE)

    async def run() -> list[set[str]]:
        seen: list[set[str]] = []
        task = asyncio.create_task(timeline.run(now_us()))
        while not task.done():
            seen.append(set(timeline.in_force))
            await asyncio.sleep(0.01)
        await task
        return seen

    seen = asyncio.run(run())
    assert max(len(names) for names in seen) == 2
    assert timeline.in_force == []
    assert {row["kind"] for row in course.rows()} == {"process_killed", "process_paused"}
    assert all(row["took_effect"] and row["undone"] for row in course.rows())


def test_a_primary_that_cannot_be_found_is_a_row_and_no_end(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline_module, "RESOLVE_TIMEOUT_S", 0.2)
    course.observer.primary = None
    rows = {row["kind"]: row for row in course.run(KILL_PRIMARY, PAUSE)}
    lost = rows["process_killed"]
    assert set(lost) == ROW_FIELDS
    assert (lost["target"], lost["resolved"], lost["hits_primary"]) == ("primary", "", False)
    assert (lost["took_effect"], lost["undone"], lost["undo_detail"]) == (False, True, "was never injected")
    assert lost["evidence"] == "could not be injected: no device is primary, so neither primary nor standby can be hit"
    assert rows["process_paused"]["took_effect"]


def test_a_link_that_is_not_there_and_a_process_that_is_not_ours_are_rows(course: Course) -> None:
    rows = course.run(
        "fault: link_down, link: edge_edge, at_s: 0, for_s: 0.1",
        "fault: process_killed, process: postgres, at_s: 0, for_s: 0.1",
    )
    assert {row["evidence"] for row in rows} == {
        "could not be injected: there is no link edge_edge of store s1",
        "could not be injected: PostgreSQL is not this stack's own; faults cannot be put on it",
    }
    assert not any(row["took_effect"] for row in rows)


@pytest.mark.parametrize(
    "error", [StackError("no memory"), OSError("no memory"), KeyError("no memory"), Exception("no memory")]
)
def test_a_failing_undo_is_a_row_and_the_other_faults_go_on(course: Course, error: Exception) -> None:
    course["s1.edge_a"].fails_to_start = error
    rows = {row["kind"]: row for row in course.run(KILL_PRIMARY, PAUSE)}
    failed = rows["process_killed"]
    assert (failed["took_effect"], failed["undone"]) == (True, False)
    assert failed["undo_detail"].startswith("could not be undone: ")
    assert "no memory" in failed["undo_detail"]
    assert rows["process_paused"]["undone"]
    assert process_state(course["s1.arbiter"].pid or 0) != "T"


@pytest.mark.parametrize("error", [StackError("no signal"), TypeError("no signal")])
def test_a_fault_that_breaks_while_it_is_injected_is_undone(
    course: Course, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause_and_fail(process: Sleeper) -> None:
        pause(process)
        raise error

    pause = Sleeper.pause
    monkeypatch.setattr(Sleeper, "pause", pause_and_fail)
    (row,) = course.run(PAUSE)
    assert (row["took_effect"], row["undone"], row["evidence"]) == (False, True, "could not be injected: no signal")
    assert process_state(course["s1.arbiter"].pid or 0) != "T"


def test_an_undo_without_end_is_given_up(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Sleeper, __: float = 1.0) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(timeline_module, "UNDO_TIMEOUT_S", 0.1)
    monkeypatch.setattr(Sleeper, "wait_ready", never)
    (row,) = course.run(KILL_PRIMARY)
    assert (row["undone"], row["undo_detail"]) == (False, "could not be undone: TimeoutError")


def test_cancelling_undoes_everything_and_writes_it_down(course: Course) -> None:
    timeline = course.timeline(
        LONG_PAUSE,
        "fault: process_killed, process: edge_a, at_s: 0, for_s: 9",
        "fault: process_killed, process: kitchen, at_s: 8, for_s: 1",
    )

    async def run() -> None:
        task = asyncio.create_task(timeline.run(now_us()))
        for _ in range(1000):
            if process_state(course["s1.edge_b"].pid or 0) == "T" and course["s1.edge_a"].pid is None:
                break
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    rows = course.rows()
    assert sorted(row["resolved"] for row in rows) == ["edge_a", "edge_b"]
    assert all(row["undone"] for row in rows)
    assert timeline.in_force == []
    assert course["s1.edge_a"].pid is not None
    assert process_state(course["s1.edge_b"].pid or 0) != "T"


def test_a_fault_is_undone_and_written_down_however_often_it_is_cancelled(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(self: Sleeper, timeout_s: float = 1.0) -> None:
        await asyncio.sleep(0.3)

    monkeypatch.setattr(Sleeper, "wait_ready", slowly)
    timeline = course.timeline("fault: process_killed, process: edge_a, at_s: 0, for_s: 9")

    async def run() -> None:
        running = asyncio.create_task(timeline.run(now_us()))
        for _ in range(1000):
            if course["s1.edge_a"].pid is None:
                break
            await asyncio.sleep(0.01)
        (fault,) = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "_one"]
        for _ in range(3):
            fault.cancel()
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())
    (row,) = course.rows()
    assert (row["resolved"], row["undone"]) == ("edge_a", True)


def test_a_fault_that_is_cancelled_while_it_begins_is_undone_afterwards(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill, killing = Sleeper.kill, threading.Event()

    def slowly(self: Sleeper) -> None:
        killing.set()
        time.sleep(0.2)
        kill(self)

    monkeypatch.setattr(Sleeper, "kill", slowly)
    timeline = course.timeline("fault: process_killed, process: edge_a, at_s: 0, for_s: 9")

    async def run() -> None:
        running = asyncio.create_task(timeline.run(now_us()))
        await asyncio.to_thread(killing.wait, 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())
    (row,) = course.rows()
    assert row["undone"]
    assert course["s1.edge_a"].pid is not None


def test_a_fault_that_does_not_hold_to_its_end_has_taken_no_effect(course: Course) -> None:
    async def run() -> None:
        task = asyncio.create_task(course.timeline(LONG_ENOUGH).run(now_us()))
        process = course["s1.arbiter"]
        for _ in range(1000):
            if process_state(process.pid or 0) == "T":
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.15)
        process.resume()
        await asyncio.sleep(0.1)
        process.pause()
        await task

    asyncio.run(run())
    (row,) = course.rows()
    assert (row["took_effect"], row["undone"]) == (False, True)
    assert "T is stopped; stopped at " in row["evidence"]


def test_what_breaks_the_proof_at_the_end_is_told_beside_that_of_the_beginning(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Paused) -> Effect:
        raise OSError("no /proc")

    monkeypatch.setattr(Paused, "held", fail)
    (row,) = course.run(PAUSE)
    assert (row["took_effect"], row["undone"]) == (False, True)
    assert row["evidence"].endswith("T is stopped; later: no /proc")


def test_a_primary_that_is_only_slow_awaits_no_failover(course: Course) -> None:
    slow, stopped = course.run(
        "fault: process_slow, process: primary, at_s: 0, for_s: 1",
        "fault: process_killed, process: primary, at_s: 1.5, for_s: 0.1",
    )
    assert (slow["kind"], slow["took_effect"], slow["hits_primary"]) == ("process_slow", True, False)
    assert (stopped["kind"], stopped["hits_primary"]) == ("process_killed", True)


def test_only_faults_of_disks_and_clocks_ask_for_control_files() -> None:
    assert not troubles_files(scenario(KILL_PRIMARY, PAUSE))
    assert troubles_files(scenario("fault: disk_full, process: edge_a, at_s: 1, for_s: 1"))
    assert troubles_files(scenario("fault: clock_drift, process: cloud, drift_ppm: 5, at_s: 1, for_s: 1"))


def test_only_a_power_cut_asks_for_files_that_forget() -> None:
    assert not cuts_power(scenario(KILL_PRIMARY))
    assert cuts_power(scenario(KILL_PRIMARY, "fault: power_cut, process: store, at_s: 5, for_s: 1"))


@pytest.mark.parametrize(("arbiter", "survives"), [("in_store", False), ("in_cloud", True)])
def test_a_power_cut_of_the_store_leaves_an_arbiter_in_the_cloud_alone(
    course: Course, arbiter: str, survives: bool
) -> None:
    before = course["s1.arbiter"].pid
    cut = "fault: power_cut, process: store, at_s: 0, for_s: 0.1"
    asyncio.run(course.timeline(cut, arbiter=arbiter).run(now_us()))
    (row,) = course.rows()
    assert row["undone"]
    assert ("arbiter" in row["resolved"]) is not survives
    assert (course["s1.arbiter"].pid == before) is survives


@pytest.mark.parametrize(
    ("arbiter", "kinds"), [("in_store", ["edge_cloud"]), ("in_cloud", ["edge_cloud", "edge_arbiter"])]
)
def test_what_hits_the_wan_hits_the_way_to_an_arbiter_in_the_cloud(
    course: Course, arbiter: str, kinds: list[str]
) -> None:
    class Asked(NoLinks):
        def __init__(self) -> None:
            self.kinds: list[str] = []

        def matching(self, kind: str, store: str | None) -> Sequence[Any]:
            self.kinds.append(kind)
            return []

    links = Asked()
    outage = "fault: link_down, link: edge_cloud, at_s: 0, for_s: 0.1"
    asyncio.run(course.timeline(outage, arbiter=arbiter, links=links).run(now_us()))
    assert links.kinds == kinds
