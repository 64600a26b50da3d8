"""The downlink against a model: each number of the cloud makes exactly one record, whatever the store goes through (P15).

The same key comes through two doors, the edge's and the cloud's. The device that takes orders from the cloud loses what it had
not flushed, is promoted elsewhere, and gets answers of the cloud late or again. The model is told the cloud's numbers, and what
outsiders may have seen as committed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machine_faults import PLACES, StoreMachine
from machine_runs import failure_of, run_machine
from machine_store import Box, order_of

from refsystem.ordering.order import Order
from refsystem.protocol import downlink
from refsystem.protocol.broken import PROTOCOL_VARIANTS
from refsystem.protocol.device import SOUND
from refsystem.protocol.downlink import DownlinkOrder
from refsystem.protocol.log import Entry, Log
from refsystem.protocol.messages import Reply

KEYS = ("k1", "k2", "k3", "k4")
RIGHT_MINOR = 300
LATE_MAX = 6


@cache
def content_of(entry: Entry) -> dict[str, Any]:
    return entry.content()


class Downlink(StoreMachine):
    """`orders` is the cloud's: number n is `orders[n - 1]`, each key once."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []
        self.late_answers: list[tuple[Box, int, list[DownlinkOrder]]] = []
        self.requests = 0

    # --- two doors -----------------------------------------------------------------------------------------------------

    @rule(key=st.sampled_from(KEYS), table=st.sampled_from("445"), total_minor=st.sampled_from((300, 300, 299)))
    def an_order_enters_at_the_cloud(self, key: str, table: str, total_minor: int) -> None:
        if key not in {order.order_id for order in self.orders}:
            self.orders.append(order_of(key, table, total_minor))

    @rule(key=st.sampled_from(KEYS), table=st.sampled_from("445"), at=PLACES)
    def an_order_enters_at_the_edge(self, key: str, table: str, at: int) -> None:
        self.requests += 1
        self.store.put(self.box_at(at), "submit", self.requests, order_of(key, table))

    def on_reply(self, box: Box, reply: Reply) -> None:
        if reply.problem is not None:
            self.goals[reply.problem.slug] += 1

    # --- the downlink --------------------------------------------------------------------------------------------------

    @rule(at=PLACES, limit=st.integers(1, 4), late=st.booleans())
    def a_device_asks_for_orders(self, at: int, limit: int, late: bool) -> None:
        """A late answer comes after others, or never. Only a primary asks; it may be none when the answer comes."""
        box = self.box_at(at)
        if box.device is None or box.paused or not box.device.is_primary:
            return
        answer = self._answer(box.device.replica.log.downlink_cursor, limit)
        self.late_answers = [*self.late_answers, (box, box.life, answer)][-LATE_MAX:]
        if not late:
            self.store.put(box, "take_downlink", answer)

    @precondition(lambda self: self.late_answers)
    @rule(index=st.integers(0, LATE_MAX - 1))
    def a_late_answer_arrives(self, index: int) -> None:
        box, life, answer = self.late_answers[index % len(self.late_answers)]
        if box.life == life:
            self.store.put(box, "take_downlink", answer)

    def _answer(self, after: int, limit: int) -> list[DownlinkOrder]:
        return [(after + step, order) for step, order in enumerate(self.orders[after : after + limit], 1)]

    # --- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def each_number_makes_one_record_the_right_one(self) -> None:
        """In what is committed, and in every log: what a device holds may all become committed (P10)."""
        if hasattr(self, "store"):
            for log in (self.store.committed, *self.store.logs()):
                self._check(log)

    def _check(self, log: Iterable[Entry]) -> None:
        bodies: dict[str, str] = {}
        cursor = 0
        for entry in log:
            content = content_of(entry)
            number = content.get("downlink_number")
            if number is not None:
                assert number == cursor + 1, f"number {number} comes behind {cursor}"
                cursor = number
                order = self.orders[number - 1]
                assert content["order_id"] == order.order_id, f"number {number} is another order"
                expected = self._expected(order, bodies)
                assert content["kind"] == expected, f"number {number} is {content['kind']}, not {expected}"
            if content["kind"] == "order":
                assert content["order_id"] not in bodies, f"{content['order_id']} makes two orders"
                bodies[content["order_id"]] = content["body_hash"]

    def _expected(self, order: Order, bodies: dict[str, str]) -> str:
        if order.order_id in bodies:
            return "duplicate_of" if bodies[order.order_id] == order.body_hash else "conflict"
        return "order" if order.total_minor == RIGHT_MINOR else "refused"

    def at_the_end(self) -> None:
        """All that the cloud has numbered comes into the log, once it is asked for."""
        primary = self.store.primary
        assert primary is not None
        assert primary.device is not None
        for _ in range(len(self.orders) + 1):
            answer = self._answer(primary.device.replica.log.downlink_cursor, 2)
            self.store.put(primary, "take_downlink", answer)
            self.store.run(20)
        self.each_number_makes_one_record_the_right_one()
        contents = [content_of(entry) for entry in self.store.committed]
        taken = [content["kind"] for content in contents if content.get("downlink_number") is not None]
        assert len(taken) == len(self.orders), f"{len(self.orders)} numbers were given, {len(taken)} taken"
        for kind in taken:
            self.goals[f"record: {kind}"] += 1


GOALS = (
    "flushes lost in a crash",
    "a promotion",
    "record: conflict",
    "record: duplicate_of",
    "record: order",
    "record: refused",
)


def test_each_number_makes_exactly_one_record() -> None:
    seen = run_machine(Downlink, examples=150, steps=50)
    assert [goal for goal in GOALS if not seen[goal]] == []


@pytest.mark.slow
def test_each_number_makes_exactly_one_record_in_many_more_sequences() -> None:
    seen = run_machine(Downlink, examples=1_200, steps=50)
    assert [goal for goal in (*GOALS, "entries set aside") if not seen[goal]] == []


# --- it can fail ---------------------------------------------------------------------------------------------------


class TakesWhateverIsAhead(downlink.Downlink):
    """Takes any number above the cursor, not only the next one."""

    def records(self, orders: Sequence[DownlinkOrder]) -> list[dict[str, Any]]:
        ahead = [(number, order) for number, order in orders if number > self._log.downlink_cursor]
        return [self._record(number, order, {}) for number, order in ahead]


class CursorOutlivesLog(Log):
    """The cursor stays where it is when its record is set aside."""

    def set_aside(self, from_seq: int) -> tuple[Entry, ...]:
        numbers = list(self._downlink_numbers)
        aside = super().set_aside(from_seq)
        self._downlink_numbers = numbers
        return aside


def broken(variant: str) -> type[Downlink]:
    own = {
        "takes whatever is ahead": replace(SOUND, downlink=TakesWhateverIsAhead),
        "cursor outlives the log": replace(SOUND, log=CursorOutlivesLog),
    }
    return type("BrokenDownlink", (Downlink,), {"parts": (own | PROTOCOL_VARIANTS)[variant]})


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("two-doors", "is order, not (duplicate_of|conflict)|makes two orders"),
        ("takes whatever is ahead", "comes behind"),
        ("cursor outlives the log", "comes behind|numbers were given"),
    ],
)
def test_a_broken_variant_is_found(variant: str, says: str) -> None:
    failure = failure_of(broken(variant), examples=3_000, steps=40)
    assert re.search(says, failure), failure
