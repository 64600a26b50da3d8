"""SQLite on simulated disks and on faulty files: its own operations reach them, and nothing else of the process does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from chaos.faults.storage.disk import Disk
from chaos.faults.storage.faulty_files import FaultyFiles
from chaos.faults.storage.power_loss import after_power_loss, digest
from chaos.faults.storage.simulated import SimulatedDisks
from chaos.faults.storage.troubles import Trouble
from refsystem.sqlite import open_database

ROWS = 30


@pytest.fixture
def disks() -> Iterator[SimulatedDisks]:
    with SimulatedDisks() as mounted:
        yield mounted


def fill(folder: Path, rows: int = ROWS) -> None:
    """A database with a table of numbers, each in a transaction of its own."""
    connection = open_database(folder / "numbers.sqlite3")
    connection.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY, text TEXT) STRICT")
    for number in range(rows):
        connection.execute("INSERT INTO numbers VALUES (?, ?)", (number, "x" * 200))
    connection.close()


def numbers(folder: Path) -> list[int]:
    connection = open_database(folder / "numbers.sqlite3")
    found = [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY number")]
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    return found


def test_a_database_lives_on_a_simulated_disk_and_not_on_the_real_one(disks: SimulatedDisks, tmp_path: Path) -> None:
    disk = Disk()
    disks.mount(tmp_path, disk)
    fill(tmp_path)
    assert numbers(tmp_path) == list(range(ROWS))
    assert list(tmp_path.iterdir()) == []
    assert {str(operation) for operation in disk.history} >= {
        "create database",
        "write journal",
        "delete journal",
        "create log",
        "write log",
        "sync log",
        "write database",
        "sync database",
        "delete log",
    }


def test_folders_that_are_not_mounted_are_real(disks: SimulatedDisks, tmp_path: Path) -> None:
    disks.mount(tmp_path / "simulated", Disk())
    fill(tmp_path / "real")
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["numbers.sqlite3"]
    disks.unmount(tmp_path / "simulated")
    fill(tmp_path / "simulated")
    assert [path.name for path in (tmp_path / "simulated").iterdir()] == ["numbers.sqlite3"]


def test_the_file_system_is_gone_when_the_context_is_left(tmp_path: Path) -> None:
    before = apsw.vfs_names()
    with SimulatedDisks() as disks:
        disks.mount(tmp_path, Disk())
        assert apsw.vfs_names() != before
        fill(tmp_path)
    assert apsw.vfs_names() == before
    fill(tmp_path)
    assert (tmp_path / "numbers.sqlite3").exists()


def test_equal_work_writes_equal_bytes_and_other_random_numbers_others(disks: SimulatedDisks, tmp_path: Path) -> None:
    def work(seed: int) -> str:
        disk = Disk()
        disks.seed_sqlite(Random(seed))
        disks.mount(tmp_path, disk)
        connection = open_database(tmp_path / "numbers.sqlite3")
        connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT")
        return digest(disk)

    assert work(1) == work(1)
    assert work(1) != work(2)


def test_a_power_cut_at_every_operation_leaves_a_whole_database(disks: SimulatedDisks, tmp_path: Path) -> None:
    disk = Disk()
    disks.mount(tmp_path, disk)
    fill(tmp_path, rows=3)
    for cut_at in range(1, disk.operations + 1):
        cut = Disk()
        cut.cut_at = cut_at
        disks.mount(tmp_path, cut)
        with closed_at_the_end(), contextlib.suppress(apsw.Error):
            fill(tmp_path, rows=3)
        assert not cut.powered
        for seed in range(4):
            disks.mount(tmp_path, after_power_loss(cut, Random(seed))[0])
            connection = open_database(tmp_path / "numbers.sqlite3")
            assert connection.pragma("integrity_check") == "ok", f"cut at {cut_at}, seed {seed}"
            connection.close()


@contextlib.contextmanager
def closed_at_the_end() -> Iterator[None]:
    """A connection that is only dropped tells nobody that it could not close its files."""
    opened: list[apsw.Connection] = []
    apsw.connection_hooks.append(opened.append)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(opened.append)
        for connection in opened:
            with contextlib.suppress(apsw.Error):
                connection.close()


def test_faulty_files_are_real_and_fail_as_planned(tmp_path: Path) -> None:
    files = FaultyFiles([])
    try:
        fill(tmp_path)
        connection = open_database(tmp_path / "numbers.sqlite3")
        for name, error in (("disk_full", apsw.FullError), ("sync_error", apsw.IOError), ("write_error", apsw.IOError)):
            files.plan(Trouble(name, at=1))  # type: ignore[arg-type]
            with pytest.raises(error):
                connection.execute("INSERT INTO numbers VALUES (1000, 'x')")
        connection.execute("INSERT INTO numbers VALUES (1000, 'x')")
        connection.close()
        assert numbers(tmp_path) == [*range(ROWS), 1000]
    finally:
        files.unregister()
    assert numbers(tmp_path) == [*range(ROWS), 1000]
