"""What a store's entries mean for the cloud's orders: P14, P15."""

from __future__ import annotations

import copy
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsystem.cloud.merge import HeldOrder, merge, named_in, unmerge
from refsystem.protocol.log import GENESIS, chain, encode_record

IDS = [str(uuid.UUID(int=number)) for number in range(1, 5)]


def order(order_id, origin="edge", body_hash="aa", number=None):
    record = {"kind": "order", "order_id": order_id, "body_hash": body_hash, "channel": "qr", "table": "1"}
    record |= {"items": [["x", 1]], "total_minor": 5, "note": "n", "origin": origin, "version": 1}
    return record | ({"downlink_number": number} if number else {})


def told(kind, order_id, number):
    return {"kind": kind, "order_id": order_id, "downlink_number": number, "detail": ""}


def bump(order_id):
    return {"kind": "bump", "order_id": order_id, "version": 1, "station": "kitchen"}


def held(order_id, number=1, **changes):
    return HeldOrder(**({"order_id": order_id, "store": "s1", "body_hash": "aa", "number": number} | changes))


def after(records, *known):
    """The orders after `records`, by id: (store_seq, outcome, served); and the kinds of alarms."""
    entries = chain(1, GENESIS, [record if isinstance(record, str) else encode_record(record) for record in records])
    changes = merge("s1", entries, copy.deepcopy(known))
    orders = {o.order_id: o for o in known} | {o.order_id: o for o in changes.updated}
    orders |= {o.order_id: o for o, _ in changes.inserted}
    states = {order_id: (o.store_seq, o.outcome, o.served) for order_id, o in orders.items()}
    return states, [alarm.kind for alarm in changes.alarms]


A, B = IDS[0], IDS[1]


@pytest.mark.parametrize(
    ("records", "known", "states", "alarms"),
    [
        pytest.param([order(A)], [], {A: (1, "order", False)}, [], id="an order of the store is new"),
        pytest.param([order(A), bump(A)], [], {A: (1, "order", True)}, [], id="and served when its ticket is bumped"),
        pytest.param(
            [order(A), bump(A) | {"order_served": False}, order(B), bump(B) | {"order_served": True}],
            [],
            {A: (1, "order", False), B: (3, "order", True)},
            [],
            id="and of several tickets with the last one",
        ),
        pytest.param(
            [order(A, "cloud", number=1)], [held(A)], {A: (1, "order", False)}, [], id="an RC order comes back"
        ),
        pytest.param(
            [order(A)], [held(A)], {A: (1, "order", False)}, [], id="through both doors, same content: merged"
        ),
        pytest.param(
            [order(A), told("duplicate_of", A, 1), bump(A)],
            [held(A)],
            {A: (1, "duplicate_of", True)},
            [],
            id="and then its number is told to be a duplicate",
        ),
        pytest.param(
            [order(A, body_hash="bb"), told("conflict", A, 1)],
            [held(A)],
            {A: (None, "conflict", False)},
            ["key-held-with-other-content"],
            id="through both doors, other content: nothing is merged",
        ),
        pytest.param(
            [told("refused", A, 1)], [held(A)], {A: (None, "refused", False)}, [], id="an RC order is refused"
        ),
        pytest.param(
            [order(A)],
            [held(A, store="s2", number=None)],
            {A: (None, None, False)},
            ["key-held-with-other-content"],
            id="the key of another store's order",
        ),
        pytest.param(
            [order(A), order(A)], [], {A: (1, "order", False)}, ["order-repeated"], id="one key twice in a log"
        ),
        pytest.param(
            [order(A, "cloud", number=2)], [held(A)], {A: (None, None, False)}, ["downlink-unknown"], id="wrong number"
        ),
        pytest.param(
            [order(A, "cloud", "bb", 1)], [held(A)], {A: (None, None, False)}, ["downlink-altered"], id="altered"
        ),
        pytest.param(
            [told("refused", A, 1), order(A, "cloud", number=1)],
            [held(A)],
            {A: (None, "refused", False)},
            ["downlink-repeated"],
            id="two records for one number",
        ),
        pytest.param([bump(A)], [], {}, ["bump-without-order"], id="a bump of nothing"),
        pytest.param([{"kind": "later"}], [], {}, ["entry-unknown"], id="a kind of later times"),
        pytest.param([{"kind": "fork", "from_seq": 1}], [], {}, [], id="the record of a fork changes no order"),
        pytest.param(["7", "{", "[]"], [], {}, ["entry-malformed"] * 3, id="no records at all"),
        pytest.param([order(A) | {"note": "a\0"}], [], {}, ["entry-malformed"], id="a character that cannot be stored"),
        pytest.param([order(A) | {"items": ["\0"]}], [], {}, ["entry-malformed"], id="the same in a line"),
        pytest.param([order(A) | {"total_minor": 2**63}], [], {}, ["entry-malformed"], id="too large a number"),
        pytest.param([order("A"), order(B)], [], {B: (2, "order", False)}, ["entry-malformed"], id="others go on"),
    ],
)
def test_an_entry_does_what_the_protocol_says(records, known, states, alarms):
    assert after(records, *known) == (states, alarms)


