"""Writes the history of a load process: every attempt's row before it is sent, and again when it is answered.

May be used by many greenlets or threads at once.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from loadtests.contract import Answer
from loadtests.plan import monotonic_us
from refsystem.ordering.check_acts import Act
from refsystem.ordering.order import Order
from refsystem.ordering.store_acts import StoreAct
from simulator.diners import Diner
from simulator.history import Attempt, Door, HistoryWriter, Kind, Outcome


class Ledger:
    """The history file of one load process."""

    def __init__(self, folder: Path, process: str, clock: Callable[[], int] = monotonic_us) -> None:
        self._writer = HistoryWriter(folder, process)
        self._lock = threading.Lock()
        self._clock = clock

    def rows(self, diner: Diner, intent_id: str, order: Order | None) -> Rows:
        """The rows of one `order` of `diner`; with None, of its look at the menu, which belongs to no order."""
        return Rows(self, diner, intent_id, order)

    def invoke(self, attempt: Attempt) -> Attempt:
        """Number `attempt`, note the time, and write it. Returns it as written; only then may it be sent."""
        with self._lock:
            attempt = dataclasses.replace(attempt, op=self._writer.next_op(), invoked_at_us=self._clock())
            self._writer.invoke(attempt)
        return attempt

    def complete(self, attempt: Attempt, answer: Answer) -> Attempt:
        """Write what the client was told about an attempt that was invoked; returns the completed row."""
        completed = dataclasses.replace(
            attempt,
            completed_at_us=self._clock(),
            outcome=answer.outcome,
            level=answer.level,
            status=answer.status,
            problem=answer.problem,
            node_id=answer.node_id,
            epoch=answer.epoch,
            seq=answer.seq,
            served=answer.served,
        )
        with self._lock:
            self._writer.complete(completed)
        return completed

    @property
    def process(self) -> str:
        """The name of the process that writes here."""
        return self._writer.process

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AttemptRows(Protocol):
    """Where a device writes its attempts of one thing."""

    @property
    def outcome(self) -> Outcome:
        """What they fold to."""
        ...

    def invoke(self, kind: Kind, intended_at_us: int, door: Door | None = None) -> Attempt:
        """Write the row of the next attempt of `kind`, which is sent to `door`."""
        ...

    def complete(self, attempt: Attempt, answer: Answer) -> Attempt:
        """Write what the client was told; returns the completed row."""
        ...


class Rows:
    """The attempts of one order, counted across doors and double taps, and what they fold to."""

    def __init__(self, ledger: Ledger, diner: Diner, intent_id: str, order: Order | None) -> None:
        self._ledger, self._diner, self._intent_id, self._order = ledger, diner, intent_id, order
        self._sent: dict[Kind, int] = {}
        self._unanswered = 0
        self._told: set[Outcome] = set()

    @property
    def outcome(self) -> Outcome:
        """The submissions so far, folded: any ok is ok, else any indefinite is indefinite, else (or unsent) fail."""
        if "ok" in self._told:
            return "ok"
        return "indefinite" if self._unanswered or "indefinite" in self._told else "fail"

    def invoke(self, kind: Kind, intended_at_us: int, door: Door | None = None) -> Attempt:
        """Write the row of the next attempt of `kind`; call it right before the send."""
        self._sent[kind] = self._sent.get(kind, 0) + 1
        self._unanswered += kind == "order"
        diner, order = self._diner, self._order
        attempt = Attempt(
            process=self._ledger.process,
            op=0,
            store=diner.store,
            table=diner.table,
            channel=diner.channel,
            intent_id=self._intent_id,
            order_id="" if order is None else order.order_id,
            attempt=self._sent[kind],
            kind=kind,
            intended_at_us=intended_at_us,
            invoked_at_us=0,
            marker="" if order is None else order.note,
            body_hash=order.body_hash if order is not None and kind == "order" else "",
            total_minor=order.total_minor if order is not None and kind == "order" else 0,
            items=order.items if order is not None and kind == "order" else (),
            door=door,
        )
        return self._ledger.invoke(attempt)

    def complete(self, attempt: Attempt, answer: Answer) -> Attempt:
        """Write what the client was told; returns the completed row."""
        if attempt.kind == "order":
            self._unanswered -= 1
            self._told.add(answer.outcome)
        return self._ledger.complete(attempt, answer)


class Whereabouts(Protocol):
    """Where somebody is who looks and acts: a diner, or one of the staff."""

    @property
    def store(self) -> str:
        """The store."""
        ...

    @property
    def table(self) -> str:
        """The table; empty: none."""
        ...

    @property
    def channel(self) -> str:
        """The channel of the orders that it is about; `staff`: none."""
        ...


class CheckRows:
    """The attempts of one act, or looks (`act` None). `order_id` is the order that began the check; empty: it is about none."""

    def __init__(
        self,
        ledger: Ledger,
        diner: Whereabouts,
        intent_id: str,
        order_id: str,
        act: Act | StoreAct | None = None,
        amount_minor: int = 0,
    ) -> None:
        self._ledger, self._diner, self._intent_id, self._order_id = ledger, diner, intent_id, order_id
        self._act, self._amount_minor = act, amount_minor
        self._sent = 0
        self._told: set[Outcome] = set()
        self._unanswered = 0

    @property
    def outcome(self) -> Outcome:
        """The attempts so far, folded: any ok is ok, else any indefinite is indefinite, else (or unsent) fail."""
        if "ok" in self._told:
            return "ok"
        return "indefinite" if self._unanswered or "indefinite" in self._told else "fail"

    def invoke(self, kind: Kind, intended_at_us: int, door: Door | None = None) -> Attempt:
        """Write the row of the next attempt; call it right before the send."""
        self._sent += 1
        self._unanswered += 1
        diner, act = self._diner, self._act
        attempt = Attempt(
            process=self._ledger.process,
            op=0,
            store=diner.store,
            table=diner.table,
            channel=diner.channel,
            intent_id=self._intent_id,
            order_id=self._order_id,
            attempt=self._sent,
            kind=kind,
            intended_at_us=intended_at_us,
            invoked_at_us=0,
            body_hash="" if act is None else act.body_hash,
            total_minor=self._amount_minor,
            act="" if act is None else act.name,
            act_id="" if act is None else act.act_id,
            door=door,
        )
        return self._ledger.invoke(attempt)

    def complete(self, attempt: Attempt, answer: Answer) -> Attempt:
        """Write what the client was told; returns the completed row."""
        self._unanswered -= 1
        self._told.add(answer.outcome)
        return self._ledger.complete(attempt, answer)
