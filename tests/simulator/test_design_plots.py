from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from simulator.design_plots import NoPicture, draw_designs
from simulator.model.known import made_of
from simulator.model.replications import Forecast, Replications
from simulator.scenario import Scenario
from simulator.sweeps import Budget, Point

RENEGED = {"reneged": 0.1, "reneged_of": 200.0, "table_mean": 9.0, "table_error": 1.0}


def _point(scenario: Scenario, settings: Mapping[str, Any], *values: float | None) -> Point:
    return Point(settings, Forecast(Replications(scenario), [{"table_wait": value, **RENEGED} for value in values]))


def _columns(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replications, "columns", dict.fromkeys(("table_wait", *RENEGED), "float"))


def _drawn(axis: Axes) -> list[Any]:
    return [np.asarray(line.get_xydata()).tolist() for line in axis.lines]


def test_each_figure_has_its_means_intervals_budget_and_the_value_found(
    small: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    _columns(small, monkeypatch)
    points = [
        _point(small, {"stores.tables": tables, "model.visit": visit}, *values)
        for tables, visit, values in (
            (30, "a", (8, 12)), (10, "a", (18, 22)), (10, "b", (40, 40)), (20, "b", (None, None)), (30, "b", (30, 30)),
        )
    ]  # fmt: skip
    made = draw_designs(points, ["table_wait", "reneged"], "an evening", [Budget("table_wait", "<=", 15)], chosen=30)
    waits, reneged = made.axes
    one, other = (each for each in waits.containers if isinstance(each, ErrorbarContainer))
    assert np.asarray(one.lines[0].get_xydata()).tolist() == [[10, 20], [30, 10]], (
        "by value, whatever the order of the trials"
    )
    assert np.asarray(other.lines[0].get_xydata()).tolist() == [[10, 40], [30, 30]], "nobody had it at 20"
    (bars,) = one.lines[2]
    half = 12.706205 * 2
    (low, high) = bars.get_segments()[1][:, 1]
    assert (low, high) == pytest.approx((0, 10 + half)), "not below nought"
    assert [[0, 15], [1, 15]] in _drawn(waits), "the budget across"
    assert [[30, 0], [30, 1]] in _drawn(reneged), "the value upright"
    assert [[0, 15], [1, 15]] not in _drawn(reneged)
    assert (waits.get_ylabel(), reneged.get_ylabel()) == ("table_wait, s", "reneged, share")
    assert reneged.get_xlabel() == "stores.tables"
    legend = waits.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["visit a", "visit b"]


def test_words_stand_side_by_side_and_five_lines_are_refused(small: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    _columns(small, monkeypatch)
    words = [_point(small, {"model.visit": visit}, 240, 240.001) for visit in ("order", "table_only")]
    axis, waits = draw_designs(words, ["reneged", "table_wait"], "").axes
    assert waits.get_ylim()[1] > 250, "what is all alike stands inside the picture"
    assert [text.get_text() for text in axis.get_xticklabels()] == ["order", "table_only"]
    many = [_point(small, {"a": a, "b": b}, 1, 2) for a in range(6) for b in range(5)]
    with pytest.raises(NoPicture, match="5 lines are too many"):
        draw_designs(many, ["reneged"], "")


def test_a_budget_close_to_1_is_seen_to_be_crossed_and_its_name_is_beside_the_lines(
    small: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = made_of("told_yes")
    monkeypatch.setattr(Replications, "columns", dict.fromkeys(columns, "float"))
    points = [
        Point(
            {"diners.patience_s": value, "b": b},
            Forecast(Replications(small), [dict.fromkeys(columns, 1_000.0) | {"told_yes": share}]),
        )
        for value, share in ((1, 1.0), (2, 0.985), (3, 0.2))
        for b in "xy"
    ]
    (axis,) = draw_designs(points, ["told_yes"], "", [Budget("told_yes", ">=", 0.99)]).axes
    axis.figure.draw_without_rendering()
    bottom, below, budget, top = (axis.transData.transform((1, share))[1] for share in (0, 0.985, 0.99, 1))
    assert budget - below > 0.05 * (top - bottom) < top - budget
    assert [tick for tick in axis.get_yticks() if tick >= 0.9] == [0.9, 0.99, 1.0]
    assert all(float(tick).is_integer() for tick in axis.get_xticks())
    (said,) = axis.texts
    assert said.get_text() == ">= 0.99"
    assert said.get_window_extent().x0 > axis.get_window_extent().x1, "no line is there"
    legend = axis.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y0 > top