def test_an_entry_that_names_an_order_is_looked_up():
    records = [order(B), told("refused", A, 3), {"kind": "bump", "order_id": "nonsense"}, order(A, "cloud", number=9)]
    entries = chain(1, GENESIS, [encode_record(record) for record in records])
    assert named_in(entries) == ([A, B], [3, 9])


RECORDS = st.one_of(
    st.builds(order, st.sampled_from(IDS), st.just("edge"), st.sampled_from(["aa", "bb"])),
    st.builds(order, st.sampled_from(IDS), st.just("cloud"), st.sampled_from(["aa", "bb"]), st.integers(1, 4)),
    st.builds(told, st.sampled_from(["duplicate_of", "conflict", "refused"]), st.sampled_from(IDS), st.integers(1, 4)),
    st.builds(bump, st.sampled_from(IDS)),
    st.builds(str, st.text(max_size=8)),
)


@given(st.lists(RECORDS, max_size=10), st.integers(0, 10), st.integers(0, 4))
def test_it_does_not_matter_how_a_log_is_cut_into_batches(records, cut, known_count):
    entries = chain(1, GENESIS, [record if isinstance(record, str) else encode_record(record) for record in records])
    known = [held(order_id, number) for number, order_id in enumerate(IDS[:known_count], start=1)]

    def run(*batches):
        orders = {o.order_id: copy.copy(o) for o in known}
        alarms = []
        for batch in batches:
            order_ids, numbers = named_in(batch)
            found = [copy.copy(o) for o in orders.values() if o.order_id in order_ids or o.number in numbers]
            changes = merge("s1", batch, found)
            assert not {o.order_id for o, _ in changes.inserted} & set(orders)
            assert {o.order_id for o in changes.updated} <= set(orders)
            for o in [*changes.updated, *(o for o, _ in changes.inserted)]:
                orders[o.order_id] = o
            alarms += changes.alarms
        return orders, alarms

    assert run(entries) == run(entries[:cut], entries[cut:])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists), st.data())
def test_no_value_in_a_record_raises(value, data):
    record = data.draw(RECORDS.filter(lambda record: isinstance(record, dict)))
    name = data.draw(st.sampled_from(sorted(record)))
    entries = chain(1, GENESIS, [json.dumps(record | {name: value})])
    named_in(entries)
    merge("s1", entries, [held(A)])


# --- across a fork (P19) -------------------------------------------------------------------------------------------


def left_behind(records, shared_seq, *known, last_number=10):
    """The orders after `records` and then after the fork behind `shared_seq`, by id: (number, store_seq, outcome, served)."""
    entries = chain(1, GENESIS, [encode_record(record) for record in records])
    orders = {o.order_id: copy.copy(o) for o in known}
    changes = merge("s1", entries, orders.values())
    orders |= {o.order_id: o for o in [*changes.updated, *(o for o, _ in changes.inserted)]}
    order_ids, numbers = named_in(entries[shared_seq:])
    found = [copy.copy(o) for o in orders.values() if o.order_id in order_ids or o.number in numbers]
    unmerged = unmerge("s1", shared_seq, entries[shared_seq:], found, last_number)
    orders |= {o.order_id: o for o in unmerged.updated}
    states = {order_id: (o.number, o.store_seq, o.outcome, o.served) for order_id, o in orders.items()}
    return states, unmerged.last_number, [alarm.kind for alarm in unmerged.alarms]


