"""Confidence intervals (95 %) of what replications found: means, shares of people, differences of designs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, stdtrit

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
CASES_FEW = 10
"""With fewer independent cases than these, the t-interval of a share says too little."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over replications with the ends of its confidence interval; without one (None) there was one value, or none."""

    mean: float
    low: float | None
    high: float | None
    values: int

    @property
    def half_width(self) -> float | None:
        """From the mean to the end that is further away."""
        return None if self.low is None or self.high is None else max(self.mean - self.low, self.high - self.mean)

    def is_narrow(self, precision: float, floor: float = 0.0) -> bool:
        """Whether the true value is within this part of itself, t·s/√n ≤ p/(1+p)·|mean|, or the half width within `floor`."""
        half = self.half_width
        return half is not None and half <= max(floor, precision / (1 + precision) * abs(self.mean))


def interval(values: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Interval:
    """The t-interval of the mean of these values; it does not reach beyond `least` and `most`, between which all are."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Interval(mean, None, None, count)
    spread = float(np.std(np.asarray(values), ddof=1))
    half = float(stdtrit(count - 1, 1 - TAIL)) * spread / math.sqrt(count)
    return Interval(mean, max(mean - half, least), min(mean + half, most), count)


def paired(one: Sequence[float], other: Sequence[float]) -> Interval:
    """The interval of the difference `other - one` of two designs on common random numbers."""
    return interval([b - a for a, b in zip(one, other, strict=True)])


def clopper_pearson(cases: float, trials: float) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934); trials need not be whole. None of n may still be 3.7/n."""
    low = float(betaincinv(cases, trials - cases + 1, TAIL)) if cases > 0 else 0.0
    high = float(betaincinv(cases + 1, trials - cases, 1 - TAIL)) if cases < trials else 1.0
    return low, high


def share_interval(shares: Sequence[float], people: Sequence[float], alike: float | None) -> Interval:
    """The interval of the mean of a share, of so many people in each replication.

    The t-interval; where fewer than `CASES_FEW` independent cases stand behind the share, also as far as Clopper and Pearson's
    for the independent people among all. People of one replication fare alike, so they count as fewer: divided by the design
    effect (Kish 1965) of the share itself (Korn and Graubard 1998), or by `alike` if that is more, which other times of the
    same people show (`likeness`); without any (None) a whole replication counts as one.
    """
    found = interval(shares, 0.0, 1.0)
    if found.low is None or found.high is None:
        return found
    mean, each = found.mean, max(1.0, math.fsum(people) / len(people))
    effect = 1.0
    if 0 < mean < 1:
        effect = min(max(1.0, float(np.var(shares, ddof=1)) * each / (mean * (1 - mean))), each)
    if min(mean, 1 - mean) * each * len(shares) / effect >= CASES_FEW:
        return found
    effect = min(max(effect, each if alike is None else alike), each)
    independent = each * len(shares) / effect
    low, high = clopper_pearson(mean * independent, independent)
    return Interval(mean, min(found.low, low), max(found.high, high), found.values)


def likeness(means: Sequence[float], errors: Sequence[float]) -> float | None:
    """How much more the mean of a time varies between replications than if people were independent (at least 1).

    `errors`: the standard errors of the means as of independent people. None: fewer than two replications tell.
    """
    if len(means) < 2:
        return None
    between, within = float(np.var(means, ddof=1)), float(np.mean(np.square(errors)))
    if within > 0:
        return max(1.0, between / within)
    return 1.0 if between == 0 else math.inf


def paired_shares(one: Sequence[float], other: Sequence[float], single: Sequence[Interval]) -> Interval:
    """As `paired`, of shares whose intervals by themselves are `single`.

    Where shares differ in few replications, a difference is known no better than the share that is known worse.
    """
    found = paired(one, other)
    if found.low is None or found.high is None:
        return found
    differ = sum(a != b for a, b in zip(one, other, strict=True))
    if differ >= min(CASES_FEW, len(one)):
        return found
    reach = max(each.half_width or 0.0 for each in single)
    return Interval(
        found.mean,
        max(-1.0, min(found.low, found.mean - reach)),
        min(1.0, max(found.high, found.mean + reach)),
        found.values,
    )
