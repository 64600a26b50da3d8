"""What a machine may find after kills, errors and power cuts, told case by case; and that its checks can fail."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from power_cut_bench import (
    ENTRIES,
    SHORT,
    STEPS,
    Bench,
    edge_steps,
    kitchen_steps,
    nothing_kept,
    order_record,
    register_steps,
)

from chaos.faults.storage.disk import Disk
from chaos.faults.storage.power_loss import after_power_loss
from chaos.faults.storage.troubles import Trouble
from chaos.power_cuts.machine import Finding, Machine, Tuning, tell_every_step
from chaos.power_cuts.recording import Group, record
from chaos.power_cuts.stores import EdgeWorkload, KitchenWorkload, Told, Workload
from refsystem import sqlite
from refsystem.edge.store import EdgeStore
from refsystem.kitchen_display.store import KitchenStore
from refsystem.protocol.break_glass import BreakGlass, Intention
from refsystem.protocol.log import chain
from refsystem.protocol.messages import PersistOp, SetAside, StoreBreakGlass, StoreCommit, StoreEntries, StoreEpoch
from refsystem.protocol.uplink import Batch, Judgement
from refsystem.sqlite import Synchronous
from simulator.cluster.disks import Disk as ModelDisk

STORES = list(SHORT)
FATES = range(12)


def power_goes_once_told(workload: Workload, disk: Disk, times: int) -> None:
    """The power goes at the first operation after the store has been read for the `times`-th time."""
    reads, tell = [0], workload.tell

    def tell_then_cut(store: Any) -> Any:
        told = tell(store)
        reads[0] += 1
        if reads[0] == times:
            disk.cut_at = disk.operations + 1
        return told

    workload.tell = tell_then_cut  # type: ignore[method-assign]


@pytest.mark.parametrize("store", STORES)
def test_wherever_the_power_goes_all_that_was_acknowledged_is_there(bench: Bench, store: str) -> None:
    workload, tuning = SHORT[store](), Tuning(checkpoint_pages=2)
    expected = tell_every_step(bench.disks, bench.folder, workload)
    whole = Disk()
    assert bench.machine(workload, tuning, expected).run(whole)
    for cut_at in range(1, whole.operations + 1):
        machine = bench.machine(workload, tuning, expected)
        dead = bench.dead(machine, cut_at)
        disk, damage = after_power_loss(dead, Random(cut_at))
        try:
            assert machine.run(disk, use=True)
        except Finding as finding:
            pytest.fail(f"cut at {cut_at} ({dead.history[-1]}), {damage}: {finding.name} {finding}")


def test_what_returns_after_the_power_went_is_not_acknowledged(bench: Bench) -> None:
    """SQLite passes over a checkpoint that fails: the commit before it returns, but to nobody."""
    workload, tuning = edge_steps(), Tuning(checkpoint_pages=1)
    machine = bench.machine(workload, tuning)
    cut_at = bench.operations_of(workload, "write database", tuning, steps=STEPS)[-1]
    do = workload.do

    def pass_over(store: EdgeStore, number: int) -> None:
        with contextlib.suppress(apsw.Error):
            do(store, number)

    workload.do = pass_over  # type: ignore[method-assign]
    dead = bench.dead(machine, cut_at)
    assert (machine.phase, machine.asked) == ("transaction", STEPS)
    assert machine.told == STEPS - 1
    assert machine.run(nothing_kept(dead))
    assert machine.told == STEPS


def killed_told_and_cut(bench: Bench, workload: Workload) -> None:
    """Killed between the writes of the last commit and its sync; started again, which tells the commit; then the power goes."""
    disk = Disk()
    disk.troubles.planned = [Trouble("killed_at_sync", at=bench.operations_of(workload, "sync log", steps=STEPS)[-1])]
    machine = bench.machine(workload)
    power_goes_once_told(workload, disk, times=2)
    assert not machine.run(disk)
    assert disk.troubles.struck, "the process was not killed"
    assert machine.told == STEPS, "the commit was not told"
    assert machine.run(nothing_kept(disk))


@pytest.mark.parametrize("store", STORES)
def test_what_a_killed_process_left_is_on_the_disk_before_anybody_is_told(bench: Bench, store: str) -> None:
    killed_told_and_cut(bench, SHORT[store]())


@pytest.mark.parametrize("make", [register_steps, kitchen_steps])
def test_a_store_that_tells_what_a_killed_process_left_is_found(
    bench: Bench, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_write_log_anew", lambda connection: None)
    with pytest.raises(Finding, match=f"stands at step {STEPS - 1}, and step {STEPS} was acknowledged") as found:
        killed_told_and_cut(bench, make())
    assert found.value.name == "lost"


def sync_failed_told_and_cut(bench: Bench, fate: int) -> None:
    """The sync of the last commit fails, which ends the process; started again it tells the commit; then the power goes."""
    workload = edge_steps()
    disk = Disk(draws=Random(fate))
    disk.troubles.planned = [Trouble("sync_error", at=bench.operations_of(workload, "sync log", steps=STEPS)[-1])]
    machine = bench.machine(workload)
    power_goes_once_told(workload, disk, times=2)
    assert not machine.run(disk)
    assert disk.troubles.struck, "no sync failed"
    assert machine.told == STEPS, "the commit was not told"
    assert machine.run(nothing_kept(disk))


def test_after_a_sync_that_failed_the_log_is_written_anew_before_anybody_is_told(bench: Bench) -> None:
    for fate in FATES:
        sync_failed_told_and_cut(bench, fate)


def test_a_log_that_the_disk_does_not_hold_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint alone, as the edge's store makes one, leaves the older log on the disk to be played over newer pages."""
    monkeypatch.setattr(sqlite, "_write_log_anew", lambda connection: None)
    found: set[str] = set()
    for fate in FATES:
        try:
            sync_failed_told_and_cut(bench, fate)
        except Finding as finding:
            found.add(finding.name)
    assert found >= {"lost"}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", ["disk_full", "write_error", "sync_error", "read_error", "stall", "killed"])
