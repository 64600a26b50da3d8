"""Faults of a real PostgreSQL: killed, paused, slow, out of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from chaos.faults.base import Effect, FaultError, Target
from chaos.faults.database import ConnectionsExhausted
from chaos.faults.probes import STARTUP_BYTES_MAX, exchange, probe_bytes
from chaos.faults.processes import Killed, Paused
from chaos.faults.slowness import Slowed
from refsystem.processes import process_state
from refsystem.stack import Stack
from refsystem.stack_settings import StackSettings

pytestmark = pytest.mark.slow

SOME_PERIODS_OF_WORK = "SELECT count(*) FROM generate_series(1, 3000000)"
"""About half a second's work: on a busy machine less of it would fit between two stops (`PERIOD_S`)."""


def target() -> Target:
    return Target("postgres", "postgres")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only PostgreSQL runs."""
    folder = tmp_path_factory.mktemp("database")
    made = Stack(StackSettings(folder, (), Path("unused")))
    try:
        made.reserve()
        yield made
    finally:
        made.stop()


@pytest.fixture
def stack(started: Stack) -> Iterator[Stack]:
    yield started
    process = started.process("postgres")
    process.resume()
    if process.pid is None:
        process.start()
    asyncio.run(process.wait_ready())


async def query(stack: Stack, timeout_s: float = 2.0) -> int:
    """A new connection and a question; raises what goes wrong."""
    async with asyncio.timeout(timeout_s):
        connection = await asyncpg.connect(stack.database_url, timeout=timeout_s)
        try:
            return int(await connection.fetchval("SELECT 1"))
        finally:
            connection.terminate()


def test_postgres_answers_a_long_probe_when_it_has_all_of_it(stack: Stack) -> None:
    address = urlsplit(stack.database_url)
    sent = probe_bytes("cloud_database", 100_000)
    found = asyncio.run(exchange(address.hostname or "127.0.0.1", address.port or 5432, sent, 5.0, whole=True))
    assert found is not None
    assert found.sent_bytes == STARTUP_BYTES_MAX + 8
    assert found.received_bytes > 10, "it says that it knows no such version"
    assert asyncio.run(query(stack)) == 1


def test_postgres_is_killed_and_comes_back(stack: Stack) -> None:
    fault = Killed(stack, [stack.process("postgres")], target())

    async def conversation() -> None:
        await fault.begin()
        assert (await fault.prove()).proven
        with pytest.raises(OSError, match=r"refused|Connect"):
            await query(stack)
        await fault.undo()
        assert await query(stack, 10) == 1

    asyncio.run(conversation())


def test_postgres_is_paused_with_every_backend(stack: Stack) -> None:
    fault = Paused(stack.process("postgres"), target())

    async def conversation() -> None:
        open_before = await asyncpg.connect(stack.database_url)
        backend = open_before.get_server_pid()
        await fault.begin()
        assert (await fault.prove()).proven
        assert process_state(backend) == "T"
        with pytest.raises(TimeoutError):
            await query(stack, 0.5)
        assert (await fault.held()).proven
        await fault.undo()
        assert await open_before.fetchval("SELECT 1") == 1
        open_before.terminate()

    asyncio.run(conversation())


def test_postgres_is_slow_by_stopping_all_of_its_processes_most_of_the_time(stack: Stack) -> None:
    fault = Slowed(stack.process("postgres"), 10, target())

    async def work() -> float:
        connection = await asyncpg.connect(stack.database_url)
        began_s = time.monotonic()
        await connection.fetchval(SOME_PERIODS_OF_WORK)
        connection.terminate()
        return time.monotonic() - began_s

    async def conversation() -> tuple[float, float, Effect]:
        before_s = await work()
        await fault.begin()
        assert (await fault.prove()).proven
        slow_s = await work()
        held = await fault.held()
        await fault.undo()
        return before_s, slow_s, held

    before_s, slow_s, held = asyncio.run(conversation())
    assert held.proven, held.evidence
    assert slow_s > 2 * before_s, (before_s, slow_s)


def test_postgres_out_of_connections_refuses_until_they_are_given_back(stack: Stack) -> None:
    fault = ConnectionsExhausted(stack, stack.process("postgres"), target())

    async def conversation() -> None:
        theirs = await asyncpg.connect(stack.database_url)
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven, effect.evidence
        assert "(SQLSTATE 53300)" in effect.evidence
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await query(stack)
        assert await theirs.fetchval("SELECT 1") == 1, "who has a connection keeps it"
        theirs.terminate()
        refused = 0
        while refused < 3:  # the one that came free is taken too
            try:
                await query(stack)
                refused = 0
            except asyncpg.TooManyConnectionsError:
                refused += 1
            await asyncio.sleep(0.1)
        assert (await fault.held()).proven
        done = await fault.undo()
        assert done.endswith(" connections given back; a new one is granted")
        assert int(done.split()[0]) > 10
        assert await query(stack) == 1

    asyncio.run(conversation())


def test_a_database_with_connections_left_proves_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = ConnectionsExhausted(stack, stack.process("postgres"), target())

    async def conversation() -> None:
        with monkeypatch.context() as lazy:
            lazy.setattr("chaos.faults.database.HELD_MAX", 3)
            await fault.begin()
            effect = await fault.prove()
            assert (effect.proven, effect.evidence) == (False, "3 connections are held, and a further one was granted")
            await fault.undo()

    asyncio.run(conversation())
    process = stack.process("postgres")
    process.kill()
    with pytest.raises(FaultError, match="PostgreSQL does not run"):
        asyncio.run(fault.begin())
    effect = asyncio.run(fault.prove())
    assert not effect.proven
    assert "fails for another reason" in effect.evidence
