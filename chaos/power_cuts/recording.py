"""What the parts of a store write, in order: a whole store runs in virtual time under faults, and its disks keep the record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from refsystem.protocol.messages import PersistOp, Register, RegisterRead, RegisterState, RegisterSwap
from refsystem.protocol.replica import DurableState
from refsystem.protocol.uplink import Batch
from simulator.cluster.arbiter import VirtualArbiter
from simulator.cluster.clock import Clock
from simulator.cluster.disks import Disk, OnSetAside
from simulator.cluster.kitchen import Answer, VirtualKitchen
from simulator.cluster.run import Cluster
from simulator.cluster.schedule import draw_schedule
from simulator.cluster.stores import VirtualStore
from simulator.cluster.variants import SOUND_VARIANT
from simulator.cluster.violation import Violation

Group = tuple[PersistOp, ...]
"""The operations of one flush: of all `Ready` values that waited for it, as the journal takes them."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was written. `devices` holds the flushes of each in order; None where its process ended and was started again."""

    devices: tuple[tuple[Group | None, ...], ...]
    first_primary: str
    swaps: tuple[RegisterSwap, ...]
    batches: tuple[Batch, ...]


@lru_cache(maxsize=2)
def record(seed: int) -> Recording:
    """One store under the schedule of `seed`; the same seed gives the same recording."""
    clock = Clock(seed)
    store_alone = replace(draw_schedule(seed), stores=1)
    cluster = Cluster(clock, store_alone, SOUND_VARIANT)
    (store,) = cluster.stores
    tap = _Tap(clock, store)
    # A breach of the protocol is another campaign's finding: what was written until then was written.
    with contextlib.suppress(Violation, AssertionError):
        cluster.run()
    return tap.recording()


class _Tap:
    """Stands between the devices of a store and what they write to."""

    def __init__(self, clock: Clock, store: VirtualStore) -> None:
        self._first_primary = store.register.primary
        self._disks = [_DiskTap(clock, device.disk.node_id, store.watch.set_aside) for device in store.devices]
        self._arbiter = _ArbiterTap(store.arbiter)
        self._kitchen = _KitchenTap(store.kitchen)
        for device, disk in zip(store.devices, self._disks, strict=True):
            device.disk = disk
            device.arbiter = cast(VirtualArbiter, self._arbiter)
            device.kitchen = cast(VirtualKitchen, self._kitchen)

    def recording(self) -> Recording:
        """All of it. A device whose disk was lost is recorded up to then."""
        devices = tuple(disk.groups() for disk in self._disks)
        return Recording(devices, self._first_primary, tuple(self._arbiter.swaps), tuple(self._kitchen.batches))


class _DiskTap(Disk):
    """A device's disk that keeps what was flushed at which moment, and when it was read at a boot."""

    def __init__(self, clock: Clock, node_id: str, on_set_aside: OnSetAside) -> None:
        super().__init__(node_id, on_set_aside)
        self._clock = clock
        self._flushed: list[tuple[int, Group] | None] = []

    def state(self) -> DurableState:
        self._flushed.append(None)
        return super().state()

    def apply(self, ops: Group) -> None:
        self._flushed.append((self._clock.now_us, ops))
        super().apply(ops)

    def groups(self) -> tuple[Group | None, ...]:
        """What was flushed at one moment was one flush."""
        groups: list[Group | None] = []
        latest_us = -1
        for flushed in self._flushed:
            if flushed is None:
                if groups and groups[-1] is not None:
                    groups.append(None)
                continue
            at_us, ops = flushed
            if groups and groups[-1] is not None and at_us == latest_us:
                groups[-1] += ops
            elif ops:
                groups.append(ops)
                latest_us = at_us
        return tuple(groups)


class _ArbiterTap:
    def __init__(self, arbiter: VirtualArbiter) -> None:
        self.swaps: list[RegisterSwap] = []
        self._arbiter = arbiter

    @property
    def register(self) -> Register:
        return self._arbiter.register

    def receive(self, request: RegisterRead | RegisterSwap, answer: Callable[[RegisterState], None]) -> None:
        if self._arbiter.up and isinstance(request, RegisterSwap):
            self.swaps.append(request)
        self._arbiter.receive(request, answer)


class _KitchenTap:
    def __init__(self, kitchen: VirtualKitchen) -> None:
        self.batches: list[Batch] = []
        self._kitchen = kitchen

    def receive(self, batch: Batch, answer: Answer) -> None:
        self.batches.append(batch)
        self._kitchen.receive(batch, answer)
