"""Classes of the audit that tell of answers and contents: once where each occurs, once where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chaos.judge import judge_run

from .verdicts import SECOND_US, check, judged, subjects

# --- contradicted


def told_again(run: Any, **changes: Any) -> None:
    first = run.attempts[0]
    later = {
        "op": 99,
        "attempt": 2,
        "invoked_at_us": first.completed_at_us + 5,
        "completed_at_us": first.completed_at_us + 9,
    }
    run.attempts.append(replace(first, **{**later, "outcome": "fail", "level": None, **changes}))


def test_a_refusal_after_a_yes_for_the_same_content_is_contradicted(run: Any) -> None:
    told_again(run, status=422, problem="key-reused")
    verdict = judged(run)
    assert subjects(verdict, "contradicted") == {run.attempts[0].order_id}
    assert verdict.verdict == "fail"


def test_a_503_that_promises_nothing_was_written_contradicts_nothing(run: Any) -> None:
    told_again(run, status=503, problem="not-primary")
    assert judged(run).counts["contradicted"] == 0


def test_a_refusal_of_another_content_contradicts_nothing(run: Any) -> None:
    told_again(run, status=422, problem="key-reused", body_hash="other")
    assert judged(run).counts["contradicted"] == 0


def test_a_refusal_that_was_asked_for_before_the_yes_contradicts_nothing(run: Any) -> None:
    told_again(run, status=422, problem="key-reused", invoked_at_us=run.attempts[0].invoked_at_us)
    assert judged(run).counts["contradicted"] == 0


@pytest.mark.parametrize(
    ("refusal", "contradicted"),
    [({"door": "edge"}, 1), ({"door": "cloud"}, 0), ({}, 1), ({"channel": "mini_program"}, 0)],
    ids=["the same door", "the other door", "a history without doors", "of a mini-program"],
)
def test_sold_out_contradicts_a_yes_of_the_same_door(run: Any, refusal: dict[str, Any], contradicted: int) -> None:
    """The first yes is the store's. The cloud may not know of the order yet, and sell what it has by itself."""
    told_again(run, status=409, problem="item-sold-out", node_id=None, epoch=None, seq=None, **refusal)
    assert judged(run).counts["contradicted"] == contradicted


def test_sold_out_after_a_yes_of_a_device_that_is_gone_contradicts_nothing(run: Any) -> None:
    """Nobody else had the order, and what it took is sold to others, whether the cloud brings it back later or not."""
    run.attempts[0] = replace(run.attempts[0], level="R1", node_id="n-gone", seq=None)
    run.fault(disk_lost_node_ids=["n-gone"])
    told_again(run, status=409, problem="item-sold-out", node_id=None, epoch=None, seq=None, door="edge")
    assert judged(run).counts["contradicted"] == 0


# --- altered


@pytest.mark.parametrize(
    "change",
    [{"items": [["fried-rice", 9]]}, {"total_minor": 1}, {"table": "T9"}, {"channel": "cashier"}, {"items": "spoiled"}],
)
def test_an_order_whose_content_differs_in_the_store_is_altered(run: Any, change: dict[str, Any]) -> None:
    epoch, record = run.records[0]
    run.records[0] = (epoch, {**record, **change})
    verdict = judged(run)
    assert subjects(verdict, "altered") == {run.attempts[0].order_id}
    assert next(iter(change)) in verdict.cause


def test_an_order_whose_content_differs_in_the_cloud_is_altered(run: Any) -> None:
    run.cloud_orders[0]["total_minor"] = 1
    assert subjects(judged(run), "altered") == {run.attempts[0].order_id}


def test_a_record_that_its_hash_does_not_cover_is_altered(run: Any) -> None:
    run.write()
    run.edit_reads("edge_b", lambda read: read["entries"][2]["record"].update(origin="cloud"))
    assert subjects(judge_run(run.path), "altered") == {run.attempts[2].order_id}


# --- split


def test_two_logs_that_commit_different_contents_at_one_place_are_split(run: Any) -> None:
    run.write()
    records = list(run.records)
    run.records[-2], run.records[-1] = run.records[-1], run.records[-2]
    other = run.entries()
    run.records = records
    run.edit_reads("edge_b", lambda read: read.update(entries=other))
    verdict = judge_run(run.path)
    assert subjects(verdict, "split") == {f"entry {len(records) - 1}"}
    assert verdict.verdict == "fail"


def test_a_reply_that_names_a_place_where_another_order_is_committed_is_split(run: Any) -> None:
    run.order(20, seq=3)
    assert subjects(judged(run), "split") == {"entry 3"}


def test_one_epoch_acknowledged_by_two_devices_is_split(run: Any) -> None:
    run.order(20, node_id="n-b")
    assert subjects(judged(run), "split") == {"epoch 3"}


