from __future__ import annotations

import math
from statistics import fmean

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simulator.distributions import between, choice, distinct, exponential, geometric, lognormal, whole_between
from simulator.streams import Streams

RELAXED = settings(max_examples=50)
UNIFORMS = st.floats(0, 1, exclude_min=True, exclude_max=True)
SAMPLE = [Streams(7).uniform("test", diner=number) for number in range(4000)]


def test_a_draw_depends_on_its_key_and_never_on_the_order_of_calls() -> None:
    forwards = [Streams(1).uniform("think", diner=number) for number in range(50)]
    backwards = [Streams(1).uniform("think", diner=number) for number in reversed(range(50))]
    assert forwards == backwards[::-1]


def test_every_part_of_the_key_counts() -> None:
    draws = {
        Streams(1).uniform("a"),
        Streams(2).uniform("a"),
        Streams(1, replication=1).uniform("a"),
        Streams(1).uniform("b"),
        Streams(1).uniform("a", store="s1"),
        Streams(1).uniform("a", diner=1),
        Streams(1).uniform("a", index=1),
    }
    assert len(draws) == 7


def test_the_draws_stay_the_same_from_release_to_release() -> None:
    assert Streams(1).bits(74, "order key", diner=3) == 1598706680581112221764
    assert Streams(1).uniform("think", diner=3) == 0.3931102306915754


def test_the_draws_are_uniform() -> None:
    assert stats.kstest(SAMPLE, "uniform").pvalue > 0.001
    assert 0 < min(SAMPLE) < max(SAMPLE) < 1


@given(st.integers(1, 128), st.integers(0, 1000))
@RELAXED
def test_bits_stay_within_their_count(count: int, diner: int) -> None:
    assert 0 <= Streams(1).bits(count, "bits", diner=diner) < 2**count


@given(UNIFORMS, UNIFORMS)
@RELAXED
def test_a_larger_draw_never_gives_a_smaller_value(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert exponential(low, 3) <= exponential(high, 3)
    assert geometric(low, 3, 20) <= geometric(high, 3, 20)
    assert lognormal(low, 3, 1) <= lognormal(high, 3, 1)
    assert whole_between(low, 1, 6) <= whole_between(high, 1, 6)


@given(UNIFORMS)
@RELAXED
def test_values_stay_in_their_range(uniform: float) -> None:
    assert 0 <= exponential(uniform, 2) < math.inf
    assert 1 <= geometric(uniform, 4, 20) <= 20
    assert geometric(uniform, 1, 20) == 1
    assert 2 <= between(uniform, 2, 5) <= 5
    assert 1 <= whole_between(uniform, 1, 6) <= 6
    assert choice(uniform, {"a": 0.0, "b": 1.0, "c": 0.0}) == "b"


def test_the_means_are_what_was_asked_for() -> None:
    assert math.isclose(fmean(exponential(u, 5) for u in SAMPLE), 5, rel_tol=0.06)
    assert math.isclose(fmean(geometric(u, 4, 10_000) for u in SAMPLE), 4, rel_tol=0.06)
    assert math.isclose(fmean(lognormal(u, 90, 25) for u in SAMPLE), 90, rel_tol=0.02)
    assert math.isclose(fmean(choice(u, {0: 0.25, 1: 0.75}) for u in SAMPLE), 0.75, abs_tol=0.03)


def test_a_lognormal_value_without_deviation_is_its_mean() -> None:
    assert lognormal(0.3, 5, 0) == 5
    assert lognormal(0.3, 0, 0) == 0


@given(st.integers(0, 30), st.integers(0, 10_000))
@RELAXED
def test_distinct_members_are_distinct(count: int, seed: int) -> None:
    chosen = distinct(lambda place: Streams(seed).uniform("pick", index=place), range(30), count)
    assert len(set(chosen)) == len(chosen) == count


def test_every_member_is_chosen_equally_often() -> None:
    firsts = [
        distinct(lambda place, n=number: Streams(1).uniform("pick", diner=n, index=place), range(5), 2)[1]
        for number in range(2000)
    ]
    assert stats.chisquare([firsts.count(member) for member in range(5)]).pvalue > 0.001
