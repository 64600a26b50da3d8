"""One store in virtual time: two devices, their arbiter, their kitchen display, and the links between them."""

from __future__ import annotations

from collections.abc import Callable

from refsystem.ordering.menu import DEMO_MENU
from refsystem.protocol.device import DeviceSettings
from refsystem.protocol.log import GENESIS
from refsystem.protocol.messages import Register
from refsystem.protocol.roles import Role
from simulator.cluster.arbiter import VirtualArbiter
from simulator.cluster.clock import MS, Clock
from simulator.cluster.cloud import VirtualCloud
from simulator.cluster.devices import VirtualDevice
from simulator.cluster.kitchen import VirtualKitchen
from simulator.cluster.links import Link
from simulator.cluster.rows import Rows
from simulator.cluster.schedule import TIMING, Schedule
from simulator.cluster.staff import Staff
from simulator.cluster.variants import ClusterVariant
from simulator.cluster.watching import Watch

IN_STORE_US = (200, 4 * MS)
TO_CLOUD_US = (2 * MS, 25 * MS)


class VirtualStore:
    """A store's places. `watch` holds every step against the promises."""

    def __init__(
        self, clock: Clock, name: str, schedule: Schedule, watch: Watch, cloud: VirtualCloud, variant: ClusterVariant
    ) -> None:
        self.name = name
        self.watch = watch
        self.on_glass_broken: Callable[[VirtualStore, Register], None]
        self.cloud = cloud
        self.arbiter_in_cloud = schedule.arbiter == "in_cloud"
        settings = DeviceSettings(name, DEMO_MENU, schedule.policy, TIMING)
        self.kitchen = VirtualKitchen(clock, name, watch, cursor_in_transaction=variant.cursor_in_transaction)
        self.a, self.b = (
            VirtualDevice(clock, slot, settings, variant.parts, watch, syncs=variant.syncs) for slot in ("a", "b")
        )
        self.rows = Rows(clock, self)
        self.arbiter = VirtualArbiter(clock, self.a.disk.node_id, self._register_moved, self.rows.asked_in_vain)
        watch.devices = [self.a, self.b]
        watch.register, watch.registers = self.arbiter.register, self.arbiter.history
        watch.rows, watch.held_by_cloud = self.rows, self._held_by_cloud
        self.staff = Staff(clock, self)
        self._connect(clock)

    @property
    def devices(self) -> tuple[VirtualDevice, VirtualDevice]:
        """Both."""
        return self.a, self.b

    @property
    def register(self) -> Register:
        """What the arbiter holds."""
        return self.arbiter.register

    def device(self, slot: str) -> VirtualDevice:
        """The device "a" or "b"."""
        return self.a if slot == "a" else self.b

    def holder(self, node_id: str) -> VirtualDevice | None:
        """The device whose disk is that node now."""
        return next((device for device in self.devices if device.disk.node_id == node_id), None)

    def heal(self) -> None:
        """Everything works again."""
        self.arbiter.heal()
        self.kitchen.heal()
        for device in self.devices:
            device.heal()

    def not_converged(self) -> str | None:
        """Why not everything stands at the primary's cursor with two members; None if it does."""
        primary = next((device for device in self.devices if device.role is Role.PRIMARY), None)
        if primary is None or primary.machine is None:
            return "there is no primary"
        other, replica = primary.peer, primary.machine.replica
        if set(replica.members) != {device.disk.node_id for device in self.devices}:
            return f"the members are {replica.members}"
        if self.register != replica.register:
            return "the primary's register is not the arbiter's"
        if other.role is not Role.STANDBY or other.machine is None:
            return f"the other device is {other.role}"
        if self.watch.waiting:
            return f"{len(self.watch.waiting)} requests wait"
        if not self.kitchen.all_bumps_back:
            return "bumps are not back"
        end, row = replica.log.last, self.cloud.database.stores[self.name]
        places = {
            "the primary's commit": replica.log.cursor(replica.commit_seq) if replica.commit_seq else GENESIS,
            "the standby's commit": other.machine.replica.log.cursor(other.machine.replica.commit_seq),
            "the cloud": row.cursor,
            "the kitchen": self.kitchen.cursor,
        }
        behind = [f"{name} at {place.seq}" for name, place in places.items() if place != end]
        if behind:
            return f"the log ends at {end.seq}, {', '.join(behind)}"
        if replica.log.downlink_cursor != row.last_number:
            return f"the downlink stands at {replica.log.downlink_cursor} of {row.last_number}"
        return None

    def _register_moved(self, old: Register, new: Register, person: str) -> None:
        self.watch.register_moved(old, new, person)
        self.rows.register_moved(old, new)
        if person:
            self.on_glass_broken(self, old)

    def _held_by_cloud(self, order_id: str) -> bool:
        """Whether the cloud holds this order as one that was taken in the store."""
        row = self.cloud.database.orders.get(order_id)
        return row is not None and row.origin == "edge" and row.held.store == self.name

    def _connect(self, clock: Clock) -> None:
        far = {"arbiter": TO_CLOUD_US if self.arbiter_in_cloud else IN_STORE_US, "uplink": TO_CLOUD_US}
        for device in self.devices:
            device.peer = self.b if device is self.a else self.a
            device.arbiter, device.kitchen, device.cloud = self.arbiter, self.kitchen, self.cloud
            device.links = {
                f"{way} {place}": Link(clock, f"{device.name} {way} {place}", latency_us=far.get(place, IN_STORE_US))
                for place in ("arbiter", "kitchen", "uplink")
                for way in ("to", "from")
            }
            device.links["to peer"] = Link(clock, f"{device.name} to peer", ordered=True)