def test_a_set_aside_tail_that_nobody_was_told_about_is_no_split(run: Any) -> None:
    run.write()
    tail = {"seq": 3, "epoch": 2, "hash": "ee", "record": {"kind": "order", "order_id": "nobody"}}
    run.edit_reads("edge_b", lambda read: read["set_aside"].append(tail))
    assert judge_run(run.path).verdict == "pass"


def test_an_order_that_was_set_aside_and_then_committed_at_the_same_place_is_no_split(run: Any) -> None:
    """Seen in a drill: set aside at epoch 3, sent again by its diner, and by chance at the same seq in epoch 4."""
    run.write()
    told = run.attempts[2]
    tail = {"seq": told.seq, "epoch": 2, "hash": "ee", "record": {"kind": "order", "order_id": told.order_id}}
    run.edit_reads("edge_b", lambda read: read["set_aside"].append(tail))
    assert judge_run(run.path).verdict == "pass"


# --- stale


def ask(run: Any, after_us: int, **changes: Any) -> None:
    first = run.attempts[0]
    at_us = first.completed_at_us + after_us
    answer = {"kind": "read", "op": 99, "invoked_at_us": at_us, "completed_at_us": at_us + 1_000, "level": None}
    run.attempts.append(
        replace(first, **{**answer, "outcome": "fail", "status": 404, "problem": "order-unknown", **changes})
    )


def test_a_read_told_not_there_after_the_yes_is_stale(run: Any) -> None:
    ask(run, 1_000)
    verdict = judged(run)
    assert subjects(verdict, "stale") == {run.attempts[0].order_id}
    assert verdict.verdict == "fail"


def test_a_read_told_not_there_before_the_yes_is_not_stale(run: Any) -> None:
    ask(run, -1_000)
    assert judged(run).verdict == "pass"


def test_a_read_that_could_not_be_answered_is_not_stale(run: Any) -> None:
    ask(run, 1_000, status=503, problem="not-confirmed")
    assert judged(run).verdict == "pass"


# --- late, refused, surfaced, vanished, reordered


def test_a_ticket_shown_later_than_the_scaled_budget_is_late(run: Any) -> None:
    first = run.attempts[0]
    run.shown[first.order_id] = first.completed_at_us + 10 * SECOND_US + 1
    assert subjects(judged(run), "late") == {first.order_id}


def test_a_ticket_shown_at_the_scaled_budget_is_not_late(run: Any) -> None:
    first = run.attempts[0]
    run.shown[first.order_id] = first.completed_at_us + 10 * SECOND_US
    assert judged(run).verdict == "pass"


@pytest.mark.parametrize("kind", ["refused", "conflict"])
def test_an_order_taken_by_the_cloud_and_refused_by_the_store_is_refused_after_rc(run: Any, kind: str) -> None:
    attempt = run.attempt(20, level="RC", node_id="cloud", epoch=None, seq=None)
    run.refuse(attempt, kind)
    verdict = judged(run)
    assert subjects(verdict, "refused_after_rc") == {attempt.order_id}
    assert (verdict.counts["lost"], verdict.verdict) == (0, "fail")
    assert judge_run(run.path, {"refused_after_rc": 1}).verdict == "pass"


def test_a_refusal_that_only_the_cloud_tells_of_is_a_loss(run: Any) -> None:
    attempt = run.attempt(20, level="RC", node_id="cloud", epoch=None, seq=None)
    run.refuse(attempt)
    run.records.pop()
    verdict = judged(run)
    assert (verdict.counts["refused_after_rc"], verdict.counts["lost"]) == (0, 1)


def test_orders_of_unknown_fate_are_counted_as_surfaced_or_vanished(run: Any) -> None:
    unknown = {"outcome": "indefinite", "status": None, "level": None, "completed_at_us": None, "seq": None}
    surfaced = run.order(20, **unknown)
    vanished = run.attempt(21, **unknown).order_id
    verdict = judged(run)
    assert (subjects(verdict, "surfaced"), subjects(verdict, "vanished")) == ({surfaced}, {vanished})
    assert verdict.verdict == "pass"


def test_two_orders_under_one_intent_are_reordered_and_not_duplicated(run: Any) -> None:
    run.order(20, intent_id=run.attempts[0].intent_id)
    verdict = judged(run)
    assert subjects(verdict, "reordered") == {run.attempts[0].intent_id}
    assert (verdict.counts["duplicated"], verdict.verdict) == (0, "pass")


@pytest.mark.parametrize("name", ["mischarged", "oversold", "voided", "comped"])
def test_classes_that_this_stack_cannot_show_say_that_they_were_not_exercised(run: Any, name: str) -> None:
    verdict = judged(run)
    assert (verdict.counts[name], check(verdict, name)) == (0, "not_exercised")
