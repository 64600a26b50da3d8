"""The model's random draws: Philox4x32-7, keyed by seed, store and replication, counted by purpose, entity and index.

One uniform feeds one use, and no draw depends on the order of calls; so both engines, any number of workers and two designs
that are compared draw the same. A block of Philox is two uniforms: of an even index and of the odd one that follows it. The
three renderings here (a scalar, a whole column by numpy, compiled code) give the same bits. Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 7
"""As many as the paper found to be enough for TestU01's BigCrush; a draw is a large part of what an event costs."""
MASK = 0xFFFFFFFF
SCALE = 2.0**-53
COLUMN_BITS = 12


class Key(NamedTuple):
    """The two words of a Philox key."""

    low: int
    high: int


def make_key(seed: int, store: str = "", replication: int = 0) -> Key:
    """The key of one store in one replication of one seed."""
    digest = hashlib.blake2b(f"{seed}\0{store}\0{replication}".encode(), digest_size=8).digest()
    return Key(int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little"))


def uniform(key: Key, purpose: int, entity: int, index: int) -> float:
    """A number in the open interval (0, 1), the same for the same arguments; the entity and the index are below 2^32."""
    k0, k1 = key
    c0, c1, c2, c3 = entity, index >> 1, purpose, 0
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    high, low = (c2, c3) if index & 1 else (c0, c1)
    return ((((high << 32) | low) >> 11) + 0.5) * SCALE


def uniform_column(key: Key, purpose: int, first_entity: int, count: int, index: int) -> npt.NDArray[np.float64]:
    """`uniform` for `count` entities from `first_entity` on."""
    mask, shift = np.uint64(MASK), np.uint64(32)
    c0 = np.arange(first_entity, first_entity + count, dtype=np.uint64)
    c1 = np.full(count, index >> 1, dtype=np.uint64)
    c2 = np.full(count, purpose, dtype=np.uint64)
    c3 = np.zeros(count, dtype=np.uint64)
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = np.uint64(MULTIPLIER_0) * c0, np.uint64(MULTIPLIER_1) * c2
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ np.uint64(k0), p1 & mask, (p0 >> shift) ^ c3 ^ np.uint64(k1), p0 & mask
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    high, low = (c2, c3) if index & 1 else (c0, c1)
    bits = ((high << shift) | low) >> np.uint64(11)
    return np.asarray((bits.astype(np.float64) + 0.5) * SCALE)


class Draws:
    """The draws of one key for the interpreted engine: columns of many entities at once, kept as they are asked for."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self._columns: dict[tuple[int, int, int], list[float]] = {}

    def uniform(self, purpose: int, entity: int, index: int = 0) -> float:
        """As the function of this name."""
        place = (purpose, index, entity >> COLUMN_BITS)
        column = self._columns.get(place)
        if column is None:
            first = (entity >> COLUMN_BITS) << COLUMN_BITS
            column = uniform_column(self.key, purpose, first, 1 << COLUMN_BITS, index).tolist()
            self._columns[place] = column
        return column[entity & ((1 << COLUMN_BITS) - 1)]
