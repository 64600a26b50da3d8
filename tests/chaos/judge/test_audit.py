"""Every class of the audit: once where it occurs, once where it does not. A perfect run has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chaos.judge import judge_run

from .verdicts import check, judged, subjects


def test_a_perfect_run_passes_and_every_count_is_zero(run: Any) -> None:
    verdict = judged(run)
    assert verdict.verdict == "pass", verdict.cause
    told = {"attempted": 14, "ok": 14, "indefinite": 0, "fail": 0, "exposed": 0}
    assert verdict.counts == {**dict.fromkeys(verdict.counts, 0), **told}
    assert verdict.audit.acknowledged == {"R2": 12, "R1": 0, "RC": 2}


# --- lost


@pytest.mark.parametrize("place", ["edge", "cloud", "kitchen"])
@pytest.mark.parametrize("level", ["R2", "R1"])
def test_an_acknowledged_order_missing_at_a_place_is_lost_there(run: Any, level: str, place: str) -> None:
    order = run.order(20, level=level)
    run.drop(order, place)
    verdict = judged(run)
    assert subjects(verdict, "lost") == {order}
    assert verdict.audit.lost_by == {level: {place: 1}}
    assert verdict.verdict == "fail"
    assert order in verdict.cause


def test_an_order_lost_everywhere_counts_once(run: Any) -> None:
    order = run.order(20)
    run.drop(order, "edge", "cloud", "kitchen")
    verdict = judged(run)
    assert verdict.counts["lost"] == 1
    assert verdict.audit.lost_by == {"R2": {"edge": 1, "cloud": 1, "kitchen": 1}}


def test_an_order_of_the_cloud_that_never_reaches_the_store_is_lost_at_rc(run: Any) -> None:
    order = run.cloud_order(20)
    run.drop(order, "edge", "kitchen")
    run.downlink_number -= 1
    verdict = judged(run)
    assert verdict.audit.lost_by == {"RC": {"edge": 1, "kitchen": 1}}
    assert verdict.verdict == "fail"


def test_an_order_counts_at_the_highest_level_that_any_reply_gave(run: Any) -> None:
    order = run.order(20, level="R1")
    run.attempts.append(replace(run.attempts[-1], op=99, attempt=2, level="R2"))
    run.drop(order, "edge")
    assert judged(run).audit.lost_by == {"R2": {"edge": 1}}


def test_a_committed_order_told_to_nobody_must_reach_the_kitchen_too(run: Any) -> None:
    order = run.order(20, outcome="indefinite", completed_at_us=None, level=None, status=None)
    run.drop(order, "kitchen")
    verdict = judged(run)
    assert verdict.audit.lost_by == {"none": {"kitchen": 1}}
    assert verdict.counts["surfaced"] == 1


def test_what_a_place_lacks_before_convergence_is_undecided_and_not_lost(run: Any) -> None:
    order = run.order(20)
    run.drop(order, "kitchen")
    run.write()
    run.edit_reads("kitchen", lambda read: read["status"]["cursor"].update(seq=len(run.records) - 1))
    verdict = judge_run(run.path)
    assert verdict.counts["lost"] == 0
    assert [(item.order_id, item.place) for item in verdict.audit.undecided] == [(order, "kitchen")]
    assert verdict.verdict == "unknown"


def test_before_convergence_a_place_whose_cursor_has_passed_the_order_has_lost_it(run: Any) -> None:
    order = run.order(20)
    run.drop(order, "kitchen")
    run.write()
    run.edit("reads/convergence.json", lambda read: read.update(reached=False, detail="timed out"))
    verdict = judge_run(run.path)
    assert subjects(verdict, "lost") == {order}
    assert verdict.verdict == "fail"


# --- given up


def lose_with_the_disk(run: Any, **changes: Any) -> str:
    order: str = run.order(20, **{"level": "R1", "node_id": "n-old", **changes})
    run.drop(order, "edge", "cloud", "kitchen")
    run.fault(kind="disk_lost", disk_lost_node_ids=["n-old"])
    return order


def test_an_r1_order_of_a_destroyed_disk_is_given_up_and_fails_a_budget_of_none(run: Any) -> None:
    order = lose_with_the_disk(run)
    verdict = judged(run)
    assert subjects(verdict, "given_up") == {order}
    assert (verdict.counts["lost"], verdict.verdict, check(verdict, "given_up")) == (0, "fail", "fail")


def test_given_up_orders_within_the_budget_pass(run: Any) -> None:
    lose_with_the_disk(run)
    verdict = judge_run(run.write(), {"given_up": 1})
    assert check(verdict, "given_up") == "pass"
    assert verdict.cause.endswith("as sent; 1 given up, within the budget.")


def test_an_r2_order_of_a_destroyed_disk_is_lost(run: Any) -> None:
    lose_with_the_disk(run, level="R2")
    verdict = judged(run)
    assert (verdict.counts["given_up"], verdict.counts["lost"]) == (0, 1)


def test_an_r1_order_of_a_device_whose_disk_is_whole_is_lost(run: Any) -> None:
    lose_with_the_disk(run, node_id="n-a")
    verdict = judged(run)
    assert (verdict.counts["given_up"], verdict.counts["lost"]) == (0, 1)


def test_an_r1_order_that_the_cloud_still_holds_is_not_given_up(run: Any) -> None:
    order = run.order(20, level="R1", node_id="n-old")
    run.drop(order, "edge", "kitchen")
    run.fault(kind="disk_lost", disk_lost_node_ids=["n-old"])
    verdict = judged(run)
    assert (verdict.counts["given_up"], verdict.counts["lost"]) == (0, 1)


def test_whether_an_order_is_given_up_is_undecided_while_the_cloud_cannot_be_read(run: Any) -> None:
    lose_with_the_disk(run)
    run.write()
    run.edit_reads("cloud", lambda read: {"error": "the connection was refused"})
    verdict = judge_run(run.path)
    assert (verdict.counts["given_up"], verdict.counts["lost"], verdict.verdict) == (0, 0, "unknown")


# --- duplicated


def test_two_order_entries_under_one_key_are_duplicated(run: Any) -> None:
    run.records.append(run.records[0])
    assert subjects(judged(run), "duplicated") == {run.attempts[0].order_id}


def test_a_second_order_under_another_key_with_the_same_marker_is_duplicated(run: Any) -> None:
    run.order(20, marker=run.attempts[0].marker)
    verdict = judged(run)
    assert subjects(verdict, "duplicated") == {run.attempts[-1].order_id}
    assert check(verdict, "duplicated") == "fail"


def test_a_ticket_shown_twice_is_duplicated(run: Any) -> None:
    run.write()
    run.edit_reads("kitchen", lambda read: read["tickets"].append(read["tickets"][0]))
    assert subjects(judge_run(run.path), "duplicated") == {run.attempts[0].order_id}


def test_a_repeated_delivery_that_is_shown_once_is_no_duplicate(run: Any) -> None:
    run.write()
    run.edit_reads("kitchen", lambda read: read["deliveries"].append(read["deliveries"][0]))
    assert judge_run(run.path).verdict == "pass"


def test_one_key_sent_through_two_doors_and_kept_once_is_no_duplicate(run: Any) -> None:
    run.order(20)
    run.attempts.append(replace(run.attempts[-1], op=99, level="RC", node_id="cloud", epoch=None, seq=None))
    run.downlink_number += 1
    number = {"kind": "duplicate_of", "order_id": run.attempts[-1].order_id, "downlink_number": run.downlink_number}
    run.records.append((3, {**number, "detail": ""}))
    assert judged(run).verdict == "pass"


# --- unbacked


def test_an_entry_of_the_cloud_that_the_store_has_not_committed_is_unbacked(run: Any) -> None:
    run.write()
    extra = {"seq": 99, "epoch": 3, "hash": "ff", "record": {"kind": "order", "order_id": "ghost"}}
    run.edit_reads("cloud", lambda read: read["entries"].append({**extra, "sender_epoch": 3, "sender_node_id": "n-a"}))
    verdict = judge_run(run.path)
    assert subjects(verdict, "unbacked") == {"ghost"}
    assert verdict.verdict == "fail"


def test_a_ticket_made_from_an_entry_that_was_never_committed_is_unbacked(run: Any) -> None:
    run.write()
    run.edit_reads("kitchen", lambda read: read["tickets"][0].update(hash="another"))
    assert subjects(judge_run(run.path), "unbacked") == {run.attempts[0].order_id}


def test_a_bump_that_reaches_the_cloud_between_two_reads_is_backed(run: Any) -> None:
    run.write()
    bump = {"kind": "bump", "order_id": run.attempts[0].order_id, "version": 1, "station": "kitchen"}
    extra = {"seq": len(run.records) + 1, "epoch": 3, "hash": "ff", "record": bump}
    run.edit("reads/2/s1/cloud.json", lambda read: read["entries"].append(extra))
    assert judge_run(run.path).verdict == "pass"


# --- unexpected


def test_an_order_that_nobody_sent_is_unexpected(run: Any) -> None:
    order = run.order(20)
    run.attempts.pop()
    assert subjects(judged(run), "unexpected") == {order}


def test_an_order_that_everybody_was_told_was_refused_is_unexpected(run: Any) -> None:
    order = run.order(20, outcome="fail", status=503, level=None, problem="not-primary")
    assert subjects(judged(run), "unexpected") == {order}


def test_an_order_refused_at_first_and_taken_later_is_expected(run: Any) -> None:
    run.order(20)
    first = replace(run.attempts[-1], op=99, outcome="fail", status=503, level=None, problem="not-primary")
    run.attempts.append(first)
    assert judged(run).verdict == "pass"


def test_with_a_history_missing_an_order_that_nobody_sent_proves_nothing(run: Any) -> None:
    run.order(20)
    run.attempts.pop()
    run.write()
    load = (run.path / "metrics" / "load-load-1.json").read_text().replace('"load-1"', '"load-2"')
    (run.path / "metrics" / "load-load-2.json").write_text(load)
    verdict = judge_run(run.path)
    assert verdict.counts["unexpected"] == 0
    assert (verdict.verdict, "load-2 left no history" in verdict.cause) == ("unknown", True)
