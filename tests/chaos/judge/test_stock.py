"""The class `oversold`: each test sells, in a run that is perfect but for that, something that is not there."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.judge import judge_run
from refsystem.ordering.stock_acts import Count, Receive, Waste
from refsystem.ordering.store_acts import StoreAct

AT_MS = 1_700_000_000_000


def act(content: Any) -> dict[str, Any]:
    return StoreAct(str(uuid.uuid4()), "stock Li", content).record(AT_MS)


class Larder:
    """A run that is perfect: what was received at its start, and orders of one dish each."""

    def __init__(self, run: Any, **received: int) -> None:
        self.run = run
        self.count = 0
        for name, quantity in received.items():
            self.logs(Receive(name, "opening", quantity))

    def logs(self, content: Any) -> None:
        self.run.records.append((3, act(content)))

    def sells(self, item_id: str, quantity: int = 1) -> str:
        self.count += 1
        order_id: str = self.run.order(self.count, items=((item_id, quantity),))
        return order_id

    def judged(self) -> tuple[str, str]:
        """What the check says."""
        self.run.write()
        check = next(check for check in judge_run(self.run.path).checks if check.name == "oversold")
        return check.verdict, check.detail


@pytest.fixture
def larder(make_run: Any, tmp_path: Path) -> Callable[..., Larder]:
    made: list[Larder] = []

    def make(**received: int) -> Larder:
        made.append(Larder(make_run(tmp_path / f"run-{len(made)}"), **received))
        return made[-1]

    return make


def test_as_much_as_is_there_may_be_sold_and_not_one_more(larder: Callable[..., Larder]) -> None:
    enough, short = larder(wontons=20), larder(wontons=19)
    for each in (enough, short):
        each.sells("wonton-soup", 2)
    assert enough.judged() == ("pass", "0 found")
    verdict, detail = short.judged()
    assert verdict == "fail"
    assert "takes 1 of wontons (edge_owned) that are not there: 19 were received, 20 sold in all" in detail


def test_what_runs_out_for_a_while_is_oversold_though_more_is_received_later(larder: Callable[..., Larder]) -> None:
    kept = larder(fish=1)
    kept.sells("pickled-fish")
    late = kept.sells("pickled-fish")
    kept.logs(Receive("fish", "second", 10))
    verdict, detail = kept.judged()
    assert verdict == "fail"
    assert f"1 order is oversold; the first, {late}: " in detail


def test_a_lot_counts_once_waste_is_gone_and_a_count_is_believed(larder: Callable[..., Larder]) -> None:
    twice, wasted, counted = larder(fish=1), larder(fish=2), larder(fish=1)
    twice.logs(Receive("fish", "opening", 5))
    wasted.logs(Waste("fish", 1, "dropped"))
    counted.logs(Count("fish", 2))
    for each in (twice, wasted, counted):
        each.sells("pickled-fish", 2)
    assert [each.judged()[0] for each in (twice, wasted, counted)] == ["fail", "fail", "pass"]


@pytest.mark.parametrize(("bumped", "verdict"), [(False, "pass"), (True, "fail")])
def test_what_is_voided_goes_back_unless_it_was_made(larder: Callable[..., Larder], bumped: bool, verdict: str) -> None:
    kept = larder(fish=1)
    first = kept.sells("pickled-fish")
    if bumped:
        kept.run.records.append((3, {"kind": "bump", "order_id": first, "version": 1, "station": "kitchen"}))
    void = {"check_id": first, "order_id": first, "line": 0, "quantity": 1, "reason": "changed their mind"}
    derived = {"amount_minor": 6_800, "discount_cut_minor": 0}
    envelope = {"kind": "act", "act": "void", "act_id": str(uuid.uuid4()), "who": "manager Li", "at_ms": AT_MS}
    kept.run.records.append((3, {**envelope, "body_hash": "aa", **void, **derived}))
    kept.sells("pickled-fish")
    assert kept.judged()[0] == verdict


def test_what_is_promised_optimistically_is_counted_and_what_nobody_received_cannot_be_oversold(
    larder: Callable[..., Larder],
) -> None:
    kept = larder(rice=100)
    kept.sells("fried-rice")
    kept.sells("pickled-fish", 9)
    assert kept.judged() == ("pass", "0 found")
    notes = judge_run(kept.run.path).notes
    assert "s1: 150 of rice were promised beyond what was there, which its policy allows" in notes


@pytest.mark.parametrize(("cloud", "verdict"), [(1, "pass"), (2, "fail")])
def test_store_and_cloud_together_may_not_promise_more_than_there_is(
    larder: Callable[..., Larder], cloud: int, verdict: str
) -> None:
    kept = larder(fish=4)
    kept.sells("pickled-fish")
    kept.judged()
    row = {"ingredient_id": "fish", "kept": True, "on_hand": 3, "store_rights": 2}
    told = {"ingredients": [row], "known_seq": 2}
    kept.run.edit_reads("edge_a", lambda read: {**read, "stock": told})
    cloud_told = {**told, "cloud_rights": {"fish": cloud - 1}, "reserved": {"7": {"fish": 1}}}
    kept.run.edit_reads("cloud", lambda read: {**read, "stock": cloud_told})
    checks = {check.name: check for check in judge_run(kept.run.path).checks}
    assert checks["oversold"].verdict == verdict
    assert verdict == "pass" or "the store may promise 2 and the cloud 2 of them" in checks["oversold"].detail


def test_a_run_whose_stock_was_never_received_says_nothing(larder: Callable[..., Larder]) -> None:
    kept = larder(fish=4)
    kept.run.scenario["stock"] = {"fish": 5}
    kept.sells("pickled-fish")
    kept.run.write()
    verdict = judge_run(kept.run.path)
    assert verdict.verdict == "unknown"
    assert "5 of fish were to be in stock, and 4 were received" in verdict.cause
