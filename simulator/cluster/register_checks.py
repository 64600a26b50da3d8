"""What the register and its members must hold to, written down a second time, independently of the arbiter and the replica."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from refsystem.protocol.log import Entry
from refsystem.protocol.messages import Register
from simulator.cluster.told import ToldOrders
from simulator.cluster.violation import Violation

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice
    from simulator.cluster.disks import Disk


def check_step(old: Register, new: Register, person: str) -> bool:
    """P7, P8, P9, P11, P19; returns whether it is a step of break glass."""
    same, alone = old.primary == new.primary, new.members == (new.primary,)
    by_device = (
        same and alone,
        same and len(old.members) == 1 and len(new.members) == 2 and new.members[0] == new.primary,
        not same and new.primary in old.members and alone,
        same and new.members == old.members,
    )
    glass = bool(person) and new.primary not in old.members and alone and new.forked_epoch == new.epoch
    allowed = glass or (any(by_device) and not person and new.forked_epoch == old.forked_epoch)
    people = {old.primary, new.primary} | set(old.members) | set(new.members)
    if new.epoch != old.epoch + 1 or not allowed or (len(people) > 2 and not glass) or new.claim == old.claim:
        raise Violation("the register moves by its steps", f"from {old} to {new}")
    return glass


def check_claim(device: VirtualDevice, registers: dict[int, Register]) -> None:
    """P21: a primary acts only by what the register was made by its own claim of this life."""
    assert device.machine is not None
    replica = device.machine.replica
    register = registers.get(replica.epoch)
    claim = f"{replica.node_id}/life{device.life}/"
    if register is None or register.primary != replica.node_id or not register.claim.startswith(claim):
        raise Violation(
            "acts by its own claim",
            f"{replica.node_id} is primary of epoch {replica.epoch}, the register said {register}",
        )
    if register.members != replica.members:
        raise Violation(
            "acts by its own claim", f"{replica.node_id} takes {replica.members} for the members of {register}"
        )


def check_flushed(device: VirtualDevice, entry: Entry, does: str, register: Register) -> None:
    """What is committed or acknowledged now is flushed on every member of the register as it is now."""
    disks = {each.disk.node_id: each.disk for each in (device, device.peer)}
    for member in register.members:
        if member in disks and not disks[member].holds(entry.cursor):
            raise Violation(
                "flushed on every member",
                f"{device.disk.node_id} {does} entry {entry.seq}, which {member} has not flushed",
            )


def check_members(register: Register, devices: Iterable[VirtualDevice], last: Entry | None, told: ToldOrders) -> None:
    """P8, P9: whoever is a member holds everything that is committed; by the hashes the `last` entry tells of all."""
    for device in devices:
        disk = device.disk
        if disk.node_id in register.members:
            _check_told_r2(device.peer.disk, disk, told)
        if last is not None and disk.node_id in register.members and not disk.holds(last.cursor):
            raise Violation("members hold what is committed", f"{disk.node_id}, of {register}, lacks entry {last.seq}")


def _check_told_r2(one: Disk, other: Disk, orders: ToldOrders) -> None:
    """What was told R2 and is on a disk of the store is on the disk of every member, committed again or not yet (P10)."""
    for told in orders:
        if told.level == "R2" and one.holds(told.place) and not other.holds(told.place):
            raise Violation(
                "members hold what is committed",
                f"{other.node_id} lacks {told.order_id}, told R2 at {told.place.seq}",
            )
