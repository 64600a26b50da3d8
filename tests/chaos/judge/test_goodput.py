"""Goodput: what counts as possible, who counts as served, and when the check says fail, pass or unknown."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from chaos.judge.gate import BudgetError, Budgets, parse_override
from chaos.judge.goodput import goodput, windows
from chaos.judge.goodput_checks import goodput_checks
from chaos.judge.orders import OrderStory, fold
from chaos.judge.plan import plan_of
from simulator.history import Attempt
from simulator.scenario import ScenarioError, find_scenario, load_scenario, with_changes

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
    nobody = goodput(stories(orders(0, 20, 8, None, "nobody")), START_US, 20)
    assert nobody is not None
    assert nobody.least_ratio == 0
    assert goodput([], START_US) is None


def test_few_people_who_come_in_groups_are_measured_too_and_too_few_are_not() -> None:
    """Three at once every second; two of each three in vain from 10 s to 15 s."""
    groups = [list(orders(at, 3_000, 0.001, 0.05, f"group {at}")) for at in range(21)]
    lonely = [one for at in range(10, 15) for one in orders(at, 2_000, 0.001, None, f"vain {at}")]
    well = goodput(stories(*groups), START_US)
    assert well is not None
    assert (well.peak_per_s, well.least_ratio) == (3, 1.0)
    ill = goodput(stories(*groups[:10], *(group[:1] for group in groups[10:15]), lonely, *groups[15:]), START_US)
    assert ill is not None
    assert (ill.least_at_s, ill.least_ratio) == (10, pytest.approx(5 / 15, abs=0.03))
    few = stories(orders(0, 1, 21, 0.05, "few"))
    assert goodput(few, START_US) is None
    (check,) = goodput_checks(few, START_US, Budgets(least_goodput_ratio=0.9), None, 1.0)
    assert (check.verdict, "in no 5 s of the load were 10 orders possible" in check.detail) == ("unknown", True)


def test_yeses_of_people_who_came_earlier_make_no_window_better_than_all() -> None:
    """Nine of the first 5 s, too few to say, are told yes in the next, beside its own."""
    found = goodput(stories(orders(0, 2, 4.5, 5.0, "late"), orders(5, 4, 6, 0.05, "after")), START_US)
    assert found is not None
    assert (found.peak_per_s, found.least_ratio, found.least_at_s) == (5.8, 1.0, 5.0)


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
    checks = list(goodput_checks(half, START_US, Budgets(least_goodput_ratio=least), ungrounded, 15.0))
    assert [check.verdict for check in checks] == [verdict] * (verdict is not None)
    if verdict == "fail":
        assert "55% of what was possible at its worst, in the 5 s from 5 s on" in checks[0].detail
        assert "its best is 20.0 orders/s, and 15 are possible at least); 90% are asked for" in checks[0].detail


def test_a_store_that_is_bad_throughout_fails_however_even_it_is() -> None:
    """One person in a hundred is told yes, all through the run: its own best is no better."""
    bad = stories(orders(0, 495, 20, None, "vain"), orders(0, 5, 20, 0.05, "yes"))

    def verdict(peak_per_s: float | None, capacity_per_s: float | None) -> str:
        budgets = Budgets(least_goodput_ratio=0.9, least_goodput_peak_per_s=peak_per_s)
        (check,) = goodput_checks(bad, START_US, budgets, None, capacity_per_s)
        return check.verdict

    assert verdict(None, 40.0) == "fail"
    assert verdict(40.0, None) == "fail"
    assert verdict(5.0, 40.0) == "pass", "the budget's word is meant"
    assert verdict(None, None) == "unknown"


def test_the_declared_capacity_comes_from_the_scenario_and_is_required() -> None:
    storm = load_scenario(find_scenario("retry_storm"))
    assert plan_of(storm).capacity_per_s == 140
    undeclared = {"stores": [{"name": "s1"}]}
    with pytest.raises(ScenarioError, match="needs a service_delay of every store"):
        with_changes(storm, undeclared)
    said = with_changes(storm, undeclared | {"budgets": {"least_goodput_peak_per_s": 30}})
    assert (plan_of(said).capacity_per_s, plan_of(said).budgets.least_goodput_peak_per_s) == (None, 30)


def test_the_budget_is_a_share_and_may_be_lifted() -> None:
    assert parse_override("least_goodput_ratio=0.8") == ("least_goodput_ratio", 0.8)
    assert parse_override("least_goodput_ratio=none") == ("least_goodput_ratio", None)
    with pytest.raises(BudgetError, match="is a share of 1, not 90"):
        parse_override("least_goodput_ratio=90")
