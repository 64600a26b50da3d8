"""The clock that the partners' books are kept by."""

from __future__ import annotations

import time


def now_us() -> int:
    """The host's monotonic clock."""
    return time.monotonic_ns() // 1000
