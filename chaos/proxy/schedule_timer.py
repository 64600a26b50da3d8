"""Runs a toxic's schedule: tells each change of its phase, and each step of a ramp, when its time comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from chaos.proxy.schedule import Phase, Schedule

TIMER_MIN_S = 0.001
TIMER_MAX_S = 3600.0
RAMP_STEP_MS = 50.0
RAMP_STEPS = 100


class ScheduleTimer:
    """A schedule that began now. `on_phase` is called with every phase but the first, which is `phase` at once."""

    def __init__(self, schedule: Schedule, on_phase: Callable[[Phase], None]) -> None:
        self.schedule = schedule
        self._on_phase = on_phase
        self._began_at = time.monotonic()
        self.phase = schedule.phase(0.0)
        self._timer: asyncio.TimerHandle | None = None
        self._set(0.0)

    def cancel(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        elapsed_ms = 1000 * (time.monotonic() - self._began_at)
        phase = self.schedule.phase(elapsed_ms)
        changed = phase != self.phase
        self.phase = phase
        self._set(elapsed_ms)
        if changed:
            self._on_phase(phase)

    def _set(self, elapsed_ms: float) -> None:
        """Have the next step told; a timer that fires early finds the phase unchanged and is set again."""
        self._timer = None
        if self.phase.until_ms is None:
            return
        wait_ms = self.phase.until_ms - elapsed_ms
        if self.phase.share < 1:
            wait_ms = min(wait_ms, max(RAMP_STEP_MS, self.schedule.ramp_ms / RAMP_STEPS))
        wait_s = min(max(wait_ms / 1000, TIMER_MIN_S), TIMER_MAX_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._fired)
