"""Properties of the protocol's pure parts, for any input: the log, the feeds, the downlink, the wire, the register."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from refsystem.ordering.book import Book
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.protocol import arbiter, wire
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.downlink import Downlink, order_record
from refsystem.protocol.log import GENESIS, Cursor, Entry, ForkPlace, Key, Log, chain, chain_error, encode_record
from refsystem.protocol.messages import (
    Append,
    Appended,
    Join,
    Register,
    RegisterRead,
    RegisterState,
    RegisterSwap,
    Rejected,
)
from refsystem.protocol.uplink import Accepted, Batch, FeedSender, Gap, HashMismatch, StaleSender, judge_batch

PROPERTY = settings(max_examples=80, derandomize=True)

KEYS = ("k1", "k2", "k3", "k4")


def order(key: str, table: str = "4", total_minor: int = 300) -> Order:
    return Order(key, "qr", table, (("steamed-rice", 1),), total_minor)


def orders_log(count: int, epoch: int = 1) -> Log:
    return Log(
        chain(epoch, GENESIS, [encode_record(order_record(order(f"k{seq}"), "edge")) for seq in range(1, count + 1)])
    )


# --- the log -------------------------------------------------------------------------------------------------------


class LogAgainstAModel(RuleBasedStateMachine):
    """The views of a log are what its entries say now, whatever was appended and set aside before (P6)."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.model: list[Entry] = []

    def _append(self, record: dict[str, Any], epoch: int) -> None:
        entries = chain(epoch, self.log.last, [encode_record(record)])
        self.log.extend(entries)
        self.model.extend(entries)

    @rule(
        key=st.sampled_from(KEYS),
        table=st.sampled_from("45"),
        epoch=st.integers(1, 3),
        number=st.none() | st.just("next"),
    )
    def append_order(self, key: str, table: str, epoch: int, number: str | None) -> None:
        downlink_number = self.log.downlink_cursor + 1 if number else None
        self._append(order_record(order(key, table), "edge", downlink_number), epoch)

    @rule(key=st.sampled_from(KEYS))
    def append_bump(self, key: str) -> None:
        self._append({"kind": "bump", "order_id": key, "version": 1, "station": "kitchen"}, 1)

    @rule(key=st.sampled_from(KEYS))
    def append_duplicate(self, key: str) -> None:
        number = self.log.downlink_cursor + 1
        self._append({"kind": "duplicate_of", "order_id": key, "downlink_number": number, "detail": ""}, 1)

    @rule(data=st.data(), epoch=st.integers(1, 3))
    def append_fork(self, data: st.DataObject, epoch: int) -> None:
        from_seq = data.draw(st.integers(1, len(self.model) + 1))
        word = BreakGlass(("x",), "Li", "burnt down")
        self._append(fork_record(word, from_seq, self.log.cursor(from_seq - 1).hash, "copied"), epoch)

    @rule(data=st.data())
    def set_aside(self, data: st.DataObject) -> None:
        if self.model:
            from_seq = data.draw(st.integers(1, len(self.model)))
            assert self.log.set_aside(from_seq) == tuple(self.model[from_seq - 1 :])
            del self.model[from_seq - 1 :]

    @invariant()
    def views_are_those_of_the_entries(self) -> None:
        contents = [(entry.seq, entry.content()) for entry in self.model]
        for key in KEYS:
            found = next(
                (Key(s, c["body_hash"]) for s, c in contents if c["kind"] == "order" and c["order_id"] == key), None
            )
            assert self.log.key(key) == found
            bumped = next((s for s, c in contents if c["kind"] == "bump" and c["order_id"] == key), None)
            assert self.log.bump_seq(key, 1, "kitchen") == bumped
        forks = tuple(
            ForkPlace(entry.content()["from_seq"], entry.seq, entry.epoch)
            for entry in self.model
            if entry.content()["kind"] == "fork"
        )
        assert self.log.forks == forks
        numbers = [c["downlink_number"] for _, c in contents if c.get("downlink_number") is not None]
        assert self.log.downlink_cursor == (numbers[-1] if numbers else 0)
        assert len(self.log) == len(self.model)
        assert self.log.last == (self.model[-1].cursor if self.model else GENESIS)
        assert chain_error(GENESIS, self.model) is None


TestTheLogAgainstAModel = LogAgainstAModel.TestCase
TestTheLogAgainstAModel.settings = settings(PROPERTY, max_examples=40, stateful_step_count=30)


