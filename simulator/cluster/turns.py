"""The turns that a store takes, counted for a campaign that must have seen each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refsystem.protocol.messages import Register
from refsystem.protocol.roles import Role
from simulator.cluster.clock import Clock

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice


class Turns:
    """Follows the roles of one store's devices."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._roles: dict[str, tuple[int, Role, int]] = {}

    def booted(self, device: VirtualDevice) -> None:
        """A process starts."""
        if device.name in self._roles and self._roles[device.name][1] is Role.PRIMARY:
            other = device.peer.machine
            if other is not None and len(device.disk.entries) < len(other.replica.log):
                self._clock.goals["a primary restarted shorter than its standby"] += 1

    def stepped(self, device: VirtualDevice, registers: dict[int, Register], *, key_waits_elsewhere: bool) -> None:
        """A device has taken a step; `key_waits_elsewhere` tells whether an order waits at the other one."""
        assert device.machine is not None
        replica = device.machine.replica
        now = (device.life, replica.role, replica.epoch)
        before = self._roles.get(device.name)
        self._roles[device.name] = now
        if before is None or before == now or replica.role is not Role.PRIMARY:
            return
        old, new = registers.get(replica.epoch - 1), registers.get(replica.epoch)
        if old is not None and new is not None:
            self._clock.goals[_turn(old, new)] += 1
            if old.primary != new.primary and key_waits_elsewhere:
                self._clock.goals["a key waiting across a failover"] += 1


def _turn(old: Register, new: Register) -> str:
    if old.primary != new.primary:
        return "a promotion"
    if len(old.members) < len(new.members):
        return "a grow"
    if len(old.members) > len(new.members):
        return "a shrink"
    return "a grow cancelled" if old.claim.split("/")[1:2] == new.claim.split("/")[1:2] else "a restart"
