"""How every SQLite file of the stack is opened: WAL, one process only, every commit synced, and nothing told that is not.

A process that was killed leaves commits that are in the operating system's memory and not on the disk; so does one whose sync
failed, and no later sync makes up for that. The next process would read them and tell others what a power cut then takes away,
or copy them to a database file that is damaged without them. So the log is written anew first.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import aiosql
import apsw

from refsystem import drill_control, troubled_files, volatile_files

Synchronous = Literal["FULL", "NORMAL"]
BUSY_TIMEOUT_MS = 2_000
PIECE_BYTES = 65_536
"""SQLite's file system takes less than 128 KiB at a time."""


def load_queries(package: str) -> Any:
    """The named queries in the `sql` folder of `package`."""
    return aiosql.from_path(str(files(package) / "sql"), "apsw", mandatory_parameters=False)


def open_database(path: Path, *, volatile: bool = False, synchronous: Synchronous = "FULL") -> apsw.Connection:
    """Open (or make) the database at `path`.

    `volatile` puts it on a file system that loses what is not synced when the process is killed; in a drill that may
    trouble the disk there is another upon it. Raises `apsw.Error` if another process holds the file.
    """
    _make_folder(path.parent)
    connection = apsw.Connection(str(path), vfs=_file_system(path.parent, volatile=volatile))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", synchronous)
    _write_log_anew(connection)
    return connection


def _file_system(folder: Path, *, volatile: bool) -> str | None:
    vfs = volatile_files.install() if volatile else None
    control = drill_control.from_environment()
    return vfs if control is None else troubled_files.install(vfs or "", control, folder)


def _write_log_anew(connection: apsw.Connection) -> None:
    """Write what the log shows to the disk, and sync it. The connection has the lock and has not written yet."""
    # With this flag the sync covers the log's name too.
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_WAL
    log = apsw.VFSFile(connection.open_vfs, connection.filename_wal, [flags, 0])
    try:
        size = log.xFileSize()
        for offset in range(0, size, PIECE_BYTES):
            log.xWrite(log.xRead(min(PIECE_BYTES, size - offset), offset), offset)
        if size:
            log.xSync(apsw.SQLITE_SYNC_NORMAL)
    finally:
        log.xClose()


def _make_folder(folder: Path) -> None:
    """Make `folder` and sync every name that is new: SQLite syncs the names in the folder, nobody that of the folder."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in new:
        descriptor = os.open(each.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
