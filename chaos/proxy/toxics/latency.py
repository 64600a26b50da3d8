"""The toxic that makes a link long: a delay line that keeps throughput and order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from chaos.proxy.toxics.base import HELD_BYTES_MAX, HELD_CHUNKS_MAX, Attributes, Chunk, Item, Stage


@dataclass(frozen=True, slots=True)
class Latency(Attributes):
    """Each chunk leaves `latency` ± `jitter` ms after the proxy received it, never overtaking an earlier one."""

    latency: int = 0
    jitter: int = 0

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A delay line."""
        return LatencyStage(self, now, draws)


class LatencyStage(Stage[Latency]):
    """A delay line: many chunks are under way at once, so that throughput is kept.

    The draw for a chunk is made when it enters, one for each chunk, and is uniform between -1 and 1 jitters.
    """

    def __init__(self, attributes: Latency, now: float, draws: Random) -> None:
        super().__init__(attributes, now)
        self._draws = draws
        self._jitters: deque[float] = deque()
        self._held_bytes = 0

    @property
    def full(self) -> bool:
        """Whether the delay line has reached its bound in chunks or bytes."""
        return len(self._held) >= HELD_CHUNKS_MAX or self._held_bytes >= HELD_BYTES_MAX

    def put(self, item: Item, now: float) -> None:
        """Take in an item and draw its jitter."""
        super().put(item, now)
        if isinstance(item, Chunk):
            self._jitters.append(2.0 * self._draws.random() - 1.0)
            self._held_bytes += len(item.data)

    def take(self, now: float) -> Item | None:
        """The oldest chunk, once its delay is over; a closing follows the last chunk at once."""
        due = self.due()
        if due is None or due > now:
            return None
        item = self._held.popleft()
        if not isinstance(item, Chunk):
            return item
        self._jitters.popleft()
        self._held_bytes -= len(item.data)
        if due > item.received_at:
            self.act("delayed")
        return Chunk(item.data, due)

    def due(self) -> float | None:
        """When the oldest item may leave."""
        if not self._held:
            return None
        head = self._held[0]
        if not isinstance(head, Chunk):
            return 0.0
        delay_ms = self.attributes.latency + self.attributes.jitter * self._jitters[0]
        return head.received_at + max(0.0, delay_ms) / 1000
