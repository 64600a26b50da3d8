"""Ctrl-C and SIGTERM at every stage of a drill: nothing is left behind, and what was measured can be audited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.drill, pytest.mark.unhurried, pytest.mark.timeout(300)]

SCENARIO = """
name: interrupted
duration_s: 20
time_scale: 60
diners:
  arrivals: {rate_per_s: 8}
faults:
  - {fault: link_weak, link: edge_edge, at_s: 0.5, for_s: 18, latency_ms: 30}
  - {fault: process_killed, process: standby, at_s: 1, for_s: 15}
"""
SHORT = "name: short\nduration_s: 3\ntime_scale: 60\ndiners:\n  arrivals: {rate_per_s: 8}\n"


def start(tmp_path: Path, text: str) -> tuple[subprocess.Popen[str], Path, Path]:
    scenario, folder, output = tmp_path / "mine.yaml", tmp_path / "run", tmp_path / "output.txt"
    scenario.write_text(text, encoding="utf-8")
    with output.open("w", encoding="utf-8") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos.cli", "drill", str(scenario), "--out", str(folder)],
            stdout=lines,
            stderr=lines,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            text=True,
            env=os.environ | {"RUSHPROOF_TEST_MARK": str(tmp_path)},
            start_new_session=True,
        )
    return process, folder, output


def await_text(process: subprocess.Popen[str], output: Path, text: str) -> None:
    deadline_s = time.monotonic() + 60
    while text not in output.read_text(encoding="utf-8"):
        assert process.poll() is None, output.read_text(encoding="utf-8")
        assert time.monotonic() < deadline_s, output.read_text(encoding="utf-8")
        time.sleep(0.02)


def left_over(tmp_path: Path) -> list[str]:
    """Processes that carry this test's mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUSHPROOF_TEST_MARK") == str(tmp_path):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def assert_nothing_left(tmp_path: Path, ports: set[int]) -> None:
    deadline_s = time.monotonic() + 10
    while (left := left_over(tmp_path)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert left == []
    listening = {row.laddr.port for row in psutil.net_connections("tcp") if row.status == psutil.CONN_LISTEN}
    assert not ports & listening


def listening_ports(tmp_path: Path) -> set[int]:
    pids = {int(line.split()[0]) for line in left_over(tmp_path)}
    return {
        row.laddr.port for row in psutil.net_connections("tcp") if row.status == psutil.CONN_LISTEN and row.pid in pids
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize(
    ("stage", "text", "waits_for"),
    [
        ("set-up", SCENARIO, "setting up"),
        ("load", SCENARIO, "fault: process_killed"),
        ("audit", SHORT, "waiting for convergence"),
    ],
    ids=["set-up", "load", "audit"],
)
def test_an_interrupted_drill_leaves_nothing_behind(
    tmp_path: Path, stage: str, text: str, waits_for: str, number: signal.Signals
) -> None:
    process, folder, output = start(tmp_path, text)
    try:
        await_text(process, output, waits_for)
        if stage == "set-up":
            time.sleep(0.7)  # somewhere among the starts of PostgreSQL and the other processes
        ports = listening_ports(tmp_path)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does: everything in the foreground gets it
        else:
            process.send_signal(number)
        assert process.wait(60) == 130, output.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in output.read_text(encoding="utf-8")
    assert_nothing_left(tmp_path, ports)
    audit = subprocess.run(
        [sys.executable, "-m", "chaos.cli", "audit", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert audit.returncode == 3, audit.stderr
    if stage == "load":
        faults = (folder / "faults.jsonl").read_text(encoding="utf-8")
        assert faults.count('"undone": true') == 2, faults
