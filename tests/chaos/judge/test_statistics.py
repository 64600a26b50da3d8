"""The bound of a rate against scipy's own test, and histograms that never flatter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from chaos.judge.judging import judge_run
from chaos.judge.statistics import orders_enough, percentiles, rate_upper_bound


@given(trials=st.integers(1, 20_000), share=st.floats(0, 1))
def test_the_bound_is_the_one_sided_clopper_pearson_bound(trials: int, share: float) -> None:
    cases = round(trials * share)
    exact = binomtest(cases, trials, alternative="less").proportion_ci(0.95, method="exact").high
    assert rate_upper_bound(cases, trials) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("trials", [100, 1_000, 100_000])
def test_no_loss_in_n_orders_bounds_the_rate_at_about_three_over_n(trials: int) -> None:
    assert rate_upper_bound(0, trials) == pytest.approx(3 / trials, rel=0.02)


def test_five_trials_without_a_case_bound_the_rate_at_45_percent() -> None:
    assert rate_upper_bound(0, 5) == pytest.approx(0.4507, abs=1e-4)


def test_without_trials_or_with_nothing_but_cases_nothing_is_ruled_out() -> None:
    assert rate_upper_bound(0, 0) == rate_upper_bound(3, 3) == 1.0


@given(rate=st.floats(1e-4, 0.5), cases=st.integers(0, 20))
def test_orders_enough_is_the_least_number_that_meets_the_rate(rate: float, cases: int) -> None:
    enough = orders_enough(rate, cases)
    assert enough is not None
    assert rate_upper_bound(cases, enough) <= rate * (1 + 1e-9)
    if enough - 1 > cases:
        assert rate_upper_bound(cases, enough - 1) > rate * (1 - 1e-9)


def test_no_number_of_orders_proves_a_rate_of_zero() -> None:
    assert orders_enough(0) is None
    assert orders_enough(1) == 1


@given(st.lists(st.integers(1, 60_000_000), min_size=1, max_size=200))
def test_percentiles_keep_three_digits_and_the_exact_maximum(durations_us: list[int]) -> None:
    times = percentiles(durations_us)
    ordered = sorted(durations_us)
    median_us = ordered[(len(ordered) + 1) // 2 - 1]
    assert times.count == len(durations_us)
    assert times.max == pytest.approx(max(durations_us) / 1000, abs=1e-3)
    assert times.p50 == pytest.approx(median_us / 1000, rel=2e-3, abs=2e-3)
    assert times.p50 is not None
    assert times.p99 is not None
    assert times.max is not None
    assert times.p50 <= times.p99 <= times.max


def test_a_distribution_of_nothing_has_no_percentiles() -> None:
    assert percentiles([]).to_json() == {"count": 0, "p50": None, "p95": None, "p99": None, "max": None}


def test_a_time_beyond_an_hour_is_kept_as_the_maximum() -> None:
    assert percentiles([2 * 3_600_000_000]).max == 7_200_000.0


def test_a_person_waits_from_their_first_order_to_the_first_yes_and_platforms_are_nobody(run: Any) -> None:
    before = len(run.attempts)
    gone = {"outcome": "indefinite", "status": None, "level": None, "node_id": None, "epoch": None}
    first = run.attempt(50, **gone)
    run.order(60, intent_id=first.intent_id)
    run.attempt(51, **gone)
    run.order(61, channel="delivery")
    latency = judge_run(run.write()).latency
    assert (latency.people, latency.person.count) == (before + 2, before + 1)
    assert latency.person.max == (60 - 50) * 250 + 31
    assert latency.response["ok"].max == 31, "each order's own"
