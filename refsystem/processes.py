"""Processes of the stack as a launcher sees them: started, ready, killed, paused, started again, always ended.

A port is reserved by a bound socket that does not listen, for as long as its launcher lives; so a process that is killed
finds its port free when it starts again, and two stacks on one machine never meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from refsystem.lifeline import PARENT_VARIABLE
from refsystem.settings import HOST

READY_TIMEOUT_S = 40.0
POLL_S = 0.05
STOP_TIMEOUT_S = 6.0


class StackError(RuntimeError):
    """The stack could not be started or has failed."""


class Managed(Protocol):
    """What a fault can do to a process."""

    name: str

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""

    def kill(self) -> None:
        """SIGKILL; returns when it has ended."""

    def pause(self) -> None:
        """SIGSTOP."""

    def resume(self) -> None:
        """SIGCONT."""

    def start(self) -> None:
        """Start (again)."""

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when it answers; raises `StackError` if it ends or the time runs out."""


def reserve_port() -> socket.socket:
    """A free loopback port, held until the socket is closed."""
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reservation.bind((HOST, 0))
    return reservation


def process_state(pid: int) -> str | None:
    """The kernel's one-letter state of a process (`T`: stopped), or None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[0]


@dataclass
class PythonProcess:
    """A module of the stack run as a process; it answers `GET /health` on `port` when it is up."""

    name: str
    module: str
    environment: Mapping[str, str]
    port: int
    log_path: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How its last life ended; None while it runs, and before the first."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it. Must be called from a thread that lives as long as the process shall."""
        assert self.pid is None, f"{self.name} runs already"
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment |= {"PYTHONUNBUFFERED": "1", PARENT_VARIABLE: str(os.getpid()), **self.environment}
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "refsystem.lifeline", self.module],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL; returns when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP; returns when the kernel shows it stopped."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        deadline_s = time.monotonic() + 1.0
        while process_state(self._process.pid) not in ("T", None) and time.monotonic() < deadline_s:
            time.sleep(0.001)

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when it answers; raises `StackError` if it ends or the time runs out."""
        deadline_s = time.monotonic() + timeout_s
        async with httpx.AsyncClient(trust_env=False, timeout=1.0) as http:
            while time.monotonic() < deadline_s:
                if self._process is None or self._process.poll() is not None:
                    raise StackError(f"{self.name} ended during its start: {self.last_words()}")
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"http://{HOST}:{self.port}/health")).status_code == 200:
                        return
                await asyncio.sleep(POLL_S)
        raise StackError(f"{self.name} did not answer within {timeout_s:g} s (its log: {self.log_path})")

    def stop(self) -> None:
        """SIGTERM, also when it is paused; `wait_stopped` awaits its end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()

    def wait_stopped(self, deadline_s: float) -> None:
        """Wait for a `stop` until `deadline_s` of the monotonic clock, then kill."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "its log is empty"
