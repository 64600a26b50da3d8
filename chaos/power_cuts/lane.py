"""A lane: one workload with its settings and troubles. Many cuts share it, each at another of its operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from chaos.faults.storage.disk import Disk
from chaos.faults.storage.simulated import SimulatedDisks
from chaos.faults.storage.troubles import KILLS, Struck, Trouble, TroubleName
from chaos.power_cuts.machine import Finding, Machine, Tuning, tell_every_step
from chaos.power_cuts.recording import Group, Recording, record
from chaos.power_cuts.stores import EdgeWorkload, KitchenWorkload, RegisterWorkload, Restart, Workload
from refsystem.kitchen_display.store import STATION, Bump
from refsystem.protocol.messages import Register, RegisterSwap
from refsystem.protocol.uplink import Batch
from refsystem.sqlite import Synchronous
from simulator.streams import Streams

LANES = 5
CUTS_PER_LANE = 20
CUTS_PER_RECORDING = LANES * CUTS_PER_LANE
STEPS_MAX = 60
GROUPS_MERGED = (1, 1, 1, 4, 16)
CHECKPOINT_PAGES = (3, 8, 25, None)
SECTOR_BYTES = (512, 4096)
CACHE_PAGES = (5, None, None)
BUMPED_SHARE = 0.3
RESTART_SHARE = 0.05
TROUBLE_SHARE = 0.5
TROUBLES: tuple[TroubleName, ...] = (
    "killed",
    "killed_at_sync",
    "killed_at_sync",
    "disk_full",
    "write_error",
    "sync_error",
    "read_error",
    "stall",
)
TROUBLE_TIMES = (1, 1, 2, 4)


@dataclass(frozen=True, slots=True)
class Mode:
    """What all cuts of a campaign share. A disk that is not `honest` syncs nothing."""

    synchronous: Synchronous = "FULL"
    honest: bool = True


@dataclass(frozen=True)
class Lane:
    """`operations` is how many there are from the first start to the last stop, where `troubles` struck as `struck` says.

    `stalled_s` is how long the disk stood still, in virtual seconds, `finding` what was found without any power cut.
    """

    seed: int
    recording: int
    index: int
    mode: Mode
    workload: Workload
    expected: tuple[Any, ...]
    tuning: Tuning
    sector_bytes: int
    troubles: tuple[Trouble, ...]
    operations: int = 0
    struck: tuple[Struck, ...] = ()
    stalled_s: float = 0.0
    finding: Finding | None = None

    def begin(self, disks: SimulatedDisks) -> Disk:
        """An empty disk that is in for the lane's troubles, and SQLite's random numbers as every run of the lane begins with."""
        disks.seed_sqlite(_draws(self.seed, self.recording, self.index, "sqlite"))
        draws = _draws(self.seed, self.recording, self.index, "what failing operations leave")
        disk = Disk(sector_bytes=self.sector_bytes, draws=draws)
        disk.honest = self.mode.honest
        disk.troubles.planned = [replace(trouble) for trouble in self.troubles]
        return disk


def make_lane(disks: SimulatedDisks, folder: Path, seed: int, recording: int, index: int, mode: Mode) -> Lane:
    """The lane `index` of a recording: drawn, played once where nothing goes wrong, and once with its troubles."""
    draws = _draws(seed, recording, index, "lane")
    workload = draw_workload(record(Streams(seed, recording).bits(32, "recording")), index, draws)
    expected = tuple(tell_every_step(disks, folder, workload))
    tuning = Tuning(mode.synchronous, draws.choice(CHECKPOINT_PAGES), draws.choice(CACHE_PAGES))
    sector_bytes = draws.choice(SECTOR_BYTES)
    troubles = _draw_troubles(draws, len(workload.steps))
    lane = Lane(seed, recording, index, mode, workload, expected, tuning, sector_bytes, troubles)
    disk = lane.begin(disks)
    stalls: list[float] = []
    disk.troubles.wait = stalls.append
    finding: Finding | None = None
    try:
        Machine(disks, folder, workload, expected, tuning).run(disk)
    except Finding as found:
        finding = found
    struck = tuple(disk.troubles.struck)
    return replace(lane, operations=disk.operations, struck=struck, stalled_s=sum(stalls), finding=finding)


def draw_workload(recording: Recording, index: int, draws: Random) -> Workload:
    """Lanes 0 and 1 are the two devices, 2 is one of them in larger flushes, 3 the kitchen display, 4 the register."""
    match index:
        case 0 | 1:
            return EdgeWorkload(_device_steps(recording.devices[index], 1, draws))
        case 2:
            return EdgeWorkload(_device_steps(draws.choice(recording.devices), draws.choice(GROUPS_MERGED), draws))
        case 3:
            return KitchenWorkload(_kitchen_steps(recording.batches, draws))
        case _:
            return RegisterWorkload(_register_steps(recording, draws))


def _device_steps(groups: Iterable[Group | None], merged: int, draws: Random) -> list[Group | Restart]:
    """At most `STEPS_MAX` flushes in a row; all that was flushed before them is the first, as when a device joins."""
    steps: list[Group | Restart] = []
    waiting: list[Group] = []
    for group in [*groups, None]:
        if group is not None:
            waiting.append(group)
        if waiting and (group is None or len(waiting) == merged):
            steps.append(_one_flush(waiting))
            waiting = []
        if group is None:
            steps.append(_draw_restart(draws))
    first = draws.randint(0, max(0, len(steps) - STEPS_MAX))
    history = _one_flush(step for step in steps[:first] if not isinstance(step, str))
    return [*([history] if history else []), *steps[first : first + STEPS_MAX]]


def _one_flush(groups: Iterable[Group]) -> Group:
    return tuple(op for group in groups for op in group)


def _register_steps(recording: Recording, draws: Random) -> list[Register | RegisterSwap | Restart]:
    first = Register(1, recording.first_primary, (recording.first_primary,), "set-up")
    steps: list[Register | RegisterSwap | Restart] = [first]
    for swap in recording.swaps:
        steps.append(swap)
        if draws.random() < RESTART_SHARE * 3:
            steps.append(_draw_restart(draws))
    return steps


def _kitchen_steps(batches: Iterable[Batch], draws: Random) -> list[Batch | Bump | Restart]:
    steps: list[Batch | Bump | Restart] = []
    for batch in _telling(batches):
        steps.append(batch)
        for entry in batch.entries:
            content = entry.content()
            if content["kind"] == "order" and draws.random() < BUMPED_SHARE:
                steps.append(Bump(content["order_id"], content["version"], STATION))
        if draws.random() < RESTART_SHARE:
            steps.append(_draw_restart(draws))
    return steps[:STEPS_MAX]


def _telling(batches: Iterable[Batch]) -> list[Batch]:
    """Without the questions for the cursor that follow one another unchanged."""
    kept: list[Batch] = []
    for batch in batches:
        if not kept or batch.entries or kept[-1].entries or batch.sender_epoch != kept[-1].sender_epoch:
            kept.append(batch)
    return kept


def _draw_restart(draws: Random) -> Restart:
    return "stopped" if draws.random() < 0.5 else "killed"


def _draw_troubles(draws: Random, steps: int) -> tuple[Trouble, ...]:
    troubles: list[Trouble] = []
    while draws.random() < TROUBLE_SHARE and len(troubles) < 3:
        name = draws.choice(TROUBLES)
        times = 1 if name in KILLS else draws.choice(TROUBLE_TIMES)
        troubles.append(Trouble(name, draws.randint(1, 20 + 5 * steps), times))
    return tuple(troubles)


def _draws(seed: int, recording: int, index: int, purpose: str) -> Random:
    return Random(Streams(seed, recording).bits(128, f"{purpose} {index}"))
