"""The real journal in a process of its own, on files that fail: what fails is never acknowledged and ends the process (P2)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from power_cut_bench import ENTRIES, STEPS

from refsystem.edge.journal import FLUSH_FAILED_EXIT_CODE
from refsystem.edge.store import EdgeStore
from refsystem.protocol.replica import DurableState

DRIVE = Path(__file__).with_name("drive_journal.py")
TIMEOUT_S = 60
STALL_US = 1_000_000


@dataclass(frozen=True)
class Driven:
    exit_code: int
    flushed: list[int]
    done: list[int]
    said: str


def drive(folder: Path, trouble: str, at: int) -> Driven:
    command = [sys.executable, str(DRIVE), str(folder), trouble, str(at), str(STEPS)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    lines = [line.split() for line in result.stdout.splitlines()]
    flushed = [int(words[1]) for words in lines if words[0] == "flushed"]
    done = [int(word) for words in lines if words[0] == "done" for word in words[1:]]
    return Driven(result.returncode, flushed, done, result.stderr)


def load(folder: Path) -> DurableState:
    store = EdgeStore(folder, "another")
    try:
        return store.load()
    finally:
        store.close()


@pytest.mark.parametrize(
    ("trouble", "at"),
    [
        ("sync_error", 9),
        pytest.param("sync_error", 1, marks=pytest.mark.slow),
        pytest.param("disk_full", 1, marks=pytest.mark.slow),
        pytest.param("disk_full", 9, marks=pytest.mark.slow),
        pytest.param("write_error", 1, marks=pytest.mark.slow),
        pytest.param("write_error", 9, marks=pytest.mark.slow),
    ],
)
def test_a_flush_that_fails_ends_the_process_and_nothing_acknowledged_is_missing(
    tmp_path: Path, trouble: str, at: int
) -> None:
    driven = drive(tmp_path, trouble, at)
    assert driven.exit_code == FLUSH_FAILED_EXIT_CODE, driven
    assert "a flush failed" in driven.said
    assert driven.done == []
    assert driven.flushed == list(range(1, len(driven.flushed) + 1))
    assert len(driven.flushed) < STEPS
    state = load(tmp_path)
    assert state.node_id == "a1"
    assert len(driven.flushed) <= len(state.entries) <= len(driven.flushed) + 1
    assert state.entries == ENTRIES[: len(state.entries)]
    assert state.commit_seq == max(0, len(state.entries) - 1)


@pytest.mark.slow
def test_a_stall_of_a_second_only_delays(tmp_path: Path) -> None:
    driven = drive(tmp_path, "stall", 5)
    assert driven.exit_code == 0, driven
    assert driven.flushed == list(range(1, STEPS + 1))
    longest_us, flushes = driven.done
    assert longest_us >= STALL_US
    assert flushes == STEPS
    assert load(tmp_path).entries == ENTRIES
