"""Over what goodput is measured, by a drill's verdict and by the model alike."""

from __future__ import annotations

WINDOW_S = 5.0
SLOT_S = 0.5
PER_WINDOW = round(WINDOW_S / SLOT_S)
QUEUE_MAX = 2
"""So many orders may wait from one slot for the next: people do not come evenly. A rush has gone away by then."""
LEAST_POSSIBLE = 10
"""A window in which fewer orders were possible says too little: one more or less moves its share by more than a tenth."""