def test_a_trouble_at_any_operation_costs_nothing_that_was_acknowledged(bench: Bench, store: str, name: Any) -> None:
    workload = SHORT[store]()
    tuning = Tuning(checkpoint_pages=2)
    expected = tell_every_step(bench.disks, bench.folder, workload)
    whole = Disk()
    assert bench.machine(workload, tuning, expected).run(whole)
    stalled: list[float] = []
    struck = 0
    for at in range(1, whole.operations + 1, 5):
        disk = Disk(draws=Random(at))
        disk.troubles.planned = [Trouble(name, at=at, times=1 + at % 2)]
        disk.troubles.wait = stalled.append
        machine = bench.machine(workload, tuning, expected)
        assert machine.run(disk), f"{name} at {at}"
        assert machine.told == STEPS
        disk.troubles.planned.clear()
        assert machine.run(nothing_kept(disk), use=True), f"{name} at {at}"
        struck += len(disk.troubles.struck)
    assert struck > STEPS / 2
    assert bool(stalled) == (name == "stall")


def test_an_edge_process_ends_when_a_flush_fails_and_others_go_on(bench: Bench) -> None:
    for store, starts in (("edge", 2), ("register", 1), ("kitchen", 1)):
        workload = SHORT[store]()
        disk = Disk()
        disk.troubles.planned = [Trouble("sync_error", at=bench.operations_of(workload, "sync log", steps=STEPS)[-1])]
        machine = bench.machine(workload)
        assert machine.run(disk)
        assert disk.troubles.struck
        assert machine.starts == starts


