"""Whatever forks a store has gone through, receivers follow it, and whoever comes back is told by a fork what it gives up (P19).

A store of two devices is drawn: commits of the primary alone, tails that only the other one keeps, breaking of the glass with
the cloud and without, devices that come back or do not, batches delivered, lost or repeated in between.
"""

from __future__ import annotations

from typing import Any

import pytest
from conversation import held_in, log_of
from hypothesis import event, given, settings
from hypothesis import strategies as st

from refsystem.ordering.order import Order
from refsystem.protocol.branch import BranchAnswer, BranchQuestion, compare_branch, judge_branch
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.downlink import order_record
from refsystem.protocol.log import GENESIS, Cursor, Entry, ForkPlace, Log, chain, encode_record, fork_explains
from refsystem.protocol.uplink import Accepted, FeedSender, Forked, HashMismatch, Matched, judge_batch

BATCH_MAX = 3


def shared_seq(one: Log, other: Log) -> int:
    """The last seq at which two logs hold the same entry."""
    return next(seq for seq in range(min(len(one), len(other)), -1, -1) if other.holds(one.cursor(seq)))


class Receiver:
    """A cloud or a kitchen display: what it holds, and what it has shown, by key."""

    def __init__(self, *, shows_once: bool) -> None:
        self.log = Log()
        self.highest_epoch = 0
        self.shown: list[str] = []
        self._shows_once = shows_once

    def take(self, batch: Any, truth: Log) -> Cursor:
        """The batch comes in; the cursor that is answered."""
        before = self.log.slice(1, len(self.log), len(self.log))
        judgement = judge_batch(self.log.last, self.highest_epoch, batch, held_in(self.log))
        assert isinstance(judgement, Accepted | Matched | Forked), judgement
        self.highest_epoch = batch.sender_epoch
        if isinstance(judgement, Matched):
            return judgement.cursor
        if isinstance(judgement, Forked):
            event("a fork is followed")
            assert judgement.shared.seq == shared_seq(Log(before), truth)
            self.log.set_aside(judgement.shared.seq + 1)
        self.log.extend(judgement.entries)
        self._show(judgement.entries)
        assert self.log.last == judgement.cursor
        return judgement.cursor

    def _show(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            content = entry.content()
            if content["kind"] == "order" and not (self._shows_once and content["order_id"] in self.shown):
                self.shown.append(content["order_id"])


class Store:
    """Two devices, of which one is primary alone, and who receives from it."""

    def __init__(self) -> None:
        self.logs = {"a": Log(), "b": Log()}
        self.commit_seqs = {"a": 0, "b": 0}
        self.primary, self.epoch, self.forked_epoch, self.keys = "a", 1, 0, 0
        self.receivers = {"cloud": Receiver(shows_once=False), "kitchen": Receiver(shows_once=True)}
        self.senders = {name: FeedSender("s1", BATCH_MAX) for name in self.receivers}

    @property
    def other(self) -> str:
        """The device that is not primary."""
        return "b" if self.primary == "a" else "a"

    @property
    def log(self) -> Log:
        """The primary's log: all of it is committed."""
        return self.logs[self.primary]

    def append(self, count: int) -> None:
        """The primary commits orders."""
        self._extend(self.primary, count)
        self.commit_seqs[self.primary] = len(self.log)

    def restart(self) -> None:
        """The primary comes back at the next epoch."""
        self._next_epoch()

    def ship(self, upto: int, commit: int) -> None:
        """The other device joins, is shipped entries, and hears how far they are committed; what it lacks it may never get."""
        mine, upto = self.logs[self.other], min(upto, len(self.log))
        seq = shared_seq(mine, self.log) + 1
        if seq <= min(len(mine), upto):
            self._set_aside(self.other, seq, self.log)
        mine.extend(self.log.slice(len(mine) + 1, upto, upto) if shared_seq(mine, self.log) == len(mine) else ())
        matched = min(upto, shared_seq(mine, self.log))
        self.commit_seqs[self.other] = max(self.commit_seqs[self.other], min(commit, matched))

    def lose_tail(self, count: int) -> None:
        """Entries that the primary shipped before its own flush, and lost: the other one holds them, nobody else does."""
        if shared_seq(self.logs[self.other], self.log) == len(self.logs[self.other]) == len(self.log):
            self._extend(self.other, count)
            self._next_epoch()

    def break_glass(self, *, with_cloud: bool) -> None:
        """The primary is gone; the other one goes on."""
        device, before = self.other, self.forked_epoch
        self.primary = device
        self._next_epoch()
        self.forked_epoch = self.epoch
        if with_cloud:
            self._compare_with_cloud(device)
        log, commit_seq = self.logs[device], self.commit_seqs[device]
        followed = max((fork.epoch for fork in log.forks), default=0)
        from_seq = commit_seq + 1 if followed >= before else 1
        word = BreakGlass(("x",), "Li", "burnt down")
        record = fork_record(word, from_seq, log.cursor(from_seq - 1).hash, "copied" if with_cloud else "unreachable")
        log.extend(chain(self.epoch, log.last, [encode_record(record)]))
        self.commit_seqs[device] = len(log)

    def deliver(self, name: str, *, answer_lost: bool = False) -> None:
        """One batch to a receiver."""
        sender, log = self.senders[name], self.log
        cursor = self.receivers[name].take(sender.next_batch(log, len(log), self.epoch, self.primary), log)
        if not answer_lost:
            sender.answered(log, len(log), cursor)
            assert sender.mismatch is None, sender.mismatch

    def _compare_with_cloud(self, device: str) -> None:
        log, cloud, compared = self.logs[device], self.receivers["cloud"], GENESIS
        for _ in range(len(cloud.log) + 2):
            question = BranchQuestion("s1", self.epoch, device, (*log.places(4), compared))
            shared = judge_branch(question, cloud.highest_epoch, held_in(cloud.log))
            assert isinstance(shared, Cursor)
            cloud.highest_epoch = self.epoch
            entries = cloud.log.slice(shared.seq + 1, len(cloud.log), BATCH_MAX)
            end_epoch = cloud.log.entry(len(cloud.log)).epoch if len(cloud.log) else 0
            forks = cloud.log.forks_told(len(cloud.log))
            answer = BranchAnswer(self.epoch, shared, entries, cloud.log.last, end_epoch, forks)
            comparison = compare_branch(log, self.commit_seqs[device], answer)
            if comparison.fresh:
                event("something is copied from the cloud")
                if comparison.fresh[0].seq <= len(log):
                    self._set_aside(device, comparison.fresh[0].seq, cloud.log)
                log.extend(comparison.fresh)
            compared = log.cursor(comparison.agreed_seq + len(comparison.fresh))
            self.commit_seqs[device] = max(self.commit_seqs[device], compared.seq)
            if comparison.done:
                return
        raise AssertionError("the comparison does not end")

    def _set_aside(self, device: str, seq: int, truth: Log) -> None:
        commit_seq = self.commit_seqs[device]
        if seq <= commit_seq:
            event("known commits are given up")
            end_epoch = self.logs[device].entry(commit_seq).epoch
            assert fork_explains(truth.forks_told(len(truth)), seq, end_epoch)
            self.commit_seqs[device] = seq - 1
        self.logs[device].set_aside(seq)

    def _next_epoch(self) -> None:
        self.epoch += 1
        for sender in self.senders.values():
            sender.forget()

    def _extend(self, device: str, count: int) -> None:
        log = self.logs[device]
        for _ in range(count):
            self.keys += 1
            order = Order(f"k{self.keys}", "qr", "4", (("steamed-rice", 1),), 300)
            log.extend(chain(self.epoch, log.last, [encode_record(order_record(order, "edge"))]))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("append"), st.integers(3, 6)),
        st.tuples(st.just("deliver"), st.just("cloud"), st.integers(1, 9), st.just(False)),
        st.tuples(st.just("restart")),
        st.tuples(st.just("ship"), st.integers(0, 40), st.integers(0, 40)),
        st.tuples(st.just("ship"), st.just(1000), st.just(1000)),
        st.tuples(st.just("lose tail"), st.integers(1, 3)),
        st.tuples(st.just("break glass"), st.booleans()),
        st.tuples(st.just("deliver"), st.sampled_from(("cloud", "kitchen")), st.integers(1, 9), st.booleans()),
    ),
    min_size=15,
    max_size=40,
)


