"""Goodput: people who were told yes while they still waited for it, beside those who came and wanted to order.

The same measure as a drill's verdict takes of its history (windows of 5 s in slots of 0.5 s, and what was possible in them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.model.records import ABSENT

WINDOW_S = 5.0
SLOT_S = 0.5
PER_WINDOW = round(WINDOW_S / SLOT_S)


@dataclass(frozen=True, slots=True)
class Goodput:
    """The best window in orders a second, and what was told yes in the worst, of what was possible in it."""

    peak_per_s: float
    least_ratio: float


def goodput(meant: npt.NDArray[np.int64], told: npt.NDArray[np.int64], least_peak_per_s: float = 0.0) -> Goodput | None:
    """From when each meant to order and was told yes, in ticks. None without a whole window.

    Possible is what was offered, slot by slot, and never more than in the best window, or `least_peak_per_s` if that is more.
    """
    wanted = meant[meant != ABSENT]
    if not len(wanted):
        return None
    slot = round(SLOT_S * 1e6)
    last = int(wanted.max()) // slot
    count = last // PER_WINDOW * PER_WINDOW
    offered = np.bincount(wanted // slot, minlength=last + 1)[:count].reshape(-1, PER_WINDOW)
    good = told[(told != ABSENT) & (meant != ABSENT)] // slot
    yes = np.bincount(good[good < count], minlength=count)[:count].reshape(-1, PER_WINDOW).sum(axis=1)
    best = int(yes.max()) if len(yes) else 0
    peak = max(float(best), least_peak_per_s * WINDOW_S)
    possible = np.minimum(offered, peak / PER_WINDOW).sum(axis=1)
    ratios = yes[possible > 0] / possible[possible > 0]
    return Goodput(best / WINDOW_S, float(ratios.min())) if len(ratios) else None
