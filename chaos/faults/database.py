"""The database is out of connections: every one that it allows is held, by real sessions."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg

from chaos.faults.base import Effect, FaultError, Target
from refsystem.processes import Managed
from refsystem.stack import Stack

HELD_MAX = 1_000
CONNECT_TIMEOUT_S = 3.0
REFILL_EVERY_S = 0.1


class ConnectionsExhausted:
    """Opens connections until the server refuses, and takes each one that comes free, until the end of the fault.

    What others hold already they keep: it is a new connection that nobody gets.
    """

    def __init__(self, stack: Stack, process: Managed, target: Target) -> None:
        self.target = target
        self._stack = stack
        self._process = process
        self._held: list[asyncpg.Connection] = []
        self._filling: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Open connections until the server refuses; raises `FaultError` if it does not run."""
        if self._process.pid is None:
            raise FaultError("PostgreSQL does not run, so it cannot be out of connections")
        await self._fill()
        self._filling = asyncio.create_task(self._keep_full())

    async def prove(self) -> Effect:
        """One more connection is refused by the server itself, for want of connections."""
        return await self._effect()

    async def held(self) -> Effect:
        """It is refused at the end too."""
        return await self._effect()

    async def undo(self) -> str:
        """Give every connection back; raises `FaultError` if the server gives none even then."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        count = len(self._held)
        for connection in self._held:
            connection.terminate()
        self._held.clear()
        for _ in range(20):
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                await (await self._connect()).close()
                return f"{count} connections given back; a new one is granted"
            await asyncio.sleep(REFILL_EVERY_S)
        raise FaultError(f"{count} connections given back, but PostgreSQL grants none")

    async def _effect(self) -> Effect:
        try:
            connection = await self._connect()
        except asyncpg.TooManyConnectionsError as error:
            held = f"{len(self._held)} connections are held"
            return Effect(True, f"{held}; one more is refused: {error} (SQLSTATE {error.sqlstate})")
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            return Effect(False, f"a further connection fails for another reason: {type(error).__name__} {error}")
        connection.terminate()
        return Effect(False, f"{len(self._held)} connections are held, and a further one was granted")

    async def _keep_full(self) -> None:
        while True:
            await asyncio.sleep(REFILL_EVERY_S)
            self._held = [connection for connection in self._held if not connection.is_closed()]
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                await self._fill()

    async def _fill(self) -> None:
        while len(self._held) < HELD_MAX:
            try:
                self._held.append(await self._connect())
            except asyncpg.TooManyConnectionsError:
                return

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._stack.database_url, timeout=CONNECT_TIMEOUT_S)
