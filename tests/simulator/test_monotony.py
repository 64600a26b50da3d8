"""A plan says when what it tried contradicts that more is never worse."""

from __future__ import annotations

import pytest

from simulator.monotony import doubts
from simulator.scenario import load_scenario
from simulator.sweeps import SweepError, plan, read_budget

KITCHEN = """\
name: kitchen
duration_s: 20
stores: [{name: s1, tables: 30}]
diners: {arrivals: {rate_per_s: 2}, channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}, think_s: 1, polls_max: 0}
model:
  seating: {dining_s: 20, dining_shape: deterministic, patience_s: 5}
  kitchen: [{name: wok, cooks: 1, setup_s: 0.7, variation: 0}]
"""


def test_a_value_that_keeps_below_one_that_does_not_is_doubtful_and_for_load_the_other_way_round() -> None:
    assert doubts([(1, False), (4, True), (2, True)], most=False) == []
    assert doubts([(1, True), (4, False), (2, False)], most=True) == []
    (said,) = doubts([(3, True), (1, True), (9, False), (5, False)], most=False)
    assert "3 keeps the budgets and 5 does not" in said
    (said,) = doubts([(10, False), (40, True)], most=True)
    assert "10 does not keep the budgets and 40 does" in said


def test_more_tables_crowd_the_kitchen_so_a_plan_for_meals_in_time_finds_the_least_and_says_its_doubt() -> None:
    """With few tables most go away hungry, and who sits eats soon: here more is worse, and bisection alone finds nothing."""
    scenario, budget = load_scenario(KITCHEN), read_budget("meal_p95<=2.5")
    found = plan(
        scenario, "stores.tables", 2, 40, [budget], engine="simpy", replications=4, step=2, least_told=0, most_reneged=1
    )
    assert found.value == 2, "the least of all keeps it"
    assert len(found.doubts) == 1
    assert "more is worse somewhere here: 2 keeps the budgets" in found.doubts[0]
    sure = plan(
        scenario,
        "model.kitchen.wok.cooks",
        1,
        6,
        [read_budget("meal_p95<=5")],
        engine="simpy",
        replications=4,
        least_told=0,
        most_reneged=1,
    )
    assert sure.value is not None
    assert sure.value > 1
    assert list(sure.doubts) == []
    assert {trial.value for trial in sure.trials} >= {1.0, 6.0}


def test_no_limit_at_all_is_not_the_least_number_of_cooks() -> None:
    with pytest.raises(SweepError, match=r"model.kitchen.wok.cooks: 0 means as many as there are tickets.*begin at 1"):
        plan(load_scenario(KITCHEN), "model.kitchen.wok.cooks", 0, 4, [read_budget("meal_p95<=5")], engine="simpy")
