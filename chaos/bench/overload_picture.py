"""Draws both curves of `bench overload` over one axis of time, with what was offered and what the store can do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.bench.overload_run import Storm

PICTURE_SUFFIXES = (".svg", ".png")
_SIZE_IN, _DPI = (9.0, 4.2), 150
_INK, _GREY, _FILL = "#1c2330", "#5b6472", "#e6e9ee"
_CURVES = {"with": "#1b8a6b", "without": "#b3382f"}
_SETTINGS: Any = {  # its declared type differs from version to version of matplotlib
    "svg.hashsalt": "rushproof",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
}


def draw(path: Path, storms: Mapping[str, Storm], capacity_per_s: float, off: str) -> None:
    """Write the picture; its suffix says in which form."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        FigureCanvasAgg(figure)
        panel = figure.subplots()
        first = next(iter(storms.values()))
        at_s = [slot.at_s for slot in first.slots]
        offered = [slot.offered for slot in first.slots]
        panel.fill_between(at_s, offered, step="post", color=_FILL, label="people who come and want to order")
        panel.axhline(capacity_per_s, color=_GREY, linewidth=1, linestyle=(0, (4, 3)), label="declared capacity")
        labels = {"with": "told yes in time, with the remedies", "without": f"without ({off} off)"}
        for name, storm in storms.items():
            panel.plot(
                [slot.at_s for slot in storm.slots],
                [slot.told_yes for slot in storm.slots],
                color=_CURVES[name],
                linewidth=2,
                drawstyle="steps-post",
                label=labels[name],
            )
        panel.set_xlabel("seconds of load")
        panel.set_ylabel("orders per second")
        panel.set_xlim(0, max(at_s) + 1)
        panel.set_ylim(0, None)
        panel.legend(loc="upper right", frameon=False)
        form = path.suffix.removeprefix(".")
        figure.savefig(path, format=form, dpi=_DPI, metadata={"Date": None} if form == "svg" else None)
