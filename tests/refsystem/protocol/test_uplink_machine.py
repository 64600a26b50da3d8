"""A feed of committed entries against a model: whoever sends, and however often, a receiver stores each entry once, in order.

The sender is a primary whose log grows, that is restarted or replaced, and that may go on after it was replaced. Batches and
answers are lost, repeated, late and out of order. The receiver crashes before or after its transaction, or is replaced by an
empty one. In the end everything is delivered (P5, P13, P14).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from machine_runs import Machine, failure_of, run_machine

from refsystem.protocol.broken import SendsBeforeCommit
from refsystem.protocol.log import GENESIS, Cursor, Entry, Log, chain, encode_record
from refsystem.protocol.uplink import Accepted, Batch, FeedSender, Gap, HashMismatch, StaleSender, judge_batch

Crash = Literal["none", "before", "after"]
CRASHES: tuple[Crash, ...] = ("none", "none", "before", "after")
Upheaval = Literal["promotion", "promotion of a restarted device", "restart", "cursor forgotten", "receiver replaced"]
UPHEAVALS: tuple[Upheaval, ...] = get_args(Upheaval)
WIRE_MAX = 6


class ReceiverCrashed(Exception):
    """The receiver's process ended; it is started again at once, on what it had stored."""


@dataclass
class Receiver:
    """The receiving end. All its fields are on its disk; `receive` changes them in one transaction."""

    entries: list[Entry] = field(default_factory=list)
    cursor: Cursor = GENESIS
    highest_epoch: int = 0

    def receive(self, batch: Batch, crash: Crash) -> object:
        """Judge, store and answer; raises `ReceiverCrashed`, before or after what it had to store was stored."""
        judgement = judge_batch(self.cursor, self.highest_epoch, batch)
        if crash == "before":
            raise ReceiverCrashed
        self.store(judgement, batch, crash)
        if crash == "after":
            raise ReceiverCrashed
        return judgement

    def store(self, judgement: object, batch: Batch, crash: Crash) -> None:
        if isinstance(judgement, StaleSender):
            return
        self.highest_epoch = max(self.highest_epoch, batch.sender_epoch)
        if isinstance(judgement, Accepted):
            self.entries += judgement.entries
            self.cursor = judgement.cursor


@dataclass(eq=False)
class Primary:
    """A device that sends as primary of `epoch`. `commit_seq` is what it knows; more may be committed."""

    node_id: str
    epoch: int
    log: Log
    commit_seq: int
    feed: FeedSender

    def batch(self) -> Batch:
        return self.feed.next_batch(self.log, self.commit_seq, self.epoch, self.node_id)


