"""A process of the user's own: found, signalled, started again. It has the handles that the faults of a drill use."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from chaos.faults.base import Effect, FaultError, Target
from chaos.inject.targets import ITSELF, SAME, InjectError, ProcessTarget
from refsystem.processes import StackError, process_state

BACK_TIMEOUT_S = 30.0
POLL_S = 0.05
KILL_TIMEOUT_S = 5.0
CHILD_END_S = 1.0
"""A start command that stays as long as the service is waited for so long when the service has ended."""
SETTLED_S = 0.3
"""A process that was started must live at least so long to count as back."""

_OUTLIVING: list[subprocess.Popen[bytes]] = []
"""What was started for the user stays when its handle goes."""


@dataclass(frozen=True)
class Origin:
    """How a process is started again: `command` None leaves that to a supervisor."""

    command: tuple[str, ...] | None
    folder: str | None = None
    environment: dict[str, str] | None = None


@dataclass
class OwnProcess:
    """A process of the user's: `name` is what the scenario calls it. Fulfils `refsystem.processes.Managed`."""

    name: str
    target: ProcessTarget
    origin: Origin | None = None
    started: Callable[[], None] = field(default=lambda: None, repr=False)
    """Called when another process has taken its place."""
    identity: dict[str, Any] = field(default_factory=dict)
    """Its id and when it was created: what tells it from another that gets its id later."""
    _process: psutil.Process | None = field(default=None, repr=False)
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _started_s: float = field(default=0.0, repr=False)
    _found_since: bool = field(default=False, repr=False)
    """Whether the service was found since its start command was run: until then it is starting."""

    def attach(self) -> None:
        """Find it. Raises `InjectError` if there is none, are several, or it must not be touched."""
        found = self._find()
        if not found:
            raise InjectError(f"process {self.name}: nothing runs that is {self._described()}")
        if len(found) > 1:
            pids = ", ".join(str(process.pid) for process in found)
            raise InjectError(
                f"process {self.name}: {self._described()} is true of {pids}; say it so that one is meant"
            )
        (process,) = found
        if process.pid in _own_line():
            raise InjectError(f"process {self.name}: {process.pid} is rushproof itself, or what started it")
        try:
            os.kill(process.pid, 0)
        except PermissionError as error:
            raise InjectError(f"process {self.name}: {process.pid} belongs to somebody else") from error
        self.attach_to(process)
        self.origin = self._origin(process)

    def attach_to(self, process: psutil.Process) -> None:
        """Take this very process."""
        self._process = process
        self._found_since = True
        self.identity = {"pid": process.pid, "created": process.create_time()}

    def find_running(self) -> bool:
        """Whether it runs; if not as the process known so far, that which its map means now is taken."""
        if self.pid is None:
            self._look_again()
        return self.pid is not None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        if self._child is not None:
            self._child.poll()  # so that an ended child leaves no zombie
        process = self._process
        if process is None or not process.is_running() or process_state(process.pid) in (None, "Z", "X"):
            return None
        return int(process.pid)

    def kill(self) -> None:
        """SIGKILL; returns when it has ended."""
        self._send(signal.SIGKILL)
        deadline_s = time.monotonic() + KILL_TIMEOUT_S
        while self.pid is not None and time.monotonic() < deadline_s:
            time.sleep(0.002)

    def pause(self) -> None:
        """SIGSTOP; returns when the kernel shows it stopped."""
        self._send(signal.SIGSTOP)
        deadline_s = time.monotonic() + 1.0
        while (pid := self.pid) is not None and process_state(pid) != "T" and time.monotonic() < deadline_s:
            time.sleep(0.001)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def start(self) -> None:
        """Start it again as its map says; a supervised one comes by itself.

        The command need not become the service: it is found by the map. While it is on its way no second one is started.
        """
        if self.origin is None:
            raise StackError(f"{self.name} cannot be started again: its map has no `start`")
        if self.origin.command is None or self._is_starting():
            return
        self._process, self._found_since, self._started_s = None, False, time.monotonic()
        self._child = subprocess.Popen(
            self.origin.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.origin.folder,
            env=self.origin.environment,
            start_new_session=True,
        )
        _OUTLIVING.append(self._child)
        if self._is_meant(self._child.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.attach_to(psutil.Process(self._child.pid))
                self.started()

    async def wait_ready(self, timeout_s: float = BACK_TIMEOUT_S) -> None:
        """Return when it has run for a moment; raises `StackError` if it does not in time, or its start command fails."""
        deadline_s = time.monotonic() + timeout_s
        since_s = time.monotonic()
        while time.monotonic() < deadline_s:
            if self.pid is None:
                since_s = time.monotonic()
                self._look_again()
                code = None if self._child is None else self._child.poll()
                if self.pid is None and code:
                    raise StackError(f"{self.name}: its start command ended with exit code {code}, and it does not run")
            elif time.monotonic() - since_s >= SETTLED_S:
                return
            await asyncio.sleep(POLL_S)
        raise StackError(f"{self.name} did not come back within {timeout_s:g} s")

    def _send(self, number: signal.Signals) -> None:
        """Send a signal, never to another process that got the id."""
        if self.pid is not None and self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.send_signal(number)

    def _is_starting(self) -> bool:
        """Whether what was started lives, or has ended well and the service is still to appear."""
        if self._child is None:
            return False
        if self._found_since and self.pid is None:  # the service has ended; what started it may be about to
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(CHILD_END_S)
        code = self._child.poll()
        return code is None or (
            code == 0 and not self._found_since and time.monotonic() - self._started_s < BACK_TIMEOUT_S
        )

    def _is_meant(self, pid: int) -> bool:
        """Whether this process of ours is what the map means; one that is mapped by its id is whatever replaces it."""
        return self.target.pid is not None or pid in [process.pid for process in self._find()]

    def _look_again(self) -> None:
        """Find it anew by its pid file or its command; a process id may have gone to another meanwhile."""
        found = self._find() if self.target.pid is None else []
        if len(found) == 1:
            self.attach_to(found[0])
            self.started()

    def _find(self) -> Sequence[psutil.Process]:
        target = self.target
        if target.command is not None:
            return _with_command(target.command)
        try:
            pid = target.pid if target.pidfile is None else int(Path(target.pidfile).read_text(encoding="ascii"))
            assert pid is not None
            process = psutil.Process(pid)
            return [process] if pid > 1 and process_state(pid) not in (None, "Z") else []
        except (OSError, ValueError, OverflowError, psutil.NoSuchProcess):
            return []

    def _described(self) -> str:
        target = self.target
        if target.command is not None:
            return f"a process with {target.command!r} in its command line"
        return f"the one in {target.pidfile}" if target.pidfile is not None else f"process {target.pid}"

    def _origin(self, process: psutil.Process) -> Origin | None:
        start = self.target.start
        if start is None:
            return None
        if start == ITSELF:
            return Origin(None)
        if start == SAME:
            return self._checked(Origin(tuple(process.cmdline()), process.cwd(), process.environ()))
        words = tuple(shlex.split(start)) if isinstance(start, str) else start
        return self._checked(Origin(words, os.getcwd(), None))

    def _checked(self, origin: Origin) -> Origin:
        """Raises `InjectError` if its program is not there: after the kill it would be too late."""
        program = origin.command[0] if origin.command else ""
        path = os.pathsep.join(os.get_exec_path(origin.environment))
        inside = os.path.join(origin.folder or "", program) if os.path.dirname(program) else program
        if shutil.which(inside, path=path) is None:
            raise InjectError(
                f"process {self.name}: it could not be started again, for there is no program {program!r}; "
                "give the command that starts it as `start`"
            )
        return origin


class OwnKilled:
    """SIGKILL; started again at the end, or at once."""

    def __init__(self, process: OwnProcess, target: Target, *, at_once: bool) -> None:
        self.target = target
        self._process = process
        self._at_once = at_once
        self._started = False
        self._pid: int | None = None

    async def begin(self) -> None:
        """Kill it; raises `FaultError` if it does not run."""
        self._pid = self._process.pid
        if self._pid is None:
            raise FaultError(f"{self._process.name} does not run, so it cannot be killed")
        await asyncio.to_thread(self._process.kill)
        if self._at_once:
            self._start()

    async def prove(self) -> Effect:
        """The process is gone."""
        assert self._pid is not None
        gone = process_state(self._pid) in (None, "Z")
        words = "is gone" if gone else "still runs"
        return Effect(gone, f"{self._process.name} (process {self._pid}) {words}")

    async def undo(self) -> str:
        """Start it, if that was not done at once, and wait until it stays up."""
        if not self._started and not await asyncio.to_thread(self._process.find_running):
            self._start()
        await self._process.wait_ready()
        return f"{self._process.name} runs as process {self._process.pid}"

    def _start(self) -> None:
        self._process.start()
        self._started = True


def _with_command(part: str) -> list[psutil.Process]:
    found = []
    own = _own_line()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.pid not in own and part in shlex.join(process.cmdline()) + " " + " ".join(process.cmdline()):
                found.append(process)
    return found


def _own_line() -> set[int]:
    """This process and all that it descends from."""
    return {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
