"""How every SQLite file of the stack is opened: WAL, one process only, every commit synced, and nothing told that is not.

A process that was killed, or whose sync failed, leaves a log that the operating system shows and the disk may not hold. Whoever
opens the file again would tell others what the next power cut takes away; so it is written anew first.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import aiosql
import apsw

from refsystem import volatile_files

Synchronous = Literal["FULL", "NORMAL"]
BUSY_TIMEOUT_MS = 2_000


def load_queries(package: str) -> Any:
    """The named queries in the `sql` folder of `package`."""
    return aiosql.from_path(str(files(package) / "sql"), "apsw", mandatory_parameters=False)


QUERIES = load_queries("refsystem")


def open_database(path: Path, *, volatile: bool = False, synchronous: Synchronous = "FULL") -> apsw.Connection:
    """Open (or make) the database at `path`.

    `volatile` puts it on a file system that loses what is not synced when the process is killed. Raises `apsw.Error`
    if another process holds the file.
    """
    _make_folder(path.parent)
    vfs = volatile_files.install() if volatile else None
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", synchronous)
    _settle(connection)
    return connection


def _settle(connection: apsw.Connection) -> None:
    """Bring what an earlier process left onto the disk, and end the log that it came from.

    The checkpoint writes the pages anew and syncs them. It cuts the log but does not sync the cut, and an old log that comes
    back is played over newer pages; so a commit follows, which begins a new log and syncs it.
    """
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    with connection:
        QUERIES.count_start(connection)


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
