"""Which rows of "Survivable faults" a schedule exercised: a fault counts when its effect was seen, not when it struck.

A pause that was over before anybody noticed, or a cut that nothing wanted to pass, counts for no row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refsystem.protocol.messages import Register
from simulator.cluster.clock import Clock
from simulator.cluster.goals import Row

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice
    from simulator.cluster.stores import VirtualStore

SEEN_BY_THE_REGISTER = (Row.ONE_OF_TWO, Row.PEER_CUT, Row.WHOLE_STORE)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A fault whose effect is not seen yet. `lasts` tells whether it is in force; `register` is that at its beginning."""

    row: Row
    register: Register
    lasts: Callable[[], bool]
    nodes: tuple[str, ...] = ()


class Rows:
    """The rows of one store. It hears of faults as they strike, and of what the store does."""

    def __init__(self, clock: Clock, store: VirtualStore) -> None:
        self._clock = clock
        self._store = store
        self._awaited: list[Awaited] = []

    # --- faults --------------------------------------------------------------------------------------------------------

    def stops(self, device: VirtualDevice) -> None:
        """A device is about to stop, in whatever way, and the other one may go on."""
        register, node_id, peer = self._store.register, device.disk.node_id, device.peer
        if node_id not in register.members or peer.machine is None or peer.paused:
            return

        def lasts() -> bool:
            return device.machine is None or device.paused or device.isolated or device.disk.node_id != node_id

        if len(register.members) == 1:
            row = Row.ONLY_MEMBER_DOWN
        elif not self._store.arbiter.up:
            row = Row.ARBITER_DOWN_THEN_DEVICE
        else:
            row = Row.ONE_OF_TWO
        self._await(row, lasts, node_id)

    def peers_cut(self) -> None:
        """Both directions between the devices are cut."""
        links = [device.links["to peer"] for device in self._store.devices]
        if all(device.machine is not None and not device.paused for device in self._store.devices):
            self._await(Row.PEER_CUT, lambda: all(link.is_cut for link in links))

    def wan_cut(self) -> None:
        """The store has lost the cloud."""
        links = [device.links["to uplink"] for device in self._store.devices]
        self._await(Row.WAN_CUT, lambda: all(link.is_cut for link in links))

    def arbiter_down(self) -> None:
        """The arbiter is down."""
        arbiter = self._store.arbiter
        if all(device.machine is not None and not device.paused for device in self._store.devices):
            self._await(Row.ARBITER_DOWN, lambda: not arbiter.up)

    def power_cut(self) -> None:
        """The whole store has lost its power."""
        if all(device.machine is None for device in self._store.devices):
            self._await(Row.WHOLE_STORE, lambda: True)

    def happened(self, row: Row) -> None:
        """A fault whose effect is the fault itself."""
        self._clock.goals[f"row: {row}"] += 1

    # --- what the store does -------------------------------------------------------------------------------------------

    def register_moved(self, old: Register, new: Register) -> None:
        """Somebody took a step: what the fault at the register before it has led to."""
        left = [node_id for node_id in old.members if node_id not in new.members]
        restarted = new.primary == old.primary and new.members == old.members
        for awaited in self._take(lambda each: each.register.epoch == old.epoch and each.row in SEEN_BY_THE_REGISTER):
            match awaited.row:
                case Row.ONE_OF_TWO:
                    seen = left == list(awaited.nodes) or (restarted and awaited.nodes == (new.primary,))
                case Row.PEER_CUT:
                    seen = len(left) == 1 and awaited.lasts()
                case _:
                    seen = True
            if seen:
                self.happened(awaited.row)

    def told(self, level: str) -> None:
        """A diner was told yes: the store goes on."""
        for awaited in self._take(
            lambda each: each.row is Row.WAN_CUT or (each.row is Row.ARBITER_DOWN and level == "R2")
        ):
            if awaited.lasts():
                self.happened(awaited.row)

    def refused(self) -> None:
        """A diner was refused, for now."""
        for awaited in self._take(lambda each: each.row is Row.ONLY_MEMBER_DOWN):
            if awaited.lasts():
                self.happened(awaited.row)

    def asked_in_vain(self, node_id: str) -> None:
        """A device asked the arbiter, which is down."""
        for awaited in self._take(lambda each: each.row is Row.ARBITER_DOWN_THEN_DEVICE and node_id not in each.nodes):
            if awaited.lasts():
                self.happened(awaited.row)

    # --- inside --------------------------------------------------------------------------------------------------------

    def _await(self, row: Row, lasts: Callable[[], bool], *nodes: str) -> None:
        self._awaited.append(Awaited(row, self._store.register, lasts, nodes))

    def _take(self, chosen: Callable[[Awaited], bool]) -> list[Awaited]:
        """Those awaited that something has just happened to; they are awaited no more."""
        taken = [awaited for awaited in self._awaited if chosen(awaited)]
        self._awaited = [awaited for awaited in self._awaited if not chosen(awaited)]
        return taken
