"""One schedule again: once here with its trace, once in a fresh process. Both must go the same way."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.campaign.campaign import compared
from chaos.campaign.results import SeedResult, result_of, run_and_judge
from chaos.campaign.simulation import Simulation
from chaos.campaign.trace import readable_trace
from chaos.campaign.workers import Workers
from simulator.cluster.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a schedule went; `result` fails as "not_deterministic" if the two runs differ."""

    schedule: Schedule
    variant: str | None
    result: SeedResult
    trace: tuple[str, ...]


def replay(simulation: Simulation, schedule: Schedule, variant: str | None, workers: Workers) -> Replayed | None:
    """Run `schedule` twice; None when interrupted."""
    first = result_of(simulation, schedule, variant)
    second = workers.again(schedule, variant)
    if second is None:
        return None
    run, _ = run_and_judge(simulation, schedule, variant, tracing=True)
    return Replayed(schedule, variant, compared(first, second), readable_trace(run) if run is not None else ())
