"""What a device's disk holds after a power cut: a process on the volatile file system is killed, and its files are opened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from refsystem.edge.store import EdgeStore, StoreDamaged
from refsystem.protocol.log import GENESIS, chain
from refsystem.protocol.messages import StoreCommit, StoreEntries
from refsystem.protocol.replica import DurableState

DRIVE = Path(__file__).with_name("drive_store.py")
FLUSHES = 60


def flush_and_kill(folder: Path, synchronous: str, volatile: str, told: int) -> int:
    """Kill the process as soon as it has said that it flushed `told` times; how many flushes it said in all."""
    command = [sys.executable, str(DRIVE), str(folder), synchronous, volatile, str(FLUSHES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = 0
        while said < told:
            line = process.stdout.readline()
            assert line, "the process ended by itself"
            said = int(line.split()[1])
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout:
            said = int(line.split()[1])
    return said


def load(folder: Path) -> DurableState:
    store = EdgeStore(folder, "another")
    try:
        return store.load()
    finally:
        store.close()


@pytest.mark.parametrize("told", [1, 23, FLUSHES])
def test_after_a_power_cut_the_disk_stands_at_the_last_flush_or_at_the_one_under_way(tmp_path: Path, told: int) -> None:
    said = flush_and_kill(tmp_path, "FULL", "volatile", told)
    state = load(tmp_path)
    assert state.node_id == "a1"
    assert said <= len(state.entries) <= said + 1
    assert state.epoch == len(state.entries)
    assert state.commit_seq == len(state.entries) - 1


def test_what_returned_under_synchronous_normal_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    said = flush_and_kill(tmp_path, "NORMAL", "volatile", FLUSHES)
    assert said == FLUSHES
    assert len(load(tmp_path).entries) < FLUSHES


def test_a_killed_process_without_a_power_cut_loses_nothing_even_under_synchronous_normal(tmp_path: Path) -> None:
    flush_and_kill(tmp_path, "NORMAL", "kept", FLUSHES)
    assert len(load(tmp_path).entries) == FLUSHES


def test_a_flush_is_done_whole_or_not_at_all(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, "a1")
    first, second = chain(1, GENESIS, ['{"kind":"bump","order_id":"1","version":1,"station":"k"}'] * 2)
    store.apply([StoreEntries((first,))])
    with pytest.raises(apsw.ConstraintError):
        store.apply([StoreEntries((second,)), StoreCommit(2), StoreEntries((first,))])
    state = store.load()
    assert (len(state.entries), state.commit_seq) == (1, 0)
    store.close()


def test_a_log_whose_chain_is_broken_is_not_loaded(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, "a1")
    first, second = chain(1, GENESIS, ['{"kind":"bump","order_id":"1","version":1,"station":"k"}'] * 2)
    store.apply([StoreEntries((first,)), StoreEntries((type(second)(2, 2, second.hash, second.record),))])
    with pytest.raises(StoreDamaged, match="hash of entry 2"):
        store.load()
    store.close()
