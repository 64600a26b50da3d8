"""One direction between two places: delay, lost messages, broken connections, repetition and reordering, one-way cuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.cluster.clock import MS, Clock, drawn_us

LATE_US = (MS, 600 * MS)
LATE_SHARE = 0.5


class Link:
    """In order within a connection if `ordered`. What is under way when the connection breaks is lost, or comes late."""

    def __init__(
        self, clock: Clock, name: str, *, ordered: bool = False, latency_us: tuple[int, int] = (200, 4 * MS)
    ) -> None:
        self.slow_us = 0
        self.isolated = False
        self._clock = clock
        self._generator = generator = clock.generator(f"link {name}")
        self._latency_us = drawn_us(generator, *latency_us)
        self._lost_share = generator.choice((0.0, 0.0, 0.01, 0.05))
        self._repeated_share = generator.choice((0.0, 0.0, 0.02))
        self._ordered = ordered
        self._cuts = 0
        self._free_at_us = 0
        self._connection = 0

    @property
    def is_cut(self) -> bool:
        """Whether nothing comes through."""
        return self._cuts > 0 or self.isolated

    def cut(self, for_us: int) -> None:
        """Let nothing through for a while; cuts may overlap."""
        self._cuts += 1
        self._clock.after(for_us, self._mend)

    def slow(self, by_us: int, for_us: int) -> None:
        """Delay every message by up to `by_us` for a while."""
        self.slow_us = by_us
        self._clock.after(for_us, self._fast)

    def reconnect(self) -> None:
        """The connection breaks and is made anew."""
        self._connection += 1
        self._free_at_us = 0

    def heal(self) -> None:
        """No fault any more."""
        self._cuts, self.slow_us, self._lost_share, self._repeated_share = 0, 0, 0.0, 0.0

    def send(self, deliver: Callable[..., None], *args: Any) -> bool:
        """Carry a message: `deliver(*args)` at the other end, later, twice or never. False: it is lost at once."""
        generator = self._generator
        if self.is_cut or generator.random() < self._lost_share:
            return False
        now_us = self._clock.now_us
        arrive_us = now_us + self._latency_us + drawn_us(generator, 0, self._latency_us + self.slow_us)
        if self._ordered:
            arrive_us = self._free_at_us = max(arrive_us, self._free_at_us)
        self._clock.after(arrive_us - now_us, self._arrive, self._connection, deliver, args)
        if generator.random() < self._repeated_share:
            self._clock.goals["a message repeated"] += 1
            self._clock.after(drawn_us(generator, *LATE_US), self._arrive_late, deliver, args)
        return True

    def _arrive(self, connection: int, deliver: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.is_cut or connection != self._connection:
            if self._generator.random() < LATE_SHARE:
                self._clock.after(drawn_us(self._generator, *LATE_US), self._arrive_late, deliver, args)
            return
        deliver(*args)

    def _arrive_late(self, deliver: Callable[..., None], args: tuple[Any, ...]) -> None:
        if not self.is_cut:
            deliver(*args)

    def _mend(self) -> None:
        self._cuts = max(0, self._cuts - 1)

    def _fast(self) -> None:
        self.slow_us = 0
