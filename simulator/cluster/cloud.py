"""The cloud in virtual time: the ordering rules of the real one (key first, number under the store's lock, one transaction
for a batch) on a database that survives its restarts (P13-P15).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from refsystem.cloud.merge import Changes, HeldOrder, merge, named_in, unmerge
from refsystem.ordering.errors import KEY_REUSED, NOT_CONFIRMED, Problem
from refsystem.ordering.order import Order
from refsystem.protocol.branch import BranchAnswer, BranchQuestion, judge_branch
from refsystem.protocol.device import FeedAnswer
from refsystem.protocol.log import Entry, Log
from refsystem.protocol.uplink import (
    Accepted,
    Batch,
    Forked,
    Gap,
    HashMismatch,
    Held,
    Judgement,
    Matched,
    StaleSender,
    judge_batch,
)
from simulator.cluster.clock import Clock
from simulator.cluster.database import Commit, EntryRow, OrderRow, VirtualDatabase
from simulator.cluster.schedule import TIMING
from simulator.cluster.watching import Watch

DOWNLINK_MAX = 4
Answer = Callable[[Any], None]


class VirtualCloud:
    """All stores. The two flags are broken variants: numbers given outside the lock; the cursor in a transaction of its own."""

    def __init__(
        self,
        clock: Clock,
        watches: Mapping[str, Watch],
        *,
        numbers_under_lock: bool = True,
        cursor_in_transaction: bool = True,
    ) -> None:
        self.database = VirtualDatabase(clock, tuple(watches))
        self._clock = clock
        self._watches = watches
        self._numbers_under_lock = numbers_under_lock
        self._cursor_in_transaction = cursor_in_transaction
        self._numbers = dict.fromkeys(watches, 0)
        self._life = 0
        self._downs = 0

    def restart(self, for_us: int) -> None:
        """The process ends, and is there again after a while."""
        self._life += 1
        self._downs += 1
        self.database.abort_all()
        self._clock.after(for_us, self._up)

    def heal(self) -> None:
        """Everything works again."""
        self._downs = 0
        self.database.slow_us = 0

    # --- doors for diners ----------------------------------------------------------------------------------------------

    def place(self, store: str, order: Order, answer: Answer) -> None:
        """A submitted order; answered None (acknowledged, RC) or a problem."""
        if self._downs:
            return

        def work() -> tuple[Commit, Problem | None]:
            row = self.database.orders.get(order.order_id)
            if row is not None:
                same = (row.held.store, row.held.body_hash) == (store, order.body_hash)
                return (lambda: self._tell(row) if same else None), (None if same else KEY_REUSED)
            number = self._number_given_now(store)
            return (lambda: self._insert(store, order, number)), None

        self.database.transaction(store, work, self._while_up(answer), locked=self._numbers_under_lock)

    def find(self, order_id: str, answer: Answer) -> None:
        """Someone asks for an order: None (held here) or "not confirmed", never "not there"."""
        if not self._downs:
            held = self.database.orders
            self.database.read(lambda: None if order_id in held else NOT_CONFIRMED, self._while_up(answer))

    def _number_given_now(self, store: str) -> int:
        """The next number: under the lock the one behind the last committed, outside it one that nobody was given."""
        if self._numbers_under_lock:
            return self.database.stores[store].last_number + 1
        self._numbers[store] += 1
        return self._numbers[store]

    def _insert(self, store: str, order: Order, number: int) -> None:
        if order.order_id in self.database.orders:
            return
        row = self.database.stores[store]
        row.last_number = max(row.last_number, number)
        held = HeldOrder(order.order_id, store, order.body_hash, number)
        self.database.orders[order.order_id] = OrderRow(held, order, "cloud", "RC")

    def _tell(self, row: OrderRow) -> None:
        row.level_told = "RC"

    # --- links of the store --------------------------------------------------------------------------------------------

    def uplink(self, batch: Batch, answer: Answer) -> None:
        """A batch of a store's committed entries (P14)."""
        if self._downs:
            return

        def work() -> tuple[Commit, FeedAnswer]:
            row = self.database.stores[batch.store]
            judgement = judge_batch(row.cursor, row.highest_epoch, batch, lambda seq: self._held(batch.store, seq))
            self._clock.note(
                "cloud", type(judgement).__name__, batch.sender_node_id, batch.from_seq, len(batch.entries)
            )
            return (lambda: self._take(batch, judgement)), self._feed_answer(batch, judgement)

        self.database.transaction(batch.store, work, self._while_up(answer))

    def branch(self, question: BranchQuestion, answer: Answer) -> None:
        """A device that reconciles asks where its log and this one part (P19)."""
        if self._downs:
            return

        def work() -> tuple[Commit, BranchAnswer | StaleSender]:
            row = self.database.stores[question.store]
            shared = judge_branch(question, row.highest_epoch, lambda seq: self._held(question.store, seq))
            if isinstance(shared, StaleSender):
                return _nothing, shared
            entries = [each.entry for each in self.database.entries[question.store].values()]
            behind = tuple(entry for entry in entries if entry.seq > shared.seq)[: TIMING.entries_per_branch_answer_max]
            end_epoch = entries[-1].epoch if entries else 0
            forks = Log(entries).forks
            said = BranchAnswer(question.sender_epoch, shared, behind, row.cursor, end_epoch, forks)
            return (lambda: self._raise_highest(question.store, question.sender_epoch)), said

        self.database.transaction(question.store, work, self._while_up(answer))

    def downlink(self, store: str, after: int, answer: Answer) -> None:
        """The store's orders behind number `after` (P15), and the last number given."""
        if self._downs:
            return

        def question() -> tuple[list[tuple[int, Order]], int]:
            held = ((row.held.number, row.order) for row in self.database.orders.values() if row.held.store == store)
            behind = [(number, order) for number, order in held if number is not None and number > after]
            orders = sorted(behind, key=lambda pair: pair[0])[:DOWNLINK_MAX]
            return orders, self.database.stores[store].last_number

        self.database.read(question, self._while_up(answer))

    def _take(self, batch: Batch, judgement: Judgement) -> None:
        if isinstance(judgement, StaleSender):
            return
        row = self.database.stores[batch.store]
        self._raise_highest(batch.store, batch.sender_epoch)
        if isinstance(judgement, Forked):
            self._clock.goals["a fork half followed by the cloud"] += judgement.cursor.seq < batch.forks[-1].seq
            self._fork(batch.store, judgement.shared.seq)
        if isinstance(judgement, Accepted | Forked) and judgement.entries:
            row.cursor = judgement.cursor
            if self._cursor_in_transaction:
                self._keep(batch, judgement)
            else:
                self.database.transaction(batch.store, lambda: (lambda: self._keep(batch, judgement), None), _nobody)

    def _keep(self, batch: Batch, judgement: Accepted | Forked) -> None:
        watch, entries = self._watches[batch.store], self.database.entries[batch.store]
        for entry in judgement.entries:
            watch.seen_outside("the cloud", entry)
            entries[entry.seq] = EntryRow(entry, batch.sender_epoch, batch.sender_node_id)
        self._apply(
            batch.store, merge(batch.store, judgement.entries, self._orders_named(batch.store, judgement.entries))
        )

    def _orders_named(self, store: str, entries: Sequence[Entry]) -> list[HeldOrder]:
        """Copies of the orders that `entries` speak of, as far as they are held."""
        order_ids, numbers = named_in(entries)
        rows = self.database.orders
        named = set(numbers)
        held = [rows[order_id].held for order_id in order_ids if order_id in rows]
        held += [
            row.held
            for row in rows.values()
            if row.held.store == store and row.held.number in named and row.held.order_id not in order_ids
        ]
        return [replace(order) for order in held]

    def _fork(self, store: str, shared_seq: int) -> None:
        """What is held beyond `shared_seq` is kept as forked; its orders go back to the store by the downlink."""
        self._clock.goals["a fork followed by the cloud"] += 1
        entries = self.database.entries[store]
        forked = [held for seq, held in entries.items() if seq > shared_seq]
        for held in forked:
            del entries[held.entry.seq]
        entries_forked = [held.entry for held in forked]
        row = self.database.stores[store]
        undone = unmerge(store, shared_seq, entries_forked, self._orders_named(store, entries_forked), row.last_number)
        if undone.last_number > row.last_number:
            self._clock.goals["a forked order sent back"] += 1
        row.last_number = undone.last_number
        for order in undone.updated:
            self.database.orders[order.order_id].held = order
        self.database.alarms[store] += [(alarm.kind, alarm.detail) for alarm in undone.alarms]

    def _held(self, store: str, seq: int) -> Held | None:
        row = self.database.entries[store].get(seq)
        return Held(row.entry.hash, row.entry.epoch) if row is not None else None

    def _raise_highest(self, store: str, sender_epoch: int) -> None:
        row = self.database.stores[store]
        row.highest_epoch = max(row.highest_epoch, sender_epoch)

    def _apply(self, store: str, changes: Changes) -> None:
        for held, content in changes.inserted:
            items = tuple((str(item), int(quantity)) for item, quantity in json.loads(content.items))
            order = Order(
                held.order_id,
                content.channel,  # type: ignore[arg-type]
                content.table,
                items,
                content.total_minor,
                content.note,
                content.check_id,
                content.pickup_at_s,
            )
            self.database.orders[held.order_id] = OrderRow(held, order, "edge")
        for held in changes.updated:
            self.database.orders[held.order_id].held = held
        self.database.alarms[store] += [(alarm.kind, alarm.detail) for alarm in changes.alarms]

    def _feed_answer(self, batch: Batch, judgement: Judgement) -> FeedAnswer:
        match judgement:
            case StaleSender(highest_epoch):
                self._clock.goals["a stale sender refused"] += 1
                return FeedAnswer(highest_epoch=highest_epoch)
            case HashMismatch(seq, detail):
                self._watches[batch.store].mismatch("the cloud", seq, detail)
                return FeedAnswer(mismatch=detail)
            case Gap():
                return FeedAnswer()
            case Matched(cursor) | Accepted(_, cursor) | Forked(_, _, cursor):
                return FeedAnswer(cursor)

    def _while_up(self, answer: Answer) -> Answer:
        life = self._life
        return lambda said: answer(said) if life == self._life and not self._downs else None

    def _up(self) -> None:
        self._downs = max(0, self._downs - 1)


def _nothing() -> None:
    """Nothing to commit."""


def _nobody(_: Any) -> None:
    """Nobody waits."""
