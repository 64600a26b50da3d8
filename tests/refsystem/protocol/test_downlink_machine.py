"""The downlink against a model: each number of the cloud makes exactly one record, whatever the store goes through (P15).

The same key comes through two doors, the edge's and the cloud's. The device that takes orders from the cloud loses what it had
not flushed, is promoted elsewhere, and gets answers of the cloud late or again. The model is told the cloud's numbers, and what
outsiders may have seen as committed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
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
from refsystem.protocol.device import SOUND, Parts
from refsystem.protocol.downlink import DownlinkOrder
from refsystem.protocol.log import Entry, Log
from refsystem.protocol.messages import Reply

KEYS = ("k1", "k2", "k3", "k4", "k5")
RIGHT_MINOR = 300
PRIMARY = 2
ORDERS = st.builds(
    order_of, st.sampled_from(KEYS), st.sampled_from("445"), st.sampled_from((RIGHT_MINOR, RIGHT_MINOR, 299))
)
LATE_MAX = 6


@cache
def content_of(entry: Entry) -> dict[str, Any]:
    return entry.content()


class Downlink(StoreMachine):
    """`orders` is the cloud's: number n is `orders[n - 1]`, each key once."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []
        self.late_answers: list[list[DownlinkOrder]] = []
        self.requests = 0

    # --- two doors -----------------------------------------------------------------------------------------------------

    @rule(order=ORDERS, at=PLACES, door=st.sampled_from(("cloud", "edge", "both")))
    def an_order_enters(self, order: Order, at: int, door: str) -> None:
        if door != "edge":
            self._enter_at_the_cloud(order)
        if door != "cloud":
            self._submit(self.box_at(at), order)

    def _enter_at_the_cloud(self, order: Order) -> None:
        if order.order_id not in {held.order_id for held in self.orders}:
            self.orders.append(order)

    def _submit(self, box: Box, order: Order) -> None:
        self.requests += 1
        self.store.put(box, "submit", self.requests, order)

    def on_reply(self, box: Box, reply: Reply) -> None:
        if reply.problem is not None:
            self.goals[reply.problem.slug] += 1

    # --- the downlink --------------------------------------------------------------------------------------------------

    @rule(order=ORDERS, at=PLACES, limit=st.integers(1, 3), late=st.booleans())
    def a_device_asks_for_orders(self, order: Order, at: int, limit: int, late: bool) -> None:
        """Just now one has entered at the cloud."""
        self._enter_at_the_cloud(order)
        self._ask(self.box_at(at), limit, late)

    @precondition(lambda self: self.late_answers)
    @rule(index=st.integers(0, LATE_MAX - 1), at=PLACES)
    def a_late_answer_arrives(self, index: int, at: int) -> None:
        """It may be one that another device has asked for, or this one in an earlier life."""
        self.store.put(self.box_at(at), "take_downlink", self.late_answers[index % len(self.late_answers)])

    def demand(self, box: Box | None, number: int) -> None:
        if box is not None and number:
            self._enter_at_the_cloud(order_of(KEYS[len(self.orders) % len(KEYS)]))
            self._ask(box, number, late=False)
        elif box is not None:
            self._submit(box, order_of(KEYS[-1]))

    def _ask(self, box: Box, limit: int, late: bool) -> None:
        """Only a primary asks; it may be none when the answer comes. A late answer comes after others, or never."""
        if box.device is None or box.paused or not box.device.is_primary:
            return
        answer = self._answer(box.device.replica.log.downlink_cursor, limit)
        self.late_answers = [*self.late_answers, answer][-LATE_MAX:]
        if not late:
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


GOALS = ("a promotion", "record: duplicate_of", "record: order", "record: refused")
GOALS_SLOW = (*GOALS, "entries set aside", "flushes lost in a crash", "record: conflict")


def test_each_number_makes_exactly_one_record() -> None:
    seen = run_machine(Downlink, examples=100, steps=50, goals=GOALS)
    assert [goal for goal in GOALS if not seen[goal]] == []


@pytest.mark.slow
def test_each_number_makes_exactly_one_record_in_many_more_sequences() -> None:
    seen = run_machine(Downlink, examples=400, steps=50, goals=GOALS_SLOW)
    assert [goal for goal in GOALS_SLOW if not seen[goal]] == []


# --- it can fail ---------------------------------------------------------------------------------------------------


class TakesWhateverIsAhead(downlink.Downlink):
    """Takes any number above the cursor, not only the next one."""

    def records(self, orders: Sequence[DownlinkOrder], at_ms: int = 0) -> list[dict[str, Any]]:
        ahead = [(number, order) for number, order in orders if number > self._log.downlink_cursor]
        return [self._record(number, order, {}) for number, order in ahead]


class CursorOutlivesLog(Log):
    """The cursor stays where it is when its record is set aside."""

    def set_aside(self, from_seq: int) -> tuple[Entry, ...]:
        numbers = list(self._downlink_numbers)
        aside = super().set_aside(from_seq)
        self._downlink_numbers = numbers
        return aside


def broken(parts: Parts) -> type[Downlink]:
    return type("BrokenDownlink", (Downlink,), {"parts": parts})


def test_two_doors_that_look_up_only_requests_are_found() -> None:
    failure = failure_of(broken(PROTOCOL_VARIANTS["two-doors"]), examples=2_000, steps=40)
    assert re.search("not (duplicate_of|conflict)|makes two orders", failure), failure


def a_tail_is_set_aside(machine: Downlink) -> None:
    """A takes number 1, cut off; B takes over without it and goes on; A comes back, sets it aside, and takes over again."""
    machine.begin(2, "available")
    machine.the_primary_is_cut_off(1_600, 1)
    machine.an_order_enters(order_of("k3"), PRIMARY, "edge")
    machine.time_passes(20)
    machine.the_primary_is_cut_off(1_600, 0)
    machine.the_primary_goes_and_comes_back(0, 1_600)
    machine.teardown()


def an_answer_comes_after_the_number_before_it_was_lost(machine: Downlink) -> None:
    """The device takes number 1, asks for what is behind it, and starts anew without what it had not flushed."""
    machine.begin(2, "available")
    machine.a_device_asks_for_orders(order_of("k1"), PRIMARY, 1, late=False)
    machine.a_device_asks_for_orders(order_of("k2"), PRIMARY, 1, late=True)
    machine.a_fault("crash and boot", PRIMARY, 0)
    machine.time_passes(20)
    machine.a_late_answer_arrives(1, PRIMARY)
    machine.each_number_makes_one_record_the_right_one()
    machine.teardown()


@pytest.mark.parametrize(
    ("story", "parts", "says"),
    [
        (a_tail_is_set_aside, replace(SOUND, log=CursorOutlivesLog), "1 numbers were given, 0 taken"),
        (a_tail_is_set_aside, PROTOCOL_VARIANTS["index-outlives-log"], "number 1 is duplicate_of, not order"),
        (
            an_answer_comes_after_the_number_before_it_was_lost,
            replace(SOUND, downlink=TakesWhateverIsAhead),
            "number 2 comes behind 0",
        ),
    ],
)
def test_what_is_too_rare_to_be_met_by_chance_is_found_when_it_is_told(
    story: Callable[[Downlink], None], parts: Parts, says: str
) -> None:
    story(Downlink())
    with pytest.raises(AssertionError, match=says):
        story(broken(parts)())