@pytest.mark.parametrize("store", STORES)
def test_commits_that_are_not_synced_are_found(bench: Bench, store: str) -> None:
    workload, tuning = SHORT[store](), Tuning("NORMAL")
    machine = bench.machine(workload, tuning)
    dead = bench.dead(machine, bench.operations_of(workload, "write log", tuning, steps=STEPS)[-1])
    with pytest.raises(Finding) as found:
        machine.run(nothing_kept(dead))
    assert found.value.name == "lost"
    assert found.value.lost_steps == STEPS - 1
    assert found.value.lost_orders == (0 if store == "register" else STEPS - 1)


@pytest.mark.parametrize("store", STORES)
def test_a_disk_that_syncs_nothing_is_found(bench: Bench, store: str) -> None:
    workload = SHORT[store]()
    disk = Disk()
    disk.honest = False
    disk.cut_at = bench.operations_of(workload, "sync log", steps=STEPS)[-1]
    machine = bench.machine(workload)
    assert not machine.run(disk)
    with pytest.raises(Finding, match="stands at step 0") as found:
        machine.run(nothing_kept(disk))
    assert found.value.name == "lost"


class FlushInPieces(EdgeStore):
    """A broken store: an operation is a transaction."""

    def apply(self, ops: Sequence[PersistOp]) -> None:
        for op in ops:
            super().apply([op])


class CursorOutside(KitchenStore):
    """The broken variant `cursor-outside-transaction`."""

    def take(self, batch: Batch, now_us: int) -> Judgement:
        with self._transaction():
            judgement = self.judge_and_move(batch)
        with self._transaction():
            self.keep(batch, judgement, now_us)
        return judgement


class EdgeInPieces(EdgeWorkload):
    def open(self, folder: Path, synchronous: Synchronous, new_node_id: str) -> EdgeStore:
        return FlushInPieces(folder, new_node_id, synchronous=synchronous)


class KitchenInPieces(KitchenWorkload):
    def open(self, folder: Path, synchronous: Synchronous, new_node_id: str) -> KitchenStore:
        return CursorOutside(folder, kitchen_us=0, synchronous=synchronous)


@pytest.mark.parametrize("workload", [EdgeInPieces(edge_steps().steps), KitchenInPieces(kitchen_steps().steps)])
def test_a_transaction_in_pieces_is_found(bench: Bench, workload: Workload) -> None:
    found: set[str] = set()
    for cut_at in bench.operations_of(workload, "write log", steps=STEPS):
        machine = bench.machine(workload)
        dead = bench.dead(machine, cut_at)
        try:
            machine.run(nothing_kept(dead))
        except Finding as finding:
            found.add(finding.name)
    assert found == {"mixed"}


def test_another_node_under_the_same_log_is_found(bench: Bench) -> None:
    workload = edge_steps()
    machine = bench.machine(workload)
    disk = Disk()
    assert machine.run(disk)
    tell = workload.tell
    workload.tell = lambda store: tell(store)._replace(node_id="somebody")  # type: ignore[method-assign]
    with pytest.raises(Finding, match="it is somebody, and was node-1") as found:
        machine.run(nothing_kept(disk))
    assert found.value.name == "other_node"


@pytest.mark.parametrize(("store", "name"), [("edge", "damaged"), ("register", "damaged"), ("kitchen", "damaged")])
def test_a_damaged_file_is_found(bench: Bench, store: str, name: str) -> None:
    workload = SHORT[store]()
    machine, disk = bench.machine(workload), Disk()
    assert machine.run(disk)
    (path,) = disk.names
    content = bytearray(disk.names[path].live)
    for page in range(0, len(content), 4096):
        content[page + 64 : page + 4096] = bytes(4032)
    with pytest.raises(Finding) as found:
        machine.run(Disk([(path, bytes(content))]))
    assert found.value.name == name


