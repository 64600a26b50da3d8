"""The plan of a load as a file, and the rows that a ledger writes."""

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests.contract import Answer
from loadtests.ledger import Ledger
from loadtests.plan import LoadPlan, Retries, StoreTargets, monotonic_us, read_plan, write_plan
from refsystem.ordering.order import Order
from simulator.diners import Diner
from simulator.history import read_history

ORDER = Order("k1", "qr", "T1", (("beer", 1),), 1500, "rp-r1-0-0")


def plan() -> LoadPlan:
    targets = {"s1": StoreTargets(("http://127.0.0.1:1", "http://127.0.0.1:2"), "http://127.0.0.1:3")}
    return LoadPlan("r1", 7, monotonic_us(), targets, retries=Retries(3, 10, 20))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_plan(tmp_path / "load.json", plan())
    paths = {name: str(tmp_path / getattr(written, name)) for name in ("timetable", "history", "metrics")}
    assert read_plan(tmp_path / "load.json") == dataclasses.replace(written, **paths)


def test_the_wall_clock_of_the_start_is_worked_out(tmp_path: Path) -> None:
    in_five_seconds = dataclasses.replace(plan(), start_us=monotonic_us() + 5_000_000)
    start_unix_ms = write_plan(tmp_path / "load.json", in_five_seconds).start_unix_ms
    assert start_unix_ms == pytest.approx((time.time() + 5) * 1000, abs=500)


@pytest.mark.parametrize("text", ["", "{}", '{"run": 1}', "[]"])
def test_a_file_that_is_no_plan_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "load.json").write_text(text)
    with pytest.raises(ValueError, match=r"load\.json: not a load plan"):
        read_plan(tmp_path / "load.json")


def test_the_row_is_on_disk_when_invoke_returns(tmp_path: Path, make_diner: Callable[..., Diner]) -> None:
    with Ledger(tmp_path, "p1") as ledger:
        rows = ledger.rows(make_diner(4), "r1-4", ORDER)
        row = rows.invoke("order", intended_at_us=5, door="cloud")
        (stored,) = [json.loads(line) for line in (tmp_path / "p1.jsonl").read_text().splitlines()]
        assert (stored["event"], stored["order_id"], stored["op"]) == ("invoke", "k1", row.op)
        assert (row.intent_id, row.marker, row.items, row.body_hash) == (
            "r1-4",
            ORDER.note,
            ORDER.items,
            ORDER.body_hash,
        )
        rows.complete(row, Answer("ok", 201, level="R2", node_id="n1", epoch=1, seq=2))
    (attempt,) = read_history(tmp_path)
    assert (attempt.outcome, attempt.level, attempt.node_id, attempt.epoch, attempt.seq) == ("ok", "R2", "n1", 1, 2)
    assert attempt.door == "cloud"


def test_attempts_are_counted_for_each_kind(tmp_path: Path, make_diner: Callable[..., Diner]) -> None:
    with Ledger(tmp_path, "p1") as ledger:
        rows = ledger.rows(make_diner(0), "i", ORDER)
        assert [rows.invoke(kind, 0).attempt for kind in ("order", "order", "read", "order")] == [1, 2, 1, 3]


def test_submissions_fold_to_the_best_that_was_told(tmp_path: Path, make_diner: Callable[..., Diner]) -> None:
    with Ledger(tmp_path, "p1") as ledger:
        rows = ledger.rows(make_diner(0), "i", ORDER)
        assert rows.outcome == "fail"
        first, second, third = (rows.invoke("order", 0) for _ in range(3))
        assert rows.outcome == "indefinite"  # sent and not answered
        rows.complete(first, Answer("fail"))
        rows.complete(second, Answer("fail"))
        assert rows.outcome == "indefinite"
        rows.complete(third, Answer("fail"))
        assert rows.outcome == "fail"
        rows.complete(rows.invoke("order", 0), Answer("indefinite"))
        assert rows.outcome == "indefinite"
        rows.complete(rows.invoke("order", 0), Answer("ok"))
        assert rows.outcome == "ok"


def test_many_threads_write_whole_rows_with_numbers_of_their_own(
    tmp_path: Path, make_diner: Callable[..., Diner]
) -> None:
    with Ledger(tmp_path, "p1") as ledger:

        def write(number: int) -> None:
            rows = ledger.rows(make_diner(number), f"i{number}", dataclasses.replace(ORDER, order_id=f"k{number}"))
            for _ in range(200):
                rows.complete(rows.invoke("order", 0), Answer("ok"))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    attempts = read_history(tmp_path)
    assert len(attempts) == len({attempt.op for attempt in attempts}) == 800
    assert all(attempt.completed_at_us is not None for attempt in attempts)
