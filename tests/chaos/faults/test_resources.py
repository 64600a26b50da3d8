"""A live process without descriptors or memory: proven by the kernel and by what it can no longer take, undone as anybody."""

from __future__ import annotations

import asyncio
import os
import resource
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import httpx
import psutil
import pytest

from chaos.faults import resources
from chaos.faults.base import Effect, FaultError, Target
from chaos.faults.resources import DescriptorsExhausted, MemoryExhausted
from refsystem.edge.driver import FAIL_STOP_EXIT_CODE, Driver, _on_loop_exception
from refsystem.edge.journal import FLUSH_FAILED_EXIT_CODE, Journal

pytestmark = pytest.mark.slow


def target() -> Target:
    return Target("process", "process")


def answers(store: Any, process: str) -> bool:
    """Whether a new connection is answered."""
    try:
        return httpx.get(f"{store.url(process)}/health", trust_env=False, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_the_limit_leaves_room_for_so_many_descriptors_and_no_more() -> None:
    assert resources._limit_for([0, 1, 2], 0) == 3
    assert resources._limit_for([0, 1, 2], 2) == 5
    assert resources._limit_for([0, 1, 3, 4, 6], 0) == 2
    assert resources._limit_for([0, 1, 3, 4, 6], 1) == 5
    assert resources._limit_for([0, 1, 3, 4, 6], 2) == 7
    taken = [int(name) for name in os.listdir("/proc/self/fd")]
    assert resources._limit_for(taken, 0) not in taken


@pytest.mark.parametrize(("process", "spare"), [("s1.edge_b", 0), ("s1.edge_a", 3), ("s1.arbiter", 0)])
def test_a_process_without_descriptors_takes_no_more_connections(store: Any, process: str, spare: int) -> None:
    before = psutil.Process(store.process(process).pid).rlimit(resource.RLIMIT_NOFILE)
    fault = DescriptorsExhausted(store.program(process), spare, target())

    async def conversation() -> None:
        await fault.begin()
        try:
            effect = await fault.prove()
            assert effect.proven, effect.evidence
            assert "descriptors open, its limit is " in effect.evidence
            for _ in range(10):  # it may close connections of its own, which the next proof fills up again
                if not await asyncio.to_thread(answers, store, process):
                    break
                assert (await fault.prove()).proven
            else:
                raise AssertionError(f"{process} takes connections all the time")
            assert (await fault.held()).proven
        finally:
            undone = await fault.undo()
        assert undone.startswith(f"{process} has its limit back: ")

    asyncio.run(conversation())
    assert psutil.Process(store.process(process).pid).rlimit(resource.RLIMIT_NOFILE) == before
    assert answers(store, process)


def test_a_limit_that_was_not_lowered_proves_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "TRIES_SPARE", 3)
    fault = DescriptorsExhausted(store.program("s1.kitchen"), 0, target())

    async def conversation() -> None:
        try:
            with monkeypatch.context() as broken:
                broken.setattr(resources, "_set_limit", lambda *_: None)
                await fault.begin()
            effect = await fault.prove()
            assert not effect.proven
            assert effect.evidence.endswith("it answered 3 new connections")
        finally:
            await fault.undo()

    asyncio.run(conversation())


@pytest.mark.parametrize(("name", "spare_mb"), [("s1.edge_b", 0), ("s1.kitchen", 20), ("s1.arbiter", 5)])
def test_a_process_without_memory_hangs_up_or_stops_and_is_well_afterwards(
    store: Any, name: str, spare_mb: float
) -> None:
    process = store.program(name)
    pid = process.pid
    before = psutil.Process(pid).rlimit(resource.RLIMIT_AS)
    fault = MemoryExhausted(process, spare_mb, target())

    async def conversation() -> None:
        try:
            await fault.begin()
            effect = await fault.prove()
            assert effect.proven, effect.evidence
            assert effect.evidence.startswith(f"{name} may have ")
            assert (await fault.held()).proven
        finally:
            await fault.undo()

    asyncio.run(conversation())
    assert answers(store, name)
    if process.pid == pid:
        assert psutil.Process(pid).rlimit(resource.RLIMIT_AS) == before


def test_a_process_that_ended_for_want_of_memory_is_started_again(store: Any) -> None:
    process = store.program("s1.kitchen")
    pid = process.pid
    fault = MemoryExhausted(process, 0, target())

    async def conversation() -> None:
        try:
            await fault.begin()
            process.kill()
            effect = await fault.prove()
            assert effect.proven is False
            held = await fault.held()
            assert (held.proven, held.evidence) == (True, "s1.kitchen has ended, with exit code -9")
        finally:
            undone = await fault.undo()
        assert "s1.kitchen had ended with exit code -9 and runs as process " in undone

    asyncio.run(conversation())
    assert process.pid not in (None, pid)


def test_a_device_that_runs_out_of_memory_in_the_middle_of_a_step_takes_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that was interrupted half-way could acknowledge what it has not handed to the disk (P2)."""
    codes: list[int] = []

    def leave(code: int) -> NoReturn:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)

    def fail(*_: Any) -> NoReturn:
        raise MemoryError

    driver = Driver.__new__(Driver)
    driver._ended = False
    driver._timer = None
    driver.device = cast(Any, SimpleNamespace(take_ready=fail, receive=fail, tick=fail, persisted=fail))
    for step in (driver.pump, driver._tick, lambda: driver._on_peer([cast(Any, "message")])):
        with pytest.raises(SystemExit):
            step()
    with pytest.raises(SystemExit):
        _on_loop_exception(cast(Any, None), {"exception": MemoryError()})
    assert codes == [FAIL_STOP_EXIT_CODE] * 4


def test_a_journal_that_fails_outside_a_flush_ends_its_device_too(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)

    def fail(_: Any) -> NoReturn:
        raise MemoryError

    journal = Journal(cast(Any, None), fail)
    journal.start()
    journal.add(cast(Any, SimpleNamespace(persist=())))
    journal._thread.join(5)
    assert codes == [FLUSH_FAILED_EXIT_CODE]


def test_memory_that_was_not_limited_proves_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = MemoryExhausted(store.program("s1.kitchen"), 0, target())

    async def conversation() -> Effect:
        try:
            with monkeypatch.context() as broken:
                broken.setattr(resources, "_set_limit", lambda *_: None)
                await fault.begin()
            return await fault.prove()
        finally:
            await fault.undo()

    effect = asyncio.run(conversation())
    assert not effect.proven
    assert "has another limit than" in effect.evidence


def test_what_does_not_run_cannot_be_short_of_anything(store: Any) -> None:
    process = store.program("s1.kitchen")
    process.kill()
    for fault in (DescriptorsExhausted(process, 0, target()), MemoryExhausted(process, 0, target())):
        with pytest.raises(FaultError, match=r"s1\.kitchen does not run, so it cannot be short of anything"):
            asyncio.run(fault.begin())
        assert asyncio.run(fault.undo()) == "nothing to undo: the limit was not lowered"
