"""A live process is out of file descriptors, or out of memory: its limits are lowered with prlimit, as root or not.

Only the soft limit is touched, so that it can be raised again without any right. Whether the limit bites is tried from outside,
by real connections that the process should take.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from chaos.faults.base import Effect, FaultError, Target
from refsystem.processes import PythonProcess
from refsystem.settings import HOST

BACK_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 2.0
TRIES_SPARE = 40
"""How many connections are tried beyond those that may still be opened: the process may close some of its own meanwhile."""
UNANSWERED_MAX = 3
"""So many connections without an answer are waited for while descriptors are free: it may have closed some meanwhile."""
SETTLE_LOOKS = 50
SETTLE_LOOK_S = 0.01
BALLAST_BYTES = 7 * 1024 * 1024
BALLAST_SPARE = 2
"""How many requests beyond those for which the whole limit has room are tried."""
PIECE_BYTES = 64 * 1024
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
BEGIN_BODY = b"POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Held(NamedTuple):
    """A connection that we keep open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Limited:
    """A soft limit of a process is lowered, and raised again at the end; a process that ended is started again."""

    def __init__(self, process: PythonProcess, kind: int, shown_as: str, target: Target) -> None:
        self.target = target
        self._process = process
        self._kind = kind
        self._shown_as = shown_as
        self._pid: int | None = None
        self._before: tuple[int, int] | None = None
        """The limits before they were lowered; None while they were not."""
        self._limit = 0
        self._held: list[_Held] = []

    async def undo(self) -> str:
        """Raise the limit to what it was, let go of our connections, start the process if it has ended."""
        await self._let_go()
        if self._pid is None or self._before is None:
            return "nothing to undo: the limit was not lowered"
        if self._process.pid == self._pid:
            _set_limit(self._pid, self._kind, self._before)
            return f"{self._process.name} has its limit back: {_shown_limit(self._pid, self._shown_as)}"
        code = self._process.exit_code
        if self._process.pid is None:
            self._process.start()
        await self._process.wait_ready(BACK_TIMEOUT_S)
        return f"{self._process.name} had ended with exit code {code} and runs as process {self._process.pid}"

    async def _let_go(self) -> None:
        held, self._held = self._held, []
        for connection in held:
            connection.writer.transport.abort()
        for connection in held:
            with contextlib.suppress(OSError):
                await connection.writer.wait_closed()

    async def _connect(self) -> _Held:
        connection = _Held(*await asyncio.open_connection(HOST, self._process.port))
        self._held.append(connection)
        return connection

    def _lower(self, limit: int) -> None:
        assert self._pid is not None
        before = _limits(self._pid, self._kind)
        self._before, self._limit = before, limit
        _, hard = before
        _set_limit(self._pid, self._kind, (limit, hard))

    def _running_pid(self) -> int:
        pid = self._process.pid
        if pid is None:
            raise FaultError(f"{self._process.name} does not run, so it cannot be short of anything")
        self._pid = pid
        return pid

    def _is_lowered(self) -> bool:
        """Whether the kernel shows the limit of the process that was hit."""
        return self._process.pid == self._pid and str(self._limit) == _shown_limit(self._pid, self._shown_as)

    def _ended(self) -> Effect:
        return Effect(True, f"{self._process.name} has ended, with exit code {self._process.exit_code}")


