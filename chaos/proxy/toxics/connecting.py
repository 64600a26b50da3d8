"""The toxics that act on how a connection comes about: slow_connect and half_open.

The proxy asks them before it dials; what they do to the data of a connection is in their stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Self

from chaos.proxy.toxics.base import Attributes, Closing, Item, Stage
from chaos.proxy.toxics.fields import attribute


@dataclass(frozen=True, slots=True)
class SlowConnect(Attributes):
    """The server is dialled `delay_ms` after the client was accepted, so that its data waits; open connections go on."""

    delay_ms: int = attribute(0, high=3_600_000)

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that hands everything on: a connection that is open was slow already."""
        return Stage(self, now)


@dataclass(frozen=True, slots=True)
class HalfOpen(Attributes):
    """The connection is accepted and then silent. With `dial` the server is dialled and hears the client, without not.

    A connection that was open before falls silent, too. The removal closes the connections that were hit: they lost bytes.
    """

    dial: bool = False

    def ramped(self, share: float) -> Self:
        """Itself: a connection is silent or not."""
        return self

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that says nothing."""
        return HalfOpenStage(self, now)


class HalfOpenStage(Stage[HalfOpen]):
    """Drops what comes, and keeps the sender's end of sending secret; a connection that is gone altogether is closed."""

    @property
    def full(self) -> bool:
        """Never: what is dropped takes no room."""
        return False

    def put(self, item: Item, now: float) -> None:
        """Drop a chunk; keep how the direction ends, the end of sending as one that is not told."""
        if not isinstance(item, Closing):
            self.act("silenced")
            return
        if item is Closing.HALF:
            self.act("silenced")
            item = Closing.SILENT
        super().put(item, now)

    def due(self) -> float | None:
        """At once, when the direction is over."""
        return 0.0 if self._held else None

    def flush(self) -> list[Item]:
        """The close that a removal brings."""
        self.act("closed")
        return [Closing.FULL]
