"""One cut again, told in words: what the machine did, what was not synced, what became of that, and what was found."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.faults.storage.disk import Disk, Operation
from chaos.faults.storage.power_loss import Damage
from chaos.faults.storage.simulated import SimulatedDisks
from chaos.power_cuts.cut import CutResult, lane_of, make_cut
from chaos.power_cuts.lane import Lane, Mode, make_lane

OPERATIONS_TOLD = 30


@dataclass(frozen=True, slots=True)
class PowerLoss:
    """One time that the power went: the operations of that boot, and the fate of those that were not synced."""

    operations: tuple[Operation, ...]
    damage: Damage


@dataclass(frozen=True, slots=True)
class Replayed:
    """A cut as it went."""

    lane: Lane
    result: CutResult
    losses: tuple[PowerLoss, ...]


def replay(seed: int, number: int, mode: Mode) -> Replayed:
    """Make one cut of a campaign again, alone; it goes as it went there."""
    losses: list[PowerLoss] = []

    def watch(disk: Disk, damage: Damage) -> None:
        losses.append(PowerLoss(tuple(disk.history), damage))

    with tempfile.TemporaryDirectory(prefix="rushproof-") as folder, SimulatedDisks() as disks:
        lane = make_lane(disks, Path(folder), seed, *lane_of(number), mode)
        result = make_cut(disks, Path(folder), lane, number, watch)
    return Replayed(lane, result, tuple(losses))


def replay_lines(replayed: Replayed) -> Iterator[str]:
    """The story of the cut."""
    lane, result = replayed.lane, replayed.result
    pages = lane.tuning.checkpoint_pages
    checkpoints = "checkpoints as SQLite has them" if pages is None else f"a checkpoint every {pages} pages"
    yield (
        f"{result.store}: {len(lane.workload.steps)} steps, {lane.operations} operations, {checkpoints}, "
        f"sectors of {lane.sector_bytes} bytes"
    )
    if lane.struck:
        yield "troubles: " + ", ".join(f"{struck.name} at operation {struck.number}" for struck in lane.struck)
    yield f"acknowledged when the power went: {result.told_steps} steps, {result.told_orders} orders"
    for loss in replayed.losses:
        yield from _loss_lines(loss)
    yield f"disks found: {result.image}"


def _loss_lines(loss: PowerLoss) -> Iterator[str]:
    last = loss.operations[-1]
    fates = loss.damage.operations
    kinds = ", ".join(sorted(loss.damage.kinds))
    yield f"the power goes at operation {last.number}, {last}; {len(fates)} are not synced ({kinds})"
    told = loss.operations[-OPERATIONS_TOLD:]
    for operation in told:
        yield f"  {operation.number:5} {operation!s:18}{fates.get(operation.number, '')}"
