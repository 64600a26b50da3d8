"""A mean over replications with its confidence interval (95 %, Student's t)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over replications with its confidence interval; without one (None) there was one value, or none."""

    mean: float
    half_width: float | None
    values: int

    @property
    def low(self) -> float | None:
        """The lower end."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """The upper end."""
        return None if self.half_width is None else self.mean + self.half_width

    def is_narrow(self, precision: float, floor: float = 0.0) -> bool:
        """Whether the true value is within this part of itself, t·s/√n ≤ p/(1+p)·|mean|, or the half width within `floor`."""
        return self.half_width is not None and self.half_width <= max(
            floor, precision / (1 + precision) * abs(self.mean)
        )


def interval(values: Sequence[float]) -> Interval:
    """The t-interval of the mean of these values."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Interval(mean, None, count)
    spread = float(np.std(np.asarray(values), ddof=1))
    return Interval(mean, float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * spread / math.sqrt(count), count)


def paired(one: Sequence[float], other: Sequence[float]) -> Interval:
    """The interval of the difference `other - one` of two designs on common random numbers."""
    return interval([b - a for a, b in zip(one, other, strict=True)])
