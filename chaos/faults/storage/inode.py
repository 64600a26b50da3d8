"""A file's content: as processes see it, as it is on the platter, and the operations in between that are not synced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Write:
    """Operation `number` of its disk: an unsynced write of `data` at `offset` of a file."""

    number: int
    offset: int
    data: bytes

    def sectors(self, sector_bytes: int) -> tuple[Write, ...]:
        """The same as a write for each sector that it touches."""
        parts: list[Write] = []
        begin, end = self.offset, self.offset + len(self.data)
        while begin < end:
            stop = min(end, (begin // sector_bytes + 1) * sector_bytes)
            parts.append(Write(self.number, begin, self.data[begin - self.offset : stop - self.offset]))
            begin = stop
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class Truncate:
    """Operation `number` of its disk: an unsynced change of a file's length."""

    number: int
    size: int


@dataclass(eq=False, slots=True)
class Inode:
    """A file, whatever its name."""

    live: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def do(self, operation: Write | Truncate) -> None:
        """Write or cut, unsynced."""
        perform(self.live, operation)
        self.pending.append(operation)

    def sync(self) -> None:
        """Make all of it durable."""
        self.settle(self.pending)

    def settle(self, survivors: Iterable[Write | Truncate]) -> None:
        """Nothing is pending any more; of what was, `survivors` reached the platter, and later syncs write no other."""
        for operation in survivors:
            perform(self.durable, operation)
        self.pending = []


def perform(content: bytearray, operation: Write | Truncate) -> None:
    """Do `operation` to `content`; gaps become zeros."""
    if isinstance(operation, Truncate):
        size = operation.size
        if size < len(content):
            del content[size:]
        else:
            content.extend(bytes(size - len(content)))
        return
    end = operation.offset + len(operation.data)
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = operation.data
