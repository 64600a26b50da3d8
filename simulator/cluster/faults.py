"""What the schedule's strikes do to the stores, what each was seen to do, and which row of "Survivable faults" it exercised."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from refsystem.protocol.messages import Register
from refsystem.protocol.roles import Role
from simulator.cluster.clock import MS, Clock, between
from simulator.cluster.devices import QUICK_FLUSH_US, VirtualDevice
from simulator.cluster.goals import Row
from simulator.cluster.schedule import TIMING, Strike
from simulator.cluster.stores import VirtualStore

SHORT_US = (MS, 60 * MS)
CLOCK_STEP_MAX_US = 400 * MS
DISKS_LOST_MAX = 4
TRIES = 3
JOINS_WITHIN_US = 1_000 * MS
ANSWERS_SLOW_US = 60 * MS
LOOKS_EVERY_US = 1 * MS
ALONE_AFTER_US = TIMING.standby_timeout_us + 120 * MS
CLOUD_AWAY_US = 1_500 * MS
RETURNS_AFTER_US = (50 * MS, 900 * MS)


class Faults:
    """Strikes, undoes, and keeps a record of each in the shape of `faults.jsonl`."""

    def __init__(self, clock: Clock, stores: tuple[VirtualStore, ...]) -> None:
        self.records: list[dict[str, Any]] = []
        self._clock = clock
        self._stores = stores
        for store in stores:
            store.on_glass_broken = self.glass_broken

    def plan(self, strikes: tuple[Strike, ...]) -> None:
        """Put the strikes on the timeline."""
        for strike in strikes:
            self._clock.after(strike.at_us, self._strike, strike)

    def _strike(self, strike: Strike) -> None:
        store = self._stores[min(strike.store, len(self._stores) - 1)]
        device = store.device(strike.target)
        generator = self._clock.generator(f"strike {strike.number}")
        self._clock.note("fault:", strike.what)
        record = self._record(strike, store, device)
        took_effect = self._do(strike, store, device, generator, record)
        record["took_effect"] = took_effect
        if took_effect:
            self._clock.goals[f"fault {strike.kind}"] += 1
        self.records.append(record)

    def _do(
        self,
        strike: Strike,
        store: VirtualStore,
        device: VirtualDevice,
        generator: random.Random,
        record: dict[str, Any],
    ) -> bool:
        clock, for_us = self._clock, strike.for_us
        match strike.kind:
            case "link cut":
                generator.choice(list(device.links.values())).cut(for_us)
            case "peer cut":
                self._cut_peer(store, device, generator, for_us)
            case "arbiter cut":
                device.links[generator.choice(("to arbiter", "from arbiter"))].cut(for_us)
            case "wan cut":
                self._cut_wan(store, for_us)
            case "peer reconnect":
                device.links["to peer"].reconnect()
            case "device crash":
                return self._crash(store, device, for_us)
            case "short restart":
                return self._crash(store, device, between(generator, *SHORT_US))
            case "store power cut":
                self._row(Row.WHOLE_STORE)
                for each in store.devices:
                    self._crash(store, each, between(generator, 20 * MS, 400 * MS), alone=False)
            case "device paused":
                return self._pause(store, device, for_us)
            case "disk lost":
                self._lose_disk_at_its_moment(strike, store, device, generator, record)
            case "disk slow":
                device.flush_us = (MS, (30, 200, 500)[strike.amount % 3] * MS)
                clock.after(for_us, self._fast_disk, device)
            case "arbiter down":
                if all(each.device is not None and not each.paused for each in store.devices):
                    self._row(Row.ARBITER_DOWN)
                store.arbiter.stop(for_us)
                if strike.amount % 3 == 0:
                    self._when(for_us // 3, lambda: False, self._crash, store, device, for_us // 3)
            case "arbiter slow":
                if strike.amount % 2:
                    self._when(
                        2 * for_us, lambda: self._grows(store, device), self._lose_peer_in_a_grow, store, device, for_us
                    )
                for name in ("to arbiter", "from arbiter"):
                    device.links[name].slow(between(generator, 50 * MS, 500 * MS), for_us)
            case "stuck disk and slow arbiter":
                device.flush_us = (250 * MS, 600 * MS)
                clock.after(between(generator, 300 * MS, 900 * MS), self._fast_disk, device)
                slow_us, slow_for_us = (between(generator, 200 * MS, 900 * MS) for _ in range(2))
                device.links["to arbiter"].slow(slow_us, slow_for_us)
            case "clock step":
                device.step_clock(strike.amount % (2 * CLOCK_STEP_MAX_US) - CLOCK_STEP_MAX_US)
            case "cloud restart":
                self._when(
                    for_us if strike.amount % 2 else 0, store.cloud.database.is_committing, store.cloud.restart, for_us
                )
            case "database slow":
                store.cloud.database.slow_us = strike.amount % (300 * MS)
                clock.after(for_us, self._fast_database, store)
            case "kitchen restart":
                store.kitchen.restart(for_us)
            case "kitchen frozen":
                store.kitchen.freeze(for_us)
            case "break glass":
                self._take_the_only_member(strike, store, generator, record, TRIES)
            case _:
                return False
        return True

    # --- links ---------------------------------------------------------------------------------------------------------

    def _cut_peer(self, store: VirtualStore, device: VirtualDevice, generator: random.Random, for_us: int) -> None:
        device.links["to peer"].cut(for_us)
        if generator.random() < 0.6:
            device.peer.links["to peer"].cut(for_us)
            if all(each.device is not None and not each.paused for each in store.devices):
                self._row(Row.PEER_CUT)

    def _cut_wan(self, store: VirtualStore, for_us: int) -> None:
        self._row(Row.WAN_CUT)
        places = ("uplink", "arbiter") if store.arbiter_in_cloud else ("uplink",)
        for device in store.devices:
            for place in places:
                device.links[f"to {place}"].cut(for_us)
                device.links[f"from {place}"].cut(for_us)

    def _grows(self, store: VirtualStore, device: VirtualDevice) -> bool:
        return device.swap_in_flight and device.role is Role.PRIMARY and len(store.register.members) == 1

    def _lose_peer_in_a_grow(self, store: VirtualStore, device: VirtualDevice, for_us: int) -> None:
        """The answer to a grow is late, and the peer that was to become a member goes silent."""
        device.links["to arbiter"].slow(600 * MS, for_us)
        device.links["from arbiter"].cut(TIMING.standby_timeout_us)
        self._crash(store, device.peer, TIMING.standby_timeout_us + for_us)

    # --- devices -------------------------------------------------------------------------------------------------------

    def _crash(self, store: VirtualStore, device: VirtualDevice, for_us: int, *, alone: bool = True) -> bool:
        if device.device is None:
            return False
        if alone:
            self._rows_of_a_stop(store, device)
        device.crash()
        self._clock.after(for_us, device.boot)
        return True

    def _pause(self, store: VirtualStore, device: VirtualDevice, for_us: int) -> bool:
        if device.device is None or device.paused:
            return False
        self._rows_of_a_stop(store, device)
        was_primary = store.register.primary == device.disk.node_id
        device.pause()
        self._clock.after(for_us, self._resume, store, device, device.life, was_primary)
        return True

    def _resume(self, store: VirtualStore, device: VirtualDevice, life: int, was_primary: bool) -> None:
        if was_primary and life == device.life and store.register.primary == device.peer.disk.node_id:
            self._row(Row.PAUSED_AND_REPLACED)
        device.resume()

    def _lose_disk_at_its_moment(
        self,
        strike: Strike,
        store: VirtualStore,
        device: VirtualDevice,
        generator: random.Random,
        record: dict[str, Any],
    ) -> None:
        """At once; or while its own request to the register is in flight; or after a crash, when it has just copied the log, to
        come back at once, empty, while the answers of its former self are still on their way."""
        match strike.amount % 3:
            case 0:
                lose = (self._lose_disk, store, device, strike.for_us, record)
                self._when(strike.for_us, lambda: device.swap_in_flight, *lose)
            case 1:
                self._crash(store, device, ALONE_AFTER_US)
                back_us = between(generator, *SHORT_US)
                self._when(
                    JOINS_WITHIN_US, device.joins, self._delay_answers_then_lose_disk, store, device, back_us, record
                )
            case _:
                self._lose_disk(store, device, strike.for_us, record)

    def _delay_answers_then_lose_disk(
        self, store: VirtualStore, device: VirtualDevice, back_us: int, record: dict[str, Any]
    ) -> None:
        device.links["to peer"].slow(ANSWERS_SLOW_US, JOINS_WITHIN_US)
        lose = (store, device, back_us, record)
        self._when(JOINS_WITHIN_US, device.has_just_caught_up, self._lose_disk_and_its_answers, *lose)

    def _lose_disk_and_its_answers(
        self, store: VirtualStore, device: VirtualDevice, back_us: int, record: dict[str, Any]
    ) -> None:
        """What is under way on the broken connection is lost or comes late."""
        device.links["to peer"].reconnect()
        device.links["to peer"].slow_us = 0
        self._lose_disk(store, device, back_us, record)

    def _when(self, waits_us: int, moment: Callable[[], bool], action: Callable[..., Any], *args: Any) -> None:
        """Do it at a bad moment, if one comes in time; else when the time is over."""
        if waits_us > 0 and not moment():
            self._clock.after(LOOKS_EVERY_US, self._when, waits_us - LOOKS_EVERY_US, moment, action, *args)
        else:
            action(*args)

    def _lose_disk(self, store: VirtualStore, device: VirtualDevice, for_us: int, record: dict[str, Any]) -> bool:
        node_id = device.disk.node_id
        if len(store.watch.dead) >= DISKS_LOST_MAX or (
            not device.disk.entries and node_id not in store.register.members
        ):
            return False
        if store.watch.would_lose([node_id, *store.staff.switched_off]):
            self._clock.goals["a second disaster spared"] += 1
            return False
        if device.swap_in_flight:
            self._row(Row.DISK_GONE_WITH_REQUEST)
        self._rows_of_a_stop(store, device)
        self._clock.goals["a disk lost"] += 1
        store.watch.dead.append(node_id)
        record["disk_lost_node_ids"] = [node_id]
        device.lose_disk()
        self._clock.after(for_us, device.boot)
        return True

    def _take_the_only_member(
        self, strike: Strike, store: VirtualStore, generator: random.Random, record: dict[str, Any], tries: int
    ) -> None:
        """Make one device the only member, then destroy it, or switch it off until somebody else was named."""
        members = store.register.members
        only = store.holder(members[0])
        if len(members) == 1 and only is not None and only.device is not None:
            self._take_for_good(strike, store, only, generator, record)
            return
        if tries and only is not None:
            only.peer.crash()
            self._clock.after(ALONE_AFTER_US + 60 * MS, only.peer.boot)
            again = (strike, store, generator, record, tries - 1)
            self._clock.after(ALONE_AFTER_US, self._take_the_only_member, *again)

    def _take_for_good(
        self, strike: Strike, store: VirtualStore, only: VirtualDevice, generator: random.Random, record: dict[str, Any]
    ) -> None:
        node_id = only.disk.node_id
        if store.watch.would_lose([node_id]):
            self._clock.goals["a second disaster spared"] += 1
            return
        self._clock.after(between(generator, 0, 60 * MS), only.peer.boot)
        if generator.random() < 0.5:
            self._cut_wan(store, CLOUD_AWAY_US)
        if strike.amount % 2 and len(store.watch.dead) < DISKS_LOST_MAX:
            self._lose_disk(store, only, between(generator, 300 * MS, 1_500 * MS), record)
            return
        self._clock.goals["the only member switched off"] += 1
        only.switch_off()
        store.staff.told_off(node_id, between(generator, *RETURNS_AFTER_US))

    def glass_broken(self, store: VirtualStore, old: Register) -> None:
        """A person has named another device: those that were members are off."""
        self._row(Row.ONLY_MEMBER_DESTROYED)
        now_us = self._clock.now_us
        number = sum(record["kind"] == "break_glass_done" for record in self.records)
        self.records.append(
            {
                "name": f"glass broken {number + 1}",
                "kind": "break_glass_done",
                "target": store.register.primary,
                "resolved": store.register.primary,
                "store": store.name,
                "started_at_us": now_us,
                "ended_at_us": now_us,
                "took_effect": True,
                "undone": True,
                "hits_primary": False,
                "epoch_before": old.epoch,
                "disk_lost_node_ids": [],
                "off_node_ids": list(old.members),
            }
        )

    def _rows_of_a_stop(self, store: VirtualStore, device: VirtualDevice) -> None:
        """A device stops, in whatever way: which row is that?"""
        members, peer_runs = store.register.members, device.peer.device is not None and not device.peer.paused
        if device.disk.node_id not in members:
            return
        if not store.arbiter.up and peer_runs and len(members) == 2:
            self._row(Row.ARBITER_DOWN_THEN_DEVICE)
        elif len(members) == 2 and peer_runs:
            self._row(Row.ONE_OF_TWO)
        elif len(members) == 1 and peer_runs:
            self._row(Row.ONLY_MEMBER_DOWN)

    def _fast_disk(self, device: VirtualDevice) -> None:
        device.flush_us = QUICK_FLUSH_US

    def _fast_database(self, store: VirtualStore) -> None:
        store.cloud.database.slow_us = 0

    # --- records -------------------------------------------------------------------------------------------------------

    def _row(self, row: Row) -> None:
        self._clock.goals[f"row: {row}"] += 1

    def _record(self, strike: Strike, store: VirtualStore, device: VirtualDevice) -> dict[str, Any]:
        now_us = self._clock.now_us
        return {
            "name": f"{strike.number} {strike.kind}",
            "kind": strike.kind.replace(" ", "_"),
            "target": f"edge_{strike.target}",
            "resolved": device.disk.node_id,
            "store": store.name,
            "started_at_us": now_us,
            "ended_at_us": now_us + strike.for_us,
            "undone": True,
            "hits_primary": device.role is Role.PRIMARY,
            "epoch_before": store.register.epoch,
            "disk_lost_node_ids": [],
        }
