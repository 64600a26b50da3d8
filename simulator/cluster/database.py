"""The cloud's database in virtual time: rows that survive, a lock for each store, transactions that commit or do not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refsystem.cloud.merge import HeldOrder
from refsystem.ordering.order import Order
from refsystem.protocol.log import GENESIS, Cursor, Entry
from simulator.cluster.clock import MS, Clock, drawn_us

WORK_US = (100, 3 * MS)
LIMIT_US = 120 * MS
Commit = Callable[[], None]
Work = Callable[[], tuple[Commit, Any]]
Answer = Callable[[Any], None]


@dataclass(slots=True)
class StoreRow:
    """A store, as the cloud holds it."""

    last_number: int = 0
    cursor: Cursor = GENESIS
    highest_epoch: int = 0


@dataclass(slots=True)
class OrderRow:
    """An order: what the ingest's rule knows of it, its content, and the door that it came through first."""

    held: HeldOrder
    order: Order
    origin: str
    level_told: str | None = None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry of a store's log as it came up."""

    entry: Entry
    sender_epoch: int
    sender_node_id: str


@dataclass(slots=True)
class _Transaction:
    store: str
    work: Work
    answer: Answer
    locked: bool
    begun_at_us: int
    commit: Commit | None = None


class VirtualDatabase:
    """Tables, and transactions that hold a store's lock from their work to their commit (or none of them does: `locked`)."""

    def __init__(self, clock: Clock, stores: tuple[str, ...]) -> None:
        self.stores = {store: StoreRow() for store in stores}
        self.orders: dict[str, OrderRow] = {}
        self.entries: dict[str, dict[int, EntryRow]] = {store: {} for store in stores}
        self.alarms: dict[str, list[tuple[str, str]]] = {store: [] for store in stores}
        self.slow_us = 0
        self._clock = clock
        self._generator = clock.generator("database")
        self._queues: dict[str, deque[_Transaction]] = {store: deque() for store in stores}
        self._open: list[_Transaction] = []

    def transaction(self, store: str, work: Work, answer: Answer, *, locked: bool = True) -> None:
        """Do `work` under the lock, which tells what to commit and what to answer. Too slow: nothing, and no answer."""
        transaction = _Transaction(store, work, answer, locked, self._clock.now_us)
        if not locked:
            self._begin(transaction)
            return
        self._queues[store].append(transaction)
        if len(self._queues[store]) == 1:
            self._begin(transaction)

    def read(self, question: Callable[[], Any], answer: Answer) -> None:
        """Answer from what is committed."""
        self._clock.after(self._delay(), self._answer_read, question, answer)

    def is_committing(self) -> bool:
        """Whether a transaction is about to commit."""
        return any(transaction.commit is not None for transaction in self._open)

    def abort_all(self) -> None:
        """The cloud's process ended: what is under way is rolled back, or was just committed; nobody is answered."""
        for transaction in self._open:
            if transaction.commit is not None and self._generator.random() < 0.5:
                self._clock.goals["committed in the cloud, and nobody told"] += 1
                transaction.commit()
        self._open.clear()
        for queue in self._queues.values():
            queue.clear()

    def _begin(self, transaction: _Transaction) -> None:
        self._open.append(transaction)
        self._clock.after(self._delay(), self._work, transaction)

    def _work(self, transaction: _Transaction) -> None:
        if transaction not in self._open:
            return
        transaction.commit, said = transaction.work()
        self._clock.after(self._delay(), self._commit, transaction, said)

    def _commit(self, transaction: _Transaction, said: Any) -> None:
        if transaction not in self._open:
            return
        self._open.remove(transaction)
        in_time = self._clock.now_us - transaction.begun_at_us <= LIMIT_US
        if in_time:
            assert transaction.commit is not None
            transaction.commit()
        if transaction.locked:
            queue = self._queues[transaction.store]
            queue.popleft()
            if queue:
                queue[0].begun_at_us = self._clock.now_us
                self._begin(queue[0])
        if in_time:
            transaction.answer(said)

    def _answer_read(self, question: Callable[[], Any], answer: Answer) -> None:
        answer(question())

    def _delay(self) -> int:
        return drawn_us(self._generator, WORK_US[0], WORK_US[1] + self.slow_us)