@settings(max_examples=300, derandomize=True)
@given(STEPS)
def test_receivers_follow_every_fork_and_keys_are_shown_once(steps: list[tuple[Any, ...]]) -> None:
    store = Store()
    for step in steps:
        match step:
            case ("append", count):
                store.append(count)
            case ("restart",):
                store.restart()
            case ("ship", upto, commit):
                store.ship(upto, commit)
            case ("lose tail", count):
                store.lose_tail(count)
            case ("break glass", with_cloud):
                store.break_glass(with_cloud=with_cloud)
            case ("deliver", name, times, answer_lost):
                for _ in range(times):
                    store.deliver(name, answer_lost=answer_lost)
    store.append(1)
    truth = store.log
    keys = [entry.content().get("order_id") for entry in truth.slice(1, len(truth), len(truth))]
    for name, receiver in store.receivers.items():
        for _ in range(2 * len(truth) + 5):
            store.deliver(name)
        assert receiver.log.last == truth.last
        assert {key for key in keys if key is not None} <= set(receiver.shown)
    assert len(set(store.receivers["kitchen"].shown)) == len(store.receivers["kitchen"].shown)
    store.ship(len(truth), len(truth))
    assert store.logs[store.other].last == truth.last
    assert store.commit_seqs[store.other] == len(truth)