class Uplink(Machine):
    """The model: what the store has `committed`, whoever was primary, and the highest epoch that the receiver has seen."""

    sender_class: type[FeedSender] = FeedSender
    receiver_class: type[Receiver] = Receiver

    def __init__(self) -> None:
        super().__init__()
        self.committed: list[Entry] = []
        self.receiver = self.receiver_class()
        self.seen_epoch = 0
        self.current: Primary
        self.replaced: list[Primary] = []
        self.batches: list[tuple[Primary, Batch]] = []
        self.answers: list[tuple[Primary, object]] = []
        self.feeds: dict[str, FeedSender] = {}
        self.batch_max = 1
        self.written = 0

    @initialize(batch_max=st.integers(1, 3), entries=st.integers(0, 4))
    def begin(self, batch_max: int, entries: int) -> None:
        self.batch_max = batch_max
        self.current = Primary("a1", 1, Log(), 0, self._feed("a1", restarted=True))
        self.append(entries)
        self.commit(entries)

    def _feed(self, node_id: str, *, restarted: bool) -> FeedSender:
        """A device keeps its feed for its life, and forgets the cursor when it stops being primary."""
        if restarted or node_id not in self.feeds:
            self.feeds[node_id] = self.sender_class("s1", self.batch_max)
        self.feeds[node_id].forget()
        return self.feeds[node_id]

    # --- the store -----------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        records = [encode_record({"kind": "refused", "text": str(self.written + step)}) for step in range(count)]
        self.written += count
        self.current.log.extend(chain(self.current.epoch, self.current.log.last, records))

    @rule(count=st.integers(1, 6))
    def commit(self, count: int) -> None:
        primary = self.current
        primary.commit_seq = min(primary.log.last.seq, primary.commit_seq + count)
        self.committed += primary.log.slice(len(self.committed) + 1, primary.commit_seq, 1_000)

    @rule(what=st.sampled_from(UPHEAVALS), tail=st.integers(0, 4), unknown=st.integers(0, 3))
    def an_upheaval(self, what: Upheaval, tail: int, unknown: int) -> None:
        """Another device is promoted, in a life in which it may have been primary before (P9), or this one is restarted (P11).

        The new primary holds all that is committed, the first `tail` entries of what is not, and may know less of the commit
        than was known. Or its feed forgets where the receiver stands, or the receiver is replaced by an empty one.
        """
        node_id = self.current.node_id
        match what:
            case "promotion" | "promotion of a restarted device":
                self.replaced.append(self.current)
                self.goals["replaced with a tail"] += self.current.log.last.seq > len(self.committed) + tail
                other = "b1" if node_id == "a1" else "a1"
                self._take_over(other, tail, unknown, restarted=what != "promotion")
            case "restart":
                self._take_over(node_id, tail, unknown, restarted=True)
            case "cursor forgotten":
                self.current.feed.forget()
            case "receiver replaced":
                self.receiver, self.seen_epoch = self.receiver_class(), 0

    def _take_over(self, node_id: str, tail: int, unknown: int, restarted: bool) -> None:
        old = self.current
        held = min(old.log.last.seq, len(self.committed) + tail)
        log = Log(old.log.slice(1, held, 1_000))
        self.replaced = [primary for primary in self.replaced if primary.node_id != node_id]
        feed = self._feed(node_id, restarted=restarted)
        self.current = Primary(node_id, old.epoch + 1, log, max(0, len(self.committed) - unknown), feed)

    # --- the network ---------------------------------------------------------------------------------------------------

    @rule(old=st.booleans(), times=st.integers(0, 2), crash=st.sampled_from(CRASHES), late=st.booleans())
    def a_batch_is_sent(self, old: bool, times: int, crash: Crash, late: bool) -> None:
        """It arrives `times` times, and perhaps once more, much later. Late answers come after others, or never."""
        primary = self.replaced[-1] if old and self.replaced else self.current
        batch = primary.batch()
        self.batches = [*self.batches, (primary, batch)][-WIRE_MAX:]
        for _ in range(times):
            self._batch_arrives(primary, batch, crash, late)

    @precondition(lambda self: self.batches)
    @rule(index=st.integers(0, WIRE_MAX - 1), crash=st.sampled_from(CRASHES), late=st.booleans())
    def a_late_batch_arrives(self, index: int, crash: Crash, late: bool) -> None:
        self._batch_arrives(*self.batches[index % len(self.batches)], crash, late)

    @precondition(lambda self: self.answers)
    @rule(index=st.integers(0, WIRE_MAX - 1))
    def a_late_answer_arrives(self, index: int) -> None:
        self._answer_arrives(*self.answers[index % len(self.answers)])

    def _batch_arrives(self, primary: Primary, batch: Batch, crash: Crash, late: bool) -> None:
        answer = self._receive(batch, crash)
        if answer is not None and late:
            self.answers = [*self.answers, (primary, answer)][-WIRE_MAX:]
        elif answer is not None:
            self._answer_arrives(primary, answer)

    def _answer_arrives(self, primary: Primary, answer: object) -> None:
        """An answer reaches the life of the device that asked, or nobody."""
        if primary.feed is self.feeds[primary.node_id]:
            self._answered(primary, answer)

    @rule(turns=st.integers(1, 3))
    def all_goes_well(self, turns: int) -> None:
        for _ in range(turns):
            self._answered(self.current, self._receive(self.current.batch(), "none"))

    def _receive(self, batch: Batch, crash: Crash) -> object | None:
        receiver = self.receiver
        before = (list(receiver.entries), receiver.cursor)
        expected = self._expected(batch)
        try:
            judgement = receiver.receive(batch, crash)
        except ReceiverCrashed:
            self.goals[f"crashed {crash} the transaction"] += 1
            self.seen_epoch = max(self.seen_epoch, batch.sender_epoch if crash == "after" else 0)
            return None
        assert type(judgement) is type(expected), f"{batch} is judged {judgement}, not {expected}"
        self.goals[type(judgement).__name__] += 1
        self.seen_epoch = max(self.seen_epoch, batch.sender_epoch)
        if isinstance(expected, Accepted):
            assert judgement == expected
            self.goals["repeated entries skipped"] += len(expected.entries) < len(batch.entries)
        else:
            assert before == (receiver.entries, receiver.cursor), f"{judgement} changed what is stored"
        return judgement

    def _expected(self, batch: Batch) -> Accepted | Gap | StaleSender:
        receiver, held = self.receiver, len(self.receiver.entries)
        if batch.sender_epoch < self.seen_epoch:
            return StaleSender(self.seen_epoch)
        if batch.from_seq > held + 1:
            return Gap(held + 1)
        fresh = tuple(entry for entry in batch.entries if entry.seq > held)
        return Accepted(fresh, fresh[-1].cursor if fresh else receiver.cursor)

    def _answered(self, primary: Primary, answer: object) -> None:
        """What `Device.feed_answered` does with the answer. A device that was replaced may be told so, the newest never."""
        match answer:
            case StaleSender():
                assert primary is not self.current, "the newest primary is told that it is stale"
                self.replaced = [other for other in self.replaced if other is not primary]
            case Gap():
                primary.feed.forget()
            case Accepted(_, cursor) if primary is self.current or primary in self.replaced:
                assert cursor.seq <= len(self.committed), "stored: not what is committed"
                primary.feed.answered(primary.log, primary.commit_seq, cursor)
                known = cursor.seq <= primary.commit_seq
                self.goals["the receiver knows more than the primary"] += not known
                assert (primary.feed.mismatch is None) == primary.log.holds(cursor), (
                    f"an alarm is another entry than its own, and only that: {primary.feed.mismatch}"
                )
                assert known == (primary.feed.cursor == cursor), (
                    "it goes on from an entry that it knows to be committed"
                )
            case HashMismatch() as mismatch:
                raise AssertionError(f"{mismatch}, and all is one log")

    # --- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def the_receiver_holds_the_beginning_of_what_is_committed(self) -> None:
        receiver = self.receiver
        assert receiver.entries == self.committed[: len(receiver.entries)], (
            "stored: not what is committed, once, in order"
        )
        place = receiver.entries[-1].cursor if receiver.entries else GENESIS
        assert receiver.cursor == place, f"the cursor stands at {receiver.cursor.seq}, not at {place.seq}"

    def teardown(self) -> None:
        """Whatever happened before, a primary that commits and is heard brings everything to the receiver."""
        if sys.exc_info()[0] is not None or not hasattr(self, "current"):
            return
        primary = self.current
        self.commit(1_000)
        for _ in range(3 + len(self.committed)):
            self._answered(primary, self._receive(primary.batch(), "none"))
        self.the_receiver_holds_the_beginning_of_what_is_committed()
        assert self.receiver.cursor == primary.log.last, "not all is stored in the end"
        assert (primary.feed.mismatch, primary.feed.lag(primary.commit_seq)) == (None, 0)


