"""A stage that lets data pass in pieces, each when a budget says that it is through."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol, TypeVar

from chaos.proxy.toxics.base import CHUNK_BYTES_MAX, HELD_CHUNKS_MAX, Attributes, Chunk, Item, Stage


class Piece(NamedTuple):
    """So many bytes, and when they are through."""

    length_bytes: int
    through_at: float


class Budget(Protocol):
    """What a link carries, given out piece by piece; one for each stage, or one for many."""

    def reserve(self, ready_at: float, length_bytes: int) -> Piece | None:
        """The next piece of `length_bytes` that are ready since `ready_at`; None if nothing passes."""


M = TypeVar("M", bound=Attributes, covariant=True)


class MeteredStage(Stage[M]):
    """Reserves one piece at a time: what many stages share is given to them in turns, and each keeps its order.

    Pieces count from when the one before was through, not from when a timer noticed it. Where a sender is a little late
    with its next data, up to `CARRY_S`, the time is not lost either.
    """

    CARRY_S: ClassVar[float] = 0.0
    HELD_BYTES_MIN: ClassVar[int] = 2 * CHUNK_BYTES_MAX

    def __init__(self, attributes: M, now: float, budget: Budget) -> None:
        super().__init__(attributes, now)
        self._budget = budget
        self._held_bytes = 0
        self._ready_at = now
        self._piece: Piece | None = None

    @property
    def full(self) -> bool:
        """Whether enough is held to fill the time between two timers."""
        return self._held_bytes >= self.HELD_BYTES_MIN or len(self._held) >= HELD_CHUNKS_MAX

    def put(self, item: Item, now: float) -> None:
        """Take in an item; with nothing before it, its sending begins now."""
        if not self._held and now - self._ready_at > self.CARRY_S:
            self._ready_at = now
        super().put(item, now)
        if isinstance(item, Chunk):
            self._held_bytes += len(item.data)
        if len(self._held) == 1:
            self._reserve()

    def take(self, now: float) -> Item | None:
        """As much of the first chunk as is through by now, or a closing."""
        due = self.due()
        if due is None or due > now:
            return None
        item = self._held.popleft()
        if not isinstance(item, Chunk):
            self._reserve()
            return item
        taken_bytes = 0
        piece = self._piece
        while piece is not None and piece.through_at <= now:
            taken_bytes += piece.length_bytes
            self._ready_at = piece.through_at
            left_bytes = len(item.data) - taken_bytes
            piece = self._budget.reserve(self._ready_at, left_bytes) if left_bytes else None
        self._held_bytes -= taken_bytes
        self.act("slowed")
        if taken_bytes == len(item.data):
            self._reserve()
            return item
        self._piece = piece
        self._held.appendleft(Chunk(item.data[taken_bytes:], item.received_at))
        return Chunk(item.data[:taken_bytes], item.received_at)

    def due(self) -> float | None:
        """When the next piece is through."""
        if not self._held:
            return None
        if not isinstance(self._held[0], Chunk):
            return 0.0
        return None if self._piece is None else self._piece.through_at

    def flush(self) -> list[Item]:
        """Everything in flight, in order."""
        self._held_bytes = 0
        self._piece = None
        return super().flush()

    def _reserve(self) -> None:
        """Ask for the piece that begins with the first byte held."""
        head = self._held[0] if self._held else None
        self._piece = self._budget.reserve(self._ready_at, len(head.data)) if isinstance(head, Chunk) else None
