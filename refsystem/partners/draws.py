"""Random draws that are keyed, never counted: the same seed and names give the same number, in whatever order."""

from __future__ import annotations

import hashlib

_RANGE = 1 << 64


def draw(seed: int, *names: str | int) -> float:
    """A number, uniform in [0, 1), that belongs to `seed` and `names` (an id, what it is for, which try)."""
    text = "\x1f".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / _RANGE