def test_a_free_page_that_hangs_loose_is_found_by_the_integrity_check(bench: Bench) -> None:
    workload = register_steps()
    machine, disk = bench.machine(workload), Disk()
    assert machine.run(disk)
    (path,) = disk.names
    content = bytearray(disk.names[path].live) + bytes(4096)
    pages = int.from_bytes(content[28:32], "big") + 1
    content[28:32] = pages.to_bytes(4, "big")
    with pytest.raises(Finding, match="never used") as found:
        machine.run(Disk([(path, bytes(content))]))
    assert found.value.name == "corrupt"


def test_a_store_that_takes_no_more_work_is_found(bench: Bench) -> None:
    class Deaf(EdgeWorkload):
        def use(self, store: EdgeStore, told: Told) -> None:
            raise AssertionError("the order was refused")

    with pytest.raises(Finding, match="the order was refused") as found:
        bench.machine(Deaf(edge_steps().steps)).run(Disk(), use=True)
    assert found.value.name == "unusable"
    disk = Disk()
    disk.troubles.planned = [Trouble("disk_full", at=1, times=10_000)]
    with pytest.raises(Finding, match="did not get through") as found:
        bench.machine(edge_steps()).run(disk)
    assert found.value.name == "unusable"


def test_an_error_of_the_reading_code_itself_is_found(bench: Bench) -> None:
    class Confused(EdgeWorkload):
        def tell(self, store: EdgeStore) -> Told:
            raise TypeError("nothing is no number")

    expected = tell_every_step(bench.disks, bench.folder, edge_steps())
    with pytest.raises(Finding, match="TypeError: nothing is no number") as found:
        bench.machine(Confused(edge_steps().steps), expected=expected).run(Disk())
    assert found.value.name == "damaged"


def test_what_the_edge_store_tells_is_what_the_operations_say(bench: Bench) -> None:
    """The campaign holds a store against an undisturbed one; here that one is held against a model of the operations."""
    expected = tell_every_step(bench.disks, bench.folder, edge_steps())
    for number, (state, recovered) in enumerate(expected):
        assert state.entries == ENTRIES[:number]
        assert (state.epoch, state.commit_seq) == (min(number, 1), max(0, number - 1))
        assert recovered == ()


def assert_like_the_model(bench: Bench, flushes: Sequence[Group]) -> ModelDisk:
    model = ModelDisk("", lambda *_: None)
    told = tell_every_step(bench.disks, bench.folder, EdgeWorkload(flushes))[1:]
    for group, (state, recovered) in zip(flushes, told, strict=True):
        model.apply(group)
        assert state == model.state()
        assert [each.entry for each in recovered if not each.given_up] == model.set_aside
        assert [each.entry for each in recovered if each.given_up] == model.given_up
    return model


def test_what_the_edge_store_tells_is_what_real_devices_flushed(bench: Bench) -> None:
    for groups in record(4).devices:
        model = assert_like_the_model(bench, [group for group in groups if group is not None])
        assert len(model.entries) > 20


def test_what_the_edge_store_tells_of_a_fork_is_what_the_operations_say(bench: Bench) -> None:
    other = chain(2, ENTRIES[1].cursor, [order_record(number) for number in (20, 21)])
    intention = Intention(BreakGlass(("b1",), "somebody", "it is gone"), 2, 0)
    flushes: list[Group] = [
        (StoreEpoch(1), StoreEntries(ENTRIES[:5]), StoreCommit(4)),
        (StoreBreakGlass(intention),),
        (StoreEpoch(2), SetAside(3, 2, given_up_to=4), StoreEntries(other), StoreCommit(3), StoreBreakGlass(None)),
    ]
    model = assert_like_the_model(bench, flushes)
    assert model.given_up == list(ENTRIES[2:4])
    assert model.set_aside == [ENTRIES[4]]
    assert EdgeWorkload(flushes).work == {"set_aside", "given_up", "break_glass"}


def test_a_machine_reads_its_disk_by_its_own_process_only(bench: Bench) -> None:
    machine: Machine = bench.machine(edge_steps())
    disk = Disk()
    assert machine.run(disk)
    assert machine.starts == 1
    assert disk.process > 0, "the process has ended"
