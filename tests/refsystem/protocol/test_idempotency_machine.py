"""Requests against a model: under any faults one key makes one order, and who is told something is told the truth (P5, P6, P20).

Devices crash, lose what they had not flushed, are promoted, paused and cut off; keys are sent again with the same content or with
another; answers come late. The model knows what was asked, what was told, and what outsiders may have seen as committed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Literal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from machine_faults import PLACES, StoreMachine
from machine_runs import failure_of, run_machine
from machine_store import MS, TIMING, Box, order_of

from refsystem.ordering.errors import KEY_REUSED, ORDER_UNKNOWN
from refsystem.ordering.order import Order
from refsystem.protocol.broken import PROTOCOL_VARIANTS
from refsystem.protocol.log import Cursor, Entry
from refsystem.protocol.messages import Reply

KEYS = ("k1", "k2", "k3")
Content = tuple[str, str]
"""What an order is told apart by: its key and the hash of its body."""


@dataclass(frozen=True)
class Asked:
    """A request that waits for its answer. `known`: the order was committed already when it was asked for."""

    kind: Literal["submit", "read"]
    order: Order
    box: Box
    life: int
    at_us: int
    pauses: int
    known: bool

    @property
    def content(self) -> Content:
        return self.order.order_id, self.order.body_hash


@cache
def content_of(entry: Entry) -> Content | None:
    record = entry.content()
    return (record["order_id"], record["body_hash"]) if record["kind"] == "order" else None


class Idempotency(StoreMachine):
    """`possible` counts, for each content, the requests that may have left a trace: answered yes, not clearly, or not yet."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[int, Asked] = {}
        self.answered: set[int] = set()
        self.told: dict[Content, Cursor] = {}
        self.possible: Counter[Content] = Counter()

    @property
    def committed_orders(self) -> dict[str, Entry]:
        return {content[0]: entry for entry in self.store.committed if (content := content_of(entry)) is not None}

    # --- requests ------------------------------------------------------------------------------------------------------

    @rule(
        key=st.sampled_from(KEYS),
        table=st.sampled_from("445"),
        total_minor=st.sampled_from((300, 300, 300, 299)),
        at=PLACES,
        times=st.integers(1, 2),
    )
    def submit(self, key: str, table: str, total_minor: int, at: int, times: int) -> None:
        for _ in range(times):
            self._ask("submit", order_of(key, table, total_minor), at)

    @rule(key=st.sampled_from(KEYS), at=PLACES)
    def read(self, key: str, at: int) -> None:
        self._ask("read", order_of(key), at)

    def _ask(self, kind: Literal["submit", "read"], order: Order, at: int) -> int | None:
        return self._ask_at(kind, order, self.box_at(at))

    def _ask_at(self, kind: Literal["submit", "read"], order: Order, box: Box) -> int | None:
        if box.device is None:
            return None
        request_id = len(self.asked) + len(self.answered) + 1
        known = order.order_id in self.committed_orders
        self.asked[request_id] = Asked(kind, order, box, box.life, self.store.now_us, box.pauses, known)
        if kind == "submit":
            self.possible[order.order_id, order.body_hash] += 1
        self.store.put(box, kind, request_id, order if kind == "submit" else order.order_id)
        return request_id

    def demand(self, box: Box | None, number: int) -> None:
        if box is not None:
            self._ask_at("submit", order_of(KEYS[number]), box)

    def on_end_of_life(self, box: Box) -> None:
        for request_id, asked in list(self.asked.items()):
            if asked.box is box:
                self.answered.add(request_id)
                del self.asked[request_id]

    # --- answers -------------------------------------------------------------------------------------------------------

    def on_reply(self, box: Box, reply: Reply) -> None:
        asked = self.asked.pop(reply.request_id, None)
        assert asked is not None, f"request {reply.request_id} is answered twice"
        assert (asked.box, asked.life) == (box, box.life), "answered by another process"
        self.answered.add(reply.request_id)
        self.goals[f"{asked.kind}: {reply.problem.slug if reply.problem else reply.level}"] += 1
        if reply.problem is None:
            self._told_yes(asked, reply)
            return
        if asked.kind == "submit" and reply.problem.definite:
            self.possible[asked.content] -= 1
        if reply.problem is ORDER_UNKNOWN:
            assert not asked.known, f"{asked.order.order_id} is told absent, and was committed before it was asked for"
        if reply.problem.status < 500:
            assert asked.content not in self.told or asked.kind == "read", f"{asked.content} was told yes, and now no"
        if reply.problem is KEY_REUSED:
            holder = self.committed_orders.get(asked.order.order_id)
            assert holder is not None, f"{asked.content} is refused for content that is not committed"
            assert content_of(holder) != asked.content, f"{asked.content} is refused as reused and is what is committed"

    def _told_yes(self, asked: Asked, reply: Reply) -> None:
        entry = reply.entry
        assert entry is not None
        assert entry in self.store.committed[entry.seq - 1 : entry.seq], (
            f"{asked.content} is acknowledged before its commit"
        )
        content = content_of(entry)
        assert content is not None
        assert content == asked.content or (asked.kind == "read" and content[0] == asked.content[0]), (
            "another order is told"
        )
        place = self.told.setdefault(content, entry.cursor)
        assert place == entry.cursor, f"{content} was at {place.seq} and is at {entry.seq}"
        boxes = [box for box in self.store.boxes if box.disk.holds(entry.cursor)]
        assert len(boxes) >= (2 if reply.level == "R2" else 1), (
            f"{content} is acknowledged {reply.level} with {len(boxes)} copies"
        )
        assert reply.level == "R2" or self.policy == "available", (
            f"{reply.level} is told, and the policy is {self.policy}"
        )

    # --- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def one_key_makes_one_order(self) -> None:
        contents = [content for entry in self._committed() if (content := content_of(entry)) is not None]
        assert len({key for key, _ in contents}) == len(contents), f"one key, two orders: {contents}"

    @invariant()
    def what_was_told_no_is_nowhere(self) -> None:
        """A refusal that says "nothing was written" never comes before the order shows up."""
        for log in self.store.logs() if hasattr(self, "store") else ():
            for entry in log:
                content = content_of(entry)
                assert content is None or self.possible[content] > 0, (
                    f"{content} is held, and was told to have left no trace"
                )

    @invariant()
    def nobody_waits_too_long(self) -> None:
        for asked in self.asked.values():
            waits_us = self.store.now_us - asked.at_us - TIMING.request_timeout_us - TIMING.heartbeat_us
            asleep = asked.box.paused or asked.box.pauses != asked.pauses
            assert asleep or waits_us <= 0, f"{asked.kind} {asked.content} waits {waits_us / MS} ms too long"

    def _committed(self) -> list[Entry]:
        return self.store.committed if hasattr(self, "store") else []

    def at_the_end(self) -> None:
        """Everybody has an answer. Who asks again, by either way, is told the same as before."""
        self.store.run((TIMING.request_timeout_us + TIMING.heartbeat_us) // MS)
        assert self.asked == {}, f"healed, and nobody answers {self.asked}"
        for (key, body_hash), place in list(self.told.items()):
            assert self.store.committed[place.seq - 1].cursor == place, f"{key} was told yes and is gone"
            table = next(table for table in "45" if order_of(key, table).body_hash == body_hash)
            for request_id in (self._ask("submit", order_of(key, table), 2), self._ask("read", order_of(key), 2)):
                assert request_id in self.answered, f"healed, and {key} waits"
            assert self.told[key, body_hash] == place


GOALS = (
    "a promotion",
    "submit: R1",
    "submit: R2",
    "submit: key-reused",
    "submit: not-primary",
    "submit: outcome-unknown",
)
GOALS_SLOW = (
    *GOALS,
    "entries set aside",
    "flushes lost in a crash",
    "read: R1",
    "read: R2",
    "read: not-confirmed",
    "read: order-unknown",
    "submit: overloaded",
    "submit: price-changed",
    "submit: standby-required",
)


def test_one_key_makes_one_order_and_every_answer_is_true() -> None:
    seen = run_machine(Idempotency, examples=100, steps=50, goals=GOALS)
    assert [goal for goal in GOALS if not seen[goal]] == []


@pytest.mark.slow
def test_one_key_makes_one_order_in_many_more_sequences() -> None:
    seen = run_machine(Idempotency, examples=400, steps=50, goals=GOALS_SLOW)
    assert [goal for goal in GOALS_SLOW if not seen[goal]] == []


# --- it can fail ---------------------------------------------------------------------------------------------------


def broken(variant: str) -> type[Idempotency]:
    return type("BrokenIdempotency", (Idempotency,), {"parts": PROTOCOL_VARIANTS[variant]})


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("acknowledge-before-standby", "has not flushed it"),
        ("repeated-key-answered-at-once", "before its commit|policy is require_r2|content that is not committed"),
        ("index-outlives-log", "another order is told|acknowledged before its commit|healed, and k. waits"),
        ("early-shrink", "has not flushed it|two contents"),
        ("match-by-previous-hash", "has not flushed it|two contents"),
        ("promote-without-register", "has not flushed it|two contents|healed for"),
    ],
)
def test_a_broken_variant_is_found(variant: str, says: str) -> None:
    failure = failure_of(broken(variant), examples=3_000, steps=50)
    assert re.search(says, failure), failure
