"""Pictures of designs side by side: each figure over the field that was varied, its 95 % intervals, and what it must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from simulator.model.figures import BY_NAME
from simulator.plots import LINES, legend_above, picture, reach, save, whole_ticks
from simulator.sweeps import Budget, Point

MARK = "black"
"""Budgets and what was found: no line has this colour."""
NEAR_ONE = 0.9
"""From here on a budget on a share has a scale that is stretched towards 1."""
LABELS = {"load": "times today's load"}


class NoPicture(ValueError):
    """These designs cannot be drawn so that they can be read; the message says why, in one sentence."""


def draw_designs(
    points: Sequence[Point],
    names: Sequence[str],
    title: str,
    budgets: Sequence[Budget] = (),
    chosen: float | None = None,
) -> Picture:
    """One picture below the other for the figures; a line for each combination of the other fields, `chosen` upright.

    Along the bottom is the field of numbers with the most values, or the first field if there are no numbers. Raises `NoPicture`.
    """
    along = _along(points)
    lines = _lines(points, along)
    if len(lines) > len(LINES):
        raise NoPicture(
            f"{len(lines)} lines are too many to tell apart, {len(LINES)} are the most; vary fewer fields at once"
        )
    made, axes = picture(len(names), height=2.5)
    ticks = list(dict.fromkeys(point.settings[along] for point in points))
    for axis, name in zip(axes, names, strict=True):
        for (label, line), (color, marker, dash) in zip(lines.items(), LINES, strict=False):
            found = [(point.settings[along], point.found.interval(name)) for point in line]
            there = sorted(
                (float(place) if _is_number(place) else float(ticks.index(place)), each.mean, *reach(each))
                for place, each in found
                if each is not None
            )
            if there:
                places, means, below, above = np.array(there).T
                axis.errorbar(
                    places, means, yerr=np.array([below, above]), color=color, marker=marker, linestyle=dash, markersize=5,
                    capsize=3, label=label,
                )  # fmt: skip
        asked = [budget for budget in budgets if budget.figure == name]
        axis.set_ylabel(f"{name}, {BY_NAME[name].unit or 'number'}")
        axis.set_ylim(0, 1.08 * max([axis.dataLim.y1, *(budget.limit for budget in asked)]) or 1)
        near_one = [budget.limit for budget in asked if BY_NAME[name].unit == "share" and NEAR_ONE <= budget.limit < 1]
        if near_one:
            _stretch(axis, max(near_one))
        _mark(axis, asked, chosen)
        if all(map(_is_number, ticks)):
            whole_ticks(axis, ticks)
        else:
            axis.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
    axes[-1].set_xlabel(LABELS.get(along, along))
    axes[0].set_title(title, fontsize=10)
    if len(lines) > 1:
        legend_above(axes[0])
    return made


def write_designs(path: Path, made: Picture) -> None:
    """The picture as a file, in a folder that is made if it is not there. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save(made, path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _along(points: Sequence[Point]) -> str:
    """The field along the bottom."""
    counts = {name: len({str(point.settings[name]) for point in points}) for name in points[0].settings}
    numbers = [name for name in counts if all(_is_number(point.settings[name]) for point in points)]
    return max(numbers or list(counts)[:1], key=counts.__getitem__)


def _lines(points: Sequence[Point], along: str) -> Mapping[str, Sequence[Point]]:
    """The designs of each line, under its name."""
    found: dict[str, list[Point]] = {}
    for point in points:
        others = {name: value for name, value in point.settings.items() if name != along}
        label = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in others.items())
        found.setdefault(label, []).append(point)
    return found


def _stretch(axis: Axes, limit: float) -> None:
    """A scale by what is missing to 1, so that a line can be seen to cross a limit close to it, wherever it ends."""
    rest = (1 - limit) / 5

    def forward(shares: Any) -> Any:
        return -np.log10(np.maximum(1 - np.asarray(shares) + rest, rest / 1000))

    def back(heights: Any) -> Any:
        return 1 + rest - 10 ** -np.asarray(heights)

    axis.set_yscale("function", functions=(forward, back))
    axis.set_yticks(sorted({0.0, 0.5, 0.9, limit, 1.0}))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_ylim(0, 1 + rest / 4)


def _mark(axis: Axes, budgets: Sequence[Budget], chosen: float | None) -> None:
    """The budgets across, named beside the picture, where no line is; and the value that was found upright."""
    for budget in budgets:
        axis.axhline(budget.limit, color=MARK, linestyle="--", linewidth=1.2)
        axis.annotate(
            f"{budget.sign} {budget.limit:g}", (1.01, budget.limit), xycoords=("axes fraction", "data"), va="center",
            fontsize=8, color=MARK, annotation_clip=False,
        )  # fmt: skip
    if chosen is not None:
        axis.axvline(chosen, color=MARK, linestyle=":", linewidth=1.2)
