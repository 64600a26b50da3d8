"""The one place where the stack reads the wall clock.

It is for people: it stands in log lines and in `/metrics`. Time-outs, leases, tickets and latencies count on the monotonic
clock, orders are put in order by their place in the log. So a clock that is wrong, jumps or drifts spoils a log line, and no
order. Payments are dated by it, because another device may go on with them: a wrong one stops or expires a payment sooner or
later than it should, and never charges twice. A pre-order is fired by that of the kitchen display. A drill may make it wrong
(`drill_control`); the monotonic clock never.
"""

from __future__ import annotations

import time
from datetime import datetime

from refsystem import drill_control


def monotonic_us() -> int:
    """The host's monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


def hour_and_minute(at_s: float | None = None) -> str:
    """A moment (seconds since 1970; None: now, as this process sees it) as the time of day, for paper: `18:05`."""
    return time.strftime("%H:%M", time.localtime(wall_us() / 1_000_000 if at_s is None else at_s))


def local_time() -> datetime:
    """The moment as this process sees it, in the time zone of its machine."""
    return datetime.fromtimestamp(wall_us() / 1_000_000).astimezone()


def wall_us() -> int:
    """Microseconds since 1970 as this process sees them."""
    right_us = time.time_ns() // 1000
    control = drill_control.from_environment()
    clock = None if control is None else control.read().clock
    return right_us if clock is None else right_us + clock.skew_us(monotonic_us())
