"""What a campaign runs: schedules drawn from seeds, and the virtual cluster that they happen to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simulator.cluster.goals import GOALS
from simulator.cluster.outcome import ClusterRun
from simulator.cluster.run import run_schedule
from simulator.cluster.schedule import Schedule, draw_schedule


class RunsSchedules(Protocol):
    """Lets one schedule happen. A protocol that fails is in the outcome, never raised."""

    def __call__(self, schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
        """What came of it."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """How schedules are drawn and run, and which goals a campaign must reach. It is sent to other processes."""

    draw: Callable[[int], Schedule]
    run: RunsSchedules
    goals: tuple[str, ...]


VIRTUAL_CLUSTER = Simulation(draw_schedule, run_schedule, GOALS)
