"""Latency split by outcome, in HDR histograms, with response time and service time side by side.

Response time counts from the *intended* start, service time from the moment the attempt was invoked; where the first
is much longer than the second, the client waited, retried or was late. Outcomes are kept apart, so that a fast
refusal never improves a percentile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hdrh.histogram import HdrHistogram

from simulator.history import Attempt, Outcome

Side = Literal["response", "service"]

LONGEST_US = 3_600_000_000
SIGNIFICANT_DIGITS = 3
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One line of a table: `count` latencies of one outcome and side; None where there are none."""

    outcome: Outcome
    side: Side
    count: int
    p50_us: int | None
    p90_us: int | None
    p99_us: int | None
    p999_us: int | None
    max_us: int | None


class LatencyBook:
    """Histograms by outcome and side, exact to three digits from 1 µs to an hour; what is longer counts as an hour."""

    def __init__(self) -> None:
        self._histograms: dict[tuple[Outcome, Side], HdrHistogram] = {}

    def add(self, attempt: Attempt) -> None:
        """Count one completed attempt; one that was never answered has no latency and is passed over."""
        if attempt.completed_at_us is None:
            return
        self.record(attempt.outcome, "response", attempt.completed_at_us - attempt.intended_at_us)
        self.record(attempt.outcome, "service", attempt.completed_at_us - attempt.invoked_at_us)

    def record(self, outcome: Outcome, side: Side, latency_us: int) -> None:
        """Count one latency; what is below 1 µs counts as 1 µs."""
        histogram = self._histograms.get((outcome, side))
        if histogram is None:
            histogram = self._histograms[outcome, side] = HdrHistogram(1, LONGEST_US, SIGNIFICANT_DIGITS)
        histogram.record_value(min(max(latency_us, 1), LONGEST_US))

    def count(self, outcome: Outcome, side: Side = "response") -> int:
        """How many latencies there are."""
        histogram = self._histograms.get((outcome, side))
        return 0 if histogram is None else int(histogram.get_total_count())

    def percentile_us(self, outcome: Outcome, side: Side, percentile: float) -> int | None:
        """The latency that `percentile` per cent do not exceed; None if there are none."""
        histogram = self._histograms.get((outcome, side))
        return None if histogram is None else int(histogram.get_value_at_percentile(percentile))

    def rows(self) -> list[LatencyRow]:
        """A row for each outcome and side that has any latency, ok first."""
        outcomes: tuple[Outcome, ...] = ("ok", "indefinite", "fail")
        sides: tuple[Side, ...] = ("response", "service")
        return [self._row(outcome, side) for outcome in outcomes for side in sides if self.count(outcome, side)]

    def merge(self, other: LatencyBook) -> None:
        """Add all that `other` holds."""
        for key, theirs in other._histograms.items():
            if key not in self._histograms:
                self._histograms[key] = HdrHistogram(1, LONGEST_US, SIGNIFICANT_DIGITS)
            self._histograms[key].add(theirs)

    def _row(self, outcome: Outcome, side: Side) -> LatencyRow:
        marks = [self.percentile_us(outcome, side, percentile) for percentile in (*PERCENTILES, 100.0)]
        return LatencyRow(outcome, side, self.count(outcome, side), *marks)


def latency_of_orders(attempts: Iterable[Attempt]) -> LatencyBook:
    """The book of whole orders: each `order_id` once, by the attempt that decided it.

    That is its first yes; else its last indefinite answer; else its last refusal. An order never answered is left out.
    """
    deciding: dict[str, Attempt] = {}
    for attempt in attempts:
        if attempt.kind != "order" or attempt.completed_at_us is None:
            continue
        known = deciding.get(attempt.order_id)
        if known is None or _decides(attempt) > _decides(known):
            deciding[attempt.order_id] = attempt
    book = LatencyBook()
    for attempt in deciding.values():
        book.add(attempt)
    return book


def latency_of_attempts(attempts: Iterable[Attempt], kind: Literal["menu", "order", "read"]) -> LatencyBook:
    """The book of single attempts of one kind."""
    book = LatencyBook()
    for attempt in attempts:
        if attempt.kind == kind:
            book.add(attempt)
    return book


def _decides(attempt: Attempt) -> tuple[int, int]:
    assert attempt.completed_at_us is not None, "only answered attempts decide"
    if attempt.outcome == "ok":
        return 2, -attempt.completed_at_us
    return int(attempt.outcome == "indefinite"), attempt.completed_at_us
