"""A wall clock that is wrong, as one process sees it. The proof is what the process itself tells in `/metrics`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chaos.faults.base import Effect, FaultError, Target
from refsystem import drill_control
from refsystem.drill_control import ClockTrouble
from refsystem.processes import PythonProcess
from refsystem.stack import Stack

READS = 5
READ_TIMEOUT_S = 4.0
PROOF_TIMEOUT_S = 8.0
SLACK_US = 2_000
"""What two readings of one clock may differ by though nothing is wrong, beside the time that the reading takes."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a process said of its clocks at a moment of ours: how far they are ahead, and how exactly that is known."""

    at_us: int
    wall_ahead_us: int
    monotonic_ahead_us: int
    exact_to_us: int


class ClockWrong:
    """The wall clock of a process is wrong until the end of the fault; its monotonic clock goes on."""

    def __init__(
        self, stack: Stack, process: PythonProcess, target: Target, *, offset_s: float = 0.0, drift_ppm: float = 0.0
    ) -> None:
        self.target = target
        self._stack = stack
        self._process = process
        self._offset_us = round(offset_s * 1e6)
        self._drift_ppm = drift_ppm
        self._trouble = ClockTrouble()

    async def begin(self) -> None:
        """Say so in the control file; raises `FaultError` if nobody would look at it."""
        if self._process.pid is None:
            raise FaultError(f"{self._process.name} does not run, so its clock cannot be wrong")
        if not self._stack.settings.controlled:
            raise FaultError(f"{self._process.name} was started without a control file for its clock")
        self._trouble = ClockTrouble(self._offset_us, self._drift_ppm, _monotonic_us())
        drill_control.change(self._stack.control_path(self._process.name), clock=self._trouble)

    async def prove(self) -> Effect:
        """The process tells a wall clock that is wrong as it was to be, and a monotonic clock that is right."""
        return await self._look_until_seen()

    async def held(self) -> Effect:
        """It tells so at the end too, whether or not it was started again meanwhile."""
        return await self._look_until_seen()

    async def undo(self) -> str:
        """The clock jumps back; raises `FaultError` if the process says otherwise."""
        drill_control.change(self._stack.control_path(self._process.name), clock=None)
        told = await self._read()
        if told is None:
            return f"{self._process.name} does not answer; its clock will be right when it does"
        if abs(told.wall_ahead_us) > told.exact_to_us + SLACK_US:
            raise FaultError(f"the clock of {self._process.name} is still {told.wall_ahead_us / 1e6:g} s ahead")
        return f"the clock of {self._process.name} is right again, by its own telling"

    async def _look_until_seen(self) -> Effect:
        """What the process tells, as soon as it does and it can be judged; on a busy machine that takes a while."""
        deadline_s = time.monotonic() + PROOF_TIMEOUT_S
        while True:
            effect, can_be_judged = await self._look()
            if can_be_judged or time.monotonic() > deadline_s:
                return effect
            await asyncio.sleep(0.1)

    async def _look(self) -> tuple[Effect, bool]:
        """What the process tells now, and whether a clock as wrong as this can be told from a right one."""
        told = await self._read()
        if told is None:
            return Effect(False, f"{self._process.name} does not tell its clock"), False
        wanted_us = self._trouble.skew_us(told.at_us)
        exact_us = told.exact_to_us + SLACK_US
        drifted_us = round(exact_us * abs(self._drift_ppm) / 1e6)
        right = abs(told.wall_ahead_us - wanted_us) <= exact_us + drifted_us
        monotonic = abs(told.monotonic_ahead_us) <= exact_us
        seen = abs(wanted_us) > 2 * exact_us
        text = (
            f"{self._process.name} tells a wall clock {told.wall_ahead_us / 1e6:+.3f} s from ours"
            f" ({wanted_us / 1e6:+.3f} s was to be), and a monotonic clock "
            + ("like ours" if monotonic else f"{told.monotonic_ahead_us / 1e6:+.3f} s from ours")
            + ("" if seen else ", which is too little to be seen")
        )
        return Effect(right and monotonic and seen, text), seen

    async def _read(self) -> Told | None:
        """The reading that took the least time of a few; None if there was no answer."""
        readings = []
        async with httpx.AsyncClient(trust_env=False, timeout=READ_TIMEOUT_S) as http:
            for _ in range(READS):
                wall_us, monotonic_us = time.time_ns() // 1000, _monotonic_us()
                try:
                    answer = (await http.get(f"{self._stack.url(self._process.name)}/metrics")).raise_for_status()
                except httpx.HTTPError:
                    break
                took_us = _monotonic_us() - monotonic_us
                told = _gauges(answer.text)
                # The truth lies within the exchange; its middle is off by half of it at most.
                readings.append(
                    Told(
                        monotonic_us + took_us // 2,
                        round(told["rushproof_wall_clock_seconds"] * 1e6) - wall_us - took_us // 2,
                        round(told["rushproof_monotonic_clock_seconds"] * 1e6) - monotonic_us - took_us // 2,
                        took_us // 2 + 1,
                    )
                )
        return min(readings, key=lambda told: told.exact_to_us, default=None)


def _gauges(text: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        if family.type == "gauge"
        for sample in family.samples
    }


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000
