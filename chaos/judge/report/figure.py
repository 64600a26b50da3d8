"""Draws the timeline: one figure, one axis of time, five panels. Nothing global is touched: no pyplot, settings in a context."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chaos.judge.report.timeline import FaultSpan, Numbers, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAULTS_SHOWN_MAX = 12

_INK, _GREY, _GRID = "#1c2330", "#5b6472", "#e3e7ed"
_OUTCOMES = {"ok": ("yes", "#2f6db3"), "indefinite": ("not known", "#d08a1d"), "fail": ("refused", "#8a93a1")}
_LEVELS = {"R2": ("R2", "#1b8a6b"), "R1": ("R1", "#d08a1d"), "RC": ("RC", "#5aa7dd")}
_TIMES = {"p50": "#2f6db3", "p95": "#d08a1d", "max": "#b3382f"}
_BACKLOG = {"to the cloud": "#2f6db3", "to the kitchen": "#1b8a6b", "waiting for commit": "#b3382f"}
_SETTINGS: Any = {  # its declared type differs from version to version of matplotlib
    "svg.fonttype": "none",
    "svg.hashsalt": "rushproof",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "axes.grid": True,
    "grid.color": _GRID,
    "axes.axisbelow": True,
}


@dataclass(frozen=True, slots=True)
class Format:
    """A size of the figure: inches, and how much of a fault's name has room."""

    width_in: float
    height_in: float
    name_characters_max: int


WIDE = Format(11.0, 9.4, 70)
NARROW = Format(4.6, 9.8, 30)


def timeline_svg(timeline: Timeline, form: Format) -> str:
    """The figure as an SVG document."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    shown = timeline.faults[:FAULTS_SHOWN_MAX]
    lanes = max(1.0, 0.34 * len(shown) + 0.3)
    with rc_context(_SETTINGS), warnings.catch_warnings():
        # The browser draws the text with its own fonts; that matplotlib's font lacks a glyph does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(form.width_in, form.height_in + 0.2 * len(shown)), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(5, 1, sharex=True, height_ratios=[2, lanes, 2, 2, 2])
        _stacked(panels[0], timeline, timeline.arrivals, _OUTCOMES, "Orders meant to be sent, per s")
        _fault_lanes(panels[1], timeline, shown, form)
        _stacked(panels[2], timeline, timeline.acknowledgements, _LEVELS, "Acknowledged, per s")
        _latency(panels[3], timeline)
        _backlog(panels[4], timeline)
        for panel in panels:
            _shade(panel, timeline)
        panels[-1].set_xlabel("seconds since the load began")
        panels[-1].set_xlim(0, timeline.end_s)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return out.getvalue()


def _title(panel: Axes, text: str, pad: int = 18) -> None:
    panel.set_title(text, loc="left", fontsize=10, fontweight="bold", pad=pad)


def _legend(panel: Axes) -> None:
    panel.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 0.96),
        ncols=4,
        frameon=False,
        fontsize=8.5,
        handlelength=1.1,
        columnspacing=1.2,
    )


def _nothing(panel: Axes, text: str) -> None:
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color=_GREY)
    panel.set_yticks([])


def _stacked(
    panel: Axes, timeline: Timeline, series: dict[str, Numbers], looks: dict[str, tuple[str, str]], title: str
) -> None:
    _title(panel, title)
    if not any(values.any() for values in series.values()):
        _nothing(panel, "no data")
        return
    below = np.zeros(len(timeline.edges_s) - 1)
    for name, (label, colour) in looks.items():
        above = below + series[name]
        panel.stairs(above, timeline.edges_s, baseline=below, fill=True, color=colour, label=label, linewidth=0)
        below = above
    panel.set_ylim(bottom=0)
    _legend(panel)


def _latency(panel: Axes, timeline: Timeline) -> None:
    _title(panel, "Response time of accepted orders, ms")
    if all(np.isnan(values).all() for values in timeline.latency_ms.values()):
        _nothing(panel, "no data")
        return
    middles_s = (timeline.edges_s[:-1] + timeline.edges_s[1:]) / 2
    for name, colour in _TIMES.items():
        values = np.maximum(timeline.latency_ms[name], 0.1)
        panel.plot(middles_s, values, color=colour, label=name, linewidth=1.4, marker="o", markersize=1.8)
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.yaxis.set_minor_formatter(lambda value, _: "")
    _legend(panel)


def _backlog(panel: Axes, timeline: Timeline) -> None:
    _title(panel, f"Backlog, entries{f' of {timeline.backlog_of}' if timeline.backlog_of else ''}")
    if not len(timeline.samples_s) or all(np.isnan(values).all() for values in timeline.backlog.values()):
        _nothing(panel, "no data")
        return
    for name, colour in _BACKLOG.items():
        panel.plot(timeline.samples_s, timeline.backlog[name], color=colour, label=name, linewidth=1.3)
    panel.set_ylim(bottom=0)
    _legend(panel)


def _fault_lanes(panel: Axes, timeline: Timeline, shown: tuple[FaultSpan, ...], form: Format) -> None:
    more = f", first {len(shown)} of {len(timeline.faults)}" if len(timeline.faults) > len(shown) else ""
    _title(panel, f"Faults in force{more}", pad=6)
    panel.set_yticks([])
    panel.grid(axis="y", visible=False)
    if not shown:
        _nothing(panel, "none")
        return
    for lane, fault in enumerate(shown):
        span_s = max(fault.end_s - fault.start_s, timeline.end_s / 200)
        colour = "#b3382f" if fault.took_effect else "#b9c0ca"
        panel.barh(lane, span_s, left=fault.start_s, height=0.5, color=colour)
        late = fault.start_s > timeline.end_s / 2
        x_s, side = (fault.start_s, "right") if late else (fault.start_s + span_s, "left")
        name = (
            fault.name
            if len(fault.name) <= form.name_characters_max
            else fault.name[: form.name_characters_max - 1] + "…"
        )
        text = name if fault.took_effect else f"{name} (no effect)"
        panel.annotate(
            text, (x_s, lane), (-4 if late else 4, 0), textcoords="offset points", ha=side, va="center", fontsize=8.5
        )
    panel.set_ylim(len(shown) - 0.4, -0.6)


def _shade(panel: Axes, timeline: Timeline) -> None:
    for fault in timeline.faults:
        if fault.took_effect:
            panel.axvspan(
                fault.start_s, max(fault.end_s, fault.start_s + timeline.end_s / 400), color="#b3382f", alpha=0.07
            )
