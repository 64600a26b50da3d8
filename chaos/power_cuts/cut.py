"""One numbered cut: the power goes at its place in its lane, something is left, and the next boots must find what was promised.

Everything is drawn by the campaign's seed and the number of the cut, so that a cut is the same wherever and whenever it is made.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from chaos.faults.storage.disk import Disk
from chaos.faults.storage.power_loss import Damage, after_power_loss, digest
from chaos.faults.storage.simulated import SimulatedDisks
from chaos.power_cuts.lane import CUTS_PER_LANE, CUTS_PER_RECORDING, LANES, Lane
from chaos.power_cuts.machine import Finding, Machine
from simulator.streams import Streams

CUTS_AGAIN = (0.6, 0.3)
"""How likely the power goes a second and a third time, soon after it is back."""
AGAIN_WITHIN = 40
STEPS_AFTER = 3
SET_UP_SHARE = 0.1
SET_UP_WITHIN = 45
AFTER_TROUBLE_SHARE = 0.3
AFTER_TROUBLE_WITHIN = 8


Watch = Callable[[Disk, Damage], None]


@dataclass(frozen=True, slots=True)
class CutResult:
    """What came of a cut.

    `told_steps` transactions and `told_orders` orders were acknowledged when the power went, at `operation` in `phase`; they
    were looked for afterwards. `again` are the phases in which it went a second and a third time, `damage` how many of the
    disks left were damaged in each way, `image` a hash over these disks.
    """

    number: int
    store: str
    operation: str
    phase: str
    told_steps: int
    told_orders: int
    again: tuple[str, ...] = ()
    damage: Counter[str] = field(default_factory=Counter)
    image: str = ""
    finding: str | None = None
    detail: str = ""
    lost_steps: int = 0
    lost_orders: int = 0


def lane_of(number: int) -> tuple[int, int]:
    """The recording and the lane of cut `number`."""
    return number // CUTS_PER_RECORDING, number % LANES


def make_cut(disks: SimulatedDisks, folder: Path, lane: Lane, number: int, watch: Watch | None = None) -> CutResult:
    """Make cut `number`, which belongs to `lane`. `watch` sees each disk that lost its power, and what was done to it."""
    if lane.finding is not None:
        found = CutResult(number, lane.workload.name, "no power cut", "", 0, 0)
        return _with_finding(found, lane.finding)
    return _Cut(disks, folder, lane, number, watch).make()


class _Cut:
    """A machine, the disks that it finds from boot to boot, and what is noted of them."""

    def __init__(self, disks: SimulatedDisks, folder: Path, lane: Lane, number: int, watch: Watch | None) -> None:
        self._disks = disks
        self._lane = lane
        self._number = number
        self._watch = watch
        self._draws = Random(Streams(lane.seed, number).bits(128, "cut"))
        self._machine = Machine(disks, folder, lane.workload, lane.expected, lane.tuning)
        self._again: list[str] = []
        self._damage: Counter[str] = Counter()
        self._images = hashlib.sha256()

    def make(self) -> CutResult:
        disk = self._lane.begin(self._disks)
        disk.cut_at = self._place()
        powered = self._machine.run(disk)
        assert not powered, f"cut {self._number} is not reached: the lane does not repeat"
        result = self._first_result(disk)
        finding: Finding | None = None
        try:
            self._come_back(disk)
        except Finding as found:
            finding = found
        result = replace(result, again=tuple(self._again), damage=self._damage, image=self._images.hexdigest())
        return result if finding is None else _with_finding(result, finding)

    def _place(self) -> int:
        """The cuts of a lane are spread evenly over its operations; some strike at the beginning or soon after a trouble."""
        lane, draws = self._lane, self._draws
        if draws.random() < SET_UP_SHARE:
            return draws.randint(1, min(SET_UP_WITHIN, lane.operations))
        if lane.struck and draws.random() < AFTER_TROUBLE_SHARE:
            return min(lane.operations, draws.choice(lane.struck).number + draws.randint(1, AFTER_TROUBLE_WITHIN))
        share = self._number % CUTS_PER_RECORDING // LANES
        return 1 + int((share + draws.random()) / CUTS_PER_LANE * lane.operations)

    def _first_result(self, disk: Disk) -> CutResult:
        lane, told = self._lane, max(0, self._machine.told)
        orders = lane.workload.orders(lane.expected[told])
        operation = str(disk.history[-1])
        return CutResult(self._number, lane.workload.name, operation, self._machine.phase, told, len(orders))

    def _come_back(self, disk: Disk) -> None:
        """Boot until the power stays; raises `Finding`."""
        for again_share in CUTS_AGAIN:
            disk = self._next_boot(disk)
            if self._draws.random() >= again_share:
                break
            disk.cut_at = 1 + int(AGAIN_WITHIN * self._draws.random() ** 2)
            if self._machine.run(disk, steps_max=STEPS_AFTER):
                disk.cut_at = None
                break
            self._again.append(self._machine.phase)
        else:
            disk = self._next_boot(disk)
        self._machine.run(disk, steps_max=STEPS_AFTER, use=True)

    def _next_boot(self, dead: Disk) -> Disk:
        disk, damage = after_power_loss(dead, self._draws)
        disk.honest = dead.honest
        self._damage.update(damage.kinds)
        self._images.update(digest(disk).encode())
        if self._watch is not None:
            self._watch(dead, damage)
        return disk


def _with_finding(result: CutResult, finding: Finding) -> CutResult:
    return replace(
        result,
        finding=finding.name,
        detail=finding.detail,
        lost_steps=finding.lost_steps,
        lost_orders=finding.lost_orders,
    )
