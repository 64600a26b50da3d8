"""What fails a run: a real run of the cluster, spoilt in one thing at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stand_in

from chaos.campaign.judging import judge, run_files
from chaos.judge.audit import audit
from chaos.judge.reads import Unreadable
from chaos.judge.runfolder import load_run_files
from simulator.cluster.outcome import Broken, ClusterRun
from simulator.cluster.run import run_schedule
from simulator.cluster.schedule import draw_schedule
from simulator.history import Attempt, HistoryWriter

Places = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def good() -> ClusterRun:
    """A real run without faults, with its hundred orders."""
    run = run_schedule(replace(draw_schedule(5), strikes=(), stores=1))
    assert run.end == "converged", run.broken
    return run


def spoilt(run: ClusterRun, change: Callable[[Places], None]) -> ClusterRun:
    reads: Any = deepcopy(dict(run.reads))
    change(reads["s1"])
    return replace(run, reads=reads)


def an_order(run: ClusterRun) -> Attempt:
    """An order of the store that was told R2 at once and kept by every place."""
    return next(row for row in run.attempts if row.kind == "order" and row.level == "R2" and row.attempt == 1)


def failure_name(run: ClusterRun) -> str | None:
    failure = judge(run).failure
    return None if failure is None else failure.name


def without(order: Attempt, *places: str) -> Callable[[Places], None]:
    """Take the order out of the cloud's orders or the kitchen's tickets."""

    def change(reads: Places) -> None:
        rows = {"cloud": "orders", "kitchen": "tickets"}
        for place in places:
            kept = [row for row in reads[place][rows[place]] if row["order_id"] != order.order_id]
            reads[place][rows[place]] = kept

    return change


def test_a_good_run_does_not_fail(good: ClusterRun) -> None:
    judgement = judge(good)
    assert judgement.failure is None
    assert judgement.given_up == 0
    assert sum(judgement.acknowledged.values()) == 100
    assert judgement.acknowledged["R2"] > 50


def test_the_audit_in_memory_finds_what_the_audit_of_a_run_folder_finds(good: ClusterRun, tmp_path: Path) -> None:
    run = spoilt(good, without(an_order(good), "cloud", "kitchen"))
    writer = HistoryWriter(tmp_path / "history", "diners")
    for row in run.attempts:
        writer.invoke(row)
        writer.complete(row)
    writer.close()
    for number in ("1", "2"):
        for place, content in run.reads["s1"].items():
            path = tmp_path / "reads" / number / "s1" / f"{place}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "reads" / "convergence.json").write_text('{"reached": true}', encoding="utf-8")
    on_disk, in_memory = audit(load_run_files(tmp_path, Unreadable("scenario", "none"))), audit(run_files(run))
    assert on_disk.findings == in_memory.findings
    assert in_memory.count("lost") == 1
    assert on_disk.acknowledged == in_memory.acknowledged
    assert on_disk.undecided == in_memory.undecided == ()


@pytest.mark.parametrize("place", ["cloud", "kitchen"])
def test_an_acknowledged_order_that_a_place_lacks_is_lost(good: ClusterRun, place: str) -> None:
    order = an_order(good)
    failure = judge(spoilt(good, without(order, place))).failure
    assert failure is not None
    assert (failure.name, failure.subject) == ("lost", order.order_id)
    assert f"{order.order_id} at the {place} of s1: acknowledged R2" in failure.detail


def test_an_order_that_was_acknowledged_and_never_stored_is_lost(good: ClusterRun) -> None:
    ghost = replace(an_order(good), op=10_000, order_id="ghost", seq=None, marker="ghost")
    assert failure_name(replace(good, attempts=(*good.attempts, ghost))) == "lost"


def test_a_ticket_shown_twice_is_duplicated(good: ClusterRun) -> None:
    def change(reads: Places) -> None:
        reads["kitchen"]["tickets"].append(reads["kitchen"]["tickets"][0])

    assert failure_name(spoilt(good, change)) == "duplicated"


def test_an_entry_of_the_cloud_that_is_not_committed_is_unbacked(good: ClusterRun) -> None:
    def change(reads: Places) -> None:
        reads["cloud"]["entries"][0]["hash"] = "0" * 64

    assert failure_name(spoilt(good, change)) == "unbacked"


def test_an_order_that_nobody_sent_is_unexpected(good: ClusterRun) -> None:
    stranger = an_order(good).order_id
    attempts = tuple(row for row in good.attempts if row.order_id != stranger)
    assert failure_name(replace(good, attempts=attempts)) == "unexpected"


def test_an_order_that_is_told_no_after_a_yes_is_contradicted(good: ClusterRun) -> None:
    order = an_order(good)
    later = (order.completed_at_us or 0) + 1_000
    no = replace(
        order,
        op=10_000,
        attempt=9,
        invoked_at_us=later,
        completed_at_us=later + 1,
        outcome="fail",
        status=422,
        level=None,
    )
    assert failure_name(replace(good, attempts=(*good.attempts, no))) == "contradicted"


def test_a_total_that_changed_on_its_way_is_altered(good: ClusterRun) -> None:
    def change(reads: Places) -> None:
        reads["cloud"]["orders"][0]["total_minor"] += 1

    assert failure_name(spoilt(good, change)) == "altered"


def test_two_contents_at_one_place_are_split(good: ClusterRun) -> None:
    def change(reads: Places) -> None:
        standby = reads["edge_b" if reads["edge_a"]["status"]["role"] == "primary" else "edge_a"]
        standby["entries"][3]["hash"] = "0" * 64

    assert failure_name(spoilt(good, change)) in ("altered", "split")


def told_r1_by_a_dead_device(good: ClusterRun, *, disk_lost: bool) -> ClusterRun:
    ghost = replace(an_order(good), op=10_000, order_id="ghost", marker="ghost", level="R1", node_id="s1-x1", seq=9_999)
    fault = {
        "name": "0 disk lost",
        "kind": "disk_lost",
        "started_at_us": 1,
        "took_effect": True,
        "undone": True,
        "disk_lost_node_ids": ["s1-x1"] if disk_lost else [],
    }
    return replace(good, attempts=(*good.attempts, ghost), faults=(fault,))


def test_an_r1_order_that_fell_with_its_disk_is_given_up_and_no_failure(good: ClusterRun) -> None:
    judgement = judge(told_r1_by_a_dead_device(good, disk_lost=True))
    assert (judgement.failure, judgement.given_up) == (None, 1)


def test_an_r1_order_whose_disk_is_whole_is_lost(good: ClusterRun) -> None:
    assert failure_name(told_r1_by_a_dead_device(good, disk_lost=False)) == "lost"


def test_a_run_that_says_converged_and_is_not_fails(good: ClusterRun) -> None:
    def change(reads: Places) -> None:
        for device in ("edge_a", "edge_b"):
            reads[device]["status"]["waiting"] = 2

    assert failure_name(spoilt(good, change)) == "not_settled"


@pytest.mark.parametrize("place", ["edge_a", "edge_b", "cloud", "kitchen"])
def test_a_place_that_could_not_be_read_fails(good: ClusterRun, place: str) -> None:
    def change(reads: Places) -> None:
        reads[place] = {"error": "the device does not run"}

    failure = judge(spoilt(good, change)).failure
    assert failure is not None
    assert failure.name in ("unreadable", "not_settled")
    assert failure_name(replace(good, reads={})) == "unreadable"


def test_what_the_cluster_saw_break_is_told_before_what_the_audit_finds(good: ClusterRun) -> None:
    lost = spoilt(good, without(an_order(good), "cloud"))
    broken = Broken("commit never goes back", "that of s1-a1 goes back to 3", 4_321)
    failure = judge(replace(lost, end="violated", broken=broken)).failure
    assert failure is not None
    assert (failure.name, failure.detail, failure.at_us) == (broken.invariant, broken.detail, 4_321)


@pytest.mark.parametrize(
    ("level", "gone", "kept", "failure"),
    [
        pytest.param("R1", True, False, None, id="only a device that is gone had taken that content"),
        pytest.param("R1", False, False, "contradicted", id="the device is there"),
        pytest.param("R2", True, False, "contradicted", id="R2 is never excused"),
        pytest.param("R1", True, True, "contradicted", id="the store holds that content"),
    ],
)
def test_a_no_after_the_yes_of_a_device_that_is_gone(
    good: ClusterRun, level: Any, gone: bool, kept: bool, failure: str | None
) -> None:
    """Seed 23406 of the campaign: the cloud held the key with another content, and the device that had told R1 was destroyed."""
    order = an_order(good)
    assert order.completed_at_us is not None
    later = order.completed_at_us + 1
    yes = replace(
        order, op=10_000, body_hash=order.body_hash if kept else "another", level=level, node_id="gone-1", seq=None
    )
    no = replace(yes, op=10_001, invoked_at_us=later, completed_at_us=later, outcome="fail", status=422, level=None)
    destroyed = {"name": "x", "kind": "disk_lost", "started_at_us": 1, "took_effect": True, "undone": True}
    faults = ({**destroyed, "disk_lost_node_ids": ["gone-1"]},) if gone else ()
    attempts = tuple(replace(row, level="R1") if row is order else row for row in good.attempts)
    judged = judge(replace(good, attempts=(*attempts, yes, no), faults=(*good.faults, *faults)))
    found = {} if judged.failure is None else {judged.failure.name: judged.failure.subject}
    assert ("contradicted" in found) == (failure == "contradicted"), judged.failure


def test_a_run_without_final_reads_is_judged_by_what_clients_were_told(good: ClusterRun) -> None:
    ended = replace(good, end="violated", reads={})
    assert judge(ended).failure is None
    order = an_order(ended)
    other = replace(order, op=10_000, order_id="another", node_id="s1-b1")
    assert failure_name(replace(ended, attempts=(*ended.attempts, other))) == "split"


def test_a_run_without_orders_still_has_to_settle() -> None:
    run = stand_in.sound(stand_in.draw(1))
    assert failure_name(run) is None
    assert failure_name(replace(run, reads={})) is None, "no order and no store: nothing to ask"
    places = stand_in.empty_places()
    places["cloud"]["status"]["last_number"] = 3
    assert failure_name(replace(run, reads={"s1": places})) == "not_settled"
