"""A disk in memory, as an operating system shows it: what a process reads back, and what a power cut would leave of it.

Only what was synced is sure to survive: the content of a file by a sync of that file, its name and its removal by a sync of the
folder. The operations that are not synced wait in their order; `power_loss` decides what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import apsw

from chaos.faults.storage.inode import Inode, Truncate, Write
from chaos.faults.storage.survival import draw_mode, draw_survivors
from chaos.faults.storage.troubles import KILLS, OperationKind, TroubleName, Troubles, error_of


class PowerLost(apsw.IOError):
    """This machine has no power any more."""


class ProcessEnded(apsw.IOError):
    """The process that opened this file has ended."""


@dataclass(frozen=True, slots=True)
class NameChange:
    """An unsynced change of the folder: `name` is given to `inode`, or removed."""

    number: int
    name: str
    inode: Inode | None


@dataclass(frozen=True, slots=True)
class Operation:
    """A counted operation; `file` says what kind of file it was on: database, log (the WAL) or journal."""

    number: int
    kind: OperationKind
    file: str

    def __str__(self) -> str:
        return f"{self.kind} {self.file}"


class Disk:
    """One disk. `cut_at` is the number of the operation during which the power goes; `honest` is False if it syncs nothing.

    Every create, write, truncate, sync and delete is counted from 1. The operation of the cut is begun, so that some of it may be
    found done; whatever comes after it raises `PowerLost`. `draws` decides what is left of an operation that fails.
    """

    def __init__(
        self, files: Iterable[tuple[str, bytes]] = (), *, sector_bytes: int = 512, draws: Random | None = None
    ) -> None:
        self.names = {name: Inode(bytearray(content), bytearray(content)) for name, content in files}
        self.durable_names = dict(self.names)
        self.pending_names: list[NameChange] = []
        self.sector_bytes = sector_bytes
        self.troubles = Troubles()
        self.honest = True
        self.cut_at: int | None = None
        self.powered = True
        self.operations = 0
        self.history: list[Operation] = []
        self.process = 0
        self._draws = draws or Random(0)

    def end_process(self) -> None:
        """The process that uses this disk ends, as by SIGKILL: its files are closed, and what it wrote stays as it is."""
        self.process += 1

    def check(self, process: int) -> None:
        """Raises `PowerLost` or `ProcessEnded` if that process can do nothing any more."""
        if not self.powered:
            raise PowerLost("the power is off")
        if process != self.process:
            raise ProcessEnded("the process has ended")

    def read(self, process: int, inode: Inode, amount: int, offset: int) -> bytes:
        """What the file holds there, as processes see it."""
        self.check(process)
        failing = self.troubles.strike("read", self.operations)
        if failing is not None:
            raise error_of(failing)
        return bytes(inode.live[offset : offset + amount])

    def create(self, process: int, name: str, file: str) -> Inode:
        """A new empty file."""
        self._begin_or_fail(process, "create", file)
        inode = Inode()
        self._change_name(name, inode)
        self._end()
        return inode

    def delete(self, process: int, name: str, file: str, *, sync_folder: bool) -> None:
        """Take the name away, with `sync_folder` durably. There must be such a file."""
        self._begin_or_fail(process, "delete", file)
        self._change_name(name, None)
        self._end()
        if sync_folder:
            self._sync_folder()

    def write(self, process: int, inode: Inode, file: str, data: bytes, offset: int) -> None:
        """Write, unsynced. Of a write that fails the beginning may have been written."""
        failing = self._begin(process, "write", file)
        write = Write(self.operations, offset, data)
        if failing is None:
            inode.do(write)
            self._end()
            return
        parts = write.sectors(self.sector_bytes)
        for part in parts[: self._draws.randint(0, len(parts) - 1)]:
            inode.do(part)
        raise error_of(failing)

    def truncate(self, process: int, inode: Inode, file: str, size: int) -> None:
        """Change the length, unsynced."""
        self._begin_or_fail(process, "truncate", file)
        inode.do(Truncate(self.operations, size))
        self._end()

    def sync(self, process: int, inode: Inode, file: str, *, sync_folder: bool = False) -> None:
        """Make the file's content durable; with `sync_folder` all names too. Nothing is sure while the sync is under way.

        After a sync that fails the operating system takes the file for clean: some of it never reaches the platter, whatever is
        synced later, though processes go on reading it.
        """
        failing = self._begin(process, "sync", file)
        if failing is not None:
            inode.settle(self._some_of(inode))
            raise error_of(failing)
        self._end()
        if self.honest:
            inode.sync()
            if sync_folder:
                self._sync_folder()

    def _begin(self, process: int, kind: OperationKind, file: str) -> TroubleName | None:
        """Count the operation; the name of what it must fail with, if anything."""
        self.check(process)
        self.operations += 1
        self.history.append(Operation(self.operations, kind, file))
        failing = self.troubles.strike(kind, self.operations)
        if self.operations == self.cut_at:
            return None
        if failing in KILLS:
            self.end_process()
            raise ProcessEnded("the process was killed")
        return failing

    def _begin_or_fail(self, process: int, kind: OperationKind, file: str) -> None:
        failing = self._begin(process, kind, file)
        if failing is not None:
            raise error_of(failing)

    def _end(self) -> None:
        if self.operations == self.cut_at:
            self.powered = False
            raise PowerLost("the power goes")

    def _some_of(self, inode: Inode) -> list[Write | Truncate]:
        parts = [
            part
            for operation in inode.pending
            for part in (operation.sectors(self.sector_bytes) if isinstance(operation, Write) else (operation,))
        ]
        survives = draw_survivors(self._draws, len(parts), draw_mode(self._draws))
        return [part for part, kept in zip(parts, survives, strict=True) if kept]

    def _change_name(self, name: str, inode: Inode | None) -> None:
        if inode is None:
            del self.names[name]
        else:
            self.names[name] = inode
        self.pending_names.append(NameChange(self.operations, name, inode))

    def _sync_folder(self) -> None:
        if self.honest:
            self.durable_names = dict(self.names)
            self.pending_names = []
