"""Intervals of shares hold what they promise where few cases are seen, and say no more than was seen."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.differences import differences
from simulator.model.figures import FIGURES, ShareOf
from simulator.model.intervals import Interval, clopper_pearson, interval, likeness, paired_shares, share_interval
from simulator.model.known import difference, interval_of, unvaried
from simulator.model.replications import forecast
from simulator.model.stopping import judge
from simulator.scenario import Scenario, load_scenario
from simulator.sweeps import Budget, sweep

SEED = 20_261_122


def test_none_of_many_people_is_bounded_by_people_if_they_are_independent_and_by_evenings_if_nothing_tells() -> None:
    nobody, people = [0.0] * 20, [240.0] * 20
    assert _ends(share_interval(nobody, people, 1.0)) == (0.0, pytest.approx(1 - 0.025 ** (1 / 4800)))
    assert share_interval(nobody, people, 12.0).high == pytest.approx(1 - 0.025 ** (1 / 400))
    evenings = pytest.approx(1 - 0.025 ** (1 / 20))
    assert share_interval(nobody, people, None).high == evenings
    assert share_interval(nobody, people, 1e9).high == evenings, "an evening is one case at least"
    one_evening = share_interval([0.2, *nobody[1:]], people, 1.0)
    assert _ends(one_evening)[1] > 0.05, "48 people of one evening are one case, not 48"
    assert _ends(share_interval([1.0] * 20, people, 12.0)) == (pytest.approx(0.025 ** (1 / 400)), 1.0)


def test_where_there_are_many_cases_it_is_the_t_interval() -> None:
    shares = [0.3, 0.4, 0.35, 0.25, 0.3]
    assert share_interval(shares, [300.0] * 5, 40.0) == interval(shares)
    one = share_interval([0.3], [300.0], None)
    assert (one.low, one.high) == (None, None)


@pytest.mark.parametrize(("evening_fails", "lost"), [(0.005, 0.3), (0.02, 0.05), (0.3, 0.01)])
def test_what_befalls_few_evenings_is_inside_the_interval_though_hardly_ever_seen(
    evening_fails: float, lost: float
) -> None:
    """A few evenings turn into a storm; in all of them people fare so much alike that answers are six errors apart."""
    draws, people, rounds = np.random.default_rng(SEED), 240, 400
    held = held_by_t = 0
    for _ in range(rounds):
        failed = draws.random(20) < evening_fails
        shares = (draws.binomial(people, np.where(failed, lost, 0.0)) / people).tolist()
        alike = likeness(draws.normal(1.0, 0.3, 20).tolist(), [0.05] * 20)
        held += _holds(share_interval(shares, [float(people)] * 20, alike), evening_fails * lost)
        held_by_t += _holds(interval(shares), evening_fails * lost)
    assert held >= 0.93 * rounds, f"seed {SEED}"
    assert held_by_t < held, f"seed {SEED}"


def _holds(found: Interval | None, value: float) -> bool:
    low, high = _ends(found)
    return low <= value <= high


def _ends(found: Interval | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_no_end_is_beyond_what_can_be() -> None:
    assert _ends(interval_of("reneged", _columns("reneged", [0.0, 0.9], 10)))[0] == 0
    assert _ends(interval_of("reneged", _columns("reneged", [0.1, 1.0], 10)))[1] == 1
    assert _ends(interval_of("cloud_busy", {"cloud_busy": [0.0, 1.0]})) == (0, 1)
    assert _ends(interval_of("table_wait", {"table_wait": [0.0, 900.0]})) == (0, pytest.approx(450 + 12.706205 * 450))
    least = interval_of("goodput_least", {"goodput_least": [1.0] * 5})
    assert _ends(least) == (pytest.approx(0.025 ** (1 / 5)), 1), "there is one in an evening"


def _columns(name: str, shares: list[float | None], people: float) -> dict[str, list[float | None]]:
    count = len(shares)
    return {name: shares, f"{name}_of": [people] * count, "table_mean": [1.0] * count, "table_error": [0.1] * count}


def test_shares_that_are_the_same_in_all_replications_are_named_with_how_many_may_be_otherwise() -> None:
    columns = {**_columns("reneged", [0.0] * 20, 9), **_columns("balked", [0.0] * 19 + [0.1], 9)}
    found = unvaried(["reneged", "balked", "table_wait"], {**columns, "table_wait": [0.0] * 20})
    assert found is not None
    assert found.figures == ["reneged"]
    assert found.others_at_most == clopper_pearson(0, 20)[1] == pytest.approx(0.16843, abs=1e-5)
    assert unvaried(["balked"], columns) is None
    assert unvaried(["reneged"], _columns("reneged", [0.0], 9)) is None


def test_a_difference_of_designs_is_of_pairs_and_two_shares_that_are_both_nought_may_differ() -> None:
    ups = difference(
        "table_wait", {"table_wait": [10.0, 20.0, None, 30.0]}, {"table_wait": [9.0, 18.0, 1.0, 29.0, 5.0]}
    )
    assert ups is not None
    assert (ups.mean, ups.values) == (pytest.approx(-4 / 3), 3)
    assert ups.half_width == pytest.approx(4.302653 / 3)
    nobody = _columns("reneged", [0.0] * 20, 10)
    low, high = _ends(difference("reneged", nobody, nobody))
    assert -low == high == pytest.approx(1 - 0.025 ** (1 / 200))
    one, other = _two_designs()
    assert (
        paired_shares(one, other, [interval(one), interval(other)]).half_width
        == interval([b - a for a, b in zip(one, other, strict=True)]).half_width
    ), "shares that differ everywhere are known by their pairs"


def _two_designs() -> tuple[list[float], list[float]]:
    one = np.random.default_rng(SEED).uniform(0.2, 0.6, 20)
    return one.tolist(), (one + np.random.default_rng(SEED + 1).uniform(0.01, 0.03, 20)).tolist()


CALM = """\
name: calm
duration_s: 5
diners:
  arrivals: {rate_per_s: 12}
  channels: {qr: 0.0, cashier: 0.0, mini_program: 1.0}
  polls_max: 0
  think_s: 0
  patience_s: 60
