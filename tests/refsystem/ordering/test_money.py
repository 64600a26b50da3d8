"""Sums are split and shared without a cent lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsystem.ordering.money import AMOUNT_MINOR_MAX, allocate, basis_points_of, share_of, split_evenly

PROPERTY = settings(max_examples=100, derandomize=True)
amounts = st.integers(0, AMOUNT_MINOR_MAX)


@PROPERTY
@given(amounts, st.integers(1, 60))
def test_an_even_split_is_exact_and_its_remainder_goes_to_the_first(amount_minor: int, parts: int) -> None:
    shares = split_evenly(amount_minor, parts)
    assert (len(shares), sum(shares)) == (parts, amount_minor)
    assert list(shares) == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] <= 1


def test_ten_in_three() -> None:
    assert split_evenly(1000, 3) == (334, 333, 333)


@PROPERTY
@given(amounts, st.lists(st.integers(0, 10_000), min_size=1, max_size=20).filter(any))
def test_an_allocation_is_exact_and_close_to_its_weights(amount_minor: int, weights: list[int]) -> None:
    parts = allocate(amount_minor, weights)
    assert sum(parts) == amount_minor
    for part, weight in zip(parts, weights, strict=True):
        assert part >= 0
        assert abs(part - amount_minor * weight / sum(weights)) < 1 + amount_minor * 1e-12
        assert weight or part == 0


@PROPERTY
@given(amounts, st.integers(1, 999), st.data())
def test_what_is_taken_in_pieces_comes_to_all_of_it(amount_minor: int, whole: int, data: st.DataObject) -> None:
    left_minor, left, taken_minor = amount_minor, whole, 0
    while left:
        piece = data.draw(st.integers(1, left))
        piece_minor = share_of(left_minor, piece, left)
        left_minor, left, taken_minor = left_minor - piece_minor, left - piece, taken_minor + piece_minor
        assert left_minor >= 0
    assert (taken_minor, left_minor) == (amount_minor, 0)


@pytest.mark.parametrize(
    ("amount_minor", "basis_points", "part_minor"),
    [(1000, 1250, 125), (999, 5000, 500), (1, 5000, 1), (1, 4999, 0), (0, 10_000, 0), (3333, 10_000, 3333)],
)
def test_basis_points_are_rounded_half_up(amount_minor: int, basis_points: int, part_minor: int) -> None:
    assert basis_points_of(amount_minor, basis_points) == part_minor


def test_a_share_of_nothing_is_nothing() -> None:
    assert share_of(0, 0, 0) == 0
