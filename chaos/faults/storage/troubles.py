"""What goes wrong at an operation of a disk while the power stays on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import apsw

OperationKind = Literal["create", "write", "truncate", "sync", "delete", "read"]
TroubleName = Literal["disk_full", "write_error", "sync_error", "read_error", "stall", "killed", "killed_at_sync"]

STRIKES: dict[TroubleName, frozenset[OperationKind]] = {
    "disk_full": frozenset({"create", "write"}),
    "write_error": frozenset({"write", "truncate"}),
    "sync_error": frozenset({"sync"}),
    "read_error": frozenset({"read"}),
    "stall": frozenset({"write", "sync"}),
    "killed": frozenset({"create", "write", "truncate", "sync", "delete"}),
    "killed_at_sync": frozenset({"sync"}),
}
KILLS: frozenset[TroubleName] = frozenset({"killed", "killed_at_sync"})
READ_ERROR, WRITE_ERROR, SYNC_ERROR = apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_FSYNC


@dataclass(slots=True)
class Trouble:
    """From operation number `at` on (counted from 1), the next `times` operations that it can hit fail or stall."""

    name: TroubleName
    at: int
    times: int = 1
    stall_s: float = 1.0

    def hits(self, kind: OperationKind, number: int) -> bool:
        """Whether it hits this operation."""
        return self.times > 0 and number >= self.at and kind in STRIKES[self.name]


@dataclass(frozen=True, slots=True)
class Struck:
    """A trouble that took effect, and the number of the operation."""

    name: TroubleName
    number: int


@dataclass(slots=True)
class Troubles:
    """The troubles that a disk is in for. `wait` is what a stall does with its seconds."""

    planned: list[Trouble] = field(default_factory=list)
    wait: Callable[[float], None] = lambda seconds: None
    struck: list[Struck] = field(default_factory=list)

    def strike(self, kind: OperationKind, number: int) -> TroubleName | None:
        """Stall, or the name of what this operation must fail with; None if it may go on."""
        failing: TroubleName | None = None
        for trouble in self.planned:
            if failing is None and trouble.hits(kind, number):
                trouble.times -= 1
                self.struck.append(Struck(trouble.name, number))
                if trouble.name == "stall":
                    self.wait(trouble.stall_s)
                else:
                    failing = trouble.name
        return failing


def error_of(name: TroubleName) -> apsw.Error:
    """What SQLite is to be told."""
    match name:
        case "disk_full":
            return apsw.FullError("the disk is full")
        case "write_error":
            return _io_error("the disk cannot write", WRITE_ERROR)
        case "sync_error":
            return _io_error("the disk cannot sync", SYNC_ERROR)
        case "read_error":
            return _io_error("the disk cannot read", READ_ERROR)
    raise AssertionError(f"{name} is no error of a disk")


def _io_error(message: str, extended_result: int) -> apsw.IOError:
    error = apsw.IOError(message)
    error.extendedresult = extended_result  # type: ignore[attr-defined]
    return error
