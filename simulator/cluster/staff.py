"""The person in the store: when every member is gone for good, they confirm that it is off and name the other device (P19)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from refsystem.ordering.errors import BreakGlassRefused
from refsystem.protocol.break_glass import BreakGlass
from simulator.cluster.clock import MS, Clock

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice
    from simulator.cluster.stores import VirtualStore

STAFF_LOOKS_EVERY_US = 110 * MS
LOOKS_FOR_THE_CLOUD = 3
WITHOUT_CLOUD_AT_ONCE_SHARE = 0.3


class Staff:
    """Looks after one store now and then."""

    def __init__(self, clock: Clock, store: VirtualStore) -> None:
        self._clock = clock
        self._store = store
        self._generator = clock.generator(f"staff {store.name}")
        self._off: dict[str, int] = {}
        self._looks_at_the_cloud = 0

    def begin(self) -> None:
        """Look now and then, from now on."""
        self._clock.after(STAFF_LOOKS_EVERY_US, self._look)

    @property
    def taken(self) -> tuple[str, ...]:
        """Devices that are switched off or isolated, and about to be replaced."""
        return tuple(self._off)

    def told_off(self, node_id: str, returns_after_us: int) -> None:
        """This device was switched off or isolated; it comes back that long after another one was named."""
        self._off[node_id] = returns_after_us

    def _look(self) -> None:
        self._clock.after(STAFF_LOOKS_EVERY_US, self._look)
        self._switch_on_who_was_replaced()
        running = [
            each for each in self._store.devices if each.machine is not None and not each.paused and not each.shunned
        ]
        for device in running:
            self._look_at_the_cloud(device)
        if all(map(self._is_off, self._store.register.members)):
            self._name(running)

    def _look_at_the_cloud(self, device: VirtualDevice) -> None:
        """A device that waits for the cloud is told to go on without it after some looks."""
        assert device.machine is not None
        glass = device.machine.glass
        if glass.stage != "reconciling" or glass.intention is None or glass.intention.word.without_cloud:
            return
        self._looks_at_the_cloud += 1
        if self._looks_at_the_cloud > LOOKS_FOR_THE_CLOUD:
            self._clock.note("staff: go on without the cloud")
            device.break_glass(replace(glass.intention.word, without_cloud=True))

    def _name(self, running: list[VirtualDevice]) -> None:
        """Of the devices that are no members the one with the longest log goes on, once it runs."""
        members = self._store.register.members
        others = [each for each in self._store.devices if each.disk.node_id not in members]
        survivor = max(others, key=lambda each: len(each.disk.entries), default=None)
        if survivor not in running or survivor.machine is None or survivor.machine.glass.stage != "none":
            return
        self._looks_at_the_cloud = 0
        self._clock.note("staff:", *members, "is off,", survivor.disk.node_id, "goes on")
        at_once = self._generator.random() < WITHOUT_CLOUD_AT_ONCE_SHARE
        if at_once:
            self._clock.goals["a word without the cloud at once"] += 1
        try:
            survivor.break_glass(BreakGlass(members, "staff", "the other device is gone", without_cloud=at_once))
        except BreakGlassRefused as refusal:
            self._clock.goals[f"break glass refused: {refusal.problem.slug}"] += 1

    def _is_off(self, node_id: str) -> bool:
        holder = self._store.holder(node_id)
        return holder is None or (node_id in self._off and (holder.gone or holder.isolated))

    def _switch_on_who_was_replaced(self) -> None:
        for node_id, after_us in list(self._off.items()):
            holder = self._store.holder(node_id)
            if holder is None or not (holder.gone or holder.isolated):
                del self._off[node_id]
            elif node_id not in self._store.register.members:
                del self._off[node_id]
                self._clock.goals["a device comes back after it was replaced"] += 1
                self._clock.after(after_us, holder.switch_on if holder.gone else holder.rejoin)
