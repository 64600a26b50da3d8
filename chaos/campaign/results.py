"""What a campaign keeps of one seed. Everything in it but `elapsed_s` is the same wherever and whenever the seed is run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from chaos.campaign.judging import CRASHED, Failure, Judgement, judge
from chaos.campaign.simulation import Simulation
from simulator.cluster.outcome import ClusterRun
from simulator.cluster.schedule import Schedule


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One seed as it went. `end` is the run's end, or "crashed"; `goals` counts what the run reached."""

    seed: int
    end: str
    failure: Failure | None
    trace_hash: str
    events: int
    virtual_us: int
    goals: Mapping[str, int]
    orders: int
    acknowledged: Mapping[str, int]
    given_up: int
    faults: Mapping[str, int]
    disks_lost: int
    elapsed_s: float

    def repeats(self, other: SeedResult) -> bool:
        """Whether both went the same way."""
        mine = (self.trace_hash, self.end, self.failure)
        return mine == (other.trace_hash, other.end, other.failure)


def run_seed(simulation: Simulation, seed: int, variant: str | None) -> SeedResult:
    """Draw the schedule of `seed`, run and judge it."""
    return result_of(simulation, simulation.draw(seed), variant)


def result_of(simulation: Simulation, schedule: Schedule, variant: str | None) -> SeedResult:
    """Run and judge `schedule`."""
    began_s = time.perf_counter()
    run, judgement = run_and_judge(simulation, schedule, variant)
    elapsed_s = time.perf_counter() - began_s
    if run is None:
        return SeedResult(schedule.seed, CRASHED, judgement.failure, "", 0, 0, {}, 0, {}, 0, {}, 0, elapsed_s)
    in_force = [fault for fault in run.faults if fault["took_effect"]]
    return SeedResult(
        seed=schedule.seed,
        end=run.end,
        failure=judgement.failure,
        trace_hash=run.trace_hash,
        events=run.events,
        virtual_us=run.ended_at_us,
        goals=dict(run.goals),
        orders=len({attempt.order_id for attempt in run.attempts if attempt.kind == "order"}),
        acknowledged=judgement.acknowledged,
        given_up=judgement.given_up,
        faults=dict(Counter(str(fault["kind"]) for fault in in_force)),
        disks_lost=sum(len(fault.get("disk_lost_node_ids", ())) for fault in in_force),
        elapsed_s=elapsed_s,
    )


def run_and_judge(
    simulation: Simulation, schedule: Schedule, variant: str | None, *, tracing: bool = False
) -> tuple[ClusterRun | None, Judgement]:
    """One run with its judgement. An exception is a failure too: the run is then None."""
    try:
        run = simulation.run(schedule, variant, tracing=tracing)
        return run, judge(run)
    except Exception as error:  # whatever a schedule brings about must be told with its seed, not end the campaign
        return None, Judgement(Failure(f"{CRASHED} by {type(error).__name__}", _where(error)), {}, 0)


def _where(error: BaseException) -> str:
    """The error and the innermost line that raised it, without the folder that the code lies in."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return f"{type(error).__name__}: {error}"
    code = trace.tb_frame.f_code
    return f"{type(error).__name__}: {error} (in {code.co_qualname}, line {trace.tb_lineno})"
