"""What so many orders without, or with, a loss can say: the exact bound of a rate, and histograms of latency.

Latency is counted from the intended start and split by outcome, so that a fast refusal never improves a percentile. It is
kept in HDR histograms (three significant digits, up to an hour); times go in as microseconds and come out as milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from chaos.judge.orders import OrderStory
from refsystem.platform_messages import CHANNEL as AT_A_PLATFORM
from simulator.history import Outcome

CONFIDENCE = 0.95
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
_HOUR_US = 3_600_000_000


def rate_upper_bound(cases: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided Clopper-Pearson upper bound of a rate after `cases` in `trials`; about 3/n after none in n.

    Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial". With no
    trials nothing is known: 1.
    """
    from scipy.special import (
        betaincinv,
    )  # the quantile of the beta distribution; `scipy.stats` takes a second to import

    assert 0 <= cases <= trials, f"{cases} cases in {trials} trials"
    if cases >= trials:
        return 1.0
    return float(betaincinv(cases + 1, trials - cases, confidence))


def orders_enough(rate: float, cases: int = 0, confidence: float = CONFIDENCE) -> int | None:
    """The least number of orders, with so many `cases` among them, whose bound is at most `rate`; None if none is."""
    if not 0 < rate < 1:
        return 1 if rate >= 1 else None
    if cases == 0:
        return math.ceil(math.log(1 - confidence) / math.log1p(-rate))
    low, high = cases, cases + 1
    while rate_upper_bound(cases, high, confidence) > rate:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rate_upper_bound(cases, middle, confidence) > rate else (low, middle)
    return high


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A distribution of times in milliseconds; all None if `count` is 0."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    def to_json(self) -> dict[str, float | int | None]:
        """As a JSON object."""
        return {"count": self.count, "p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.max}


def percentiles(durations_us: Iterable[int]) -> Percentiles:
    """The percentiles of durations given in microseconds, kept in an HDR histogram."""
    from hdrh.histogram import HdrHistogram

    histogram = HdrHistogram(1, _HOUR_US, 3)
    longest_us = 0
    for duration_us in durations_us:
        histogram.record_value(min(max(duration_us, 1), _HOUR_US))
        longest_us = max(longest_us, duration_us)
    count = int(histogram.get_total_count())
    if count == 0:
        return Percentiles(0)

    def at(share: float) -> float:
        return round(min(int(histogram.get_value_at_percentile(share)), longest_us) / 1000, 3)

    return Percentiles(count, at(50), at(95), at(99), round(longest_us / 1000, 3))


@dataclass(frozen=True, slots=True)
class Latency:
    """Response time of orders (intended start to its fate) and service time of attempts (send to answer), by outcome.

    `person`: from the intended start of what somebody wanted to the first yes, whichever of their orders it was to. It counts
    as many of the `people` that ordered as were told yes. Who ordered at a delivery platform is not among them.
    """

    response: Mapping[Outcome, Percentiles]
    service: Mapping[Outcome, Percentiles]
    without_end: int
    person: Percentiles
    people: int


def latency(stories: Iterable[OrderStory]) -> Latency:
    """The latency of submissions. Orders whose fate was never told are counted in `without_end`."""
    response: dict[Outcome, list[int]] = {outcome: [] for outcome in OUTCOMES}
    service: dict[Outcome, list[int]] = {outcome: [] for outcome in OUTCOMES}
    without_end = 0
    wanted_at: dict[str, int] = {}
    told_at: dict[str, int] = {}
    for story in stories:
        if story.attempts[0].channel != AT_A_PLATFORM:
            intent = story.intent_id
            wanted_at[intent] = min(story.intended_at_us, wanted_at.get(intent, story.intended_at_us))
            for yes in story.oks[:1]:
                at_us = yes.completed_at_us or 0
                told_at[intent] = min(at_us, told_at.get(intent, at_us))
        if story.ended_at_us is None:
            without_end += 1
        else:
            response[story.outcome].append(story.ended_at_us - story.intended_at_us)
        for attempt in story.attempts:
            if attempt.completed_at_us is not None:
                service[attempt.outcome].append(attempt.completed_at_us - attempt.invoked_at_us)
    return Latency(
        {outcome: percentiles(times) for outcome, times in response.items()},
        {outcome: percentiles(times) for outcome, times in service.items()},
        without_end,
        percentiles(at_us - wanted_at[intent] for intent, at_us in told_at.items()),
        len(wanted_at),
    )
