"""Whether a wait still became longer when the evening ended: then the evening was too short to show how long it becomes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

AT_LEAST = 10
"""Of fewer than so many nothing is said."""


def drift(begun: npt.NDArray[np.int64], ended: npt.NDArray[np.int64]) -> float | None:
    """By how much the waits from `begun` to `ended` (ticks) became longer, for each second from the middle of the evening on.

    The last tenth of those who began is held against the tenth before the middle: where more come than are served by the share
    x, it is x; where the queue does not grow, about 0, however long the waits are. None of too few.
    """
    count = len(begun)
    if count < AT_LEAST:
        return None
    order = np.argsort(begun, kind="stable")
    since, waits = begun[order], (ended - begun)[order]
    tenth, half = count // 10, count // 2
    later = float(since[-tenth:].mean() - since[half - tenth : half].mean())
    return float(waits[-tenth:].mean() - waits[half - tenth : half].mean()) / later if later > 0 else None
