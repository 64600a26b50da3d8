"""Faults of processes on a real store: each takes effect, its proof can fail, and it is undone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import httpx
import pytest

from chaos.faults import restarts, slowness
from chaos.faults.base import Effect, FaultError, Target
from chaos.faults.processes import DiskLost, Killed, Paused, Restarted
from chaos.faults.restarts import RestartLoop
from chaos.faults.slowness import Slowed
from chaos.faults.watching import StateWatch
from refsystem.processes import StackError, process_state

pytestmark = pytest.mark.slow


def target(*disk_lost_node_ids: str) -> Target:
    return Target("process", "processes", disk_lost_node_ids=list(disk_lost_node_ids))


def node_id(store: Any, process: str) -> str:
    return str(store.status(process)["node_id"])


def test_a_kill_is_proven_and_undone(store: Any) -> None:
    fault = Killed(store, [store.process("s1.edge_b")], target())
    pid = store.process("s1.edge_b").pid

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven
        assert str(pid) in effect.evidence
        assert process_state(pid) is None
        done = await fault.undo()
        assert done.startswith("started again: s1.edge_b (process ")

    asyncio.run(conversation())
    assert store.process("s1.edge_b").pid not in (None, pid)
    assert store.status("s1.edge_b") is not None


def test_a_kill_of_what_was_dead_proves_nothing(store: Any) -> None:
    process = store.process("s1.kitchen")
    process.kill()
    fault = Killed(store, [process], target())

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert (effect.proven, effect.evidence) == (False, "s1.kitchen did not run when it was to be killed")
        await fault.undo()

    asyncio.run(conversation())
    assert process.pid is not None


def test_a_kill_that_does_not_kill_proves_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    process = store.process("s1.kitchen")
    monkeypatch.setattr(type(process), "kill", lambda _: None)
    fault = Killed(store, [process], target())
    asyncio.run(fault.begin())
    effect = asyncio.run(fault.prove())
    assert not effect.proven
    assert "still runs" in effect.evidence
    asyncio.run(fault.undo())


def test_a_restart_is_a_new_process(store: Any) -> None:
    process = store.process("s1.arbiter")
    pid = process.pid
    fault = Restarted(store, [process], target())

    async def conversation() -> None:
        await fault.begin()
        assert process.pid not in (None, pid)
        assert (await fault.prove()).proven
        await fault.undo()

    asyncio.run(conversation())


def test_a_pause_is_proven_and_undone(store: Any) -> None:
    process = store.process("s1.edge_b")
    fault = Paused(process, target())

    async def conversation() -> None:
        assert not (await fault.prove()).proven
        await fault.begin()
        assert process_state(process.pid) == "T"
        assert (await fault.prove()).proven
        assert store.status("s1.edge_b") is None
        assert await fault.undo() == "s1.edge_b goes on"
        assert not (await fault.prove()).proven

    asyncio.run(conversation())
    assert process_state(process.pid) != "T"


def test_a_pause_that_was_undone_behind_its_back_proves_nothing(store: Any) -> None:
    process = store.process("s1.edge_b")
    fault = Paused(process, target())
    asyncio.run(fault.begin())
    os.kill(process.pid, signal.SIGCONT)
    effect = asyncio.run(fault.prove())
    assert not effect.proven
    assert "T is stopped" in effect.evidence


def test_a_pause_is_proven_all_through(store: Any) -> None:
    process = store.process("s1.edge_b")
    fault = Paused(process, target())

    async def conversation(interrupted: bool) -> Effect:
        await fault.begin()
        assert (await fault.prove()).proven
        await asyncio.sleep(0.2)
        if interrupted:
            process.resume()
            await asyncio.sleep(0.1)
            process.pause()
            await asyncio.sleep(0.1)
        held = await fault.held()
        await fault.undo()
        return held

    held = asyncio.run(conversation(interrupted=False))
    assert held.proven
    looks = held.evidence.split()
    assert int(looks[2]) == int(looks[4]) > 5, "stopped at all looks"
    assert not asyncio.run(conversation(interrupted=True)).proven, "it was stopped at the beginning and at the end only"


def test_a_slow_process_answers_and_its_share_of_time_is_proven(store: Any) -> None:
    process = store.process("s1.kitchen")
    fault = Slowed(process, 10, target())

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven, effect.evidence
        assert "90% of the time was asked for" in effect.evidence
        began_s = time.monotonic()
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            assert (await http.get(f"{store.url('s1.kitchen')}/health")).status_code == 200, "it lives"
        assert time.monotonic() - began_s < 5
        held = await fault.held()
        assert held.proven, held.evidence
        assert await fault.undo() == "s1.kitchen runs all the time again"

    asyncio.run(conversation())
    watch = StateWatch(process.pid)
    watch.start()
    time.sleep(0.4)
    assert watch.end().stopped == 0


@pytest.mark.parametrize("never", ["pause", "resume"])
def test_a_process_that_is_not_slow_or_stands_still_proves_nothing(
    store: Any, monkeypatch: pytest.MonkeyPatch, never: str
) -> None:
    monkeypatch.setattr(slowness, "PROOF_TIMEOUT_S", 1.5)
    process = store.process("s1.kitchen")
    with monkeypatch.context() as broken:
        broken.setattr(type(process), never, lambda _: None)
        fault = Slowed(process, 10, target())
        asyncio.run(fault.begin())
        assert not asyncio.run(fault.prove()).proven
    asyncio.run(fault.undo())
    assert process_state(process.pid) != "T"


def test_what_does_not_run_can_be_neither_slow_nor_restarted(store: Any) -> None:
    process = store.process("s1.kitchen")
    process.kill()
    with pytest.raises(FaultError, match=r"s1\.kitchen does not run, so it cannot be slow"):
        asyncio.run(Slowed(process, 10, target()).begin())
    with pytest.raises(FaultError, match=r"s1\.kitchen does not run, so it cannot be restarted"):
        asyncio.run(RestartLoop(process, 0.3, target()).begin())


def test_a_restart_loop_kills_again_and_again_and_ends(store: Any) -> None:
    process = store.process("s1.kitchen")
    first = process.pid
    fault = RestartLoop(process, 0.3, target())

    async def conversation() -> None:
        await fault.begin()
        assert process.pid not in (None, first)
        effect = await fault.prove()
        assert effect.proven, effect.evidence
        await asyncio.sleep(0.5)
        held = await fault.held()
        assert held.proven
        assert held.evidence.startswith("s1.kitchen was killed ")
        assert int(held.evidence.split()[3]) >= 3
        done = await fault.undo()
        assert done == f"s1.kitchen stays up (process {process.pid})"

    asyncio.run(conversation())
    assert store.status("s1.kitchen") is not None


def test_a_restart_loop_that_kills_once_proves_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "PROOF_SLACK_S", 0.1)
    process = store.process("s1.kitchen")
    fault = RestartLoop(process, 0.3, target())

    async def conversation() -> None:
        await fault.begin()
        with monkeypatch.context() as broken:
            broken.setattr(type(process), "kill", lambda _: None)
            effect = await fault.prove()
            assert not effect.proven, effect.evidence
            await fault._stop()
        await fault.undo()

    asyncio.run(conversation())


def test_a_pause_of_what_is_dead_proves_nothing_and_its_undoing_says_so(store: Any) -> None:
    process = store.process("s1.kitchen")
    process.kill()
    fault = Paused(process, target())
    asyncio.run(fault.begin())
    assert not asyncio.run(fault.prove()).proven
    with pytest.raises(StackError, match=r"s1\.kitchen ended while it was paused"):
        asyncio.run(fault.undo())


def test_a_lost_disk_is_proven_and_comes_back_as_another_node(store: Any) -> None:
    lost = node_id(store, "s1.edge_b")
    fault = DiskLost(store, [store.process("s1.edge_b")], target(lost))

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven
        assert effect.evidence.endswith("its files are gone")
        assert not store.data_folder("s1.edge_b").exists()
        done = await fault.undo()
        assert "; s1.edge_b is now node b-" in done
        assert lost not in done

    asyncio.run(conversation())
    assert node_id(store, "s1.edge_b") != lost


def test_a_disk_that_is_still_there_proves_nothing_and_is_told_when_the_node_comes_back(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = node_id(store, "s1.edge_b")
    monkeypatch.setattr(type(store), "remove_data", lambda *_: None)
    fault = DiskLost(store, [store.process("s1.edge_b")], target(lost))
    asyncio.run(fault.begin())
    effect = asyncio.run(fault.prove())
    assert (effect.proven, effect.evidence) == (False, "the files of s1.edge_b are still there")
    with pytest.raises(StackError, match=f"s1.edge_b came back as {lost}: its disk was not lost"):
        asyncio.run(fault.undo())


def test_a_device_that_does_not_come_back_is_told(store: Any) -> None:
    fault = DiskLost(store, [store.process("s1.edge_b")], target())
    asyncio.run(fault.begin())
    folder = store.data_folder("s1.edge_b")
    folder.parent.joinpath("s1.edge_b").write_text("a file where a folder belongs")
    try:
        with pytest.raises(StackError, match=r"^s1\.edge_b ended during its start: rushproof edge: "):
            asyncio.run(fault.undo())
    finally:
        folder.unlink()


def test_a_power_cut_needs_files_that_lose_what_was_not_synced(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("s1.edge_a", "s1.edge_b", "s1.arbiter", "s1.kitchen")
    fault = Killed(store, [store.process(name) for name in names], target(), power=True)

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven
        assert "in memory what was not synced" in effect.evidence
        with monkeypatch.context() as plain:
            plain.setattr(type(store.settings), "volatile", False)
            effect = await fault.prove()
        assert not effect.proven
        assert "not a power cut" in effect.evidence
        await fault.undo()

    asyncio.run(conversation())
    assert all(store.process(name).pid is not None for name in names)


def test_the_power_of_a_store_fails_everywhere_at_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = [store.process(f"s1.{name}") for name in ("edge_a", "edge_b", "arbiter")]
    kill = type(processes[0]).kill
    all_at_once = threading.Barrier(len(processes), timeout=5)

    def kill_together(process: Any) -> None:
        all_at_once.wait()
        kill(process)

    monkeypatch.setattr(type(processes[0]), "kill", kill_together)
    fault = Killed(store, processes, target(), power=True)

    async def conversation() -> None:
        await fault.begin()
        assert (await fault.prove()).proven
        await fault.undo()

    asyncio.run(conversation())
