"""Pictures of the model's results; each says its unit, and shows intervals or single evenings as what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from simulator.estimates import Span
from simulator.model.figures import Evening
from simulator.model.records import ABSENT
from simulator.scenario_faults import fault_end_s

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#767b84"
"""Told apart by the colour-blind, too (Okabe and Ito 2008), and by their markers and dashes where lines meet."""
LINES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", ":"), (GREY, "D", "-."))
"""Colour, marker and dash of each line of a picture; more could not be told apart."""


def picture(rows: int = 1, columns: int = 1, height: float = 2.6, width: float = 6.2) -> tuple[Picture, list[Axes]]:
    """A picture with axes one below the other, in this project's look."""
    made = Picture(figsize=(width, height * rows), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False)
    flat = [axis for row in axes for axis in row]
    for axis in flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e4e6ea", linewidth=0.8)
        axis.set_axisbelow(True)
    return made, flat


def draw_evening(evening: Evening, path: Path | None = None) -> Picture:
    """One replication over time: what was asked and told, how long an answer took, and how many wait for the kitchen."""
    scenario = evening.scenario
    meant, told, served = evening.column("meant"), evening.column("told"), evening.of_order("served")
    asked = meant != ABSENT
    yes = asked & (told != ABSENT)
    made, (rates, answers, waiting) = picture(3, height=2.3)
    end_s = max(scenario.duration_s, float(told.max()) / 1e6 if len(told) else 0.0)
    edges = np.linspace(0, end_s, 61)
    width = edges[1] - edges[0]
    rates.step(edges[:-1], np.histogram(meant[asked] / 1e6, edges)[0] / width, where="post", color=GREY, label="meant")
    rates.step(edges[:-1], np.histogram(told[yes] / 1e6, edges)[0] / width, where="post", color=BLUE, label="told yes")
    rates.set_ylabel("orders a second")
    rates.legend(frameon=False, loc="upper left", ncols=2)
    answers.scatter(
        meant[yes] / 1e6, np.maximum(1, (told - meant)[yes] / 1e3), s=4, color=BLUE, linewidths=0, alpha=0.6
    )
    answers.set_yscale("log")
    answers.set_ylabel("ms from meant to yes")
    steps = np.concatenate([told[yes & (served != ABSENT)], served[yes & (served != ABSENT)]]) / 1e6
    signs = np.repeat([1, -1], len(steps) // 2)
    order = np.lexsort((-signs, steps))
    waiting.step(steps[order], np.cumsum(signs[order]), where="post", color=GREEN)
    waiting.set_ylabel("orders in the kitchen")
    waiting.set_xlabel("seconds of the evening (real time)")
    for axis in (rates, answers, waiting):
        axis.set_xlim(0, end_s)
        for fault in scenario.faults:
            axis.axvspan(
                fault.at_s,
                max(fault_end_s(fault, scenario.duration_s), fault.at_s + 0.1),
                color=ORANGE,
                alpha=0.12,
                lw=0,
            )
    shaded = f", {len(scenario.faults)} faults shaded" if scenario.faults else ""
    rates.set_title(f"{scenario.name}: one replication{shaded}", fontsize=10)
    return save(made, path)


def draw_lines(
    places: Sequence[float], lines: Mapping[str, Sequence[Span]], x_label: str, y_label: str, title: str
) -> Picture:
    """Values with their 95 % intervals as bars, one line for each design, at most four; none is below nought."""
    assert len(lines) <= len(LINES), f"{len(lines)} lines are too many to tell apart"
    made, (axis,) = picture(height=3.1)
    for (name, points), (color, marker, dash) in zip(lines.items(), LINES, strict=False):
        bars = np.array([reach(point) for point in points]).T
        axis.errorbar(
            places, [point.mean for point in points], yerr=bars, color=color, marker=marker, linestyle=dash, markersize=5,
            capsize=3, label=name,
        )  # fmt: skip
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.set_title(title, fontsize=10)
    axis.set_ylim(bottom=0)
    if len(lines) > 1:
        axis.legend(frameon=False)
    return made


def reach(found: Span) -> tuple[float, float]:
    """How far the interval goes below and above the value, as error bars want it."""
    low, high = (found.mean if end is None else end for end in (found.low, found.high))
    return max(0.0, found.mean - max(0.0, low)), max(0.0, high - found.mean)


def save(made: Picture, path: Path | None) -> Picture:
    """Write it, if a path is given."""
    if path is not None:
        made.savefig(path, dpi=140)
    return made


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """A picture as a notebook shows it."""

    png: bytes

    def __repr__(self) -> str:
        return "<picture>"

    def _repr_png_(self) -> bytes:
        return self.png


def show(made: Picture) -> Shown:
    """The picture for a notebook: 868 pixels wide, and still to be read on a telephone."""
    out = BytesIO()
    made.savefig(out, format="png", dpi=140)
    return Shown(out.getvalue())