@pytest.mark.parametrize(
    ("records", "shared_seq", "known", "states", "last_number", "alarms"),
    [
        pytest.param(
            [order(A), order(B)],
            1,
            [],
            {A: (None, 1, "order", False), B: (11, None, None, False)},
            11,
            [],
            id="an order of the store that is left goes back under the next number",
        ),
        pytest.param(
            [order(B), order(A), bump(B)],
            0,
            [],
            {B: (11, None, None, False), A: (12, None, None, False)},
            12,
            [],
            id="numbers follow the order of the branch that was left",
        ),
        pytest.param(
            [order(A), bump(A)],
            1,
            [],
            {A: (None, 1, "order", False)},
            10,
            [],
            id="an order that stays and whose bump is left is not served yet",
        ),
        pytest.param(
            [order(A, "cloud", number=3), bump(A)],
            0,
            [held(A, 3)],
            {A: (3, None, None, False)},
            10,
            [],
            id="an order of the cloud is asked for again under its number",
        ),
        pytest.param(
            [told("refused", A, 3)],
            0,
            [held(A, 3)],
            {A: (3, None, None, False)},
            10,
            [],
            id="a refusal that is left is none",
        ),
        pytest.param(
            [order(A), told("duplicate_of", A, 3)],
            1,
            [held(A, 3)],
            {A: (3, 1, "order", False)},
            10,
            [],
            id="through both doors: it stays, and its number is asked for again",
        ),
        pytest.param(
            [order(A), told("duplicate_of", A, 3)],
            0,
            [held(A, 3)],
            {A: (3, None, None, False)},
            10,
            [],
            id="through both doors: all of it is left",
        ),
        pytest.param(
            [told("refused", A, 3), order(A)],
            1,
            [held(A, 3)],
            {A: (3, None, "refused", False)},
            10,
            ["forked-order-not-sent-back"],
            id="refused under its number, and taken at the other door: a person must look",
        ),
        pytest.param(
            [order(A), order(A, body_hash="bb")],
            1,
            [],
            {A: (None, 1, "order", False)},
            10,
            [],
            id="an entry that changed nothing takes nothing back",
        ),
    ],
)
def test_what_a_branch_had_made_is_taken_back_when_it_is_left(records, shared_seq, known, states, last_number, alarms):
    assert left_behind(records, shared_seq, *known) == (states, last_number, alarms)


def one_log(drawn):
    """As a store's log has it: one record for each number, an order once, one bump for each order."""
    seen, log = set(), []
    for record in drawn:
        marks = {("order" if record["kind"] == "order" else record["kind"], record["order_id"])}
        marks |= {("number", record["downlink_number"])} if "downlink_number" in record else set()
        if not marks & seen:
            seen |= marks
            log.append(record)
    return log


LOGS = st.lists(RECORDS.filter(lambda record: isinstance(record, dict)), max_size=12).map(one_log)


@given(LOGS, st.integers(0, 12), st.integers(0, 4))
def test_taking_back_leaves_what_the_shared_part_alone_had_made(records, shared_seq, known_count):
    known = [held(order_id, number) for number, order_id in enumerate(IDS[:known_count], start=1)]
    shared_seq = min(shared_seq, len(records))
    states, last_number, alarms = left_behind(records, shared_seq, *known)
    shared, _, _ = left_behind(records[:shared_seq], shared_seq, *known)
    fresh = [number for number, *_ in states.values() if number is not None and number > 10]
    assert sorted(fresh) == list(range(11, last_number + 1))
    for order_id, state in states.items():
        if order_id in shared:
            assert state == shared[order_id]
        else:
            assert state[0] in fresh
            assert state[1:] == (None, None, False)
    refused = {order_id for order_id, (_, seq, outcome, _) in shared.items() if outcome is not None and seq is None}
    assert len(alarms) <= len(refused)
