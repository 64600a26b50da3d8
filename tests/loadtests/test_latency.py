"""Latency by outcome, response and service apart."""

from typing import Any

import pytest

from loadtests.latency import LONGEST_US, LatencyBook, latency_of_attempts, latency_of_orders
from simulator.history import Attempt


def attempt(order_id: str = "o1", **changes: Any) -> Attempt:
    usual: dict[str, Any] = {
        "process": "p",
        "op": 1,
        "store": "s1",
        "table": "T1",
        "channel": "qr",
        "intent_id": "i",
        "order_id": order_id,
        "attempt": 1,
        "kind": "order",
        "intended_at_us": 1000,
        "invoked_at_us": 3000,
        "completed_at_us": 4000,
        "outcome": "ok",
    }
    return Attempt(**{**usual, **changes})


def test_response_counts_from_the_intended_start_and_service_from_the_send() -> None:
    book = latency_of_orders([attempt()])
    assert book.percentile_us("ok", "response", 50) == pytest.approx(3000, rel=0.001)
    assert book.percentile_us("ok", "service", 50) == pytest.approx(1000, rel=0.001)


def test_fast_refusals_do_not_improve_the_percentiles_of_yes() -> None:
    slow = [attempt(f"ok{n}", completed_at_us=1_001_000) for n in range(10)]
    refused = [attempt(f"no{n}", outcome="fail", completed_at_us=3100) for n in range(1000)]
    book = latency_of_orders(slow + refused)
    assert book.percentile_us("ok", "response", 50) == pytest.approx(1_000_000, rel=0.001)
    assert (book.count("ok"), book.count("fail"), book.count("indefinite")) == (10, 1000, 0)


def test_an_order_counts_once_by_its_first_yes() -> None:
    rows = [
        attempt(outcome="indefinite", completed_at_us=9000),
        attempt(attempt=3, completed_at_us=70_000),
        attempt(attempt=2, completed_at_us=20_000),
        attempt(attempt=4, outcome="fail", completed_at_us=90_000),
    ]
    book = latency_of_orders(rows)
    assert [(row.outcome, row.side, row.count) for row in book.rows()] == [("ok", "response", 1), ("ok", "service", 1)]
    assert book.percentile_us("ok", "response", 100) == pytest.approx(19_000, rel=0.001)


def test_without_a_yes_the_indefinite_answer_decides_over_a_later_refusal() -> None:
    rows = [attempt(outcome="indefinite"), attempt(attempt=2, outcome="fail", completed_at_us=9000)]
    assert latency_of_orders(rows).count("indefinite") == 1


def test_an_attempt_without_an_answer_has_no_latency() -> None:
    assert latency_of_orders([attempt(completed_at_us=None)]).rows() == []


def test_reads_are_kept_apart_from_orders() -> None:
    rows = [attempt(), attempt(kind="read", completed_at_us=5000)]
    assert latency_of_orders(rows).count("ok") == 1
    assert latency_of_attempts(rows, "read").percentile_us("ok", "response", 50) == pytest.approx(4000, rel=0.001)


def test_percentiles_keep_three_digits() -> None:
    book = LatencyBook()
    for latency_us in range(1, 100_001):
        book.record("ok", "response", latency_us)
    assert book.percentile_us("ok", "response", 99.0) == pytest.approx(99_000, rel=0.001)


def test_what_is_out_of_range_counts_at_the_end_of_the_range() -> None:
    book = LatencyBook()
    book.record("ok", "response", -5)
    book.record("ok", "response", 2 * LONGEST_US)
    assert book.count("ok") == 2
    assert book.rows()[0].max_us == pytest.approx(LONGEST_US, rel=0.001)


def test_books_of_several_processes_add_up() -> None:
    one, other = latency_of_orders([attempt("a")]), latency_of_orders([attempt("b"), attempt("c", outcome="fail")])
    one.merge(other)
    assert (one.count("ok"), one.count("fail")) == (2, 1)


def test_an_empty_book_has_no_percentile() -> None:
    assert LatencyBook().percentile_us("ok", "response", 99) is None
