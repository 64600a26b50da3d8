"""What a reply of the reference stack tells the client."""

import json
from typing import Any

import pytest

from loadtests.contract import ReferenceApi, Reply, Trouble, answer_to_trouble, classify, load_api
from refsystem.ordering.errors import NOT_PRIMARY, OUTCOME_UNKNOWN, PROBLEMS, TYPE_PREFIX, Problem
from refsystem.ordering.order import Order, parse_order

KEY = "01a20132-e8b1-7000-8000-0000000003e8"


def reply(status: int, document: Any = None, **headers: str) -> Reply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Reply(status, headers, body)


def told(**changes: Any) -> dict[str, Any]:
    usual = {"order_id": KEY, "level": "R2", "node_id": "n1", "epoch": 3, "seq": 9, "total_minor": 10}
    return {**usual, "status": "committed", **changes}


def test_a_201_is_ok_and_carries_the_level_and_the_place_in_the_log() -> None:
    answer = classify("order", KEY, reply(201, told()))
    assert (answer.outcome, answer.level, answer.node_id, answer.epoch, answer.seq) == ("ok", "R2", "n1", 3, 9)
    assert (answer.total_minor, answer.served, answer.asks_again) == (10, False, False)


def test_the_cloud_answers_without_epoch_and_seq() -> None:
    answer = classify("order", KEY, reply(201, told(level="RC", node_id="cloud", epoch=None, seq=None)))
    assert (answer.outcome, answer.level, answer.epoch, answer.seq) == ("ok", "RC", None, None)


def test_an_unknown_level_is_not_taken_for_an_acknowledged_one() -> None:
    assert classify("order", KEY, reply(201, told(level="R9"))).level is None


def test_a_read_says_when_the_order_was_served() -> None:
    assert classify("read", KEY, reply(200, told(status="served"))).served


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_yes_that_cannot_be_read_is_indefinite(body: bytes) -> None:
    answer = classify("order", KEY, reply(201, body))
    assert (answer.outcome, answer.problem, answer.asks_again) == ("indefinite", "reply-unreadable", True)


def test_a_yes_about_another_order_is_indefinite() -> None:
    assert classify("order", KEY, reply(201, told(order_id="x"))).outcome == "indefinite"


@pytest.mark.parametrize("kind", PROBLEMS.values(), ids=lambda kind: kind.slug)
def test_every_problem_of_the_stack_is_as_definite_as_it_says(kind: Problem) -> None:
    answer = classify("order", KEY, reply(kind.status, {"type": kind.type, "status": kind.status}))
    assert answer.outcome == ("fail" if kind.definite else "indefinite")
    assert answer.problem == kind.slug
    assert answer.asks_again == (kind.status == 503)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302])
@pytest.mark.parametrize("document", [None, [], {}, {"type": 5}, {"type": "about:blank", "definite": True}])
def test_a_server_error_of_unknown_type_is_indefinite_whatever_it_claims(status: int, document: Any) -> None:
    answer = classify("order", KEY, reply(status, document))
    assert (answer.outcome, answer.asks_again) == ("indefinite", True)


def test_a_definite_type_counts_only_with_status_503() -> None:
    assert classify("order", KEY, reply(500, {"type": NOT_PRIMARY.type})).outcome == "indefinite"


@pytest.mark.parametrize(("status", "again"), [(400, False), (404, False), (422, False), (408, True), (429, True)])
def test_a_client_error_is_definite_and_only_some_are_worth_asking_again(status: int, again: bool) -> None:
    answer = classify("order", KEY, reply(status, b"<html>"))
    assert (answer.outcome, answer.problem, answer.asks_again) == ("fail", f"http-{status}", again)


def test_not_primary_gives_the_hint_and_sends_the_client_elsewhere() -> None:
    document = {"type": NOT_PRIMARY.type, "primary_hint": "http://b"}
    answer = classify("order", KEY, reply(503, document, **{"retry-after": "1"}))
    assert (answer.primary_hint, answer.elsewhere, answer.retry_after_ms) == ("http://b", True, 1000)


def test_an_unknown_outcome_is_asked_again_at_the_same_place() -> None:
    assert not classify("order", KEY, reply(503, {"type": OUTCOME_UNKNOWN.type})).elsewhere


@pytest.mark.parametrize("header", ["", "soon", "inf", "nan", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_does_no_harm(header: str) -> None:
    assert classify("order", KEY, reply(503, None, **{"retry-after": header})).retry_after_ms in (None, 0)


def test_only_trouble_before_the_first_byte_is_definite() -> None:
    assert answer_to_trouble(Trouble("connection-refused", sent=False)).outcome == "fail"
    lost = answer_to_trouble(Trouble("timeout", sent=True))
    assert (lost.outcome, lost.problem, lost.elsewhere, lost.asks_again) == ("indefinite", "timeout", True, True)


def test_the_stack_can_read_what_the_adapter_sends() -> None:
    order = Order(KEY, "mini_program", "pickup", (("beef-noodles", 2),), 6400, "rp-r-1-0")
    request = ReferenceApi().order("cloud", "s1", order)
    assert request.headers["Idempotency-Key"] == KEY
    assert parse_order(KEY, json.loads(request.body)) == order
    assert json.loads(request.body)["store"] == "s1"
    assert "store" not in json.loads(ReferenceApi().order("edge", "s1", order).body)


def test_an_adapter_is_found_by_its_name() -> None:
    assert isinstance(load_api("loadtests.contract:ReferenceApi"), ReferenceApi)


@pytest.mark.parametrize("name", ["", "loadtests.contract", "loadtests.contract:Nobody", "no.such.module:X"])
def test_a_wrong_adapter_is_named_in_the_error(name: str) -> None:
    with pytest.raises(ValueError, match="adapter"):
        load_api(name)


def test_all_types_share_the_prefix_that_the_slug_is_cut_from() -> None:
    assert all(kind.startswith(TYPE_PREFIX) for kind in PROBLEMS)
