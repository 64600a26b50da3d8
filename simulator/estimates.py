"""What a figure is known to: a value with the ends of its 95 % interval, and whether a sentence may say it.

Means over replications have their own interval (`model.intervals`). Here are the others: the share of independent
cases, a quantile of many values, and either in another unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri

from simulator.model.intervals import TAIL, clopper_pearson

NORMAL = float(ndtri(1 - TAIL))
"""How many standard deviations the interval of a normal value reaches to either side."""


class Span(Protocol):
    """A value with its interval; without one (None) there was too little to say."""

    @property
    def mean(self) -> float:
        """The value."""

    @property
    def low(self) -> float | None:
        """The lower end."""

    @property
    def high(self) -> float | None:
        """The upper end."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, whatever that was found by."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """`cases` of `trials` independent ones. Exact interval: Clopper and Pearson 1934; none of n may still be 3.7/n."""

    cases: int
    trials: int

    @property
    def mean(self) -> float:
        """The share; nought of nothing."""
        return self.cases / self.trials if self.trials else 0.0

    @property
    def low(self) -> float:
        """The lower end."""
        return clopper_pearson(self.cases, self.trials)[0]

    @property
    def high(self) -> float:
        """The upper end."""
        return clopper_pearson(self.cases, self.trials)[1]


def quantile(values: Sequence[float] | npt.NDArray[np.float64], share: float) -> Estimate:
    """A quantile of independent values, with the interval between two of them (binomial ranks); too few give no interval."""
    inside = np.sort(np.asarray(values, dtype=np.float64))
    count = len(inside)
    below = bdtr(np.arange(count), count, share)
    first, last = int(np.searchsorted(below, TAIL, "right")), int(np.searchsorted(below, 1 - TAIL))
    middle = float(np.quantile(inside, share))
    if first < 1 or last >= count:
        return Estimate(middle, None, None)
    return Estimate(middle, float(inside[first - 1]), float(inside[last]))


def scaled(found: Span, factor: float) -> Estimate:
    """The same in another unit. For what cannot be below nought: neither is its interval's lower end."""
    low, high = found.low, found.high
    return Estimate(
        found.mean * factor, None if low is None else max(0.0, low * factor), None if high is None else high * factor
    )


def say(found: Span, digits: int = 1) -> str:
    """`14.0 (12.1 to 15.9)`."""
    if found.low is None or found.high is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} ({max(0.0, found.low):.{digits}f} to {found.high:.{digits}f})"


def bears_out(found: Span, said: float, slack: float) -> bool:
    """Whether a sentence may say `said`: it is in the interval, or no further from it than `slack`.

    The slack is for what a change of the model may move without the sentence being wrong.
    """
    low, high = (found.mean if end is None else end for end in (found.low, found.high))
    assert math.isfinite(found.mean), "a figure that nobody had bears nothing out"
    return low - slack <= said <= high + slack
