"""Which entries are on this device's own disk, while flushes are under way and entries may be set aside meanwhile."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Flush:
    """A flush under way: with `token` done, everything up to `end_seq` is on the disk."""

    token: int
    end_seq: int
    begun_at_us: int


class Flushing:
    """The flushes of one device, in their order. `flushed_seq` is the last entry known to be on the disk."""

    def __init__(self, flushed_seq: int) -> None:
        self.flushed_seq = flushed_seq
        self._under_way: deque[Flush] = deque()

    def begin(self, token: int, end_seq: int, now_us: int) -> None:
        """A flush was handed to the disk."""
        self._under_way.append(Flush(token, end_seq, now_us))

    def done(self, token: int) -> None:
        """Every flush up to `token` is through."""
        while self._under_way and self._under_way[0].token <= token:
            self.flushed_seq = max(self.flushed_seq, self._under_way.popleft().end_seq)

    def set_aside(self, from_seq: int) -> None:
        """Entries from `from_seq` on left the log: no flush begun before can speak for what comes in their place."""
        self.flushed_seq = min(self.flushed_seq, from_seq - 1)
        self._under_way = deque(replace(flush, end_seq=min(flush.end_seq, from_seq - 1)) for flush in self._under_way)

    def oldest_since_us(self) -> int | None:
        """When the oldest flush under way began."""
        return self._under_way[0].begun_at_us if self._under_way else None
