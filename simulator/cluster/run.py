"""One schedule, from the first boot to the final reads: faults first, then everything heals, then all must agree."""

from __future__ import annotations

from refsystem.protocol.roles import Role
from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.cloud import VirtualCloud
from simulator.cluster.diners import Diner, History
from simulator.cluster.disks import DiskDamaged
from simulator.cluster.faults import Faults
from simulator.cluster.final_reads import read_store
from simulator.cluster.outcome import Broken, ClusterRun, End
from simulator.cluster.schedule import TIMING, Schedule
from simulator.cluster.stores import VirtualStore
from simulator.cluster.variants import ClusterVariant, find_variant
from simulator.cluster.violation import Violation
from simulator.cluster.watching import Watch

HEAL_US = 6_000 * MS
SETTLED_FOR_US = 300 * MS
BOOT_US = (0, 50 * MS)


def run_schedule(schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
    """Run `schedule`; the same schedule gives the same events. What breaks is told in the result.

    Raises `ScheduleError` for a schedule or a variant that cannot be run, and nothing else.
    """
    schedule.check()
    chosen = find_variant(variant)
    clock = Clock(schedule.seed, tracing=tracing)
    cluster = Cluster(clock, schedule, chosen)
    broken: Broken | None = None
    end: End = "violated"
    try:
        end = cluster.run()
    except Violation as violation:
        broken = Broken(violation.invariant, violation.detail, clock.now_us)
    except DiskDamaged as error:
        broken = Broken("the disk continues", str(error), clock.now_us)
    except (AssertionError, KeyError, IndexError, ValueError) as error:
        broken = Broken("no assertion fails", f"{type(error).__name__}: {error}", clock.now_us)
    reads = {store.name: read_store(store) for store in cluster.stores} if end == "converged" else {}
    return ClusterRun(
        schedule,
        variant,
        end,
        broken,
        clock.goals,
        clock.trace_hash,
        clock.events,
        clock.now_us,
        tuple(cluster.history.rows),
        tuple(cluster.faults.records),
        reads,
        tuple(clock.lines),
        tuple(cluster.history.places),
    )


class Cluster:
    """Stores, cloud and diners on one clock."""

    def __init__(self, clock: Clock, schedule: Schedule, variant: ClusterVariant) -> None:
        self.history = History()
        self._clock = clock
        self._schedule = schedule
        names = tuple(f"s{number + 1}" for number in range(schedule.stores))
        watches = {name: Watch(clock, TIMING) for name in names}
        self._cloud = VirtualCloud(
            clock,
            watches,
            numbers_under_lock=variant.numbers_under_lock,
            cursor_in_transaction=variant.cursor_in_transaction,
        )
        self.stores = tuple(VirtualStore(clock, name, schedule, watches[name], self._cloud, variant) for name in names)
        self.faults = Faults(clock, self.stores)
        self._diners = [
            Diner(clock, self.stores[min(planned.store, schedule.stores - 1)], self.history, planned)
            for planned in schedule.orders
        ]

    def run(self) -> End:
        """The whole schedule; raises `Violation`."""
        self.begin()
        self._clock.run_until(self._schedule.window_us)
        return self._heal()

    def begin(self) -> None:
        """Boot everything, and put orders and strikes on the timeline."""
        clock = self._clock
        generator = clock.generator("boots")
        for store in self.stores:
            for device in store.devices:
                clock.after(drawn_us(generator, *BOOT_US), device.boot)
            store.staff.begin()
        for diner in self._diners:
            diner.begin()
        self.faults.plan(self._schedule.strikes)

    def _heal(self) -> End:
        clock = self._clock
        clock.note("everything heals")
        self.faults.end()
        self._cloud.heal()
        for store in self.stores:
            store.heal()
        until_us = clock.now_us + HEAL_US
        while not self._stays(until_us):
            if clock.now_us < until_us:
                continue
            raise Violation("converges", f"not {HEAL_US // MS} ms after healing: {self._not_done()}")
        for store in self.stores:
            primary = next(device for device in store.devices if device.role is Role.PRIMARY)
            assert primary.machine is not None
            store.watch.check_end(primary.machine.replica.log.holds)
            store.watch.check_alarms(self._cloud.database.alarms[store.name])
        return "converged"

    def _stays(self, until_us: int) -> bool:
        """Whether all is done by then, and is still so a while later: a slow flush or a late message may undo it once."""
        clock = self._clock
        if not clock.run_until(until_us, lambda: self._not_done() is None):
            return False
        before = self._last_seqs()
        clock.run_until(clock.now_us + SETTLED_FOR_US)
        return self._not_done() is None and self._last_seqs() == before

    def _not_done(self) -> str | None:
        waiting = sum(not diner.done for diner in self._diners)
        if waiting:
            return f"{waiting} diners wait"
        return next(filter(None, (store.not_converged() for store in self.stores)), None)

    def _last_seqs(self) -> list[int]:
        return [
            device.machine.replica.log.last.seq
            for store in self.stores
            for device in store.devices
            if device.machine is not None
        ]
