"""Distributions by inverse transform: each function turns one uniform number in (0, 1) into one value.

All are monotone in the uniform, so that a larger draw never gives a smaller value: common random numbers stay
comparable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import TypeVar

_T = TypeVar("_T")
_NORMAL = NormalDist()


def exponential(uniform: float, mean: float) -> float:
    """An exponential value with this mean: -mean * ln(1 - u)."""
    return -mean * math.log1p(-uniform)


def geometric(uniform: float, mean: float, largest: int) -> int:
    """A whole number from 1 to `largest`, geometric with this mean (at least 1) before the cut at `largest`."""
    assert mean >= 1, f"a geometric number from 1 on has a mean of at least 1, not {mean}"
    if mean == 1:
        return 1
    return min(largest, 1 + math.floor(math.log1p(-uniform) / math.log1p(-1 / mean)))


def lognormal(uniform: float, mean: float, deviation: float) -> float:
    """A lognormal value with this mean and standard deviation (both of the value itself, not of its logarithm)."""
    if mean <= 0 or deviation <= 0:
        return mean
    variance = math.log1p((deviation / mean) ** 2)
    return math.exp(math.log(mean) - variance / 2 + math.sqrt(variance) * _NORMAL.inv_cdf(uniform))


def between(uniform: float, smallest: float, largest: float) -> float:
    """A uniform value from `smallest` to `largest`."""
    return smallest + uniform * (largest - smallest)


def whole_between(uniform: float, smallest: int, largest: int) -> int:
    """A uniform whole number from `smallest` to `largest`, both included."""
    return min(largest, smallest + math.floor(uniform * (largest - smallest + 1)))


def choice(uniform: float, shares: Mapping[_T, float]) -> _T:
    """One of the keys, each with its share of the sum of all."""
    assert shares, "nothing to choose from"
    left = uniform * math.fsum(shares.values())
    for value, share in shares.items():
        left -= share
        if left < 0:
            return value
    return max(shares, key=lambda value: shares[value])


def distinct(draw: Callable[[int], float], population: Sequence[_T], count: int) -> list[_T]:
    """`count` different members of `population` in random order; `draw(i)` is the uniform number of the i-th choice."""
    assert 0 <= count <= len(population), f"{count} of {len(population)}"
    pool = list(population)
    for place in range(count):
        other = whole_between(draw(place), place, len(pool) - 1)
        pool[place], pool[other] = pool[other], pool[place]
    return pool[:count]
