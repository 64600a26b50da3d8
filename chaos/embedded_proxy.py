"""The embedded Toxiproxy server as a process of its own, for the time of one drill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from refsystem.lifeline import PARENT_VARIABLE
from refsystem.processes import StackError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


class EmbeddedProxy:
    """Starts `python -m chaos.proxy` on a free port; `url` is its API."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._ready_file = folder / "logs" / "proxy.address"
        self._log_path = folder / "logs" / "proxy.log"
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it; raises `StackError` if it does not answer in time."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "refsystem.lifeline", "chaos.proxy", "--host", "127.0.0.1", "--port", "0"]
        command += ["--seed", str(self._seed), "--ready-file", str(self._ready_file)]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
                start_new_session=True,
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise StackError(f"the embedded proxy server did not start (its log: {self._log_path})")
            time.sleep(0.02)
        self.url = f"http://{self._ready_file.read_text(encoding='utf-8').strip()}"

    def stop(self) -> None:
        """End it; its connections end with it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._ready_file.unlink(missing_ok=True)
        self._process = None
