"""What the display keeps: P13, P17."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsystem.kitchen_display.store import Bump, KitchenStore, queries
from refsystem.protocol.log import GENESIS, Cursor, Entry, chain, encode_record
from refsystem.protocol.uplink import Accepted, Batch, Gap, HashMismatch, StaleSender


def batch(entries: tuple[Entry, ...], from_seq: int, to_seq: int, *, sender_epoch: int = 1) -> Batch:
    prev_hash = entries[from_seq - 2].hash if from_seq > 1 else ""
    return Batch("s1", sender_epoch, "node-a", from_seq, prev_hash, entries[from_seq - 1 : to_seq])


@pytest.fixture
def store(tmp_path):
    store = KitchenStore(tmp_path, kitchen_us=0)
    yield store
    store.close()


def shown(store: KitchenStore) -> list[str]:
    return [ticket["order_id"] for ticket in store.audit_tickets(0, 1000)]


def test_tickets_of_a_batch_are_shown_and_the_cursor_stands_behind_them(store, records):
    log = records.log(records.order("a"), records.order("b"))
    judgement, bumps = store.receive(batch(log, 1, 2), now_us=7)
    assert judgement == Accepted(log, log[-1].cursor)
    assert bumps == []
    assert store.place() == (log[-1].cursor, 1)
    tickets = store.audit_tickets(0, 10)
    assert tickets[0] == {
        "order_id": "a",
        "version": 1,
        "station": "kitchen",
        "marker": "rp-a",
        "seq": 1,
        "hash": log[0].hash,
        "shown_at_us": 7,
        "bumped_at_us": None,
        "given_up": False,
    }


def test_a_batch_that_comes_again_shows_nothing_twice_and_every_delivery_is_noted(store, records):
    log = records.log(records.order("a"), records.order("b"))
    store.receive(batch(log, 1, 1), now_us=1)
    store.receive(batch(log, 1, 2), now_us=2)
    store.receive(batch(log, 1, 2), now_us=3)
    assert shown(store) == ["a", "b"]
    assert [ticket["shown_at_us"] for ticket in store.audit_tickets(0, 10)] == [1, 2]
    assert [row["order_id"] for row in store.audit_deliveries(0, 10)] == ["a", "a", "b", "a", "b"]


def test_a_gap_a_stale_sender_and_a_wrong_hash_store_nothing_but_the_evidence(store, records):
    log = records.log(records.order("a"), records.order("b"), records.order("c"))
    store.receive(batch(log, 1, 1, sender_epoch=3), now_us=1)
    assert store.receive(batch(log, 3, 3, sender_epoch=3), now_us=2)[0] == Gap(2)
    assert store.receive(batch(log, 2, 2, sender_epoch=2), now_us=2)[0] == StaleSender(3)
    other = records.log(records.order("x"), records.order("y"))
    assert isinstance(store.receive(batch(other, 1, 2, sender_epoch=4), now_us=2)[0], HashMismatch)
    assert shown(store) == ["a"]
    # Higher epochs count even though nothing was stored; P13.
    assert store.place() == (log[0].cursor, 4)
    assert {row["judgement"] for row in store.audit_deliveries(0, 10)} == {
        "accepted",
        "gap",
        "stale-sender",
        "hash-mismatch",
    }


def test_a_ticket_is_done_by_itself_after_its_time_and_only_until_the_log_has_it(tmp_path, records):
    store = KitchenStore(tmp_path, kitchen_us=100)
    log = records.log(records.order("a"), records.order("b"), records.bump("a"))
    assert store.receive(batch(log, 1, 1), now_us=1000)[1] == []
    assert store.receive(batch(log, 2, 2), now_us=1099)[1] == []
    assert store.receive(batch(log, 3, 2), now_us=1100)[1] == [Bump("a", 1, "kitchen")]
    assert store.receive(batch(log, 3, 2), now_us=1150)[1] == [Bump("a", 1, "kitchen")]
    assert store.receive(batch(log, 3, 3), now_us=1160)[1] == []
    assert [ticket["bumped_at_us"] for ticket in store.audit_tickets(0, 10)] == [1160, None]
    assert store.counts() == (2, 1, 1)
    store.close()


def test_a_person_bumps_once_and_it_stays_pending_over_a_restart(tmp_path, records):
    store = KitchenStore(tmp_path, kitchen_us=0)
    log = records.log(records.order("a"), records.bump("a"))
    store.receive(batch(log, 1, 1), now_us=1)
    ticket = Bump("a", 1, "kitchen")
    assert store.ask_bump(Bump("nobody", 1, "kitchen"), 2) is None
    assert store.ask_bump(ticket, 2) == "pending"
    assert store.ask_bump(ticket, 3) == "pending"
    assert store.open_tickets(10) == []
    store.close()
    store = KitchenStore(tmp_path, kitchen_us=0)
    assert store.pending_bumps(10**15) == [ticket]
    store.receive(batch(log, 2, 2), now_us=5)
    assert store.pending_bumps(10**15) == []
    assert store.ask_bump(ticket, 6) == "bumped"
    store.close()


def test_at_most_200_bumps_go_back_at_a_time(tmp_path, records):
    store = KitchenStore(tmp_path, kitchen_us=1)
    log = records.log(*(records.order(str(number)) for number in range(250)))
    bumps = store.receive(batch(log, 1, 250), now_us=1)[1]
    assert bumps == []
    bumps = store.receive(batch(log, 251, 250), now_us=100)[1]
    assert [bump.order_id for bump in bumps] == [str(number) for number in range(200)]
    store.close()


def test_strange_records_do_not_hold_up_those_behind_them(store, records):
    strange = [
        "not json",
        "7",
        '{"kind":"order"}',
        '{"kind":"order","order_id":["x"],"version":1e400,"items":"?"}',
        '{"kind":"order","order_id":"\\ud800","version":99999999999999999999}',
        '{"kind":"bump","order_id":{},"version":[],"station":null}',
        '{"kind":"something-new"}',
    ]
    log = records.log(*strange, records.order("z"))
    assert isinstance(store.receive(batch(log, 1, 8), now_us=1)[0], Accepted)
    assert shown(store)[-1] == "z"
    assert store.open_tickets(10)[-1]["items"] == [["mapo-tofu", 2]]


def test_a_cursor_moved_outside_the_transaction_loses_tickets(tmp_path, records, monkeypatch):
    """The broken variant `cursor-outside-transaction` is a line or two, and a crash brings it out."""

    class Variant(KitchenStore):
        def take(self, batch, now_us):
            with self._transaction():
                judgement = self.judge_and_move(batch)
            with self._transaction():
                self.keep(batch, judgement, now_us)
            return judgement

    def crash(*_: object) -> None:
        raise apsw.FullError("the disk is full")

    log = records.log(records.order("a"))
    found = {}
    for kind in (KitchenStore, Variant):
        store = kind(tmp_path / kind.__name__, kitchen_us=0)
        with monkeypatch.context() as patched:
            patched.setattr(queries, "insert_tickets", crash)
            with pytest.raises(apsw.FullError):
                store.receive(batch(log, 1, 1), now_us=1)
        cursor = store.place()[0]
        store.receive(Batch("s1", 1, "node-a", cursor.seq + 1, cursor.hash, log[cursor.seq :]), now_us=2)
        found[kind] = shown(store)
        store.close()
    assert found == {KitchenStore: ["a"], Variant: []}


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12), st.integers(1, 3), st.booleans()), max_size=12))
def test_however_batches_come_tickets_are_those_of_the_log_up_to_the_cursor(steps):
    """Any batches of one log, repeated, overlapping, with gaps, across restarts and stale senders."""
    records = [
        encode_record({"kind": "order", "order_id": f"o{n // 2}" if n % 3 else f"p{n}", "items": [], "version": 1})
        for n in range(12)
    ]
    log = chain(1, GENESIS, records)
    highest = 0
    with TemporaryDirectory() as folder:
        store = KitchenStore(Path(folder), kitchen_us=0)
        cursor = GENESIS
        for from_seq, length, sender_epoch, restart in steps:
            judgement = store.take(batch(log, from_seq, from_seq + length - 1, sender_epoch=sender_epoch), 1)
            if sender_epoch < highest:
                assert judgement == StaleSender(highest)
            else:
                highest = sender_epoch
                if from_seq > cursor.seq + 1:
                    assert judgement == Gap(cursor.seq + 1)
                else:
                    last = min(12, from_seq + length - 1)
                    cursor = Cursor(last, log[last - 1].hash) if last > cursor.seq else cursor
            if restart:
                store.close()
                store = KitchenStore(Path(folder), kitchen_us=0)
            assert store.place() == (cursor, highest)
            expected = list(dict.fromkeys(entry.content()["order_id"] for entry in log[: cursor.seq]))
            assert shown(store) == expected
        store.close()
