"""Acts from request bodies: what is accepted, and what the person is told otherwise, field by field."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from till import AT_MS, Till, uuid

from refsystem.ordering.check_acts import (
    CHECK_ACTS,
    STAFF_ACTS,
    SYSTEM_ACTS,
    Act,
    Pay,
    Split,
    Void,
    derived_id,
    parse_act,
    read_act,
)
from refsystem.ordering.errors import ACT_INVALID, KEY_MISSING, OrderRejected
from refsystem.ordering.order import parse_id, parse_key

PROPERTY = settings(max_examples=150, derandomize=True)
KEY = uuid(99)
BODIES: dict[str, dict[str, Any]] = {
    "transfer": {"check_id": uuid(1), "table": "7"},
    "merge": {"check_id": uuid(1), "other_check_id": uuid(2)},
    "split": {"check_id": uuid(1), "ways": 3},
    "void": {"check_id": uuid(1), "order_id": uuid(1), "line": 0, "quantity": 1, "reason": "dropped"},
    "comp": {"check_id": uuid(1), "order_id": uuid(1), "line": 0, "quantity": 1, "reason": "late"},
    "discount": {"check_id": uuid(1), "reason": "a regular", "amount_minor": 100},
    "pay": {"check_id": uuid(1), "tender": "cash", "amount_minor": 100, "given_minor": 200},
    "cancel_payment": {"attempt_id": uuid(1), "reason": "left"},
    "accept_payment": {"attempt_id": uuid(1), "reason": "a regular"},
    "refund": {"attempt_id": uuid(1), "amount_minor": 100, "reason": "cold"},
    "close": {"check_id": uuid(1)},
    "reopen": {"check_id": uuid(1), "reason": "cold"},
}


def told(body: Any) -> str:
    """What a person is told about a body that is not well formed."""
    with pytest.raises(OrderRejected) as rejection:
        parse_act(KEY, "Li", body)
    assert rejection.value.problem is ACT_INVALID
    return rejection.value.detail


@pytest.mark.parametrize("name", STAFF_ACTS)
def test_every_act_has_a_body_and_each_of_its_required_fields_is_named_when_missing(name: str) -> None:
    body = {"act": name, **BODIES[name]}
    assert type(parse_act(KEY, "Li", body).content) is STAFF_ACTS[name]
    kind = STAFF_ACTS[name]
    required = [each.name for each in dataclasses.fields(kind) if each.default is dataclasses.MISSING]
    assert required
    for field in required:
        short = {key: value for key, value in body.items() if key != field}
        assert told(short) == f"{field} is missing"


@pytest.mark.parametrize(
    ("change", "told_so"),
    [
        ({"act": "dance"}, "act must be one of transfer, merge, split, void"),
        ({"check_id": "7"}, "check_id must be a UUID"),
        ({"check_id": 7}, "check_id must be a UUID"),
        ({"line": -1}, "line must be a whole number from 0 to 99"),
        ({"line": True}, "line must be a whole number from 0 to 99"),
        ({"quantity": 0}, "quantity must be a whole number from 1 to 999"),
        ({"quantity": 1.0}, "quantity must be a whole number from 1 to 999"),
        ({"reason": ""}, "reason must be a text of 1 to 200 characters"),
        ({"reason": "   "}, "reason must be a text of 1 to 200 characters"),
        ({"reason": "a\x00b"}, "reason must be a text without control characters"),
        ({"reason": "\ud800"}, "reason must be a text without control characters"),
        ({"reason": "x" * 201}, "reason must be a text of 1 to 200 characters"),
        ({"amount_minor": 0}, "amount_minor is no field of the act void; it takes check_id, order_id, line"),
        ({"who": "me"}, "who is no field of the act void"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], told_so: str) -> None:
    assert told_so in told({"act": "void", **BODIES["void"], **change})


@pytest.mark.parametrize(
    ("lines", "told_so"),
    [
        ("x", "lines must be a list of 0 to 100"),
        ([{}] * 101, "lines must be a list of 0 to 100"),
        ([7], "lines[0] must be an object of order_id, line and quantity"),
        ([{"order_id": uuid(1), "line": 0, "quantity": 1}, {"order_id": "x"}], "lines[1].order_id must be a UUID"),
        ([{"order_id": uuid(1), "line": 0}], "lines[0].quantity must be a whole number from 1 to 999"),
    ],
)
def test_what_is_wrong_in_a_list_is_named_with_its_place(lines: Any, told_so: str) -> None:
    assert told_so in told({"act": "split", "check_id": uuid(1), "lines": lines})


@pytest.mark.parametrize("name", SYSTEM_ACTS)
def test_the_machine_s_own_acts_are_not_taken_from_outside(name: str) -> None:
    assert "act must be one of" in told({"act": name, "attempt_id": uuid(1), "outcome": "captured"})


@pytest.mark.parametrize("body", [None, 7, "pay", [], [["act", "close"]]])
def test_a_body_must_be_an_object(body: Any) -> None:
    assert told(body) == "the body must be a JSON object"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.just(uuid(1)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@PROPERTY
@given(st.sampled_from(sorted(STAFF_ACTS)), st.data())
def test_any_body_is_an_act_or_is_told_what_is_wrong_with_it(name: str, data: st.DataObject) -> None:
    body = {"act": name, **BODIES[name]}
    for field in data.draw(st.sets(st.sampled_from(sorted(BODIES[name])))):
        body[field] = data.draw(json_values)
    try:
        act = parse_act(KEY, "Li", body)
    except OrderRejected:
        assert any(field in told(body) for field in body)
    else:
        assert parse_act(KEY, "Wang", json.loads(json.dumps(body))).body_hash == act.body_hash
        assert act.record(AT_MS)["kind"] == "act"


def test_a_record_reads_back_as_the_act_that_it_was() -> None:
    till = Till()
    check_id = till.order({"beef-noodles": 3})
    for body in (
        {"act": "split", "check_id": check_id, "lines": [{"order_id": check_id, "line": 0, "quantity": 1}]},
        {"act": "void", "check_id": check_id, "order_id": check_id, "line": 0, "quantity": 1, "reason": "dropped"},
        {"act": "pay", "check_id": check_id, "tender": "card", "amount_minor": 500, "instrument": "token"},
    ):
        record = json.loads(json.dumps(till.say(**body)))
        act = read_act(record)
        assert act.record(AT_MS) == till.log[-1]
        assert json.loads(json.dumps(act.record(AT_MS))) == record
    assert isinstance(act.content, Pay)
    assert (act.content.attempt_id, act.content.parties) == (act.act_id, (("platform", 30), ("brand", 15)))


def test_the_hash_tells_contents_apart_and_not_who_asks_or_what_the_rules_add() -> None:
    body = {"act": "void", **BODIES["void"]}
    act = parse_act(KEY, "Li", body)
    assert parse_act(uuid(5), "Wang", body).body_hash == act.body_hash
    assert parse_act(KEY, "Li", {**body, "quantity": 2}).body_hash != act.body_hash
    assert parse_act(KEY, "Li", {**body, "act": "comp"}).body_hash != act.body_hash
    content = act.content
    assert isinstance(content, Void)
    decided = Void(content.check_id, content.order_id, 0, 1, content.reason, amount_minor=700, discount_cut_minor=3)
    assert Act(KEY, "Li", decided).body_hash == act.body_hash


def test_hashes_do_not_change_between_versions() -> None:
    assert parse_act(KEY, "", {"act": "void", **BODIES["void"]}).body_hash == "e56563267519281e"
    assert Act(KEY, "", Split(uuid(1), ((uuid(1), 0, 2),))).body_hash == "3781772375366498"


def test_a_key_in_any_spelling_is_one_key() -> None:
    assert parse_key(f'"{KEY.upper()}"') == KEY


def test_a_key_that_follows_from_something_is_the_stores_own_and_may_still_be_asked_for() -> None:
    """P6: whoever computes the key of an act that the store will make must not be able to take it."""
    own = derived_id(KEY, "captured")
    assert parse_id(own) == own
    with pytest.raises(OrderRejected) as rejection:
        parse_key(own)
    assert rejection.value.problem is KEY_MISSING


def test_a_damaged_record_is_told_as_damaged() -> None:
    record = Act(KEY, "Li", Split(uuid(1), ways=2)).record(AT_MS)
    for change in ({"act": "dance"}, {"act_id": "x"}, {"who": None}, {"check_id": ""}, {"shares_minor": [0]}):
        with pytest.raises(OrderRejected):
            read_act(record | change)
    assert set(CHECK_ACTS) == set(STAFF_ACTS) | set(SYSTEM_ACTS)
