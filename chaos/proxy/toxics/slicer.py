"""The toxic that cuts data into small pieces, so that a reader sees half a message."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random

from chaos.proxy.toxics.base import Attributes, Chunk, Item, Stage


@dataclass(frozen=True, slots=True)
class Slicer(Attributes):
    """Cuts chunks into pieces of `average_size` ± `size_variation` bytes and waits `delay` µs after each."""

    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that cuts."""
        return SlicerStage(self, now, draws)

    def ramped(self, share: float) -> Slicer:
        """The wait grows; the pieces are as small from the beginning."""
        return dataclasses.replace(self, delay=round(self.delay * share))


class SlicerStage(Stage[Slicer]):
    """Lets one piece leave at each instant, so that each is sent by itself; a size of 0 cuts nothing."""

    def __init__(self, attributes: Slicer, now: float, draws: Random) -> None:
        super().__init__(attributes, now)
        self._draws = draws
        self._next_at = now
        self._taken_at = now - 1.0

    def put(self, item: Item, now: float) -> None:
        """Take in an item; a wait that is over earns nothing."""
        if not self._held:
            self._next_at = max(self._next_at, now)
        super().put(item, now)

    def take(self, now: float) -> Item | None:
        """The next piece, unless one has left at this very instant or the wait after it is not over."""
        if not self._held or self._next_at > now or self._taken_at == now:
            return None
        item = self._held.popleft()
        if not isinstance(item, Chunk):
            return item
        self._taken_at = now
        self._next_at += self.attributes.delay / 1_000_000
        piece_bytes = self._piece_bytes(len(item.data))
        if piece_bytes < len(item.data):
            self.act("cut")
            self._held.appendleft(Chunk(item.data[piece_bytes:], item.received_at))
        return Chunk(item.data[:piece_bytes], item.received_at)

    def due(self) -> float | None:
        """When the next piece may leave."""
        return self._next_at if self._held else None

    def update(self, attributes: Attributes, now: float) -> None:
        """Forget the wait under the old attributes."""
        super().update(attributes, now)
        self._next_at = now

    def _piece_bytes(self, held_bytes: int) -> int:
        average, variation = self.attributes.average_size, self.attributes.size_variation
        if average == 0 or held_bytes <= average:
            return held_bytes
        return min(held_bytes, max(1, average + self._draws.randint(-variation, variation)))
