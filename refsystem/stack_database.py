"""The private PostgreSQL as a process that faults can be put on."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor, wait

from refsystem.cloud.postgres import PostgresError, PrivatePostgres
from refsystem.processes import READY_TIMEOUT_S, StackError


class DatabaseProcess:
    """The private PostgreSQL.

    It is started in a thread of its own, which lives as long as this object does: starting waits for the recovery of a crash,
    and the server ends with the thread that started it.
    """

    name = "postgres"

    def __init__(self, server: PrivatePostgres) -> None:
        self.server = server
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="postgres")
        self._started: Future[None] | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self.server.pid if self._started is None or self._started.done() else None

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        self._settle()
        self.server.kill()

    def pause(self) -> None:
        """SIGSTOP to all of its processes."""
        self.server.pause()

    def resume(self) -> None:
        """SIGCONT to all of its processes."""
        self.server.resume()

    def start(self) -> None:
        """Begin to start (again), on the same port and data once there are any; `wait_ready` tells how it went."""
        if self._started is not None and not self._started.done():
            return
        assert self.pid is None, "PostgreSQL runs already"
        self._started = self._starter.submit(self.server.start)

    def started(self) -> None:
        """Wait for the start; raises `PostgresError` if it failed."""
        assert self._started is not None
        self._started.result()

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when it takes connections; raises `StackError` if it cannot be started or the time runs out."""
        assert self._started is not None
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.wrap_future(self._started)
        except (PostgresError, OSError) as error:
            raise StackError(
                f"PostgreSQL did not start: {str(error) or f'no answer within {timeout_s:g} s'}"
            ) from error

    def stop(self) -> None:
        """End it and remove its data."""
        try:
            self._settle()
            self.server.stop()
        finally:
            self._starter.shutdown()

    def _settle(self) -> None:
        """Wait until a start under way has succeeded or failed."""
        if self._started is not None:
            wait([self._started])
