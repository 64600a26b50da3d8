"""The cloud's way to PostgreSQL: a bounded pool that heals by itself, and what a failure means for whoever asked.

The link may be slow or cut, and the server may be killed. Every wait has a limit. A connection that failed in any way is
thrown away, and the next request opens a new one. A failure before a write began is definite; after that nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosql
import asyncpg
from asyncpg.pool import PoolConnectionProxy

from refsystem.ordering.errors import OUTCOME_UNKNOWN, OVERLOADED, STORAGE_UNAVAILABLE, Problem
from refsystem.problems import ProblemError

logger = logging.getLogger(__name__)

CONNECTIONS_MIN = 2
CONNECTIONS_MAX = 10
WAITING_MAX = 500
ACQUIRE_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 3.0
COMMAND_TIMEOUT_S = 5.0
REOPEN_AFTER_S = 0.2

SERVER_SETTINGS = {
    "application_name": "rushproof-cloud",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    # A client that a cut link has silenced must not keep a store's row locked.
    "idle_in_transaction_session_timeout": "3000",
    "statement_timeout": "5000",
}

queries: Any = aiosql.from_path(Path(__file__).with_name("sql"), "asyncpg")

Connection = PoolConnectionProxy
STATEMENT_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
LINK_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class _Connection(asyncpg.Connection):
    """No round trip to reset a connection before the next use: nothing here changes a session."""

    def get_reset_query(self) -> str:
        """Nothing."""
        return ""


class Database:
    """The pool, opened in the background and for as long as it takes. SQL is in `queries`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool | None = None
        self._opening: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._waiting = 0

    async def start(self) -> None:
        """Begin to open the pool; until it is open, every request is told that the storage is unavailable."""
        self._opening = asyncio.create_task(self._open())

    async def opened(self) -> None:
        """Return when the pool is open and the tables are there."""
        await self._opened.wait()

    async def stop(self) -> None:
        """Close every connection."""
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), timeout=1)
            except TimeoutError:
                self._pool.terminate()

    @contextlib.asynccontextmanager
    async def reading(self, problem: Problem = STORAGE_UNAVAILABLE) -> AsyncIterator[Connection]:
        """A connection for single reads; a failure is told as `problem`, for nothing was written."""
        async with self._connection() as connection:
            with self._failing_as(connection, problem):
                yield connection

    @contextlib.asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """A connection for one writing statement, which is a transaction of its own; after a failure nobody knows."""
        async with self._connection() as connection:
            with self._failing_as(connection, OUTCOME_UNKNOWN):
                yield connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection within a transaction, committed at the end; after a failure nobody knows.

        Errors that are the statement's fault (`STATEMENT_ERRORS`) roll back and come through as they are.
        """
        async with self._connection() as connection:
            with self._failing_as(connection, OUTCOME_UNKNOWN):
                async with connection.transaction():
                    yield connection

    @contextlib.contextmanager
    def _failing_as(self, connection: Connection, problem: Problem) -> Any:
        try:
            yield
        except STATEMENT_ERRORS:
            raise
        except LINK_ERRORS as error:
            logger.warning("the database failed: %s: %s", type(error).__name__, error)
            _discard(connection)
            raise ProblemError(problem, "the database did not answer") from error
        except asyncio.CancelledError:
            _discard(connection)
            raise

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise ProblemError(STORAGE_UNAVAILABLE, "the database was not reached yet")
        if self._waiting >= WAITING_MAX:
            raise ProblemError(OVERLOADED, f"{self._waiting} requests wait for the database")
        self._waiting += 1
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except LINK_ERRORS as error:
            logger.warning("no connection to the database: %s: %s", type(error).__name__, error)
            raise ProblemError(STORAGE_UNAVAILABLE, "no connection to the database") from error
        finally:
            self._waiting -= 1
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    async def _open(self) -> None:
        while True:
            pool = asyncpg.create_pool(
                self._url,
                min_size=CONNECTIONS_MIN,
                max_size=CONNECTIONS_MAX,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                connection_class=_Connection,
                server_settings=SERVER_SETTINGS,
            )
            try:
                await pool
                async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                    await queries.create_schema(connection)
                    await queries.create_platform_schema(connection)
                    await queries.create_stock_schema(connection)
            except LINK_ERRORS as error:
                logger.warning("the database cannot be opened yet: %s: %s", type(error).__name__, error)
                pool.terminate()
                await asyncio.sleep(REOPEN_AFTER_S)
            except asyncio.CancelledError:
                pool.terminate()
                raise
            else:
                self._pool = pool
                self._opened.set()
                logger.info("the database is open")
                return


def _discard(connection: Connection) -> None:
    """Close a connection at once. One that was lost has left the pool already, which asyncpg tells by an error."""
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()