@PROPERTY
@given(st.integers(2, 8), st.data())
def test_a_chain_in_which_anything_is_changed_does_not_fit(count: int, data: st.DataObject) -> None:
    entries = list(orders_log(count).slice(1, count, count))
    at = data.draw(st.integers(0, count - 1))
    entry = entries[at]
    changed = data.draw(
        st.sampled_from(
            (
                Entry(entry.epoch + 1, entry.seq, entry.hash, entry.record),
                Entry(entry.epoch, entry.seq, entry.hash, entry.record.replace("300", "301")),
                Entry(entry.epoch, entry.seq, entry.hash[::-1], entry.record),
                Entry(entry.epoch, entry.seq + 1, entry.hash, entry.record),
            )
        )
    )
    assert chain_error(GENESIS, [*entries[:at], changed, *entries[at + 1 :]]) is not None
    assert chain_error(GENESIS, entries[:at] + entries[at + 1 :]) is not None or at == count - 1


# --- feeds ---------------------------------------------------------------------------------------------------------


@PROPERTY
@given(st.integers(1, 12), st.lists(st.tuples(st.integers(1, 13), st.integers(0, 12), st.integers(1, 4)), max_size=30))
def test_a_receiver_takes_every_entry_once_in_order_however_batches_come(
    count: int, batches: list[tuple[int, int, int]]
) -> None:
    log, cursor, highest, taken = orders_log(count), GENESIS, 0, []
    for first, last, epoch in [*batches, (1, count, 4)]:
        first = min(first, count + 1)
        entries = log.slice(first, min(last, count), count)
        judgement = judge_batch(cursor, highest, Batch("s1", epoch, "a1", first, log.cursor(first - 1).hash, entries))
        if epoch < highest:
            assert judgement == StaleSender(highest)
            continue
        highest = epoch
        if first > cursor.seq + 1:
            assert judgement == Gap(cursor.seq + 1)
            continue
        assert isinstance(judgement, Accepted)
        taken += judgement.entries
        cursor = judgement.cursor
    assert taken == list(log.slice(1, count, count))


@PROPERTY
@given(st.integers(1, 8), st.data())
def test_a_receiver_refuses_another_log_from_the_entry_that_differs(count: int, data: st.DataObject) -> None:
    log = orders_log(count)
    fork = data.draw(st.integers(0, count - 1))
    records = [encode_record(order_record(order(f"x{seq}"), "edge")) for seq in range(fork, count + 1)]
    other = Log((*log.slice(1, fork, count), *chain(1, log.cursor(fork), records)))
    held = log.cursor(data.draw(st.integers(fork + 1, count)))
    first = data.draw(st.integers(1, held.seq + 1))
    entries = other.slice(first, data.draw(st.integers(held.seq, count)), count)
    judgement = judge_batch(held, 1, Batch("s1", 1, "a1", first, other.cursor(first - 1).hash, entries))
    assert isinstance(judgement, HashMismatch)


FEED_EVENTS = st.lists(st.sampled_from(("delivered", "answer lost", "batch lost", "commit", "forgotten", "new sender")))


@PROPERTY
@given(st.integers(1, 4), FEED_EVENTS)
def test_a_sender_resumes_and_never_shows_what_is_not_committed(batch_max: int, events: list[str]) -> None:
    log, commit_seq, epoch = orders_log(10), 0, 1
    sender, cursor, taken = FeedSender("s1", batch_max), GENESIS, []
    for event in [*events, "commit", *["delivered"] * 24]:
        if event == "commit":
            commit_seq = min(10, commit_seq + 3)
        elif event == "forgotten":
            sender.forget()
        elif event == "new sender":
            sender, epoch = FeedSender("s1", batch_max), epoch + 1
        else:
            batch = sender.next_batch(log, commit_seq, epoch, "a1")
            assert all(entry.seq <= commit_seq for entry in batch.entries)
            assert len(batch.entries) <= batch_max
            if event == "batch lost":
                continue
            judgement = judge_batch(cursor, epoch, batch)
            assert isinstance(judgement, Accepted)
            taken += judgement.entries
            cursor = judgement.cursor
            if event == "delivered":
                sender.answered(log, commit_seq, cursor)
    assert sender.mismatch is None
    assert taken == list(log.slice(1, commit_seq, 10))
    assert sender.lag(commit_seq) == 0


# --- downlink ------------------------------------------------------------------------------------------------------


@PROPERTY
@given(
    st.lists(
        st.tuples(st.sampled_from(KEYS), st.sampled_from("45"), st.sampled_from((300, 299))), min_size=1, max_size=8
    ),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=8),
)
def test_every_number_makes_exactly_one_record(cloud: list[tuple[str, str, int]], polls: list[tuple[int, int]]) -> None:
    numbered = [(number, order(*content)) for number, content in enumerate(cloud, 1)]
    log = Log()
    downlink = Downlink(log, DEMO_MENU, Book(DEMO_MENU))
    for after, limit in [*polls, (0, len(numbered))]:
        records = downlink.records(numbered[after : after + limit])
        log.extend(chain(1, log.last, [encode_record(record) for record in records]))
    contents = [entry.content() for entry in log.slice(1, len(log), len(log))]
    assert [content["downlink_number"] for content in contents] == [number for number, _ in numbered]
    bodies: dict[str, str] = {}
    for (_, sent), content in zip(numbered, contents, strict=True):
        if sent.order_id in bodies:
            same = bodies[sent.order_id] == sent.body_hash
            assert content["kind"] == ("duplicate_of" if same else "conflict")
        elif sent.total_minor != 300:
            assert content["kind"] == "refused"
        else:
            assert content["kind"] == "order"
            bodies[sent.order_id] = sent.body_hash


