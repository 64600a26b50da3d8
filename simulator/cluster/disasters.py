"""What is lost for good: a disk, at a bad moment; the only member, so that a person has to break the glass (P19)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.devices import VirtualDevice
from simulator.cluster.goals import Row
from simulator.cluster.schedule import TIMING, Strike
from simulator.cluster.stores import VirtualStore
from simulator.cluster.strikes import Strikes

SHORT_US = (MS, 60 * MS)
DISKS_LOST_MAX = 4
TRIES = 3
JOINS_WITHIN_US = 1_000 * MS
ANSWERS_SLOW_US = 60 * MS
ALONE_AFTER_US = TIMING.standby_timeout_us + 120 * MS
CLOUD_AWAY_US = 1_500 * MS
RETURNS_AFTER_US = (50 * MS, 900 * MS)
ISOLATED_WITHIN_US = 60 * MS
SLOW_FLUSH_US = (80 * MS, 120 * MS)
FALLS_BEHIND_WITHIN_US = 250 * MS
LACKS_LEAST = 3


@dataclass(frozen=True, slots=True)
class Disaster:
    """One strike at one store. `happened` is called with the device when it has taken its effect, and whether a disk was lost."""

    strike: Strike
    store: VirtualStore
    device: VirtualDevice
    generator: random.Random
    happened: Callable[[VirtualDevice, bool], None]


class Disasters:
    """Brings them about. Each may take a while, and may come to nothing."""

    def __init__(self, clock: Clock, strikes: Strikes) -> None:
        self._clock = clock
        self._strikes = strikes

    # --- disks ---------------------------------------------------------------------------------------------------------

    def lose_disk_at_its_moment(self, disaster: Disaster) -> None:
        """At once; or while its own request to the register is in flight; or after a crash, when it has just copied the log, to
        come back at once, empty, while the answers of its former self are still on their way."""
        device, for_us = disaster.device, disaster.strike.for_us
        match disaster.strike.amount % 3:
            case 0:
                self._strikes.when(
                    for_us, lambda: device.driver.swap_in_flight, self._lose_disk, disaster, device, for_us
                )
            case 1:
                self._strikes.crash(disaster.store, device, ALONE_AFTER_US)
                back_us = drawn_us(disaster.generator, *SHORT_US)
                self._strikes.when(
                    JOINS_WITHIN_US, device.joins, self._delay_answers_then_lose_disk, disaster, device, back_us
                )
            case _:
                self._lose_disk(disaster, device, for_us)

    def _delay_answers_then_lose_disk(self, disaster: Disaster, device: VirtualDevice, back_us: int) -> None:
        device.links["to peer"].slow(ANSWERS_SLOW_US, JOINS_WITHIN_US)
        lose = (self._lose_disk_and_its_answers, disaster, device, back_us)
        self._strikes.when(JOINS_WITHIN_US, device.has_just_caught_up, *lose)

    def _lose_disk_and_its_answers(self, disaster: Disaster, device: VirtualDevice, back_us: int) -> None:
        """What is under way on the broken connection is lost or comes late."""
        device.links["to peer"].reconnect()
        device.links["to peer"].slow_us = 0
        self._lose_disk(disaster, device, back_us)

    def _lose_disk(self, disaster: Disaster, device: VirtualDevice, for_us: int) -> None:
        store, node_id = disaster.store, device.disk.node_id
        if len(store.watch.told.dead) >= DISKS_LOST_MAX or (
            not device.disk.entries and node_id not in store.register.members
        ):
            return
        if store.watch.would_lose([node_id, *store.staff.taken]):
            self._clock.goals["a second disaster spared"] += 1
            return
        if device.driver.swap_in_flight:
            store.rows.happened(Row.DISK_GONE_WITH_REQUEST)
        store.rows.stops(device)
        self._clock.goals["a disk lost"] += 1
        store.watch.told.dead.append(node_id)
        disaster.happened(device, True)
        device.lose_disk()
        self._clock.after(for_us, device.boot)

    # --- the only member -----------------------------------------------------------------------------------------------

    def take_the_only_member(self, disaster: Disaster, tries: int = TRIES) -> None:
        """Make one device the only member, then destroy it, or take it away until somebody else was named."""
        store = disaster.store
        members = store.register.members
        only = store.holder(members[0])
        if len(members) == 1 and only is not None and only.machine is not None:
            self._take_for_good(disaster, only)
            return
        if tries and only is not None:
            if disaster.strike.amount % 2:
                self._strikes.slow_disk(only, SLOW_FLUSH_US, FALLS_BEHIND_WITHIN_US)
                behind = (self._fall_behind, disaster, only, tries)
                self._strikes.when(FALLS_BEHIND_WITHIN_US, lambda: only.lacks() >= LACKS_LEAST, *behind)
            else:
                self._make_alone(disaster, only, tries)

    def _fall_behind(self, disaster: Disaster, only: VirtualDevice, tries: int) -> None:
        """Both stop when the other one has flushed more: what it has and the primary lost becomes a tail beside the log."""
        only.crash()
        self._clock.after(drawn_us(disaster.generator, *SHORT_US), only.boot)
        self._make_alone(disaster, only, tries)

    def _make_alone(self, disaster: Disaster, only: VirtualDevice, tries: int) -> None:
        only.peer.crash()
        self._clock.after(ALONE_AFTER_US + 60 * MS, only.peer.boot)
        self._strikes.later(ALONE_AFTER_US, self.take_the_only_member, disaster, tries - 1)

    def _take_for_good(self, disaster: Disaster, only: VirtualDevice) -> None:
        """By turns it loses its disk, is switched off, or is isolated just as it has something to flush."""
        store, generator, way = disaster.store, disaster.generator, disaster.strike.amount % 3
        if store.watch.would_lose([only.disk.node_id]):
            self._clock.goals["a second disaster spared"] += 1
            return
        peer_back_us = drawn_us(generator, 0, 60 * MS)
        if generator.random() < 0.5:
            self._strikes.cut_wan(store, CLOUD_AWAY_US)
        returns_after_us = drawn_us(generator, *RETURNS_AFTER_US)
        if way == 0 and len(store.watch.told.dead) < DISKS_LOST_MAX:
            self._lose_disk(disaster, only, drawn_us(generator, 300 * MS, 1_500 * MS))
            self._clock.after(peer_back_us, only.peer.boot)
        elif way == 1:
            self._take_away(disaster, only, only.switch_off, "the only member switched off", returns_after_us)
            self._clock.after(peer_back_us, only.peer.boot)
        else:
            isolate = (disaster, only, only.isolate, "the only member isolated", returns_after_us)
            self._strikes.when(ISOLATED_WITHIN_US, only.is_writing, self._take_away, *isolate)
            self._clock.after(ISOLATED_WITHIN_US + peer_back_us, only.peer.boot)

    def _take_away(
        self, disaster: Disaster, only: VirtualDevice, take: Callable[[], None], goal: str, returns_after_us: int
    ) -> None:
        store, node_id = disaster.store, only.disk.node_id
        if store.register.members != (node_id,) or only.machine is None or store.watch.would_lose([node_id]):
            return
        store.rows.stops(only)
        self._clock.goals[goal] += 1
        disaster.happened(only, False)
        take()
        store.staff.told_off(node_id, returns_after_us)
