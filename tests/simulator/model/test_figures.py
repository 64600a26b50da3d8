"""What each figure is, by its value on an evening written down by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.model.figures import BY_NAME, Evening, figures_of
from simulator.model.records import ABSENT, BUSY, BUSY_IN_LOAD, FIELDS, Run, empty_servers
from simulator.model.vocabulary import CLOUD, EDGE_A, EDGE_B, Level, Outcome
from simulator.scenario import Scenario, load_scenario, with_changes

S = 1_000_000
SCENARIO = """\
name: by_hand
duration_s: 20
time_scale: 2
stores: [{name: s1, tables: 3}, {name: s2, tables: 3}]
diners: {arrivals: {rate_per_s: 1}, channels: {qr: 0.5, cashier: 0.0, mini_program: 0.5}}
budgets: {late_after_s: 4}
model: {seating: {}, edge: {workers: 2}, cloud: {workers: 4}}
"""
NOT_TIMES = ("outcome", "level", "which", "attempts", "wanted_table")
AT_THE_EDGE = [
    {"at": 0, "wanted_table": 1, "seated": 3, "meant": 4, "told": 4.1, "level": Level.R1, "attempts": 3, "committed_0": 4.05,
     "shown_0": 5, "served_0": 14.1, "stored_0": 6.05, "outcome": Outcome.SERVED},
    {"at": 1, "wanted_table": 1, "seated": 1, "menu_told": 1.5, "meant": 2, "told": 2.3, "level": Level.R2, "which": 1,
     "attempts": 5, "committed_0": 2.05, "committed_1": 2.2, "shown_0": 2.1, "shown_1": 4.4, "served_0": 3, "served_1": 22.3,
     "stored_0": 2.3, "stored_1": 12.2, "outcome": Outcome.SERVED},
    {"at": 5, "wanted_table": 1, "left": 5, "outcome": Outcome.BALKED},
    {"at": 5, "wanted_table": 1, "left": 9, "outcome": Outcome.RENEGED},
    {"at": 6, "wanted_table": 1, "left": 8, "outcome": Outcome.RENEGED},
    {"at": 7, "wanted_table": 1, "seated": 15, "menu_told": 16, "meant": 16, "attempts": 6, "outcome": Outcome.UNANSWERED},
    {"at": 17, "wanted_table": 1, "seated": 18, "meant": 19, "told": 20.5, "level": Level.R1, "attempts": 1,
     "committed_0": 20.4, "outcome": Outcome.SERVED},
]  # fmt: skip
WITHOUT_TABLES = [
    {"at": 2, "seated": 2, "meant": 3, "told": 3.5, "level": Level.RC, "attempts": 2, "committed_0": 3.6, "shown_0": 7.5,
     "served_0": 33.5, "stored_0": 3.4, "outcome": Outcome.SERVED},
    {"at": 6, "seated": 6, "meant": 7, "attempts": 4, "outcome": Outcome.REFUSED},
]  # fmt: skip
AT_A_PLATFORM = [
    {"at": 3, "placed": 3, "told": 4, "level": Level.RC, "attempts": 7, "shown_0": 5, "served_0": 9, "outcome": Outcome.SERVED},
    {"at": 4, "placed": 4, "told": 7, "level": Level.RC, "outcome": Outcome.SERVED},
    {"at": 4, "placed": 4, "outcome": Outcome.EXPIRED},
    {"at": 5, "placed": 5, "outcome": Outcome.CANCELLED},
]  # fmt: skip
BUSY_S = [{EDGE_A: 10, EDGE_B: 4, CLOUD: 40}, {EDGE_A: 20, EDGE_B: 0, CLOUD: 8}]
FIGURES = {
    "diners": 9,
    "told_yes": 4 / 6,
    "goodput": 3 / 20,
    "goodput_peak": 3 / 5,
    "goodput_least": None,
    "answer_p50": 400,
    "answer_p95": 500 + 0.85 * 1_000,
    "answer_p99": 500 + 0.97 * 1_000,
    "answer_drift": None,
    "requests": (3 + 5 + 6 + 1 + 2 + 4) / 9,
    "gave_up": 2 / 9,
    "balked": 1 / 7,
    "reneged": 2 / 7,
    "table_wait": (3 + 0 + 8 + 1) / 4,
    "meal_p50": 15,
    "meal_p95": 20 + 0.85 * 10,
    "meal_drift": None,
    "late": 2 / 4,
    "offline_p99": 2 + 0.99 * 8,
    "platform_late": 1 / 4,
    "platform_cancelled": 1 / 4,
    "platform_p95": 1 + 0.95 * 2,
    "edge_a_busy": (10 / 40 + 20 / 40) / 2,
    "edge_b_busy": 4 / 40 / 2,
    "cloud_busy": (40 / 80 + 8 / 80) / 2,
}


def _run(diners: list[dict[str, float]], busy_s: dict[int, int] | None = None) -> Run:
    rows = np.full((len(diners), len(FIELDS)), ABSENT, dtype=np.int64)
    for row, diner in zip(rows, diners, strict=True):
        for name in NOT_TIMES:
            row[FIELDS.index(name)] = 0
        for name, value in diner.items():
            row[FIELDS.index(name)] = round(value if name in NOT_TIMES else value * S)
    servers = empty_servers()
    for node, busy in (busy_s or {}).items():
        servers[node, BUSY_IN_LOAD], servers[node, BUSY] = busy * S, (busy + 60) * S
    return Run(rows, servers, events=0, hash=0, ended=100 * S)


def _evening(*runs: Run, **changes: object) -> Evening:
    scenario: Scenario = load_scenario(SCENARIO)
    return Evening(with_changes(scenario, dict(changes)) if changes else scenario, runs)


def test_each_figure_is_what_it_says_of_an_evening_of_two_stores() -> None:
    one = _run([*AT_THE_EDGE[:4], WITHOUT_TABLES[0], *AT_A_PLATFORM[:2]], BUSY_S[0])
    other = _run([*AT_THE_EDGE[4:], WITHOUT_TABLES[1], *AT_A_PLATFORM[2:]], BUSY_S[1])
    found = figures_of(_evening(one, other))
    assert list(FIGURES) == list(BY_NAME), "each figure is asked for"
    assert {name: value for name, value in found.items() if value is None} == {
        name: None for name, value in FIGURES.items() if value is None
    }
    assert found == pytest.approx(FIGURES)


def test_a_drift_is_how_much_longer_waits_become_for_each_second_of_the_evening() -> None:
    """Every second one orders; answers come after a quarter of the time so far, meals after half of it, and a minute."""
    rows = [
        {"at": 0, "meant": number, "told": 1.25 * number, "served_0": 60 + 1.5 * 1.25 * number} for number in range(20)
    ]
    unanswered = [{"at": 0, "meant": 30 + number} for number in range(20)]
    found = figures_of(_evening(_run([*rows, *unanswered])))
    assert (found["answer_drift"], found["meal_drift"]) == (pytest.approx(0.25), pytest.approx(0.5))


def test_nobody_waits_or_goes_away_where_nobody_comes_for_a_table() -> None:
    found = figures_of(_evening(_run([*WITHOUT_TABLES, *AT_A_PLATFORM])))
    assert [found[name] for name in ("balked", "reneged", "table_wait")] == [None, None, None]
    away = figures_of(_evening(_run(AT_THE_EDGE[2:4])))
    assert [away[name] for name in ("balked", "reneged", "table_wait")] == [0.5, 0.5, None]
    assert [away[name] for name in ("told_yes", "answer_p95", "goodput_peak", "late")] == [None] * 4


def test_the_worst_five_seconds_are_of_what_was_possible_by_the_best_or_by_what_is_declared() -> None:
    """Four a second, all told yes; then eight a second, and 9 of 40."""
    calm = [{"at": 0, "meant": number / 4, "told": number / 4 + 0.01} for number in range(20)]
    rush = [{"at": 0, "meant": 5 + number / 8, **({"told": 5.2 + number / 8} if number % 4 == 0 and number < 36 else {})}
            for number in range(40)]  # fmt: skip
    run = _run([*calm, *rush, {"at": 0, "meant": 10.1}])
    own = figures_of(_evening(run))
    assert (own["goodput_peak"], own["goodput_least"]) == (4, pytest.approx(9 / 20))
    said = figures_of(_evening(run, budgets={"least_goodput_ratio": 0.5, "least_goodput_peak_per_s": 8}))
    assert (said["goodput_peak"], said["goodput_least"]) == (4, pytest.approx(9 / 40))
