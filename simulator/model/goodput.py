"""Goodput: people who were told yes while they still waited for it, beside those who came and wanted to order.

The same measure as a drill's verdict takes of its history (`chaos.judge.goodput`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.goodput_windows import LEAST_POSSIBLE, PER_WINDOW, QUEUE_MAX, SLOT_S, WINDOW_S
from simulator.model.records import ABSENT


@dataclass(frozen=True, slots=True)
class Goodput:
    """The best window in orders a second, and the share told yes in the worst, of what was possible in it; None if none says."""

    peak_per_s: float
    least_ratio: float | None


def goodput(meant: npt.NDArray[np.int64], told: npt.NDArray[np.int64], least_peak_per_s: float = 0.0) -> Goodput | None:
    """From when each meant to order and was told yes, in ticks. None without a whole window.

    Possible is what can be done of what is offered, slot by slot, at the rate of the best window, or at `least_peak_per_s` if
    that is more, when `QUEUE_MAX` may wait for the next slot. More than that are yeses of people who came earlier.
    """
    wanted = meant[meant != ABSENT]
    slot = round(SLOT_S * 1e6)
    last = int(wanted.max()) // slot if len(wanted) else 0
    count = last // PER_WINDOW * PER_WINDOW
    if not count:
        return None
    offered = np.bincount(wanted // slot, minlength=last + 1)[:count].reshape(-1, PER_WINDOW)
    good = told[(told != ABSENT) & (meant != ABSENT)] // slot
    yes = np.bincount(good[good < count], minlength=count)[:count].reshape(-1, PER_WINDOW).sum(axis=1)
    best = int(yes.max())
    peak = max(float(best), least_peak_per_s * WINDOW_S)
    possible, waiting = np.zeros(len(offered)), np.zeros(len(offered))
    for each in offered.T:
        wants = waiting + each
        done = np.minimum(wants, peak / PER_WINDOW)
        possible += done
        waiting = np.minimum(wants - done, QUEUE_MAX)
    enough = possible >= LEAST_POSSIBLE
    ratios = np.minimum(1.0, yes[enough] / possible[enough])
    return Goodput(best / WINDOW_S, float(ratios.min()) if len(ratios) else None)
