"""What the display makes of a branch that its store has left (P19): every ticket stays, is shown once, and follows its order."""

from __future__ import annotations

import apsw
import pytest

from refsystem.kitchen_display.store import Bump, KitchenStore
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.log import Log, chain, encode_record
from refsystem.protocol.uplink import Accepted, Batch, Forked, HashMismatch, Matched, StaleSender

WORD = BreakGlass(("a-1",), "Li", "burnt down")


def extended(log, epoch, *records):
    longer = Log(log.slice(1, len(log), len(log)))
    longer.extend(chain(epoch, longer.last, records))
    return longer


def fork(log, from_seq):
    return encode_record(fork_record(WORD, from_seq, log.cursor(from_seq - 1).hash, "unreachable"))


def batch(log, from_seq, to_seq, *, epoch):
    entries, forks = log.slice(from_seq, to_seq, 1000), log.forks_told(len(log))
    return Batch("s1", epoch, f"node-{epoch}", from_seq, log.cursor(from_seq - 1).hash, entries, forks)


@pytest.fixture
def store(tmp_path):
    store = KitchenStore(tmp_path, kitchen_us=0)
    yield store
    store.close()


def marks(store):
    """Tickets by their order: where it stands, whether it was given up, when its bump came back."""
    return {row["order_id"]: (row["seq"], row["given_up"], row["bumped_at_us"]) for row in store.audit_tickets(0, 1000)}


def test_tickets_of_a_branch_that_is_left_stay_shown_and_are_marked(store, records):
    shared = extended(Log(), 2, records.order("a"))
    old = extended(shared, 3, records.order("b"), records.order("c"))
    new = extended(extended(shared, 2, records.order("t")), 4, fork(shared, 2))
    assert isinstance(store.receive(batch(old, 1, 3, epoch=3), 1)[0], Accepted)
    assert store.receive(batch(new, 1, 1, epoch=4), 2)[0] == Matched(shared.last)
    judgement = store.receive(batch(new, 2, 3, epoch=4), 3)[0]
    assert judgement == Forked(shared.last, new.slice(2, 3, 2), new.last)
    assert store.place() == (new.last, 4)
    assert marks(store) == {"a": (1, False, None), "t": (2, False, None), "b": (2, True, None), "c": (3, True, None)}
    assert [(row["order_id"], row["given_up"]) for row in store.open_tickets(10)] == [
        ("a", False),
        ("b", True),
        ("t", False),
        ("c", True),
    ]
    assert store.receive(batch(old, 3, 3, epoch=3), 4)[0] == StaleSender(4)


def test_an_order_that_comes_again_is_the_same_ticket_and_is_backed_by_the_new_branch(store, records):
    shared = extended(Log(), 2, records.order("a"))
    old = extended(shared, 3, records.order("b"))
    new = extended(shared, 4, fork(shared, 2), records.order("c"), records.order("b"))
    store.receive(batch(old, 1, 2, epoch=3), 1)
    store.receive(batch(new, 2, 4, epoch=4), 2)
    (ticket,) = [row for row in store.audit_tickets(0, 10) if row["order_id"] == "b"]
    assert (ticket["seq"], ticket["hash"], ticket["given_up"]) == (4, new.cursor(4).hash, False)
    assert ticket["shown_at_us"] == 1
    assert store.counts() == (3, 0, 3)


def test_what_the_cooks_have_done_is_told_to_the_new_branch(store, records):
    shared = extended(Log(), 2, records.order("a"))
    old = extended(shared, 3, records.order("b"), records.bump("a"), records.bump("b"))
    new = extended(shared, 4, fork(shared, 2))
    store.receive(batch(old, 1, 4, epoch=3), 1)
    assert store.counts() == (2, 2, 0)
    assert store.receive(batch(new, 2, 2, epoch=4), 2)[1] == [Bump("a", 1, "kitchen")]
    assert store.open_tickets(10) == [], "nothing is made twice"
    assert store.waiting() == 1, "what was given up is not waited for"
    # The other order is the store's again only when it comes back; then its bump is told, too.
    new = extended(new, 4, records.bump("a"), records.order("b"))
    assert store.receive(batch(new, 3, 4, epoch=4), 3)[1] == [Bump("b", 1, "kitchen")]
    new = extended(new, 4, records.bump("b"))
    assert store.receive(batch(new, 5, 5, epoch=4), 4)[1] == []
    assert marks(store) == {"a": (1, False, 3), "b": (4, False, 4)}


