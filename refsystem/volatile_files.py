"""A SQLite file system that holds every write in memory until it is synced.

Killing a process that uses it loses what a power cut would lose: everything that was written and not yet synced. It is used only
where a scenario cuts power. It needs `locking_mode=EXCLUSIVE`, under which WAL wants no shared memory.
"""

from __future__ import annotations

import os
from typing import Any

import apsw

VFS_NAME = "rushproof-volatile"


class VolatileFile(apsw.VFSFile):
    """One open file: an image in memory, and the ranges of it that no sync has reached yet."""

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        size = super().xFileSize()
        self._image = bytearray(super().xRead(size, 0)) if size else bytearray()
        self._dirty: list[tuple[int, int]] = []
        self._truncated_to: int | None = None

    def xRead(self, amount: int, offset: int) -> bytes:
        """Read from the image."""
        return bytes(self._image[offset : offset + amount])

    def xWrite(self, data: Any, offset: int) -> None:
        """Write to the image only."""
        end = offset + len(data)
        if end > len(self._image):
            self._image.extend(bytes(end - len(self._image)))
        self._image[offset:end] = data
        self._dirty.append((offset, end))

    def xTruncate(self, newsize: int) -> None:
        """Shorten the image only."""
        del self._image[newsize:]
        self._truncated_to = newsize if self._truncated_to is None else min(self._truncated_to, newsize)

    def xFileSize(self) -> int:
        """The size of the image."""
        return len(self._image)

    def xSync(self, flags: int) -> None:
        """Write through what is dirty, then sync the disk."""
        if self._truncated_to is not None:
            super().xTruncate(self._truncated_to)
            self._truncated_to = None
        for start, end in self._dirty:
            end = min(end, len(self._image))
            if start < end:
                super().xWrite(bytes(self._image[start:end]), start)
        self._dirty.clear()
        super().xSync(flags)


class VolatileFiles(apsw.VFS):
    """The file system; register it once in a process by `install`."""

    def __init__(self) -> None:
        super().__init__(VFS_NAME, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> VolatileFile:
        """Open a file with its image."""
        return VolatileFile(name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete at once: SQLite deletes a file here only after it has synced what replaces it."""
        if os.path.exists(filename):
            super().xDelete(filename, syncdir)


_installed: list[VolatileFiles] = []


def install() -> str:
    """Register the file system and return the name to open databases with."""
    if not _installed:
        _installed.append(VolatileFiles())
    return VFS_NAME
