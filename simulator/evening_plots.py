"""The picture of one evening over time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import LogLocator, MaxNLocator

from simulator.model.figures import Evening
from simulator.model.records import ABSENT
from simulator.model.tables import changes_of_tables
from simulator.plots import BLUE, GREEN, GREY, ORANGE, legend_above, picture, save
from simulator.scenario_faults import fault_end_s

Times = npt.NDArray[np.int64]


def draw_evening(evening: Evening, path: Path | None = None) -> Picture:
    """One replication over time: what was asked and told, how long an answer took, how many orders the kitchen has.

    Where there is seating, also how many tables are taken, and how many parties wait for one.
    """
    scenario = evening.scenario
    has_tables = scenario.model is not None and scenario.model.seating is not None
    told = evening.column("told")
    end_s = max(scenario.duration_s, float(told.max()) / 1e6 if len(told) else 0.0)
    made, axes = picture(4 if has_tables else 3, height=2.3)
    _draw_rates(axes[0], evening, end_s)
    _draw_answers(axes[1], evening)
    _draw_kitchen(axes[2], evening)
    if has_tables:
        _draw_tables(axes[3], evening, end_s)
    for axis in axes:
        axis.set_xlim(0, end_s)
        for fault in scenario.faults:
            last_s = max(fault_end_s(fault, scenario.duration_s), fault.at_s + 0.1)
            axis.axvspan(fault.at_s, last_s, color=ORANGE, alpha=0.12, lw=0)
    axes[-1].set_xlabel("seconds of the evening (real time)")
    shaded = f", {len(scenario.faults)} faults shaded" if scenario.faults else ""
    axes[0].set_title(f"{scenario.name}: one replication{shaded}", fontsize=10)
    return save(made, path)


def _draw_rates(axis: Axes, evening: Evening, end_s: float) -> None:
    edges = np.linspace(0, end_s, 61)
    for name, label, color in (("meant", "meant", GREY), ("told", "told yes", BLUE)):
        times = evening.column(name)
        counts = np.histogram(times[evening.ordering & (times != ABSENT)] / 1e6, edges)[0]
        axis.step(edges[:-1], counts / (edges[1] - edges[0]), where="post", color=color, label=label)
    axis.set_ylabel("orders a second")
    axis.set_ylim(bottom=0)
    legend_above(axis)


def _draw_answers(axis: Axes, evening: Evening) -> None:
    meant, told = evening.column("meant"), evening.column("told")
    yes = evening.ordering & (told != ABSENT)
    took_ms = np.maximum(1, (told - meant)[yes] / 1e3)
    axis.scatter(meant[yes] / 1e6, took_ms, s=4, color=BLUE, linewidths=0, alpha=0.6)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_ylabel("ms from meant to yes")


def _draw_kitchen(axis: Axes, evening: Evening) -> None:
    told, served = evening.column("told"), evening.of_order("served")
    whole = evening.ordering & (told != ABSENT) & (served != ABSENT)
    axis.step(*_present(told[whole], served[whole]), where="post", color=GREEN)
    axis.set_ylabel("orders in the kitchen")
    _whole_heights(axis)


def _draw_tables(axis: Axes, evening: Evening, end_s: float) -> None:
    """Who never got a table waited until they left; who balked, for no time. With sections, also how many tables there are."""
    wanting = evening.wanting_tables
    came, seated, left = (evening.column(name)[wanting] for name in ("at", "seated", "left"))
    got = seated != ABSENT
    axis.step(*_present(seated[got], left[got]), where="post", color=BLUE, label="tables taken")
    waited = np.where(got, seated, left)
    axis.step(*_present(came, waited), where="post", color=ORANGE, linestyle="--", label="parties waiting for one")
    changes: Counter[int] = Counter()
    for store in evening.scenario.stores:
        changes.update(changes_of_tables(evening.scenario, store))
    if len(changes) > 1:
        at, more = zip(*sorted(changes.items()), strict=True)
        there = np.cumsum(more)
        axis.step(
            [*(tick / 1e6 for tick in at), end_s],
            [*there, there[-1]],
            where="post",
            color=GREY,
            lw=1,
            label="tables there are",
        )
    axis.set_ylabel("tables, parties")
    _whole_heights(axis)
    legend_above(axis)


def _whole_heights(axis: Axes) -> None:
    axis.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    axis.set_ylim(bottom=0)


def _present(begin: Times, end: Times) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """At which second how many are there, from their beginnings to their ends; whoever has no end stays."""
    ended = end[end != ABSENT]
    steps = np.concatenate([begin, ended])
    signs = np.concatenate([np.ones(len(begin), dtype=np.int64), -np.ones(len(ended), dtype=np.int64)])
    moments, place = np.unique(steps, return_inverse=True)
    return moments / 1e6, np.cumsum(np.bincount(place, weights=signs, minlength=len(moments))).astype(np.int64)
