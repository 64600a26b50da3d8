"""The toxic that makes a link narrow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Self

from chaos.proxy.toxics.base import CHUNK_BYTES_MAX, HELD_BYTES_MAX, HELD_CHUNKS_MAX, Attributes, Stage
from chaos.proxy.toxics.fields import INT64_MAX, attribute, inner_state
from chaos.proxy.toxics.metered import MeteredStage, Piece


class RateBudget:
    """A line that carries `bytes_s` bytes a second, piece after piece; idle time earns nothing.

    A piece is at most what `piece_ms` carry, so that a slow line trickles and many who share it take turns.
    """

    def __init__(self, bytes_s: int, piece_ms: int, piece_bytes_min: int, piece_bytes_max: int) -> None:
        self.bytes_s = bytes_s
        self._piece_ms = piece_ms
        self._piece_bytes_min = piece_bytes_min
        self._piece_bytes_max = piece_bytes_max
        self._free_at = 0.0

    def reserve(self, ready_at: float, length_bytes: int) -> Piece | None:
        """The next piece, behind those that were given out before."""
        if self.bytes_s == 0:
            return None
        length_bytes = min(length_bytes, self.piece_bytes_max)
        self._free_at = max(self._free_at, ready_at) + self.time_s(length_bytes)
        return Piece(length_bytes, self._free_at)

    @property
    def piece_bytes_max(self) -> int:
        """The longest piece at this rate."""
        return min(max(self._piece_bytes_min, self._piece_ms * self.bytes_s // 1000), self._piece_bytes_max)

    def time_s(self, length_bytes: int) -> float:
        """How long the line takes for so many bytes."""
        return length_bytes / self.bytes_s

    def change_rate(self, bytes_s: int, now: float) -> None:
        """Go on at another rate: what is reserved takes so much longer or shorter."""
        if bytes_s != self.bytes_s:
            self._free_at = rescaled(self._free_at, now, self.bytes_s, bytes_s)
            self.bytes_s = bytes_s

    def unused(self, piece: Piece, now: float) -> None:
        """What is left of a piece will never be sent: who comes next has its time."""
        left_s = min(piece.through_at - now, self.time_s(piece.length_bytes)) if self.bytes_s else 0.0
        self._free_at -= max(0.0, left_s)

    def give_back(self, at: float) -> None:
        """Be free from `at` on: the last piece was cut shorter."""
        self._free_at = at


def rescaled(at: float, now: float, old_rate: int, rate: int) -> float:
    """When something that would be through `at` is through at another rate."""
    return now + max(0.0, at - now) * old_rate / rate if rate else now


@dataclass(frozen=True, slots=True)
class Bandwidth(Attributes):
    """At most `rate` KB (of 1000 bytes) a second; 0 lets nothing pass.

    For each connection, as the original has it; with `shared` for all connections of the proxy and direction together.
    `rate_bytes_s` is a finer rate in place of `rate`: a server that does not know it goes by `rate`.
    """

    rate: int = 0
    rate_bytes_s: int | None = attribute(None)
    shared: bool = attribute(False, only_if_set=True)
    budget: RateBudget | None = inner_state()  # noqa: RUF009 - it is a field, not a shared default

    def __post_init__(self) -> None:
        super(Bandwidth, self).__post_init__()
        if self.shared and self.budget is None:
            object.__setattr__(self, "budget", RateBudget(self.bytes_s, 10, 1500, 15_000))

    @property
    def bytes_s(self) -> int:
        """The rate that holds."""
        return 1000 * self.rate if self.rate_bytes_s is None else self.rate_bytes_s

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A new `rate` alone takes the place of a finer one."""
        if "rate" in changes and "rate_bytes_s" not in changes:
            changes = {"rate_bytes_s": None, **changes}
        return dataclasses.replace(self, **changes)

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that sends at the rate, for one connection and direction."""
        return BandwidthStage(self, now)

    def ramped(self, share: float) -> Self:
        """The time that a byte takes grows, so the rate comes down."""
        finer = None if self.rate_bytes_s is None else _grown(self.rate_bytes_s, share)
        return dataclasses.replace(self, rate=_grown(self.rate, share), rate_bytes_s=finer)


def _grown(rate: int, share: float) -> int:
    return min(INT64_MAX, round(rate / share))


class BandwidthStage(MeteredStage[Bandwidth]):
    """Sends piece after piece, each taking its length divided by the rate; a piece is at most what 100 ms carry.

    On a shared line the pieces are smaller, and the connections take turns.
    """

    CARRY_S: ClassVar[float] = 0.003

    def __init__(self, attributes: Bandwidth, now: float) -> None:
        self._line = self._line_of(attributes, now)
        super().__init__(attributes, now, self._line)

    @property
    def full(self) -> bool:
        """Whether some ten milliseconds' worth of bytes are held."""
        bytes_in_10_ms = min(self.attributes.bytes_s // 100, HELD_BYTES_MAX)
        return self._held_bytes >= max(self.HELD_BYTES_MIN, bytes_in_10_ms) or len(self._held) >= HELD_CHUNKS_MAX

    def leave(self, now: float) -> None:
        """Let those that share the line have what is reserved."""
        if self._piece is not None:
            self._line.unused(self._piece, now)
            self._piece = None

    def update(self, attributes: Attributes, now: float) -> None:
        """Go on at the new rate; what of the piece being sent is through already stays so."""
        old_rate = self.attributes.bytes_s
        was_shared = self.attributes.shared
        super().update(attributes, now)
        rate = self.attributes.bytes_s
        if self.attributes.shared != was_shared:
            self.leave(now)
            self._line = self._budget = self._line_of(self.attributes, now)
            self._begin_again(now)
            return
        self._line.change_rate(rate, now)
        if self._piece is None or rate == 0:
            self._begin_again(now)
        elif rate != old_rate:
            through_at = rescaled(self._piece.through_at, now, old_rate, rate)
            self._piece = self._cut(Piece(self._piece.length_bytes, through_at), now)

    @staticmethod
    def _line_of(attributes: Bandwidth, now: float) -> RateBudget:
        """The line that all share, or one of its own."""
        if not attributes.shared:
            return RateBudget(attributes.bytes_s, 100, 1, CHUNK_BYTES_MAX)
        assert attributes.budget is not None, "a shared rate has a budget"
        attributes.budget.change_rate(attributes.bytes_s, now)
        return attributes.budget

    def _begin_again(self, now: float) -> None:
        self._ready_at = max(self._ready_at, now)
        self._reserve()

    def _cut(self, piece: Piece, now: float) -> Piece:
        """A piece of its own line that has become too long for the new rate, cut to what is sent and one piece more."""
        line = self._line
        left_bytes = (piece.through_at - now) * line.bytes_s
        excess_bytes = int(left_bytes) - line.piece_bytes_max
        if self.attributes.shared or excess_bytes <= 0:
            return piece
        through_at = piece.through_at - line.time_s(excess_bytes)
        line.give_back(through_at)
        return Piece(piece.length_bytes - excess_bytes, through_at)
