"""`concurrency_limit`: how many requests may be under way, learnt from how long they take (as TCP Vegas does).

Little's law: of `n` requests under way, `n * (1 - least / latency)` wait somewhere, wherever that is; so nobody has to know the
capacity. Too many waiting: the limit falls. Hardly any, and the limit was used: it rises. The least latency is kept for
each kind of request, and forgotten after a while, for a system may become slower for good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WINDOW_US = 100_000
SAMPLES_MIN = 5
FORGET_US = 30_000_000
WAITING_FEW, WAITING_MANY = 3, 6
WAITING_FEW_SHARE, WAITING_MANY_SHARE = 0.1, 0.2
FALL = 0.85


@dataclass(slots=True)
class _Least:
    """The least of this period and of the one before."""

    since_us: int
    now_us: int
    before_us: int

    def note(self, latency_us: int, now_us: int) -> int:
        if now_us - self.since_us > FORGET_US:
            self.since_us, self.before_us, self.now_us = now_us, self.now_us, latency_us
        self.now_us = min(self.now_us, latency_us)
        return min(self.now_us, self.before_us)


class ConcurrencyLimit:
    """The limit, and what it has learnt. It never falls below `least` nor rises above `most`."""

    def __init__(self, initial: int = 400, least: int = 8, most: int = 1_000) -> None:
        self._limit, self._least_limit, self._most_limit = float(initial), least, most
        self._latencies: dict[int, _Least] = {}
        self._window_ends_us = 0
        self._samples = 0
        self._waiting_share = 0.0
        self._under_way_max = 0

    @property
    def limit(self) -> int:
        """How many requests may be under way."""
        return int(self._limit)

    def observe(self, kind: int, latency_us: int, under_way: int, now_us: int) -> None:
        """A request of `kind` was answered; `under_way` requests were, it included."""
        latency_us = max(1, latency_us)
        least = self._latencies.setdefault(kind, _Least(now_us, latency_us, latency_us)).note(latency_us, now_us)
        self._samples += 1
        self._waiting_share += 1 - least / latency_us
        self._under_way_max = max(self._under_way_max, under_way)
        if now_us >= self._window_ends_us and self._samples >= SAMPLES_MIN:
            self._step()
            self._window_ends_us = now_us + WINDOW_US
            self._samples, self._waiting_share, self._under_way_max = 0, 0.0, 0

    def _step(self) -> None:
        waiting = self._under_way_max * self._waiting_share / self._samples
        if self._under_way_max < self._limit / 2:
            return  # not the limit holds them back, so they say nothing about it
        if waiting > max(WAITING_MANY, WAITING_MANY_SHARE * self._limit):
            self._limit = max(self._least_limit, self._limit * FALL)
        elif waiting < max(WAITING_FEW, WAITING_FEW_SHARE * self._limit):
            self._limit = min(self._most_limit, self._limit + 1 + math.log10(self._limit))
