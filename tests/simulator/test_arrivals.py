from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simulator.arrivals import ARRIVALS_MAX, PROFILE_POINTS, arrival_times_s
from simulator.streams import Streams

RELAXED = settings(max_examples=50)
CONSTANT = PROFILE_POINTS["constant"]


def _plausible(count: int, expected: float) -> bool:
    """Whether a Poisson number with this mean is as far away in one of 10,000 cases or more often."""
    low, high = stats.poisson.ppf([0.00005, 0.99995], expected)
    return bool(low <= count <= high)


@given(
    st.integers(0, 2**40),
    st.floats(0.1, 30),
    st.floats(1, 40),
    st.sampled_from(sorted(PROFILE_POINTS)),
)
@RELAXED
def test_arrivals_are_sorted_within_the_duration_repeatable_and_as_many_as_the_rate_says(
    seed: int, rate_per_s: float, duration_s: float, profile: str
) -> None:
    points = PROFILE_POINTS[profile]
    times = arrival_times_s(Streams(seed), rate_per_s, duration_s, points)
    assert times == sorted(times)
    assert all(0 <= at_s < duration_s for at_s in times)
    assert times == arrival_times_s(Streams(seed), rate_per_s, duration_s, points)
    low, high = stats.poisson.ppf([1e-9, 1 - 1e-9], rate_per_s * duration_s)
    assert low <= len(times) <= high


@pytest.mark.parametrize("profile", sorted(PROFILE_POINTS))
def test_every_part_of_the_duration_gets_its_share_of_the_arrivals(profile: str) -> None:
    points = PROFILE_POINTS[profile]
    times = arrival_times_s(Streams(3), 200, 100, points)
    whole = sum((a[1] + b[1]) / 2 * (b[0] - a[0]) for a, b in pairwise(points))
    for start, end in pairwise(points):
        share = (start[1] + end[1]) / 2 * (end[0] - start[0]) / whole
        found = sum(1 for at_s in times if start[0] * 100 <= at_s < end[0] * 100)
        assert _plausible(found, 20_000 * share), f"{found} from {start[0]} to {end[0]}"


def test_the_gaps_of_a_constant_rate_are_exponential() -> None:
    times = arrival_times_s(Streams(5), 50, 60, CONSTANT)
    gaps = [after - before for before, after in pairwise(times)]
    assert stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.001


def test_a_ramp_rises_within_its_only_segment() -> None:
    times = arrival_times_s(Streams(5), 100, 100, PROFILE_POINTS["ramp"])
    quarters = [sum(1 for at_s in times if quarter * 25 <= at_s < quarter * 25 + 25) for quarter in range(4)]
    assert quarters == sorted(quarters)
    assert _plausible(quarters[0], 10_000 * (0.1 + 0.325) / 2 / 0.55 / 4)


def test_a_higher_rate_squeezes_the_same_arrivals() -> None:
    slow, fast = (arrival_times_s(Streams(9), rate, 40, CONSTANT) for rate in (5.0, 10.0))
    assert fast[: len(slow)] == pytest.approx([at_s / 2 for at_s in slow])


def test_a_jump_and_a_silent_stretch_are_kept() -> None:
    times = arrival_times_s(Streams(2), 20, 100, [(0.25, 1), (0.5, 1), (0.5, 0), (0.75, 0), (0.75, 3)])
    assert not [at_s for at_s in times if 50 < at_s < 75]
    early, late = (sum(1 for at_s in times if low <= at_s < high) for low, high in ((0, 50), (75, 100)))
    assert _plausible(early, 2000 * 0.5 / 1.25)
    assert _plausible(late, 2000 * 0.75 / 1.25)


def test_too_many_arrivals_are_refused_before_they_are_made() -> None:
    with pytest.raises(ValueError, match=f"more than the {ARRIVALS_MAX}"):
        arrival_times_s(Streams(1), 1000, 86_400, CONSTANT)


def test_no_rate_makes_no_arrivals() -> None:
    assert arrival_times_s(Streams(1), 0, 10, CONSTANT) == []
    with pytest.raises(ValueError, match="a rate above 0 somewhere"):
        arrival_times_s(Streams(1), 1, 10, [(0, 0), (1, 0)])
