"""How a database is opened: alone, its folder and its log on the disk. The power cuts themselves: `tests/chaos/power_cuts`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import apsw
import pytest

from refsystem import sqlite
from refsystem.sqlite import open_database


def rows(path: Path) -> list[int]:
    connection = open_database(path)
    found = [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY number")]
    connection.close()
    return found


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A database as a killed process leaves it: rows 0 to 99 are in its log only."""
    connection = open_database(tmp_path / "alive" / "numbers.sqlite3")
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT")
    for number in range(100):
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    shutil.copytree(tmp_path / "alive", tmp_path / "killed")
    connection.close()
    return tmp_path / "killed" / "numbers.sqlite3"


@pytest.mark.parametrize("piece_bytes", [sqlite.PIECE_BYTES, 1000])
def test_the_log_of_a_killed_process_is_written_anew_as_it_is(
    killed: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr(sqlite, "PIECE_BYTES", piece_bytes)
    log = Path(f"{killed}-wal")
    before = log.read_bytes()
    assert len(before) > 100_000
    connection = open_database(killed)
    assert log.read_bytes() == before
    connection.close()
    assert rows(killed) == list(range(100))


def test_a_database_that_another_connection_holds_is_not_touched(killed: Path) -> None:
    holder = open_database(killed)
    log = Path(f"{killed}-wal")
    before = (log.read_bytes(), log.stat().st_mtime_ns)
    with pytest.raises(apsw.BusyError):
        open_database(killed)
    assert (log.read_bytes(), log.stat().st_mtime_ns) == before
    holder.close()


def test_a_new_folder_and_those_above_it_are_synced_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    open_database(tmp_path / "one" / "two" / "numbers.sqlite3").close()
    assert synced == [str(tmp_path / "one"), str(tmp_path)]
    synced.clear()
    open_database(tmp_path / "one" / "two" / "numbers.sqlite3").close()
    assert synced == []
