"""Random draws keyed by what they are for, never by the order of calls.

Every draw is a hash of (seed, replication, store, diner, purpose, index). Whoever asks, in whatever order and on
however many workers, gets the same number, so runs repeat and two systems can be compared on common random numbers.
One draw feeds one use, by inverse transform (`simulator.distributions`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_UNIFORM_BITS = 53


@dataclass(frozen=True, slots=True)
class Streams:
    """All draws of one replication of one seed."""

    seed: int
    replication: int = 0

    def uniform(self, purpose: str, *, store: str = "", diner: int = -1, index: int = 0) -> float:
        """A number in the open interval (0, 1), the same for the same key; `index` tells repeated uses apart."""
        return (self.bits(_UNIFORM_BITS, purpose, store=store, diner=diner, index=index) + 0.5) / 2.0**_UNIFORM_BITS

    def bits(self, count: int, purpose: str, *, store: str = "", diner: int = -1, index: int = 0) -> int:
        """`count` random bits (128 at most) as an integer, the same for the same key."""
        assert 0 < count <= 128, f"{count} bits"
        key = f"{self.seed}\0{self.replication}\0{store}\0{diner}\0{purpose}\0{index}"
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        return int.from_bytes(digest, "big") >> (128 - count)
