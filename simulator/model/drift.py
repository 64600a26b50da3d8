"""Whether a wait still became longer when the evening ended: then the evening was too short to show how long it becomes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

AT_LEAST = 10
"""Of fewer than so many nothing is said."""


def drift(begun: npt.NDArray[np.int64], ended: npt.NDArray[np.int64]) -> float | None:
    """By how much the waits from `begun` to `ended` (ticks) became longer, for each second from the middle of the evening on.

    The last fifth of those who began is held against the fifth before the middle. Where so many more come than are served, it is
    this share; where the queue does not grow, about 0, however long the waits are. None of too few.
    """
    count = len(begun)
    if count < AT_LEAST:
        return None
    order = np.argsort(begun, kind="stable")
    since, waits = begun[order], (ended - begun)[order]
    fifth, half = count // 5, count // 2
    later = float(since[-fifth:].mean() - since[half - fifth : half].mean())
    return float(waits[-fifth:].mean() - waits[half - fifth : half].mean()) / later if later > 0 else None
