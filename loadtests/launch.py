"""Starts the load as a process of its own, watches it, and leaves nothing of it running.

Importing Locust patches the interpreter, so it never runs in the process of the toolkit. The load runs in a process
group of its own and dies with the thread that launched it: launch it from a thread that lives as long as the load.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from loadtests.plan import PLAN_VARIABLE, LoadPlan, read_plan, write_plan
from refsystem.lifeline import PARENT_VARIABLE

STARTUP_US = 5_000_000
"""A start this far in the future leaves the load processes time to get ready (about two seconds are used)."""

TERM_PATIENCE_S = 5.0
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far the load is, summed over its processes; `ok`, `fail` and `indefinite` count the diners who are done."""

    planned: int = 0
    started: int = 0
    ok: int = 0
    fail: int = 0
    indefinite: int = 0
    in_flight: int = 0
    late_starts: int = 0
    dropped_starts: int = 0
    broken_journeys: int = 0


class LoadRun:
    """One run of load in `run_folder`; a context manager that starts it and, at the end, stops whatever still runs."""

    def __init__(self, run_folder: Path, load: LoadPlan, processes: int = 1) -> None:
        if processes < 1:
            raise ValueError(f"{processes} load processes: at least one is needed")
        self._folder = run_folder
        self._plan = dataclasses.replace(load, processes=processes)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def plan_path(self) -> Path:
        """Where `load.json` is written."""
        return self._folder / "load.json"

    def start(self) -> None:
        """Write `load.json` and start Locust. Raises `FileExistsError` if this folder was used for load before."""
        assert self._process is None, "a load run is started once"
        write_plan(self.plan_path, self._plan)
        self._plan = read_plan(self.plan_path)
        known = sorted(Path(self._plan.history).glob("locust-*.jsonl"))
        if known:
            raise FileExistsError(f"{known[0]}: this run folder was already used; take a new one")
        log_path = self._folder / "logs" / "locust.log"
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,  # so that no configuration file of the caller's folder is read
                env=self._environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """The process id of Locust's main process, which leads its group; None before the start."""
        return None if self._process is None else self._process.pid

    def poll(self) -> int | None:
        """The exit code (0: it ran to its end), or None while it runs."""
        assert self._process is not None, "start it first"
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Wait until the load has ended; returns its exit code, or None if it still runs after `timeout_s`."""
        assert self._process is not None, "start it first"
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def progress(self) -> LoadProgress:
        """What the processes wrote last, about once a second; zeros before they are ready."""
        sums: dict[str, int] = {}
        for path in sorted((self._folder / "metrics").glob("progress-*.json")):
            for name, value in json.loads(path.read_text(encoding="utf-8")).items():
                sums[name] = sums.get(name, 0) + value
        return LoadProgress(**sums)

    def stop(self) -> None:
        """End the load now: SIGTERM, then SIGKILL to whatever of its group is left. May be called twice."""
        if self._process is None:
            return
        self._signal_group(signal.SIGTERM)
        if self.wait(TERM_PATIENCE_S) is None:
            self._signal_group(signal.SIGKILL)
            self._process.wait()
        self._end_the_rest()

    def __enter__(self) -> LoadRun:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self) -> list[str]:
        users = str(self._plan.processes)
        command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py"))]
        command += ["--headless", "--only-summary", "--users", users, "--spawn-rate", users, "--stop-timeout", "1"]
        if self._plan.processes > 1:
            port = str(_free_port())
            command += ["--processes", users, "--master-bind-host", "127.0.0.1"]
            command += ["--master-bind-port", port, "--master-port", port]
        return command

    def _environment(self) -> dict[str, str]:
        """The caller's environment without proxies and Locust settings, so that nothing but `load.json` decides."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.lower() not in _PROXY_VARIABLES and not name.startswith("LOCUST_")
        }
        environment["NO_PROXY"] = "*"
        environment[PLAN_VARIABLE] = str(self.plan_path.resolve())
        environment[PARENT_VARIABLE] = str(os.getpid())
        package_folder = str(Path(__file__).resolve().parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_folder, environment.get("PYTHONPATH")]))
        return environment

    def _signal_group(self, number: signal.Signals) -> bool:
        """Send a signal to all processes of the load; False if none is left."""
        assert self._process is not None, "start it first"
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _end_the_rest(self) -> None:
        """Kill workers that outlived their main process, and see them gone."""
        deadline = time.monotonic() + TERM_PATIENCE_S
        while self._signal_group(signal.SIGKILL):
            if time.monotonic() > deadline:
                raise TimeoutError(f"process group {self.pid}: a load process does not end after SIGKILL")
            time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
