"""`paced_drain`: what an outage has dammed up flows off at a bounded rate, so that it does not drown who was just healed.

A token bucket in integers. What is sent in ordinary times never meets it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `burst` at once and `per_s` in the long run."""

    per_s: int
    burst: int


UPLINK_PACE = Pace(per_s=1_000, burst=400)
"""Entries of one store to the cloud: about ten times a rush, and two full batches at once."""


class Pacer:
    """The bucket of one sender; full at first."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._micro_tokens = pace.burst * 1_000_000
        self._at_us: int | None = None

    def wait_us(self, amount: int, now_us: int) -> int:
        """Take `amount`; how long to wait before it is sent. More than a burst waits as if it came in bursts."""
        if self._at_us is not None:
            earned = max(0, now_us - self._at_us) * self._pace.per_s
            self._micro_tokens = min(self._pace.burst * 1_000_000, self._micro_tokens + earned)
        self._at_us = now_us
        self._micro_tokens -= amount * 1_000_000
        return max(0, -(self._micro_tokens // self._pace.per_s))
