"""Disks of this process's memory, mounted at folders: SQLite finds them there, and the code above it needs no change.

While the context is entered this is the default file system of the process. SQLite takes its random numbers from it too, so
that equal work writes equal bytes. A simulated file has no shared memory: WAL works in `locking_mode=EXCLUSIVE` only.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

import apsw

from chaos.faults.storage.disk import Disk
from chaos.faults.storage.inode import Inode

VFS_NAME = "rushproof-simulated"
# As SQLite's own file system tells it: what lies beside a write is safe. The disk's true sectors may be smaller than told.
CHARACTERISTICS = apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE
SECTOR_BYTES_TOLD = 4096
TRANSFER_BYTES_MAX = 0x1FFFF
SUFFIXES = {"-wal": "log", "-journal": "journal"}


class SimulatedDisks:
    """The file system, registered while this context is entered. In folders that are not mounted it shows the real files."""

    def __init__(self) -> None:
        self._disks: dict[str, Disk] = {}
        self._vfs: _FileSystem | None = None

    def __enter__(self) -> SimulatedDisks:
        self._vfs = _FileSystem(self._disks)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._vfs is not None
        self._vfs.unregister()
        self._vfs = None
        apsw.randomness(0)

    def mount(self, folder: Path, disk: Disk) -> None:
        """From now on the files in `folder` are those of `disk`."""
        self._disks[str(folder)] = disk

    def unmount(self, folder: Path) -> None:
        """The files in `folder` are the real ones again."""
        del self._disks[str(folder)]

    def seed_sqlite(self, draws: Random) -> None:
        """From now on SQLite's random numbers come from `draws`; they are in the headers of its logs and journals."""
        assert self._vfs is not None
        self._vfs.draws = draws
        apsw.randomness(0)


class _FileSystem(apsw.VFS):
    """What SQLite calls."""

    def __init__(self, disks: dict[str, Disk]) -> None:
        self._base = apsw.vfs_names()[0]
        super().__init__(VFS_NAME, self._base, makedefault=True)
        self.draws = Random(0)
        self._disks = disks

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        disk = None if path is None else self._disk(path)
        if path is None or disk is None:
            return apsw.VFSFile(self._base, name, flags)
        disk.check(disk.process)
        flags[1] = flags[0]
        inode, file, may_create = disk.names.get(path), file_kind(path), bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        if inode is None:
            if not may_create:
                raise apsw.CantOpenError(f"there is no {path}")
            inode = disk.create(disk.process, path, file)
        return SimulatedFile(disk, inode, file, sync_folder=may_create and file != "database")

    def xDelete(self, filename: str, syncdir: bool) -> None:
        disk = self._disk(filename)
        if disk is None:
            super().xDelete(filename, syncdir)
            return
        disk.check(disk.process)
        if filename not in disk.names:
            error = apsw.IOError(f"there is no {filename}")
            error.extendedresult = apsw.SQLITE_IOERR_DELETE_NOENT  # type: ignore[attr-defined]
            raise error
        disk.delete(disk.process, filename, file_kind(filename), sync_folder=syncdir)

    def xAccess(self, pathname: str, flags: int) -> bool:
        disk = self._disk(pathname)
        if disk is None:
            return super().xAccess(pathname, flags)
        disk.check(disk.process)
        return pathname in disk.names

    def xFullPathname(self, name: str) -> str:
        return name if self._disk(name) is not None else super().xFullPathname(name)

    def xRandomness(self, numbytes: int) -> bytes:
        return self.draws.randbytes(numbytes)

    def _disk(self, path: str) -> Disk | None:
        return self._disks.get(path.rpartition("/")[0])


class SimulatedFile:
    """One open file. SQLite calls these methods."""

    __slots__ = ("_disk", "_file", "_inode", "_process", "_sync_folder")

    def __init__(self, disk: Disk, inode: Inode, file: str, *, sync_folder: bool) -> None:
        self._disk = disk
        self._process = disk.process
        self._inode = inode
        self._file = file
        self._sync_folder = sync_folder

    def xRead(self, amount: int, offset: int) -> bytes:
        """Read; fewer bytes than asked for at the end."""
        assert amount <= TRANSFER_BYTES_MAX, f"SQLite's own file system does not read {amount} bytes at once"
        return self._disk.read(self._process, self._inode, amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        """Write, unsynced."""
        assert len(data) <= TRANSFER_BYTES_MAX, f"SQLite's own file system does not write {len(data)} bytes at once"
        self._disk.write(self._process, self._inode, self._file, bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:
        """Change the length, unsynced."""
        self._disk.truncate(self._process, self._inode, self._file, newsize)

    def xSync(self, flags: int) -> None:
        """Make the content durable; the first sync of a new log or journal syncs the folder too, as SQLite does on Linux."""
        self._disk.sync(self._process, self._inode, self._file, sync_folder=self._sync_folder)
        self._sync_folder = False

    def xFileSize(self) -> int:
        """The length."""
        self._disk.check(self._process)
        return len(self._inode.live)

    def xLock(self, level: int) -> None:
        """Nobody else opens it."""

    def xUnlock(self, level: int) -> None:
        """Nobody else opens it."""

    def xCheckReservedLock(self) -> bool:
        """Nobody else holds a lock."""
        return False

    def xClose(self) -> None:
        """Closing syncs nothing."""

    def xFileControl(self, op: int, ptr: int) -> bool:
        """No request is understood."""
        return False

    def xSectorSize(self) -> int:
        """In bytes."""
        return SECTOR_BYTES_TOLD

    def xDeviceCharacteristics(self) -> int:
        """What SQLite may rely on."""
        return CHARACTERISTICS


def file_kind(path: str) -> str:
    """What an SQLite file at `path` is: the log, a journal, or the database."""
    return next((kind for suffix, kind in SUFFIXES.items() if path.endswith(suffix)), "database")