# --- wire ----------------------------------------------------------------------------------------------------------

texts = st.text(max_size=12)
numbers = st.integers(0, 2**53)
cursors = st.builds(Cursor, numbers, texts)
entries_ = st.builds(Entry, numbers, numbers, texts, texts)
peer_messages = st.one_of(
    st.builds(
        Append,
        numbers,
        texts,
        texts,
        numbers,
        texts,
        st.lists(entries_, max_size=3).map(tuple),
        numbers,
        numbers,
        st.lists(texts, max_size=2).map(tuple),
        st.lists(st.builds(ForkPlace, numbers, numbers, numbers), max_size=2).map(tuple),
    ),
    st.builds(Appended, numbers, texts, numbers, numbers),
    st.builds(Join, numbers, texts, st.lists(cursors, max_size=3).map(tuple)),
    st.builds(Rejected, numbers, texts),
)
registers = st.builds(Register, numbers, texts, st.lists(texts, max_size=2).map(tuple), texts, numbers)


@PROPERTY
@given(st.lists(peer_messages, max_size=6), st.lists(st.integers(1, 40), max_size=40))
def test_messages_come_out_of_the_stream_as_they_went_in_however_it_is_cut(
    messages: list[Any], sizes: list[int]
) -> None:
    stream = b"".join(map(wire.encode_frame, messages))
    reader, read, at = wire.FrameReader(), [], 0
    for size in itertools.chain(sizes, itertools.repeat(7)):
        if at >= len(stream):
            break
        read += reader.feed(stream[at : at + size])
        at += size
    assert read == messages


@PROPERTY
@given(
    st.one_of(st.builds(RegisterRead, texts, texts), st.builds(RegisterSwap, texts, texts, numbers, registers, texts))
)
def test_questions_to_the_arbiter_come_out_as_they_went_in(request: Any) -> None:
    assert wire.decode_request(wire.encode_request(request)) == request


@PROPERTY
@given(st.builds(RegisterState, texts, st.none() | registers))
def test_answers_of_the_arbiter_come_out_as_they_went_in(state: RegisterState) -> None:
    assert wire.decode_state(wire.encode_state(state)) == state


@PROPERTY
@given(st.binary(min_size=1, max_size=60))
def test_a_body_that_is_no_message_is_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.FrameReader().feed(len(body).to_bytes(4, "big") + body)


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(wire.WireError, match="over the limit"):
        wire.FrameReader().feed((wire.FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


# --- the register --------------------------------------------------------------------------------------------------

NODES = ("a1", "b1", "c1")
asked = st.builds(
    Register,
    st.integers(1, 6),
    st.sampled_from(NODES),
    st.lists(st.sampled_from(NODES), max_size=3).map(tuple),
    st.sampled_from("xyz"),
)
near = st.sampled_from((0, 0, 0, 0, -1, 1))


@PROPERTY
@given(st.lists(st.tuples(near, near, asked, st.booleans(), st.sampled_from(("", "Li"))), min_size=10, max_size=40))
def test_the_register_moves_one_epoch_at_a_time_and_only_by_the_steps_of_the_clauses(
    swaps: list[tuple[int, int, Register, bool, str]],
) -> None:
    register = Register(1, "a1", ("a1",), "set-up")
    for expect_off, epoch_off, wanted, forks, person in swaps:
        before = register
        expect, epoch = before.epoch + expect_off, before.epoch + 1 + epoch_off
        new = replace(wanted, epoch=epoch, forked_epoch=epoch if forks else before.forked_epoch)
        after = arbiter.swap(register, RegisterSwap("1", new.primary, expect, new, person))
        assert after is not None
        register = after
        if register is before:
            continue
        assert (before.epoch, register) == (expect, new)
        assert register.epoch == before.epoch + 1
        assert 1 <= len(set(register.members)) == len(register.members) <= 2
        assert register.primary in register.members
        joined = set(register.members) - set(before.members)
        if register.forked_epoch != before.forked_epoch:
            assert (person, register.forked_epoch, register.members) == ("Li", register.epoch, (register.primary,))
        elif register.primary != before.primary:
            assert register.primary in before.members
            assert register.members == (register.primary,)
        elif joined:
            assert (len(before.members), len(register.members)) == (1, 2)


@PROPERTY
@given(st.integers(0, 3), asked)
def test_without_a_register_nothing_is_done(expect: int, new: Register) -> None:
    assert arbiter.swap(None, RegisterSwap("1", new.primary, expect, new)) is None
