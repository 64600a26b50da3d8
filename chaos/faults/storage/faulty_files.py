"""Real files with troubles: a full disk, I/O errors, stalls of the real clock. For a process that runs the real store code.

Install it before the first database is opened: it becomes the default file system of SQLite in this process.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import apsw

from chaos.faults.storage.troubles import OperationKind, Trouble, Troubles, error_of

VFS_NAME = "rushproof-faulty"


class FaultyFiles(apsw.VFS):
    """The file system, upon that which was the default before (`base`).

    Writes, truncations and syncs are counted from 1, in whatever file and thread.
    """

    def __init__(self, planned: list[Trouble]) -> None:
        self.base = apsw.vfs_names()[0]
        super().__init__(VFS_NAME, self.base, makedefault=True)
        self.operations = 0
        self._troubles = Troubles(planned, wait=time.sleep)
        self._lock = threading.Lock()

    def plan(self, trouble: Trouble) -> None:
        """One trouble more; its operation is counted from now on."""
        trouble.at += self.operations
        self._troubles.planned.append(trouble)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> FaultyFile:
        """Open a real file."""
        return FaultyFile(self, name, flags)

    def begin(self, kind: OperationKind) -> apsw.Error | None:
        """An operation begins: the error that it must fail with, if any. A stall is over when this returns."""
        with self._lock:
            if kind != "read":
                self.operations += 1
            failing = self._troubles.strike(kind, self.operations)
        return None if failing is None else error_of(failing)


class FaultyFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, files: FaultyFiles, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(files.base, name, flags)
        self._files = files

    def xRead(self, amount: int, offset: int) -> bytes:
        """Read, or fail."""
        self._begin("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        """Write, or write the half of it and fail."""
        error = self._files.begin("write")
        if error is None:
            super().xWrite(data, offset)
            return
        super().xWrite(bytes(data)[: len(data) // 2], offset)
        raise error

    def xTruncate(self, newsize: int) -> None:
        """Change the length, or fail."""
        self._begin("truncate")
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        """Sync, or fail and sync nothing."""
        self._begin("sync")
        super().xSync(flags)

    def _begin(self, kind: OperationKind) -> None:
        error = self._files.begin(kind)
        if error is not None:
            raise error