class DescriptorsExhausted(_Limited):
    """RLIMIT_NOFILE is lowered to what is open, and `spare` more."""

    def __init__(self, process: PythonProcess, spare: int, target: Target) -> None:
        super().__init__(process, resource.RLIMIT_NOFILE, "Max open files", target)
        self._spare = spare

    async def begin(self) -> None:
        """Lower the limit; raises `FaultError` if the process does not run."""
        pid = self._running_pid()
        self._lower(_limit_for(_open_descriptors(pid), self._spare))

    async def prove(self) -> Effect:
        """The kernel shows the limit and no free descriptor below it, and a further connection gets no answer.

        Connections are opened and held until it is so. One without an answer alone shows nothing: the process may hang.
        """
        unanswered = 0
        for tried in range(1, self._spare + TRIES_SPARE + 1):
            if self._process.pid != self._pid:
                return self._ended()
            answer = await self._ask()
            if not answer.startswith(b"HTTP/1.1 200"):
                unanswered += 1
                free = await self._free_when_settled()
                told = self._told(f"connection {tried} of ours got no answer")
                if not free:
                    return Effect(self._is_lowered(), told)
                if unanswered == UNANSWERED_MAX:
                    return Effect(False, f"{told}, though {free} descriptors below the limit are free")
        return Effect(False, self._told(f"it answered {self._spare + TRIES_SPARE} new connections"))

    async def held(self) -> Effect:
        """It can take none at the end either."""
        return await self.prove()

    async def _free_when_settled(self) -> int:
        """How many descriptors it could still open, as soon as that is none, or after a moment.

        libuv gives up a descriptor that it keeps in reserve to hang up on a connection, and takes it again just afterwards.
        """
        for _ in range(SETTLE_LOOKS):
            if not self._free_below_limit():
                return 0
            await asyncio.sleep(SETTLE_LOOK_S)
        return self._free_below_limit()

    def _free_below_limit(self) -> int:
        """How many descriptors the process could still open."""
        assert self._pid is not None
        return self._limit - sum(number < self._limit for number in _open_descriptors(self._pid))

    async def _ask(self) -> bytes:
        """What a new connection is answered; it is held when there is an answer."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                connection = await self._connect()
                connection.writer.write(ASK)
                return await connection.reader.read(PIECE_BYTES)
        except (OSError, TimeoutError):
            return b""

    def _told(self, what: str) -> str:
        assert self._pid is not None
        count = len(_open_descriptors(self._pid))
        shown = _shown_limit(self._pid, self._shown_as)
        return f"{self._process.name} has {count} descriptors open, its limit is {shown}, and {what}"


class MemoryExhausted(_Limited):
    """RLIMIT_AS is lowered to what the process has, and `spare_mb` more."""

    def __init__(self, process: PythonProcess, spare_mb: float, target: Target) -> None:
        super().__init__(process, resource.RLIMIT_AS, "Max address space", target)
        self._spare_bytes = round(spare_mb * 1e6)

    async def begin(self) -> None:
        """Lower the limit; raises `FaultError` if the process does not run, or has no room for a request as it is."""
        pid = self._running_pid()
        if not await self._hold_ballast():
            raise FaultError(f"{self._process.name} does not hold a request of {BALLAST_BYTES / 1e6:.0f} MB as it is")
        await self._let_go()
        self._lower(psutil.Process(pid).memory_info().vms + self._spare_bytes)

    async def prove(self) -> Effect:
        """The kernel shows the limit, and requests that never end are made until the process has no room for one.

        It must hold the body of each, as much as a body may have, and did so before; now it hangs up on one, or ends.
        """
        if not self._is_lowered():
            return Effect(False, f"{self._process.name} has another limit than {self._limit}")
        shown = f"{self._process.name} may have {self._limit / 1e6:.0f} MB"
        tries = self._limit // BALLAST_BYTES + BALLAST_SPARE  # what it has taken from the kernel may be free within
        for tried in range(1, tries + 1):
            held = await self._hold_ballast()
            if self._process.pid != self._pid:
                return Effect(True, f"{shown} and ended at request {tried}, with exit code {self._process.exit_code}")
            if not held:
                return Effect(
                    True, f"{shown} and hung up or told an error at request {tried} of {BALLAST_BYTES / 1e6:.0f} MB"
                )
        return Effect(False, f"{shown}, and held {tries} requests of {BALLAST_BYTES / 1e6:.0f} MB")

    async def held(self) -> Effect:
        """The limit stands at the end, or the process has ended."""
        if self._process.pid != self._pid:
            return self._ended()
        return Effect(self._is_lowered(), f"the limit stands, and {len(self._held)} of our requests are held")

    async def _hold_ballast(self) -> bool:
        """Send a body that does not end; whether the process holds it."""
        size = b"%x\r\n" % PIECE_BYTES
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                connection = await self._connect()
                connection.writer.write(BEGIN_BODY)
                for _ in range(BALLAST_BYTES // PIECE_BYTES):
                    connection.writer.write(size + bytes(PIECE_BYTES) + b"\r\n")
                    await connection.writer.drain()
        except TimeoutError:
            return True  # it reads slowly; what it has read is held
        except OSError:
            return False
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(connection.reader.read(1), 0.1)
            return False  # hung up, or an error told: a body that has not ended has no other answer
        return True


def _limits(pid: int, kind: int) -> tuple[int, int]:
    soft, hard = psutil.Process(pid).rlimit(kind)
    return soft, hard


def _set_limit(pid: int, kind: int, limits: tuple[int, int]) -> None:
    psutil.Process(pid).rlimit(kind, limits)


def _open_descriptors(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return []


def _limit_for(descriptors: Sequence[int], spare: int) -> int:
    """The limit under which `spare` further descriptors can be opened: the kernel gives the lowest that is free."""
    taken = set(descriptors)
    limit = 0
    while limit in taken or spare:
        spare -= limit not in taken
        limit += 1
    return limit


def _shown_limit(pid: int | None, shown_as: str) -> str:
    """The soft limit as /proc shows it."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    except OSError:
        return "gone"
    (line,) = [line for line in lines if line.startswith(shown_as)]
    return line.removeprefix(shown_as).split()[0]
