"""The picture of one evening: what its lines say, on rows written down by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from simulator.evening_plots import draw_evening
from simulator.model.figures import Evening
from simulator.model.records import ABSENT, PLACE, Run, empty_servers
from simulator.scenario import Scenario, load_scenario, with_changes

S = 1_000_000
ROWS = (
    {"at": 1, "seated": 1, "left": 9, "wanted_table": 1, "meant": 2, "told": 3, "served_0": 6},
    {"at": 2, "seated": 9, "left": 20, "wanted_table": 1, "meant": 10, "told": 11, "served_0": 14},
    {"at": 4, "left": 7, "wanted_table": 1},  # went away waiting
    {"at": 5, "left": 5, "wanted_table": 1},  # did not even wait
    {"at": 6, "seated": 6, "wanted_table": 0, "meant": 8, "told": 10},  # wanted none
)


def _evening(**changes: Any) -> Evening:
    scenario = load_scenario("name: tables\nduration_s: 20\ndiners: {arrivals: {rate_per_s: 1}}\nmodel: {seating: {}}")
    return Evening(with_changes(scenario, changes), [_run()])


def _run() -> Run:
    rows = np.full((len(ROWS), len(PLACE)), ABSENT)
    for row, said in zip(rows, ROWS, strict=True):
        row[PLACE["which"]] = 0
        for name, value in said.items():
            row[PLACE[name]] = value if name == "wanted_table" else value * S
    return Run(rows, empty_servers(), 0, 0, 20 * S)


def _at(axis: Axes, label: str, seconds: float) -> int:
    """What a line of steps says at a moment."""
    (line,) = (each for each in axis.lines if each.get_label() == label)
    times, counts = np.asarray(line.get_xydata()).T
    before = np.flatnonzero(times <= seconds)
    return int(counts[before[-1]]) if len(before) else 0


def test_tables_taken_and_parties_waiting_are_those_of_parties_that_came_for_a_table() -> None:
    rates, _, kitchen, tables = draw_evening(_evening()).axes
    moments = (0.5, 1.5, 3, 4.5, 5.5, 8, 9.5, 21)
    assert [_at(tables, "tables taken", at) for at in moments] == [0, 1, 1, 1, 1, 1, 1, 0]
    assert [_at(tables, "parties waiting for one", at) for at in moments] == [0, 0, 1, 2, 2, 1, 0, 0]
    (cooking,) = kitchen.lines
    assert np.asarray(cooking.get_xydata()).tolist() == [[3, 1], [6, 0], [11, 1], [14, 0]]
    assert all(float(tick).is_integer() for axis in (kitchen, tables) for tick in axis.get_yticks())
    for axis in (rates, tables):
        highest = max(np.asarray(line.get_ydata()).max() for line in axis.lines)
        legend = axis.get_legend()
        assert legend is not None
        axis.figure.draw_without_rendering()
        assert legend.get_window_extent().y0 > axis.transData.transform((0, highest))[1], "the legend hides a line"


def test_where_sections_open_and_close_the_picture_shows_how_many_tables_there_are() -> None:
    terrace = {"name": "terrace", "tables": 6, "at_s": 5, "for_s": 10}
    tables = draw_evening(_evening(model={"seating": {"sections": [terrace]}})).axes[3]
    own = _evening().scenario.stores[0].tables
    assert [_at(tables, "tables there are", at) for at in (1, 5, 14, 15, 20)] == [own, own + 6, own + 6, own, own]


def test_without_seating_there_is_no_panel_of_tables(small: Scenario) -> None:
    axes = draw_evening(Evening(small, [_run()])).axes
    assert [axis.get_ylabel() for axis in axes] == ["orders a second", "ms from meant to yes", "orders in the kitchen"]
