"""A SQLite file system whose disk can be full, slow, erring or dead, as the control file of a drill says.

Used only by processes that were started with such a file. While there is trouble, a thread tries a write, a sync and a read of
a file of its own through the same file system, and writes down how that went: so the trouble can be proven also of a process
that has nothing to write.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Literal

import apsw

from refsystem.drill_control import Control, DiskState

OperationKind = Literal["open", "read", "write", "truncate", "sync", "delete"]
VFS_NAME = "rushproof-troubled"
PROBE_EVERY_S = 0.2
LOOK_EVERY_S = 0.02
PROBE_BYTES = b"probe" * 100
TOLD_MAX = 2_000
"""So many operations are told after each change of the control file, so that the file of a busy process stays small."""

FAILS: dict[DiskState, frozenset[OperationKind]] = {
    "full": frozenset({"write"}),
    "slow": frozenset(),
    "write_erring": frozenset({"write", "truncate"}),
    "sync_erring": frozenset({"sync"}),
    "read_erring": frozenset({"read"}),
    "dead": frozenset({"open", "read", "write", "truncate", "sync", "delete"}),
}
EXTENDED_RESULTS: dict[OperationKind, int] = {
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "delete": apsw.SQLITE_IOERR_DELETE,
}


class TroubledFiles(apsw.VFS):
    """The file system, upon the one named `base` (empty: SQLite's default)."""

    def __init__(self, base: str, control: Control) -> None:
        super().__init__(VFS_NAME, base)
        self.base = base
        self.control = control
        self._told = os.open(control.told_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._told_left = TOLD_MAX
        self._told_version: tuple[int, int] | None = None

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> TroubledFile:
        """Open a file."""
        self.begin("open", _file_name(name))
        return TroubledFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file."""
        self.begin("delete", _file_name(filename))
        super().xDelete(filename, syncdir)

    def begin(self, kind: OperationKind, file: str) -> None:
        """An operation begins: it waits, raises what SQLite is to be told, or goes on."""
        trouble = self.control.read().disk
        if trouble is None:
            return
        if trouble.state == "slow" and kind == "sync":
            time.sleep(trouble.delay_ms / 1000)
            self.tell(trouble.state, kind, file, f"slow by {trouble.delay_ms:g} ms")
        if kind in FAILS[trouble.state]:
            full = trouble.state == "full"
            self.tell(trouble.state, kind, file, errno.errorcode[errno.ENOSPC if full else errno.EIO])
            raise _full() if full else _io_error(kind)

    def tell(self, state: str, operation: str, file: str, outcome: str) -> None:
        """Write down what became of an operation, of a probe always. What was told survives the end of the process."""
        if self.control.version != self._told_version:
            self._told_version, self._told_left = self.control.version, TOLD_MAX
        if self._told_left or operation == "probe":
            self._told_left -= operation != "probe"
            at_us = time.monotonic_ns() // 1000
            row = {"at_us": at_us, "state": state, "operation": operation, "file": file, "outcome": outcome}
            os.write(self._told, json.dumps({**row, "pid": os.getpid()}).encode() + b"\n")


class TroubledFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, files: TroubledFiles, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(files.base, name, flags)
        self._files = files
        self._name = _file_name(name)

    def xRead(self, amount: int, offset: int) -> bytes:
        """Read, or fail."""
        self._files.begin("read", self._name)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        """Write, or write the half of it and fail."""
        try:
            self._files.begin("write", self._name)
        except apsw.FullError:
            super().xWrite(bytes(data)[: len(data) // 2], offset)
            raise
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        """Change the length, or fail."""
        self._files.begin("truncate", self._name)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        """Sync, or fail and sync nothing."""
        self._files.begin("sync", self._name)
        super().xSync(flags)


class Prober(threading.Thread):
    """Tries the disk in `folder` by itself, as long as there is trouble with it."""

    def __init__(self, files: TroubledFiles, folder: Path) -> None:
        super().__init__(name="disk-prober", daemon=True)
        self._files = files
        self._path = str(folder / "probe")

    def run(self) -> None:
        """Look for trouble, and try the disk every `PROBE_EVERY_S` while there is any."""
        while True:
            trouble = self._files.control.read().disk
            if trouble is None:
                time.sleep(LOOK_EVERY_S)
                continue
            self._files.tell(trouble.state, "probe", "probe", self._try())
            time.sleep(PROBE_EVERY_S)

    def _try(self) -> str:
        """How a write, a sync and a read went, in one word or two."""
        began_s = time.monotonic()
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_MAIN_JOURNAL
        try:
            file = apsw.VFSFile(VFS_NAME, self._path, [flags, 0])
            try:
                file.xWrite(PROBE_BYTES, 0)
                file.xSync(apsw.SQLITE_SYNC_NORMAL)
                file.xRead(len(PROBE_BYTES), 0)
            finally:
                file.xClose()
        except apsw.FullError:
            return errno.errorcode[errno.ENOSPC]
        except apsw.Error:
            return errno.errorcode[errno.EIO]
        finally:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        return f"took {(time.monotonic() - began_s) * 1000:.1f} ms"


def install(base: str, control: Control, folder: Path) -> str:
    """Register the file system and return the name to open databases with; once for each process."""
    if not _installed:
        files = TroubledFiles(base, control)
        _installed.append(files)
        Prober(files, folder).start()
    return VFS_NAME


_installed: list[TroubledFiles] = []


def _file_name(name: str | apsw.URIFilename | None) -> str:
    if name is None:
        return ""
    return Path(name if isinstance(name, str) else name.filename()).name


def _full() -> apsw.Error:
    return apsw.FullError("the disk is full (a drill)")


def _io_error(kind: OperationKind) -> apsw.Error:
    error = apsw.IOError(f"the disk failed to {kind} (a drill)")
    error.extendedresult = EXTENDED_RESULTS[kind]  # type: ignore[attr-defined]
    return error
