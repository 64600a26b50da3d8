"""Folds the results of cuts into one campaign: counts, goals, digest, and the verdict on all of it."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Literal

from chaos.campaign.words import counted
from chaos.power_cuts.cut import CutResult
from chaos.power_cuts.lane import Mode
from chaos.power_cuts.workers import Chunk, Workers

Verdict = Literal["pass", "fail", "unknown"]
FAILURES_KEPT = 50

OPERATIONS = (
    "create database",
    "write database",
    "truncate database",
    "sync database",
    "create log",
    "write log",
    "truncate log",
    "sync log",
    "delete log",
    "create journal",
    "write journal",
    "sync journal",
    "delete journal",
)
PHASES = ("set_up", "start", "transaction", "stop")
DAMAGE = ("unsynced_lost", "torn", "reordered", "truncation_lost", "name_change_lost", "length_without_data")
TROUBLES = ("killed", "killed_at_sync", "disk_full", "write_error", "sync_error", "read_error", "stall")
WORK = ("set_aside", "break_glass", "forks", "bumps")
GOALS = (
    *(f"power cut at {operation}" for operation in OPERATIONS),
    *(f"power cut in {phase}" for phase in PHASES),
    *(f"another power cut in {phase}" for phase in PHASES),
    *(f"damage {kind}" for kind in DAMAGE),
    *(f"trouble {name}" for name in TROUBLES),
    *(f"work {kind}" for kind in WORK),
)
"""What a campaign must have met at least once; else it is unknown."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which cuts are made: the first `cuts` of `seed`."""

    seed: int
    cuts: int
    mode: Mode = field(default_factory=Mode)


@dataclass(slots=True)
class StoreCounts:
    """One kind of store. Acknowledged steps and orders are counted at each cut: they were looked for after it."""

    cuts: int = 0
    told_steps: int = 0
    told_orders: int = 0
    failed: int = 0
    lost_steps: int = 0
    lost_orders: int = 0


@dataclass
class Campaign:
    """What was counted so far. Failed cuts are kept up to `FAILURES_KEPT`; all are counted."""

    plan: Plan
    elapsed_s: float = 0.0
    interrupted: bool = False
    stores: dict[str, StoreCounts] = field(default_factory=dict)
    operations: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    damage: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    work: Counter[str] = field(default_factory=Counter)
    lanes: int = 0
    stalled_s: float = 0.0
    findings: Counter[str] = field(default_factory=Counter)
    failures: list[CutResult] = field(default_factory=list)
    digest: str = ""
    """A hash over every disk that was found: the same for the same cuts and code, whatever the number of workers."""

    @property
    def cuts(self) -> int:
        """How many numbered cuts were made."""
        return sum(store.cuts for store in self.stores.values())

    @property
    def power_losses(self) -> int:
        """How often the power went, the second and third times included."""
        return self.cuts + self.again.total()

    @property
    def failed(self) -> int:
        """How many cuts found a promise that was not kept."""
        return self.findings.total()

    @property
    def told_orders(self) -> int:
        """Acknowledged orders that were looked for, counted at each cut."""
        return sum(store.told_orders for store in self.stores.values())

    @property
    def lost_orders(self) -> int:
        """Acknowledged orders that were gone."""
        return sum(store.lost_orders for store in self.stores.values())

    @property
    def goals(self) -> dict[str, int]:
        """How often each goal was met."""
        met = {f"power cut at {name}": count for name, count in self.operations.items()}
        met |= {f"power cut in {name}": count for name, count in self.phases.items()}
        met |= {f"another power cut in {name}": count for name, count in self.again.items()}
        met |= {f"damage {name}": count for name, count in self.damage.items()}
        met |= {f"trouble {name}": count for name, count in self.troubles.items()}
        met |= {f"work {name}": count for name, count in self.work.items()}
        return {name: met.get(name, 0) for name in GOALS}

    @property
    def unreached(self) -> tuple[str, ...]:
        """The goals that were never met."""
        return tuple(name for name, count in self.goals.items() if not count)

    @property
    def verdict(self) -> Verdict:
        """Fail for one promise not kept; unknown when interrupted or for a goal never met."""
        if self.failed:
            return "fail"
        return "unknown" if self.interrupted or self.unreached else "pass"

    @property
    def cause(self) -> str:
        """The verdict's reason, in one sentence."""
        if self.failed:
            first = self.failures[0]
            which = f"cut {first.number}, {first.store} {first.finding}: {first.detail}"
            said = f"{self.failed} of {counted(self.cuts, 'power cut')} failed, {self.lost_orders} acknowledged orders lost"
            return f"{said}; the first is {which}"
        if self.interrupted:
            return f"interrupted after {self.cuts} of {counted(self.plan.cuts, 'power cut')}, none of which failed"
        if self.unreached:
            goals = f"{counted(len(self.unreached), 'goal')} never met: {', '.join(self.unreached)}"
            return f"nothing was lost, but {counted(self.cuts, 'power cut')} are too few, {goals}"
        return (
            f"{counted(self.cuts, 'power cut')}, 0 of {self.told_orders} acknowledged orders lost, every promise kept"
        )

    def add(self, chunk: Chunk) -> None:
        """Count a chunk; chunks must come in their order."""
        for lane in chunk.lanes:
            self.lanes += 1
            self.troubles.update(lane.troubles)
            self.work.update(lane.work)
            self.stalled_s += lane.stalled_s
        for result in chunk.results:
            self._add_cut(result)

    def _add_cut(self, result: CutResult) -> None:
        store = self.stores.setdefault(result.store, StoreCounts())
        store.cuts += 1
        store.told_steps += result.told_steps
        store.told_orders += result.told_orders
        self.operations[result.operation] += 1
        self.phases[result.phase] += 1
        self.again.update(result.again)
        self.damage.update(result.damage)
        text = f"{self.digest}\n{result.number} {result.image}"
        self.digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if result.finding is not None:
            store.failed += 1
            store.lost_steps += result.lost_steps
            store.lost_orders += result.lost_orders
            self.findings[result.finding] += 1
            if len(self.failures) < FAILURES_KEPT:
                self.failures.append(result)


def run_campaign(plan: Plan, workers: Workers, watch: Callable[[Campaign], None] = lambda campaign: None) -> Campaign:
    """Make all cuts; `watch` is told after every chunk of them. An interrupted campaign keeps what was counted."""
    campaign = Campaign(plan)
    began_s = time.monotonic()
    chunks: Generator[Chunk, None, None] = workers.chunks(plan.seed, plan.cuts, plan.mode)
    try:
        for chunk in chunks:
            campaign.add(chunk)
            campaign.elapsed_s = time.monotonic() - began_s
            watch(campaign)
    finally:
        chunks.close()
    campaign.interrupted = campaign.cuts < plan.cuts
    return campaign