def test_a_fork_is_followed_over_a_restart(tmp_path, records):
    shared = extended(Log(), 2, records.order("a"))
    old = extended(shared, 3, records.order("b"))
    new = extended(shared, 4, fork(shared, 2), records.order("c"))
    for sent in (batch(old, 1, 2, epoch=3), batch(new, 1, 3, epoch=4), batch(new, 1, 3, epoch=4)):
        store = KitchenStore(tmp_path, kitchen_us=0)
        judgement = store.receive(sent, 1)[0]
        assert not isinstance(judgement, HashMismatch)
        store.close()
    store = KitchenStore(tmp_path, kitchen_us=0)
    assert store.place() == (new.last, 4)
    assert marks(store) == {"a": (1, False, None), "b": (2, True, None), "c": (3, False, None)}
    kinds = [row["judgement"] for row in store.audit_deliveries(0, 20)]
    assert kinds == ["accepted"] * 2 + ["forked"] * 3 + ["accepted"] * 3
    store.close()


def test_what_no_fork_explains_is_refused_still(store, records):
    shared = extended(Log(), 2, records.order("a"), records.order("b"))
    store.receive(batch(shared, 1, 2, epoch=2), 1)
    other = extended(Log(), 2, records.order("x"), records.order("b"))
    other = extended(other, 4, fork(other, 3))
    assert isinstance(store.receive(batch(other, 1, 3, epoch=4), 2)[0], HashMismatch)
    assert list(marks(store)) == ["a", "b"]


def test_a_file_of_an_earlier_version_follows_a_fork(tmp_path, records):
    """Its places are in what was delivered."""
    shared = extended(Log(), 2, records.order("a"))
    old = extended(shared, 3, records.order("b"), records.bump("a"))
    store = KitchenStore(tmp_path, kitchen_us=0)
    store.receive(batch(old, 1, 3, epoch=3), 1)
    store.close()
    connection = apsw.Connection(str(tmp_path / "kitchen.sqlite3"))
    connection.execute("DROP TABLE places; ALTER TABLE tickets DROP COLUMN given_up")
    connection.execute("ALTER TABLE tickets DROP COLUMN bumped_seq")
    connection.close()
    store = KitchenStore(tmp_path, kitchen_us=0)
    assert store.place() == (old.last, 3)
    new = extended(shared, 4, fork(shared, 2), records.order("c"))
    judgement = store.receive(batch(new, 1, 3, epoch=4), 2)[0]
    assert isinstance(judgement, Forked)
    assert marks(store)["b"] == (2, True, None)
    store.close()


def test_a_place_that_is_not_known_any_more_is_an_alarm_and_not_a_guess(tmp_path, records):
    old = extended(extended(Log(), 2, records.order("a")), 3, records.order("b"))
    store = KitchenStore(tmp_path, kitchen_us=0)
    store.receive(batch(old, 1, 2, epoch=3), 1)
    store.close()
    connection = apsw.Connection(str(tmp_path / "kitchen.sqlite3"))
    connection.execute("DELETE FROM places")
    connection.close()
    store = KitchenStore(tmp_path, kitchen_us=0)
    new = extended(Log(old.slice(1, 1, 1)), 4, fork(old, 2))
    assert isinstance(store.receive(batch(new, 1, 2, epoch=4), 2)[0], HashMismatch)
    assert store.place()[0] == old.last
    store.close()
