"""The schedule's strikes on their timeline, and the record of each in the shape of `faults.jsonl`."""

from __future__ import annotations

import random
from typing import Any

from refsystem.protocol.messages import Register
from refsystem.protocol.roles import Role
from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.devices import VirtualDevice
from simulator.cluster.disasters import SHORT_US, Disaster, Disasters
from simulator.cluster.goals import Row
from simulator.cluster.schedule import Strike
from simulator.cluster.stores import VirtualStore
from simulator.cluster.strikes import Strikes

CLOCK_STEP_MAX_US = 400 * MS
LATER = ("disk lost", "break glass", "cloud restart")
"""Kinds that wait for a moment: they take effect when it comes, or never."""


class Faults:
    """Strikes, and keeps a record of each. A fault took effect when it happened, at that moment, and not before."""

    def __init__(self, clock: Clock, stores: tuple[VirtualStore, ...]) -> None:
        self.records: list[dict[str, Any]] = []
        self._clock = clock
        self._stores = stores
        self._strikes = Strikes(clock)
        self._disasters = Disasters(clock, self._strikes)
        for store in stores:
            store.on_glass_broken = self.glass_broken

    def plan(self, strikes: tuple[Strike, ...]) -> None:
        """Put the strikes on the timeline."""
        for strike in strikes:
            self._clock.after(strike.at_us, self._strike, strike)

    def end(self) -> None:
        """Everything heals: nothing strikes any more."""
        self._strikes.end()

    def _strike(self, strike: Strike) -> None:
        store = self._stores[min(strike.store, len(self._stores) - 1)]
        device = store.device(strike.target)
        generator = self._clock.generator(f"strike {strike.number}")
        self._clock.note("fault:", strike.what)
        record = self._record(strike, store, device)
        self.records.append(record)
        if strike.kind in LATER:
            self._do_at_its_moment(strike, store, device, generator, record)
        elif self._do(strike, store, device, generator):
            self._took_effect(strike, store, device, record)

    def _do_at_its_moment(
        self,
        strike: Strike,
        store: VirtualStore,
        device: VirtualDevice,
        generator: random.Random,
        record: dict[str, Any],
    ) -> None:
        def happened(struck: VirtualDevice, disk_lost: bool) -> None:
            self._took_effect(strike, store, struck, record)
            if disk_lost:
                record["disk_lost_node_ids"] = [struck.disk.node_id]

        def restart_cloud() -> None:
            store.cloud.restart(strike.for_us)
            self._took_effect(strike, store, device, record)

        disaster = Disaster(strike, store, device, generator, happened)
        match strike.kind:
            case "disk lost":
                self._disasters.lose_disk_at_its_moment(disaster)
            case "break glass":
                self._disasters.take_the_only_member(disaster)
            case "cloud restart":
                waits_us = strike.for_us if strike.amount % 2 else 0
                self._strikes.when(waits_us, store.cloud.database.is_committing, restart_cloud)

    def _do(self, strike: Strike, store: VirtualStore, device: VirtualDevice, generator: random.Random) -> bool:
        """Strike at once; whether it hit anything."""
        strikes, for_us = self._strikes, strike.for_us
        match strike.kind:
            case "link cut":
                generator.choice(list(device.links.values())).cut(for_us)
            case "peer cut":
                strikes.cut_peer(store, device, generator, for_us)
            case "arbiter cut":
                device.links[generator.choice(("to arbiter", "from arbiter"))].cut(for_us)
            case "wan cut":
                strikes.cut_wan(store, for_us)
            case "peer reconnect":
                device.links["to peer"].reconnect()
            case "device crash":
                return strikes.crash(store, device, for_us)
            case "short restart":
                return strikes.crash(store, device, drawn_us(generator, *SHORT_US))
            case "store power cut":
                strikes.cut_power(store, generator)
            case "device paused":
                return strikes.pause(store, device, for_us)
            case "disk slow":
                strikes.slow_disk(device, (MS, (30, 200, 500)[strike.amount % 3] * MS), for_us)
            case "arbiter down":
                strikes.stop_arbiter(store, for_us)
                if strike.amount % 3 == 0:
                    strikes.later(for_us // 3, strikes.crash, store, device, for_us // 3)
            case "arbiter slow":
                if strike.amount % 2:
                    lose_peer = (strikes.lose_peer_in_a_grow, store, device, for_us)
                    strikes.when(2 * for_us, lambda: strikes.grows(store, device), *lose_peer)
                for name in ("to arbiter", "from arbiter"):
                    device.links[name].slow(drawn_us(generator, 50 * MS, 500 * MS), for_us)
            case "stuck disk and slow arbiter":
                strikes.slow_disk(device, (250 * MS, 600 * MS), drawn_us(generator, 300 * MS, 900 * MS))
                slow_us, slow_for_us = (drawn_us(generator, 200 * MS, 900 * MS) for _ in range(2))
                device.links["to arbiter"].slow(slow_us, slow_for_us)
            case "clock step":
                device.step_clock(strike.amount % (2 * CLOCK_STEP_MAX_US) - CLOCK_STEP_MAX_US)
            case "database slow":
                store.cloud.database.slow_us = strike.amount % (300 * MS)
                self._clock.after(for_us, self._fast_database, store)
            case "kitchen restart":
                store.kitchen.restart(for_us)
            case "kitchen frozen":
                store.kitchen.freeze(for_us)
            case _:
                return False
        return True

    def glass_broken(self, store: VirtualStore, old: Register) -> None:
        """A person has named another device: those that were members are off."""
        store.rows.happened(Row.ONLY_MEMBER_DESTROYED)
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

    def _fast_database(self, store: VirtualStore) -> None:
        store.cloud.database.slow_us = 0

    # --- records -------------------------------------------------------------------------------------------------------

    def _took_effect(self, strike: Strike, store: VirtualStore, device: VirtualDevice, record: dict[str, Any]) -> None:
        self._clock.goals[f"fault {strike.kind}"] += 1
        if strike.kind in LATER:
            record.update(self._record(strike, store, device))
            record["target"] = f"edge_{device.slot}"
        record["took_effect"] = True

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
            "took_effect": False,
            "undone": True,
            "hits_primary": device.role is Role.PRIMARY,
            "epoch_before": store.register.epoch,
            "disk_lost_node_ids": [],
        }
