"""One random drill as a process of its own: whatever becomes of it, the soak goes on, and it ends with the soak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refsystem.lifeline import PARENT_VARIABLE

POLL_S = 0.1
END_TIMEOUT_S = 90.0
DRILL_TIMEOUT_S = 3_600.0


class DrillInterrupted(Exception):
    """The soak was told to end while this drill ran."""


def run_drill(source: str, seed: int, folder: Path, watch: Callable[[], bool]) -> tuple[dict[str, Any] | None, str]:
    """Run the drill of `seed` on the scenario `source` into `folder`: its `verdict.json`, or None and why there is none.

    `watch` is called all the while; when it returns True, the drill is ended in order and `DrillInterrupted` raised.
    """
    log_path = folder.with_name(f"{folder.name}.log")
    process = _start(source, seed, folder, log_path)
    try:
        deadline_s = time.monotonic() + DRILL_TIMEOUT_S
        while process.poll() is None:
            if watch():
                raise DrillInterrupted
            if time.monotonic() > deadline_s:
                return None, f"the drill did not end within {DRILL_TIMEOUT_S:g} s"
            time.sleep(POLL_S)
    finally:
        _end(process)
        if folder.is_dir():
            (folder / "logs").mkdir(exist_ok=True)
            log_path.replace(folder / "logs" / "drill.log")
            log_path = folder / "logs" / "drill.log"
    if process.returncode not in (0, 1, 3):
        return None, f"the drill ended with exit code {process.returncode}: {_last_line(log_path)}"
    try:
        verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return None, f"the drill left no verdict ({type(error).__name__})"
    return verdict, ""


def _start(source: str, seed: int, folder: Path, log_path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "refsystem.lifeline", "chaos.cli", "drill", source]
    command += ["--random-faults", "--seed", str(seed), "--out", str(folder)]
    with log_path.open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
            start_new_session=True,  # so that Ctrl-C reaches the soak only, which ends the drill in order
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"
