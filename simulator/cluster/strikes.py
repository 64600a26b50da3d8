"""What can be done to a store in one stroke: cuts, crashes, pauses, a store without power; and waiting for a bad moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from refsystem.protocol.roles import Role
from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.device_driver import QUICK_FLUSH_US
from simulator.cluster.devices import VirtualDevice
from simulator.cluster.goals import Row
from simulator.cluster.schedule import TIMING
from simulator.cluster.stores import VirtualStore

WATCHES_EVERY_US = 1 * MS
BOTH_WAYS_SHARE = 0.6
POWER_BACK_AFTER_US = (20 * MS, 400 * MS)


class Strikes:
    """Each stroke tells the store's rows of itself. When all is to heal, what still waits for its moment never comes: `end`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._over = False

    def end(self) -> None:
        """From now on nothing strikes any more."""
        self._over = True

    def when(self, waits_us: int, moment: Callable[[], bool], action: Callable[..., Any], *args: Any) -> None:
        """Do it at a bad moment, if one comes in time; else when the time is over."""
        if self._over:
            return
        if waits_us > 0 and not moment():
            self._clock.after(WATCHES_EVERY_US, self.when, waits_us - WATCHES_EVERY_US, moment, action, *args)
        else:
            action(*args)

    def later(self, wait_us: int, action: Callable[..., Any], *args: Any) -> None:
        """Do it after a while."""
        self._clock.after(wait_us, self.when, 0, bool, action, *args)

    # --- links ---------------------------------------------------------------------------------------------------------

    def cut_peer(self, store: VirtualStore, device: VirtualDevice, generator: random.Random, for_us: int) -> None:
        """The device is not heard by the other one; often neither hears the other."""
        device.links["to peer"].cut(for_us)
        if generator.random() < BOTH_WAYS_SHARE:
            device.peer.links["to peer"].cut(for_us)
            store.rows.peers_cut()

    def cut_wan(self, store: VirtualStore, for_us: int) -> None:
        """Nothing comes through between the store and the cloud."""
        places = ("uplink", "arbiter") if store.arbiter_in_cloud else ("uplink",)
        for device in store.devices:
            for place in places:
                device.links[f"to {place}"].cut(for_us)
                device.links[f"from {place}"].cut(for_us)
        store.rows.wan_cut()

    # --- devices -------------------------------------------------------------------------------------------------------

    def crash(self, store: VirtualStore, device: VirtualDevice, for_us: int) -> bool:
        """The process ends and starts again after a while; whether there was one."""
        if device.machine is None:
            return False
        store.rows.stops(device)
        device.crash()
        self._clock.after(for_us, device.boot)
        return True

    def pause(self, store: VirtualStore, device: VirtualDevice, for_us: int) -> bool:
        """The process stops and goes on after a while; whether there was one."""
        if device.machine is None or device.paused:
            return False
        store.rows.stops(device)
        was_primary = store.register.primary == device.disk.node_id
        device.pause()
        self._clock.after(for_us, self._resume, store, device, device.life, was_primary)
        return True

    def _resume(self, store: VirtualStore, device: VirtualDevice, life: int, was_primary: bool) -> None:
        if was_primary and life == device.life and store.register.primary == device.peer.disk.node_id:
            store.rows.happened(Row.PAUSED_AND_REPLACED)
        device.resume()

    def cut_power(self, store: VirtualStore, generator: random.Random) -> None:
        """Everything in the store goes dark at once: devices, kitchen, and the arbiter if it stands there; each starts again."""
        for device in store.devices:
            back_us = drawn_us(generator, *POWER_BACK_AFTER_US)
            if device.machine is not None:
                device.crash()
                self._clock.after(back_us, device.boot)
        store.kitchen.restart(drawn_us(generator, *POWER_BACK_AFTER_US))
        arbiter_back_us = drawn_us(generator, *POWER_BACK_AFTER_US)
        if not store.arbiter_in_cloud:
            store.arbiter.stop(arbiter_back_us)
        store.rows.power_cut()

    def slow_disk(self, device: VirtualDevice, flush_us: tuple[int, int], for_us: int) -> None:
        """Flushes take so long, for a while."""
        device.driver.flush_us = flush_us
        self._clock.after(for_us, self._fast_disk, device)

    def _fast_disk(self, device: VirtualDevice) -> None:
        device.driver.flush_us = QUICK_FLUSH_US

    # --- the register --------------------------------------------------------------------------------------------------

    def stop_arbiter(self, store: VirtualStore, for_us: int) -> None:
        """The arbiter answers nobody for a while."""
        store.arbiter.stop(for_us)
        store.rows.arbiter_down()

    def grows(self, store: VirtualStore, device: VirtualDevice) -> bool:
        """Whether the device, alone, has a request in flight: most likely to take the other one in."""
        return device.driver.swap_in_flight and device.role is Role.PRIMARY and len(store.register.members) == 1

    def lose_peer_in_a_grow(self, store: VirtualStore, device: VirtualDevice, for_us: int) -> None:
        """The answer to a grow is late, and the peer that was to become a member goes silent."""
        device.links["to arbiter"].slow(600 * MS, for_us)
        device.links["from arbiter"].cut(TIMING.standby_timeout_us)
        self.crash(store, device.peer, TIMING.standby_timeout_us + for_us)
