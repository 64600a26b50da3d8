"""How every SQLite file of the stack is opened: WAL, one process only, every commit synced."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import aiosql
import apsw

from refsystem import volatile_files

Synchronous = Literal["FULL", "NORMAL"]
BUSY_TIMEOUT_MS = 2_000


def open_database(path: Path, *, volatile: bool = False, synchronous: Synchronous = "FULL") -> apsw.Connection:
    """Open (or make) the database at `path`.

    `volatile` puts it on a file system that loses what is not synced when the process is killed. Raises `apsw.Error`
    if another process holds the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    vfs = volatile_files.install() if volatile else None
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", synchronous)
    return connection


def load_queries(package: str) -> Any:
    """The named queries in the `sql` folder of `package`."""
    return aiosql.from_path(str(files(package) / "sql"), "apsw", mandatory_parameters=False)
