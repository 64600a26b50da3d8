"""Folds the results of seeds into one campaign: counts, goals, digest, and the verdict on all of it."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Literal

from chaos.campaign.judging import CRASHED, DIFFERENT_TRACE, Failure
from chaos.campaign.results import SeedResult, run_seed
from chaos.campaign.simulation import Simulation
from chaos.campaign.words import counted
from chaos.campaign.workers import Workers
from simulator.streams import Streams

CampaignVerdict = Literal["pass", "fail", "unknown"]
FAILURES_KEPT = 50
CHECK_TWICE_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """Which seeds are run, with which broken variant (None: the sound protocol), and which share of them twice.

    With `until_caught` the campaign ends at the first seed that fails.
    """

    first_seed: int
    seeds: int
    variant: str | None = None
    check_twice_share: float = CHECK_TWICE_SHARE
    until_caught: bool = False

    def is_checked_twice(self, seed: int) -> bool:
        """Whether this seed is run a second time; drawn by the seed, so the same whatever the campaign."""
        return Streams(seed).uniform("campaign: run twice") < self.check_twice_share


@dataclass
class Campaign:
    """What was counted so far. Failures are kept up to `FAILURES_KEPT`; all are counted."""

    plan: CampaignPlan
    goals_wanted: tuple[str, ...]
    seeds: int = 0
    failed: int = 0
    checked_twice: int = 0
    events: int = 0
    virtual_us: int = 0
    orders: int = 0
    given_up: int = 0
    disks_lost: int = 0
    elapsed_s: float = 0.0
    interrupted: bool = False
    failures: list[SeedResult] = field(default_factory=list)
    failures_by_name: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    goal_times: Counter[str] = field(default_factory=Counter)
    goal_schedules: Counter[str] = field(default_factory=Counter)
    digest: str = ""
    """A hash over every seed and its trace: the same for the same seeds and code, on any machine with any workers."""

    def add(self, result: SeedResult) -> None:
        """Count one seed; seeds must come in their order."""
        self.seeds += 1
        self.events += result.events
        self.virtual_us += result.virtual_us
        self.orders += result.orders
        self.given_up += result.given_up
        self.disks_lost += result.disks_lost
        self.acknowledged.update(result.acknowledged)
        self.faults.update(result.faults)
        self.goal_times.update(result.goals)
        self.goal_schedules.update(name for name, times in result.goals.items() if times)
        text = f"{self.digest}\n{result.seed} {result.trace_hash}"
        self.digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if result.failure is not None:
            self.failed += 1
            self.failures_by_name[result.failure.name] += 1
            if len(self.failures) < FAILURES_KEPT:
                self.failures.append(result)

    @property
    def passed(self) -> int:
        """Seeds that did not fail."""
        return self.seeds - self.failed

    @property
    def unreached(self) -> tuple[str, ...]:
        """The goals that no schedule reached."""
        return tuple(name for name in self.goals_wanted if not self.goal_schedules[name])

    @property
    def verdict(self) -> CampaignVerdict:
        """Fail for a failed seed; unknown when interrupted or, unless a variant was run, for a goal never reached."""
        if self.failed:
            return "fail"
        if self.interrupted or not self.seeds:
            return "unknown"
        return "unknown" if self.plan.variant is None and self.unreached else "pass"

    @property
    def cause(self) -> str:
        """The verdict's reason, in one sentence."""
        if self.failed:
            first = self.failures[0]
            assert first.failure is not None
            which = f"; the first is seed {first.seed}: {first.failure.name}"
            if self.plan.variant is not None and self.plan.until_caught:
                return f"the broken variant {self.plan.variant} was caught by seed {first.seed}: {first.failure.name}"
            return f"{self.failed} of {counted(self.seeds, 'seed')} failed{which}"
        if self.interrupted:
            return f"interrupted after {self.seeds} of {counted(self.plan.seeds, 'seed')}, none of which failed"
        if self.plan.variant is not None:
            return f"the broken variant {self.plan.variant} was not caught in {counted(self.seeds, 'seed')}"
        if self.unreached:
            few = len(self.unreached)
            return f"{counted(few, 'goal')} never reached in {counted(self.seeds, 'seed')}: {'; '.join(self.unreached)}"
        return f"{counted(self.seeds, 'seed')} and no failure; every one of {len(self.goals_wanted)} goals was reached"


def run_campaign(
    plan: CampaignPlan,
    simulation: Simulation,
    workers: Workers,
    watch: Callable[[Campaign], None] = lambda campaign: None,
) -> Campaign:
    """Run the campaign; `watch` is told after every seed. An interrupted one keeps what was counted."""
    campaign = Campaign(plan, simulation.goals)
    began_s = time.monotonic()
    results = _checked(plan, simulation, workers, campaign)
    try:
        for result in results:
            campaign.add(result)
            campaign.elapsed_s = time.monotonic() - began_s
            watch(campaign)
            if plan.until_caught and result.failure is not None:
                break
    finally:
        results.close()
    caught = plan.until_caught and campaign.failed > 0
    campaign.interrupted = campaign.seeds < plan.seeds and not caught
    return campaign


def _checked(
    plan: CampaignPlan, simulation: Simulation, workers: Workers, campaign: Campaign
) -> Generator[SeedResult, None, None]:
    """The results of all seeds; some are run again in this process, whose hash seed is another one."""
    results = workers.results(range(plan.first_seed, plan.first_seed + plan.seeds), plan.variant)
    try:
        for result in results:
            if plan.is_checked_twice(result.seed):
                campaign.checked_twice += 1
                yield compared(result, run_seed(simulation, result.seed, plan.variant))
            else:
                yield result
    finally:
        results.close()


def compared(first: SeedResult, second: SeedResult) -> SeedResult:
    """`first`, failed if `second`, the same schedule again, went another way."""
    if first.repeats(second) or first.end == second.end == CRASHED:
        return first
    text = (
        f"run twice, the schedule ended {_went(first)} and then {_went(second)} "
        f"(trace {first.trace_hash or 'none'}, then {second.trace_hash or 'none'})"
    )
    return replace(first, failure=Failure(DIFFERENT_TRACE, text))


def _went(result: SeedResult) -> str:
    return result.end if result.failure is None else f"{result.end} by {result.failure.name}"