GOALS = (
    "crashed after the transaction",
    "crashed before the transaction",
    "repeated entries skipped",
    "replaced with a tail",
)
GOALS_SLOW = (*GOALS, "Gap", "StaleSender", "the receiver knows more than the primary")


def test_each_committed_entry_is_stored_once_in_order_whoever_sends_it() -> None:
    seen = run_machine(Uplink, examples=150, steps=30, goals=GOALS)
    assert [goal for goal in GOALS if not seen[goal]] == []


@pytest.mark.slow
def test_each_committed_entry_is_stored_once_in_order_in_many_more_sequences() -> None:
    seen = run_machine(Uplink, examples=600, steps=50, goals=GOALS_SLOW)
    assert [goal for goal in GOALS_SLOW if not seen[goal]] == []


# --- it can fail ---------------------------------------------------------------------------------------------------


class CursorOutsideTransaction(Receiver):
    """The cursor moves in a transaction of its own, after that of the entries."""

    def store(self, judgement: Any, batch: Batch, crash: Crash) -> None:
        cursor = self.cursor
        super().store(judgement, batch, crash)
        if crash == "after":
            self.cursor = cursor


class ForgetsTheHighestEpoch(Receiver):
    """What was seen of senders is not kept."""

    def store(self, judgement: Any, batch: Batch, crash: Crash) -> None:
        highest_epoch = self.highest_epoch
        super().store(judgement, batch, crash)
        if crash == "after":
            self.highest_epoch = highest_epoch


class NeverAsksAgain(FeedSender):
    """A gap does not make the sender ask where its receiver stands."""

    def forget(self) -> None:
        self.mismatch = None


def broken(**parts: Any) -> type[Uplink]:
    return type("BrokenUplink", (Uplink,), parts)


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        pytest.param(broken(sender_class=SendsBeforeCommit), "committed", id="uplink-before-commit"),
        pytest.param(broken(sender_class=NeverAsksAgain), "not all is stored", id="never asks again"),
        pytest.param(
            broken(receiver_class=CursorOutsideTransaction),
            "the cursor stands at|stored: not what is committed",
            id="cursor-outside-transaction",
        ),
        pytest.param(broken(receiver_class=ForgetsTheHighestEpoch), "not StaleSender", id="forgets the highest epoch"),
    ],
)
def test_a_broken_end_of_the_feed_is_found(machine: type[Uplink], says: str) -> None:
    failure = failure_of(machine, examples=1_000, steps=30)
    assert re.search(says, failure), failure
