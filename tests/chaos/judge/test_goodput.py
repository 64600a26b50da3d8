"""Goodput: what counts as possible, who counts as served, and when the check says fail, pass or unknown."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from chaos.judge.gate import BudgetError, Budgets, parse_override
from chaos.judge.goodput import goodput, windows
from chaos.judge.goodput_checks import goodput_checks
from chaos.judge.orders import OrderStory, fold
from simulator.history import Attempt

START_US = 7_000_000


def orders(at_s: float, per_s: int, for_s: float, served_after_s: float | None, name: str) -> Iterable[Attempt]:
    """People who come evenly, each told yes after a while, or (None) told nothing."""
    for number in range(round(per_s * for_s)):
        meant_us = START_US + round((at_s + number / per_s) * 1e6)
        ended_us = None if served_after_s is None else meant_us + round(served_after_s * 1e6)
        yield Attempt(
            process="p",
            op=number,
            store="s1",
            table="T1",
            channel="qr",
            intent_id=f"{name}-{number}",
            order_id=f"order-{name}-{number}",
            attempt=1,
            kind="order",
            intended_at_us=meant_us,
            invoked_at_us=meant_us,
            completed_at_us=ended_us,
            outcome="ok" if ended_us is not None else "indefinite",
        )


def stories(*parts: Iterable[Attempt]) -> list[OrderStory]:
    return list(fold([attempt for part in parts for attempt in part]).values())


def test_a_store_that_serves_what_it_can_is_at_its_best_all_through() -> None:
    """Half of 80 a second are served in the rush, all of 20 a second before and after it."""
    calm, after = orders(0, 20, 8, 0.05, "calm"), orders(18, 20, 12, 0.05, "after")
    rush, in_vain = orders(8, 40, 10, 0.05, "rush"), orders(8, 40, 10, None, "vain")
    found = goodput(stories(calm, rush, in_vain, after), START_US)
    assert found is not None
    assert found.peak_per_s == 40
    assert found.least_ratio > 0.97


def test_a_collapse_that_outlives_the_rush_is_seen_with_its_moment() -> None:
    calm, rush = orders(0, 20, 8, 0.05, "calm"), orders(8, 80, 10, None, "rush")
    found = goodput(stories(calm, rush, orders(18, 20, 12, None, "after")), START_US)
    assert found is not None
    assert (found.least_ratio, found.least_at_s) == (0.0, 10.0)
    assert goodput(stories(orders(0, 20, 8, None, "nobody")), START_US) is None
    assert goodput([], START_US) is None


def test_a_person_counts_once_however_many_orders_they_make() -> None:
    first = list(orders(0, 10, 6, None, "person"))
    again = [
        Attempt(
            **{
                **{field: getattr(attempt, field) for field in Attempt.__dataclass_fields__},
                "order_id": f"{attempt.order_id}-again",
                "intended_at_us": attempt.intended_at_us + 1_000_000,
                "completed_at_us": attempt.intended_at_us + 1_500_000,
                "outcome": "ok",
            }
        )
        for attempt in first
    ]
    found = windows(stories(first, again), START_US, 1.0)
    assert [window.offered for window in found] == [10, 10, 10, 10, 10]
    assert sum(window.told_yes for window in found) == 35


@pytest.mark.parametrize(
    ("least", "ungrounded", "verdict"),
    [(0.4, None, "pass"), (0.9, None, "fail"), (0.9, "the load was late", "unknown"), (None, None, None)],
)
def test_the_check_says_what_was_possible_and_what_was_asked_for(
    least: float | None, ungrounded: str | None, verdict: str | None
) -> None:
    half = stories(orders(0, 20, 5.5, 0.0, "calm"), orders(5.5, 10, 5, 0.0, "yes"), orders(5.5, 10, 5, None, "vain"))
    checks = list(goodput_checks(half, START_US, Budgets(least_goodput_ratio=least), ungrounded))
    assert [check.verdict for check in checks] == [verdict] * (verdict is not None)
    if verdict == "fail":
        assert "55% of what was possible at its worst, in the 5 s from 5 s on" in checks[0].detail
        assert "its best is 20.0 orders/s); 90% are asked for" in checks[0].detail


def test_the_budget_is_a_share_and_may_be_lifted() -> None:
    assert parse_override("least_goodput_ratio=0.8") == ("least_goodput_ratio", 0.8)
    assert parse_override("least_goodput_ratio=none") == ("least_goodput_ratio", None)
    with pytest.raises(BudgetError, match="is a share of 1, not 90"):
        parse_override("least_goodput_ratio=90")