"""


@pytest.fixture(scope="module")
def calm() -> Scenario:
    return load_scenario(CALM)


def test_every_share_of_people_tells_of_how_many_and_a_budget_asks_for_what_so_many_can_show(calm: Scenario) -> None:
    others = {figure.name for figure in FIGURES if figure.unit == "share" and not isinstance(figure.of, ShareOf)}
    assert others == {"goodput_least", "edge_a_busy", "edge_b_busy", "cloud_busy"}
    found = forecast(calm, "simpy", 4)
    assert set(found.values["told_yes"]) == {1.0}
    assert found.values["told_yes_of"] == found.values["diners"]
    told, diners = found.interval("told_yes"), sum(count or 0.0 for count in found.values["diners"])
    assert 0.5 < _ends(told)[0] <= clopper_pearson(diners, diners)[0]
    assert Budget("told_yes", ">=", 0.5).is_kept(told)
    assert not Budget("told_yes", ">=", 0.999).is_kept(told)
    assert Budget("told_yes", ">=", 0.999).is_open(told)
    assert not Budget("told_yes", ">=", 0.999).is_open(interval([0.9, 0.91]))
    said = found.to_json()["same_in_all"]
    assert {"told_yes", "gave_up"} <= set(said["figures"])
    (beside,) = differences(sweep(calm, {"model.cloud.order_ms": [5, 9]}, "simpy", 4), ["told_yes", "answer_p50"])
    assert _ends(beside.figures["answer_p50"])[0] > 0


def test_automatic_replications_go_on_until_enough_people_were_seen_to_say_that_all_are_told_yes(
    calm: Scenario,
) -> None:
    unit = {"told_yes": 1.0, "told_yes_of": 3.0, "answer_mean": 1.0, "answer_error": 0.1}
    watched = ["told_yes"]
    units, wanted = judge([unit] * 10, 10, calm, watched, 0.05, 1000)
    assert (len(units), wanted) == (10, 20), "30 people all told yes: still one of nine may not be"
    enough = next(n for n in range(1, 99) if 1 - clopper_pearson(3 * n, 3 * n)[0] <= 0.05 / 1.05)
    assert 20 < enough < 30
    assert judge([unit] * 30, 10, calm, watched, 0.05, 1000)[1] == enough
