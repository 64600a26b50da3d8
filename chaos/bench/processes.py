"""Processes of a benchmark: each pinned to a core, and none outliving the benchmark, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.bench.result import BenchError
from refsystem.lifeline import PARENT_VARIABLE

STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the measured process runs on, and which one everything that measures it."""

    measured: int
    measuring: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first two cores that this process may use; the same one twice if there is only one."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[-1] if len(usable) < 3 else usable[1])


def start_pinned(
    command: Sequence[str], core: int, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command on one core; what it says goes to `log`."""
    wrapped = [sys.executable, "-m", "chaos.bench.pinned", str(core), *command]
    with log.open("ab") as file:
        return subprocess.Popen(
            wrapped, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=_environment(environment)
        )


def run_pinned(command: Sequence[str], core: int, timeout_s: float) -> str:
    """Run a command on one core to its end; its standard output. BenchError if it fails."""
    wrapped = [sys.executable, "-m", "chaos.bench.pinned", str(core), *command]
    try:
        done = subprocess.run(
            wrapped,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=_environment(None),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"the load generator did not end within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise BenchError(f"the load generator failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return os.environ | {PARENT_VARIABLE: str(os.getpid())} | dict(more or {})
