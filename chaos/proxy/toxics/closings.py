"""The toxics that act on how a connection ends: slow_close, timeout, reset_peer and limit_data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random

from chaos.proxy.toxics.base import Attributes, Chunk, Closing, Item, Stage
from chaos.proxy.toxics.fields import INT64_MAX


@dataclass(frozen=True, slots=True)
class SlowClose(Attributes):
    """Delays the close, and nothing else, by `delay` ms."""

    delay: int = 0

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that holds a closing back."""
        return SlowCloseStage(self, now)


class SlowCloseStage(Stage[SlowClose]):
    """Hands chunks on at once and holds a closing back."""

    def put(self, item: Item, now: float) -> None:
        """Take in an item; the delay of a closing counts from here."""
        super().put(item, now)
        if isinstance(item, Closing):
            self._since = now

    def take(self, now: float) -> Item | None:
        """The next chunk; a closing only when its delay is over."""
        due = self.due()
        if due is None or due > now:
            return None
        item = self._held.popleft()
        if isinstance(item, Closing) and self.attributes.delay:
            self.act("close_delayed")
        return item

    def due(self) -> float | None:
        """When the item held may leave."""
        if not self._held:
            return None
        return 0.0 if isinstance(self._held[0], Chunk) else self._since + self.attributes.delay / 1000


@dataclass(frozen=True, slots=True)
class Timeout(Attributes):
    """Drops all data, and closes the connection after `timeout` ms; 0: never. Its removal closes the connection."""

    timeout: int = 0

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that drops data from now on."""
        return TimeoutStage(self, now)

    def ramped(self, share: float) -> Timeout:
        """Itself: data is dropped or not."""
        return self


class TimeoutStage(Stage[Timeout]):
    """Drops chunks. A connection that lost bytes can never be healed, hence the close at the removal."""

    def __init__(self, attributes: Timeout, now: float) -> None:
        super().__init__(attributes, now)
        self._closed = False

    @property
    def full(self) -> bool:
        """Never: what is dropped takes no room."""
        return False

    def put(self, item: Item, now: float) -> None:
        """Drop a chunk; keep a closing, which passes."""
        if isinstance(item, Closing):
            super().put(item, now)
        else:
            self.act("dropped")

    def take(self, now: float) -> Item | None:
        """A closing: the sender's own, or the one that the time-out brings."""
        due = self.due()
        if due is None or due > now:
            return None
        if self._held:
            return self._held.popleft()
        self._closed = True
        self.act("closed")
        return Closing.FULL

    def due(self) -> float | None:
        """When the connection closes."""
        if self._held:
            return 0.0
        if self._closed or self.attributes.timeout == 0:
            return None
        return self._since + self.attributes.timeout / 1000

    def update(self, attributes: Attributes, now: float) -> None:
        """Count a new time-out from now."""
        super().update(attributes, now)
        self._since = now

    def flush(self) -> list[Item]:
        """The close that a removal brings."""
        self.act("closed")
        return [Closing.FULL]


@dataclass(frozen=True, slots=True)
class ResetPeer(Attributes):
    """Resets both legs (TCP RST) `timeout` ms after the first data or close that comes."""

    timeout: int = 0

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that waits for something to come."""
        return ResetPeerStage(self, now)

    def ramped(self, share: float) -> ResetPeer:
        """Itself: a connection is reset or not."""
        return self


class ResetPeerStage(Stage[ResetPeer]):
    """Holds what came, so that a removal in time leaves the stream whole."""

    def put(self, item: Item, now: float) -> None:
        """Take in an item; the first one starts the clock."""
        if not self._held:
            self._since = now
        super().put(item, now)

    def take(self, now: float) -> Item | None:
        """The reset, when its time has come."""
        due = self.due()
        if due is None or due > now:
            return None
        self._held.clear()
        self.act("reset")
        return Closing.RESET

    def due(self) -> float | None:
        """When the reset comes."""
        return self._since + self.attributes.timeout / 1000 if self._held else None


@dataclass(frozen=True, slots=True)
class LimitData(Attributes):
    """Closes the connection when `bytes` bytes have passed."""

    bytes: int = 0

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that counts the bytes of one connection and direction."""
        return LimitDataStage(self, now)

    def ramped(self, share: float) -> LimitData:
        """The limit comes down."""
        return dataclasses.replace(self, bytes=min(INT64_MAX, round(self.bytes / share)))


class LimitDataStage(Stage[LimitData]):
    """Counts what passes; the counter outlives an update."""

    def __init__(self, attributes: LimitData, now: float) -> None:
        super().__init__(attributes, now)
        self._passed_bytes = 0

    def take(self, now: float) -> Item | None:
        """The next chunk, cut at the limit; then the close."""
        if not self._held:
            return None
        item = self._held.popleft()
        if not isinstance(item, Chunk):
            return item
        left_bytes = max(0, self.attributes.bytes - self._passed_bytes)
        if left_bytes == 0:
            self.act("closed")
            return Closing.FULL
        if left_bytes <= len(item.data):
            self._held.clear()
            self._held.append(Closing.FULL)
            self.act("closed")
            item = Chunk(item.data[:left_bytes], item.received_at)
        self._passed_bytes += len(item.data)
        return item
