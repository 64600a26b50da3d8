"""Acts on their way into the log and out of it: as orders go (P5, P6, P20), through whole devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from machine_store import Box, Store

from refsystem.ordering.book import Book
from refsystem.ordering.check_acts import Act, Comp, Pay, parse_act
from refsystem.ordering.errors import (
    AMOUNT_OVER_DUE,
    CHECK_CLOSED,
    CHECK_UNKNOWN,
    KEY_REUSED,
    NOT_PRIMARY,
    ORDER_UNKNOWN,
    OUTCOME_UNKNOWN,
    OVERLOADED,
)
from refsystem.ordering.order import Order, body_hash
from refsystem.ordering.payment import PaymentState
from refsystem.protocol.device import SOUND
from refsystem.protocol.messages import Reply

AT_MS = 1_700_000_000_000
RICE = (("steamed-rice", 2),)


def uuid(number: int) -> str:
    return str(UUID(int=number))


def order(number: int, check_id: str = "") -> Order:
    return Order(uuid(number), "qr", "4", RICE, 600, "", check_id)


def pay(number: int, check_id: str, amount_minor: int = 600) -> Act:
    return Act(uuid(number), "Li", Pay(check_id, "cash", amount_minor, amount_minor))


class Conversation:
    """A store of two devices, and all that was answered, by request."""

    def __init__(self, members: int = 2) -> None:
        self.replies: dict[int, Reply] = {}
        self.store = Store(members, "available", SOUND, self._note)
        self.count = 0
        self.store.run(3_000)
        assert self.primary.device is not None
        assert len(self.primary.device.replica.members) == members

    def _note(self, box: Box, reply: Reply) -> None:
        assert reply.request_id not in self.replies, "answered once"
        self.replies[reply.request_id] = reply

    @property
    def primary(self) -> Box:
        found = self.store.primary
        assert found is not None
        return found

    @property
    def book(self) -> Book:
        assert self.primary.device is not None
        return self.primary.device.book

    def begin(self, what: Order | Act | Any, box: Box | None = None) -> int:
        """Hand in an order, an act, or what finds checks; the number of the request."""
        self.count += 1
        box = box or self.primary
        device = box.device
        assert device is not None
        if isinstance(what, Order):
            device.submit(self.count, what, self.store.now_us)
        elif isinstance(what, Act):
            device.submit_act(self.count, what, AT_MS, self.store.now_us)
        else:
            device.read_checks(self.count, what, self.store.now_us)
        self.store._pump(box)
        return self.count

    def told(self, what: Order | Act | Any) -> Reply:
        request_id = self.begin(what)
        self.store.run(500)
        return self.replies[request_id]


def test_orders_without_a_check_keep_their_hash_and_one_with_a_check_has_another():
    assert body_hash("qr", "4", RICE, 600, "no chilli") == "221518827e9afee3"
    assert order(1).body_hash != order(1, uuid(9)).body_hash
    ahead = {replace(order(1), pickup_at_s=at_s).body_hash for at_s in (0, 60, 120)}
    assert len(ahead) == 3, "another time is another content"


def test_an_act_is_told_at_r2_and_a_repeated_key_is_the_same_act():
    store = Conversation()
    assert store.told(order(1)).problem is None
    first = store.told(pay(2, uuid(1)))
    assert (first.problem, first.level, first.replayed) == (None, "R2", False)
    again = store.told(pay(2, uuid(1)))
    assert (again.problem, again.replayed, again.entry) == (None, True, first.entry)
    assert store.told(pay(2, uuid(1), 500)).problem is KEY_REUSED
    assert [payment.amount_minor for payment in store.book.check(uuid(1)).payments] == [600]


def test_an_orders_key_is_no_acts_key_and_an_act_is_no_order():
    store = Conversation()
    store.told(order(1))
    assert store.told(pay(1, uuid(1))).problem is KEY_REUSED
    store.told(pay(2, uuid(1)))
    assert store.told(order(2)).problem is KEY_REUSED
    store.count += 1
    store.store.put(store.primary, "read", store.count, uuid(2))
    store.store.run(500)
    assert store.replies[store.count].problem is ORDER_UNKNOWN


def test_nothing_of_an_act_is_told_or_shown_before_its_commit():
    store = Conversation()
    store.told(order(1))
    standby = next(box for box in store.store.boxes if box is not store.primary)
    standby.disk_stalls = True
    paying = store.begin(pay(2, uuid(1)))
    repeated = store.begin(pay(2, uuid(1)))
    reading = store.begin(lambda book: (book.check(uuid(1)),))
    store.store.run(100)
    assert not {paying, repeated, reading} & set(store.replies)
    standby.disk_stalls = False
    store.store.run(200)
    assert store.replies[repeated].replayed
    (check,) = store.replies[reading].checks
    assert [payment.state for payment in check.payments] == [PaymentState.CAPTURED]


def test_a_check_is_shown_as_it_stood_when_it_was_asked_for():
    store = Conversation()
    store.told(order(1))
    standby = next(box for box in store.store.boxes if box is not store.primary)
    reading = store.begin(lambda book: book.checks_at("4"))
    standby.disk_stalls = True
    store.begin(pay(2, uuid(1)))
    store.store.run(100)
    (check,) = store.replies[reading].checks
    assert check.payments == ()


def test_no_check_is_told_only_after_a_round_trip_to_the_other_member():
    store = Conversation()
    store.store.link = "held"
    reading = store.begin(lambda book: (book.check(uuid(1)),))
    store.store.run(50)
    assert reading not in store.replies
    store.store.link = "up"
    store.store.run(500)
    assert store.replies[reading].problem is CHECK_UNKNOWN
    assert store.told(lambda book: book.checks_at("4")).problem is CHECK_UNKNOWN


def test_what_the_rules_do_not_allow_leaves_no_trace():
    store = Conversation()
    store.told(order(1))
    store.told(pay(2, uuid(1)))
    last_seq = store.primary.device.replica.log.last.seq  # type: ignore[union-attr]
    assert store.told(order(3, uuid(1))).problem is CHECK_CLOSED
    assert store.told(pay(4, uuid(1))).problem is CHECK_CLOSED
    assert store.told(order(5)).problem is None
    assert store.told(pay(6, uuid(5), 601)).problem is AMOUNT_OVER_DUE
    assert store.primary.device.replica.log.last.seq == last_seq + 1  # type: ignore[union-attr]
    assert store.told(order(3)).problem is None, "a refused order may come again, on a check of its own"


def test_an_act_that_is_set_aside_leaves_the_book_with_its_entry_and_may_come_again():
    store = Conversation()
    store.told(order(1))
    old = store.primary
    store.store.link = "cut"
    old.reach = "cut"
    lost = store.begin(pay(2, uuid(1)))
    store.store.run(3_000)
    assert store.primary is not old
    assert store.replies.get(lost, Reply(0, OUTCOME_UNKNOWN)).problem in (OUTCOME_UNKNOWN, NOT_PRIMARY)
    assert store.told(order(3)).problem is None
    store.store.heal()
    store.store.run(5_000)
    assert old.device is not None
    assert old.device.book.check(uuid(1)).payments == ()
    assert old.device.replica.log.key(uuid(2)) is None
    assert store.told(pay(2, uuid(1))).problem is None
    assert old.device.book.check(uuid(1)).payments == store.book.check(uuid(1)).payments != ()


def test_a_restarted_device_has_the_same_book():
    store = Conversation(1)
    store.told(order(1))
    store.told(order(2, uuid(1)))
    store.told(Act(uuid(3), "Li", Comp(uuid(1), uuid(2), 0, 1, "cold")))
    before = store.book.checks
    (box,) = store.store.boxes
    store.store.crash(box, 0)
    store.store.boot(box)
    store.store.run(3_000)
    assert store.book.checks == before
    assert before[0].total_minor == 900


def test_an_act_beyond_the_limit_is_refused_before_anything_is_written():
    store = Conversation(1)
    store.told(order(1))
    store.primary.disk_stalls = True
    began = [store.begin(pay(number, uuid(1), 1)) for number in range(10, 20)]
    refused = [store.replies[number].problem for number in began if number in store.replies]
    assert refused
    assert set(refused) == {OVERLOADED}


def test_an_act_in_a_request_is_read_with_the_key_and_the_person_of_the_request():
    act = parse_act(uuid(2), "waiter Li", {"act": "close", "check_id": uuid(1)})
    assert (act.act_id, act.who) == (uuid(2), "waiter Li")
