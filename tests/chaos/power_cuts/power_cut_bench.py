"""Machines with short work to do on simulated disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from chaos.faults.storage.disk import Disk
from chaos.faults.storage.power_loss import after_power_loss
from chaos.faults.storage.simulated import SimulatedDisks
from chaos.faults.storage.troubles import Trouble
from chaos.power_cuts.machine import Machine, Tuning, tell_every_step
from chaos.power_cuts.stores import EdgeWorkload, KitchenWorkload, RegisterWorkload, Workload
from refsystem.protocol.log import GENESIS, chain, encode_record
from refsystem.protocol.messages import Register, RegisterSwap, StoreCommit, StoreEntries, StoreEpoch
from refsystem.protocol.uplink import Batch

STEPS = 6


def order_record(number: int) -> str:
    order = {"kind": "order", "order_id": f"o{number}", "body_hash": "0", "version": 1, "items": [], "note": ""}
    return encode_record(order)


ENTRIES = chain(1, GENESIS, [order_record(number) for number in range(1, STEPS + 1)])


def edge_steps() -> EdgeWorkload:
    """Step n flushes entry n, and the commit of the one before it."""
    groups = [(StoreEntries((entry,)), StoreCommit(entry.seq - 1)) for entry in ENTRIES]
    return EdgeWorkload([(StoreEpoch(1), *groups[0]), *groups[1:]])


def register_steps() -> RegisterWorkload:
    """Step n brings the register to epoch n."""
    registers = [Register(epoch, "a", ("a",), f"claim-{epoch}") for epoch in range(1, STEPS + 1)]
    swaps = [RegisterSwap(f"r{each.epoch}", "a", each.epoch - 1, each) for each in registers[1:]]
    return RegisterWorkload([registers[0], *swaps])


def kitchen_steps() -> KitchenWorkload:
    """Step n shows the order of entry n."""
    before = [GENESIS, *(entry.cursor for entry in ENTRIES)]
    pairs = zip(before, ENTRIES, strict=False)
    return KitchenWorkload([Batch("s1", 1, "a", after.seq + 1, after.hash, (entry,)) for after, entry in pairs])


SHORT = {"edge": edge_steps, "register": register_steps, "kitchen": kitchen_steps}


@dataclass(frozen=True)
class Bench:
    """Where machines are tried."""

    disks: SimulatedDisks
    folder: Path

    def machine(self, workload: Workload, tuning: Tuning | None = None, expected: Sequence[Any] = ()) -> Machine:
        expected = expected or tell_every_step(self.disks, self.folder, workload)
        return Machine(self.disks, self.folder, workload, expected, tuning or Tuning())

    def operations_of(
        self, workload: Workload, kind: str, tuning: Tuning | None = None, *, steps: int = 0
    ) -> list[int]:
        """The numbers of the operations of this kind ("sync log") where nothing goes wrong, up to the end of step `steps`."""
        disk = Disk()
        done: list[int] = []
        do = workload.do

        def note(store: Any, number: int) -> None:
            do(store, number)
            if number == steps:
                done.append(disk.operations)

        workload.do = note  # type: ignore[method-assign]
        try:
            assert self.machine(workload, tuning).run(disk)
        finally:
            workload.do = do  # type: ignore[method-assign]
        return [operation.number for operation in disk.history[: done[-1]] if str(operation) == kind]

    def dead(self, machine: Machine, cut_at: int, *troubles: Trouble) -> Disk:
        """The disk of a machine whose power went at that operation."""
        disk = Disk()
        disk.cut_at = cut_at
        disk.troubles.planned = list(troubles)
        assert not machine.run(disk)
        return disk


def nothing_kept(dead: Disk) -> Disk:
    """The worst: nothing that was not synced survives."""
    return after_power_loss(dead, Random(0), "nothing")[0]