def test_a_receiver_whose_sender_has_lost_commits_without_a_fork_is_an_alarm() -> None:
    """The fork of long ago, followed long since, explains nothing: the sender is told the same strange cursor twice."""
    store = Store()
    store.append(3)
    store.ship(3, 3)
    store.break_glass(with_cloud=False)
    store.append(3)
    for _ in range(9):
        store.deliver("cloud")
    cloud, sender = store.receivers["cloud"], FeedSender("s1", BATCH_MAX)
    short = Log(store.log.slice(1, 5, 5))
    for _ in range(9):
        judgement = judge_batch(
            cloud.log.last, store.epoch, sender.next_batch(short, 5, store.epoch, "b"), held_in(cloud.log)
        )
        assert isinstance(judgement, Accepted | Matched)
        sender.answered(short, 5, judgement.cursor)
    assert sender.mismatch is not None


def test_an_entry_that_was_changed_before_a_fork_that_is_followed_is_an_alarm() -> None:
    store = Store()
    store.append(4)
    store.ship(4, 4)
    store.break_glass(with_cloud=False)
    store.append(1)
    for _ in range(9):
        store.deliver("cloud")
    cloud = store.receivers["cloud"].log
    records = [entry.record for entry in store.log.slice(1, 9, 9)]
    torn = Log()
    for entry, record in zip(store.log.slice(1, 9, 9), ["{}", *records[1:]], strict=True):
        content = '{"kind":"conflict"}' if record == "{}" else record
        torn.extend(chain(entry.epoch, torn.last, [content]))
    sender = FeedSender("s1", 9)
    sender.answered(torn, len(torn), cloud.last)
    batch = sender.next_batch(torn, len(torn), store.epoch, "b")
    assert isinstance(judge_batch(cloud.last, store.epoch, batch, held_in(cloud)), HashMismatch)


def test_a_fork_covers_what_stands_between_where_it_begins_and_its_record() -> None:
    fork = ForkPlace(3, 5, 7)
    assert [seq for seq in range(8) if fork.covers(seq)] == [3, 4, 5]
    assert fork_explains((fork,), 4, 6)
    assert not fork_explains((fork,), 4, 7)
    assert not fork_explains((), 4, 6)


def test_a_primary_that_knows_less_of_the_commit_than_its_receiver_waits_and_raises_no_alarm() -> None:
    """It was restarted, and what it knew to be committed had not reached its disk."""
    log, sender = log_of("2:k1 2:k2 2:k3"), FeedSender("s1", BATCH_MAX)
    sender.answered(log, 1, log.cursor(3))
    assert sender.mismatch is None
    assert not sender.next_batch(log, 1, 3, "a1").entries
    assert sender.cursor is None
    sender.answered(log, 3, log.cursor(3))
    assert (sender.cursor, sender.mismatch) == (log.cursor(3), None)


@pytest.mark.parametrize("left", ["2:k1 2:k2 3:k3", "2:k1 2:k2 3:k3 3:k4 3:k5"], ids=["within it", "beyond its record"])
def test_a_fork_that_is_not_committed_yet_is_waited_for_too(left: str) -> None:
    """The second was found by `rushproof fuzz`: a receiver of the branch that was left may stand beyond the record."""
    log, sender = log_of("2:k1 2:k2 2:x 4:fork@3"), FeedSender("s1", BATCH_MAX)
    sender.answered(log, 2, log_of(left).last)
    assert (sender.cursor, sender.mismatch) == (None, None)
    sender.answered(log, 4, log_of(left).last)
    assert (sender.cursor, sender.mismatch) == (log.cursor(2), None)


@pytest.mark.parametrize("commit_seq", [1, 3])
@pytest.mark.parametrize("held", ["2:k1 2:z 2:k3", "2:k1 2:k2 2:k3 2:k4"], ids=["another entry", "beyond the end"])
def test_another_entry_is_an_alarm_at_once_however_much_is_committed(commit_seq: int, held: str) -> None:
    log, sender = log_of("2:k1 2:k2 2:k3"), FeedSender("s1", BATCH_MAX)
    sender.answered(log, commit_seq, log_of(held).last)
    assert sender.mismatch is not None
