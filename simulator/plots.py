"""Pictures of the model's results; each says its unit, and shows intervals or single evenings as what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator

from simulator.estimates import Span

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
    whole_ticks(axis, places)
    axis.set_ylim(0, axis.get_ylim()[1])
    if len(lines) > 1:
        legend_above(axis)
    return made


def whole_ticks(axis: Axes, places: Sequence[float]) -> None:
    """Ticks along the bottom at whole numbers, if all places are."""
    if all(float(place).is_integer() for place in places):
        axis.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def legend_above(axis: Axes, columns: int = 2) -> None:
    """The legend over the lines, in room of its own."""
    names = axis.get_legend_handles_labels()[1]
    rows = -(-len(names) // columns)
    bottom, top = axis.get_ylim()
    axis.set_yticks([tick for tick in axis.get_yticks() if bottom <= tick <= top])
    scale = axis.yaxis.get_transform()
    low, high = scale.transform([bottom, top])
    axis.set_ylim(bottom, float(scale.inverted().transform([low + (high - low) * (1 + 0.14 * rows)])[0]))
    axis.legend(frameon=False, loc="upper left", ncols=columns, borderaxespad=0.1)


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
