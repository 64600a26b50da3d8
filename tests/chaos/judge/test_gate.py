"""Budgets from outside: NAME=VALUE with errors that say what would be right; exit codes."""

from __future__ import annotations

import pytest

from chaos.judge import BudgetError, Budgets, exit_code, parse_override


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [("late=3", "late", 3), (" loss_rate = 0.01", "loss_rate", 0.01), ("loss_rate=none", "loss_rate", None)],
)
def test_an_override_is_a_name_and_a_value(text: str, name: str, value: float | None) -> None:
    assert parse_override(text) == (name, value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("late", "NAME=VALUE"),
        ("=3", "NAME=VALUE"),
        ("late=", "NAME=VALUE"),
        ("lost=0", "there is no budget 'lost'; the budgets are loss_rate, given_up"),
        ("late=many", "must be a number, not 'many'"),
        ("late=-1", "0 or more"),
        ("late=nan", "0 or more"),
        ("late=1.5", "whole number"),
        ("late=none", "cannot be none"),
        ("loss_rate=2", "share of 1"),
        ("loss_rate=0", "no number of orders proves"),
    ],
)
def test_a_wrong_override_says_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        parse_override(text)


def test_overrides_replace_only_what_they_name() -> None:
    assert Budgets(late=2, given_up=1).overridden({"late": 5}) == Budgets(late=5, given_up=1)


def test_overrides_that_come_as_values_are_checked_too() -> None:
    with pytest.raises(BudgetError, match="there is no budget"):
        Budgets().overridden({"lost": 0})


def test_exit_codes_tell_the_verdict() -> None:
    assert [exit_code(outcome) for outcome in ("pass", "fail", "unknown")] == [0, 1, 3]
