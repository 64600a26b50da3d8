"""Campaigns on the virtual cluster itself, and the whole command with its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.campaign.campaign import Campaign, CampaignPlan, run_campaign
from chaos.campaign.simulation import VIRTUAL_CLUSTER
from chaos.campaign.workers import Workers
from chaos.interruption import Interruption

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QUICK_VARIANTS = ("two-doors", "acknowledge-before-standby", "kitchen-before-commit", "no-claim")
"""Broken variants that a few seeds catch."""


def campaign(plan: CampaignPlan, workers: int) -> Campaign:
    with Interruption() as interruption, Workers(VIRTUAL_CLUSTER, workers, interruption) as processes:
        return run_campaign(plan, VIRTUAL_CLUSTER, processes)


def fuzz(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chaos.cli", "fuzz", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_the_sound_protocol_passes() -> None:
    held = campaign(CampaignPlan(1, 40), 2)
    assert held.failed == 0, held.cause
    assert sum(held.acknowledged.values()) > 3_000
    assert held.goal_schedules["a promotion"] > 10


def test_the_same_seeds_leave_the_same_trace_in_any_process() -> None:
    """Each process has its own hash seed, and in the first campaign every seed is run in two of them."""
    one = campaign(CampaignPlan(1, 10, check_twice_share=1.0), 1)
    two = campaign(CampaignPlan(1, 10, check_twice_share=0.0), 2)
    assert one.failures_by_name["not_deterministic"] == 0, one.cause
    assert one.digest == two.digest


def test_a_trace_that_is_written_down_changes_nothing() -> None:
    for seed in range(1, 6):
        schedule = VIRTUAL_CLUSTER.draw(seed)
        silent, traced = VIRTUAL_CLUSTER.run(schedule), VIRTUAL_CLUSTER.run(schedule, tracing=True)
        assert silent.trace_hash == traced.trace_hash
        assert silent.trace == ()
        assert len(traced.trace) > 100


@pytest.mark.parametrize("variant", QUICK_VARIANTS)
def test_a_broken_variant_is_caught_shrunk_and_replayed_alike(tmp_path: Path, variant: str) -> None:
    caught = fuzz("--break", variant, "--seeds", "60", "--json", cwd=tmp_path)
    assert caught.returncode == 1, caught.stderr
    said: dict[str, Any] = json.loads(caught.stdout)
    (failure,) = said["failures"]
    shrunken = said["shrunken"]
    assert shrunken["broken"] == failure["broken"]
    assert shrunken["orders"] < shrunken["orders_drawn"]
    by_seed = fuzz("--break", variant, "--replay", str(failure["seed"]), "--json", cwd=tmp_path)
    by_file = [fuzz("--replay", shrunken["file"], "--json", cwd=tmp_path) for _ in range(2)]
    replays = [json.loads(done.stdout) for done in (by_seed, *by_file)]
    assert [done.returncode for done in (by_seed, *by_file)] == [1, 1, 1]
    assert {replay["failure"]["broken"] for replay in replays} == {failure["broken"]}
    assert replays[0]["trace_hash"] == failure["trace_hash"]
    assert replays[1] == replays[2]
    assert replays[1]["orders"] == shrunken["orders"]


@contextmanager
def long_campaign(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """A campaign of many seeds that has counted some; with its standard output and error."""
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"
    with out.open("w", encoding="utf-8") as said, err.open("w", encoding="utf-8") as progress:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos.cli", "fuzz", "--seeds", "100000", "--json", "--no-shrink", "--workers", "2"],
            stdout=said,
            stderr=progress,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            text=True,
            env=os.environ | {"RUSHPROOF_TEST_MARK": str(tmp_path)},
            start_new_session=True,
        )
    try:
        wait_until(lambda: "seeds/s" in err.read_text(encoding="utf-8") or process.poll() is not None, 60)
        assert process.poll() is None, err.read_text(encoding="utf-8")
        yield process, out, err
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: not left_over(tmp_path), 20)


def wait_until(holds: Callable[[], bool], most_s: float) -> None:
    deadline_s = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.05)


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("to_all", [True, False], ids=["to all", "to one"])
def test_an_interrupted_campaign_tells_what_it_counted(tmp_path: Path, number: signal.Signals, to_all: bool) -> None:
    with long_campaign(tmp_path) as (process, out, err):
        if to_all:
            os.killpg(process.pid, number)  # as a terminal does: everything in the foreground gets it
        else:
            process.send_signal(number)
        assert process.wait(30) == 130, err.read_text(encoding="utf-8")
        wait_until(lambda: not left_over(tmp_path), 10)
    said = json.loads(out.read_text(encoding="utf-8"))
    assert said["interrupted"] is True
    assert 0 < said["seeds"] < 100_000
    assert said["passed"] + said["failed"] == said["seeds"]
    assert "Traceback" not in err.read_text(encoding="utf-8")


def test_a_campaign_that_is_killed_leaves_no_worker_behind(tmp_path: Path) -> None:
    with long_campaign(tmp_path) as (process, _, _):
        assert len(left_over(tmp_path)) >= 3
        process.kill()
        wait_until(lambda: not left_over(tmp_path), 20)
