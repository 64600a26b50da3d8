"""Arithmetic with money: integers in minor units (cents, fen), and every part of a sum accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

AMOUNT_MINOR_MAX = 10**12
BASIS_POINTS = 10_000


def split_evenly(amount_minor: int, parts: int) -> tuple[int, ...]:
    """`amount_minor` in `parts` shares that differ by one at most; the first ones take the remainder."""
    assert amount_minor >= 0, "a negative sum has no shares"
    assert parts >= 1, "a sum is split into one part or more"
    share, rest = divmod(amount_minor, parts)
    return tuple(share + (index < rest) for index in range(parts))


def share_of(amount_minor: int, part: int, whole: int) -> int:
    """`part` of `whole` of the sum, rounded down; all of it for the whole."""
    assert 0 <= part <= whole, "a part lies within the whole"
    return amount_minor * part // whole if whole else 0


def basis_points_of(amount_minor: int, basis_points: int) -> int:
    """That many hundredths of a per cent of the sum, rounded half up."""
    assert amount_minor >= 0, "a negative sum has no percentage here"
    assert basis_points >= 0, "a percentage is not negative"
    return (2 * amount_minor * basis_points + BASIS_POINTS) // (2 * BASIS_POINTS)


def allocate(amount_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """The sum in proportion to `weights`, exact: each part is what the running total rounds down to, less what came before."""
    whole = sum(weights)
    assert whole > 0, "weights have a positive sum"
    assert min(weights) >= 0, "weights are not negative"
    running = [share_of(amount_minor, part, whole) for part in accumulate(weights, initial=0)]
    return tuple(after - before for before, after in pairwise(running))
