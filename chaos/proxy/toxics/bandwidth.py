"""The toxic that makes a link narrow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from chaos.proxy.toxics.base import (
    CHUNK_BYTES_MAX,
    HELD_BYTES_MAX,
    HELD_CHUNKS_MAX,
    Attributes,
    Chunk,
    Item,
    Stage,
)
from chaos.proxy.toxics.fields import INT64_MAX


@dataclass(frozen=True, slots=True)
class Bandwidth(Attributes):
    """At most `rate` KB (of 1000 bytes) a second; 0 lets nothing pass."""

    rate: int = 0

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that sends at the rate, for one connection and direction."""
        return BandwidthStage(self, now)

    def ramped(self, share: float) -> Bandwidth:
        """The time that a byte takes grows, so the rate comes down."""
        return dataclasses.replace(self, rate=min(INT64_MAX, round(self.rate / share)))


class BandwidthStage(Stage[Bandwidth]):
    """Sends piece after piece, each taking its length divided by the rate; idle time earns nothing.

    A piece is at most what 100 ms carry, so that a slow link trickles. Timers fire a little late: lateness up to
    `CARRY_S` is made up for, and enough is held to fill the time between two timers.
    """

    CARRY_S: ClassVar[float] = 0.003
    HELD_BYTES_MIN: ClassVar[int] = 2 * CHUNK_BYTES_MAX

    def __init__(self, attributes: Bandwidth, now: float) -> None:
        super().__init__(attributes, now)
        self._held_bytes = 0
        self._piece_from = now

    @property
    def full(self) -> bool:
        """Whether some ten milliseconds' worth of bytes are held."""
        bytes_in_10_ms = min(10 * self.attributes.rate, HELD_BYTES_MAX)
        return self._held_bytes >= max(self.HELD_BYTES_MIN, bytes_in_10_ms) or len(self._held) >= HELD_CHUNKS_MAX

    def put(self, item: Item, now: float) -> None:
        """Take in an item; on an idle link its sending begins now."""
        if not self._held and now - self._piece_from > self.CARRY_S:
            self._piece_from = now
        super().put(item, now)
        if isinstance(item, Chunk):
            self._held_bytes += len(item.data)

    def take(self, now: float) -> Item | None:
        """The next piece that has been sent by `now`."""
        due = self.due()
        if due is None or due > now:
            return None
        item = self._held.popleft()
        if not isinstance(item, Chunk):
            return item
        self._piece_from = due
        bytes_taken = self._piece_bytes(item)
        self._held_bytes -= bytes_taken
        self._act("slowed")
        if bytes_taken == len(item.data):
            return item
        self._held.appendleft(Chunk(item.data[bytes_taken:], item.received_at))
        return Chunk(item.data[:bytes_taken], item.received_at)

    def due(self) -> float | None:
        """When the piece being sent is through."""
        if not self._held:
            return None
        head = self._held[0]
        if not isinstance(head, Chunk):
            return 0.0
        if self.attributes.rate == 0:
            return None
        return self._piece_from + self._piece_bytes(head) / (1000 * self.attributes.rate)

    def update(self, attributes: Attributes, now: float) -> None:
        """Begin the piece being sent anew at the new rate."""
        super().update(attributes, now)
        self._piece_from = max(self._piece_from, now)

    def _piece_bytes(self, chunk: Chunk) -> int:
        return min(len(chunk.data), 100 * self.attributes.rate)
