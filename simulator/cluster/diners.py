"""Impatient people: each wants one order under one key, at one door or two, and asks until told yes or no. What they send and
are told is the history that the audit reads.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from refsystem.ordering.errors import Problem
from refsystem.ordering.order import Order
from refsystem.protocol.messages import Reply
from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.schedule import TIMING, PlannedOrder
from simulator.history import Attempt, Kind

if TYPE_CHECKING:
    from simulator.cluster.stores import VirtualStore

ITEM, PRICE_MINOR = "steamed-rice", 300
DELAY_US = (100, 6 * MS)
BACKOFF_US = (5 * MS, 80 * MS)
PATIENCE_US = (150 * MS, TIMING.request_timeout_us + 100 * MS)
REQUEST_LOST_SHARE = 0.01
REPLY_LOST_SHARE = 0.02
REPEAT_SHARE = 0.2
REPEAT_AFTER_US = (0, 400 * MS)
Place = Literal["a", "b", "cloud"]


class History:
    """Every attempt of everybody, in the order in which they were invoked."""

    def __init__(self) -> None:
        self.rows: list[Attempt] = []
        self.places: list[str] = []

    def invoke(self, attempt: Attempt, place: str) -> int:
        """Note an attempt before it is sent to `place`; returns its number."""
        self.rows.append(attempt)
        self.places.append(place)
        return len(self.rows) - 1

    def complete(self, number: int, **told: Any) -> None:
        """Note what the client was told, once."""
        if self.rows[number].completed_at_us is None:
            self.rows[number] = replace(self.rows[number], **told)


class Diner:
    """One person with one order. `done` once told yes or a definite no about its content."""

    def __init__(self, clock: Clock, store: VirtualStore, history: History, planned: PlannedOrder) -> None:
        self.done = False
        self.planned = planned
        self._clock = clock
        self._store = store
        self._history = history
        self._generator = generator = clock.generator(f"diner {planned.number}")
        total_minor = planned.quantity * PRICE_MINOR
        order_id = str(UUID(int=generator.getrandbits(128), version=4))
        items = ((ITEM, planned.quantity),)
        channel: Literal["qr", "mini_program"] = "mini_program" if planned.door == "cloud" else "qr"
        self.order = Order(order_id, channel, "4", items, total_minor, f"m-{planned.number}")
        self._other = replace(self.order, table="5")
        self._attempts = {"order": 0, "read": 0}

    def begin(self) -> None:
        """Plan what this person does by itself."""
        clock, planned = self._clock, self.planned
        clock.after(planned.at_us, self._arrive)
        if planned.asks_at_us is not None:
            clock.after(planned.asks_at_us, self._ask)

    def _arrive(self) -> None:
        planned = self.planned
        self._attempt("cloud" if planned.door == "cloud" else self._any_device(), self.order)
        if planned.door == "both":
            self._clock.goals["one key at two doors"] += 1
            self._clock.after(drawn_us(self._generator, 0, 50 * MS), self._attempt, "cloud", self.order)
        if planned.retap_us is not None:
            self._clock.after(planned.retap_us, self._attempt, self._any_device(), self.order)
        if planned.other_us is not None:
            self._clock.goals["one key with two contents"] += 1
            self._clock.after(planned.other_us, self._attempt, "cloud", self._other)

    def _attempt(self, place: Place, order: Order) -> None:
        number = self._invoke("order", place, order)
        self._clock.after(drawn_us(self._generator, *PATIENCE_US), self._out_of_patience, number, place, order)
        if place == "cloud":
            self._to_place(
                self._store.cloud.place, self._store.name, order, lambda said: self._cloud_said(number, order, said)
            )
            return
        device = self._store.device(place)
        self._to_place(device.input, None, device.submit, order, self._reply_of(number, place, order))

    def _ask(self) -> None:
        """Ask for the order; who was told yes by the cloud asks the cloud, for the store may not have the order yet (P5)."""
        mine = (row for row in self._history.rows if row.order_id == self.order.order_id)
        told_by_cloud = any(row.outcome == "ok" and row.level == "RC" for row in mine)
        place: Place = "cloud" if told_by_cloud or self._generator.random() < 0.15 else self._any_device()
        number = self._invoke("read", place, self.order)
        if place == "cloud":
            self._to_place(self._store.cloud.find, self.order.order_id, lambda said: self._read_at_cloud(number, said))
        else:
            device = self._store.device(place)
            self._to_place(device.input, None, device.read, self.order.order_id, self._reply_of(number, place, None))

    def _invoke(self, kind: Kind, place: Place, order: Order) -> int:
        self._attempts[kind] += 1
        return self._history.invoke(
            Attempt(
                process="diners",
                op=len(self._history.rows) + 1,
                store=self._store.name,
                table=order.table,
                channel=order.channel,
                intent_id=f"intent-{self.planned.number}",
                order_id=order.order_id,
                attempt=self._attempts[kind],
                kind=kind,
                intended_at_us=self.planned.at_us,
                invoked_at_us=self._clock.now_us,
                marker=order.note,
                body_hash=order.body_hash,
                total_minor=order.total_minor,
                items=order.items,
                door="cloud" if place == "cloud" else "edge",
            ),
            "the cloud" if place == "cloud" else f"{self._store.name} device {place}",
        )

    def _to_place(self, deliver: Any, *args: Any) -> None:
        if self._generator.random() >= REQUEST_LOST_SHARE:
            self._clock.after(drawn_us(self._generator, *DELAY_US), deliver, *args)

    def _reply_of(self, number: int, place: Place, order: Order | None) -> Any:
        def replied(life: int, reply: Reply) -> None:
            node_id = self._store.device(place).disk.node_id
            if self._generator.random() >= REPLY_LOST_SHARE:
                self._clock.after(
                    drawn_us(self._generator, *DELAY_US), self._told, number, place, order, reply, node_id
                )

        return replied

    def _told(self, number: int, place: Place, order: Order | None, reply: Reply, node_id: str) -> None:
        if self._history.rows[number].completed_at_us is not None:
            return
        if reply.problem is not None:
            self._told_no(number, reply.problem)
        else:
            assert reply.entry is not None
            self._complete(
                number, outcome="ok", level=reply.level, status=201 if order else 200, node_id=node_id,
                epoch=reply.epoch, seq=reply.entry.seq, served=reply.served,
            )  # fmt: skip
        if order is not None:
            self._go_on(place, order, reply.problem)

    def _cloud_said(self, number: int, order: Order, problem: Problem | None) -> None:
        if self._history.rows[number].completed_at_us is not None or self._generator.random() < REPLY_LOST_SHARE:
            return
        if problem is not None:
            self._told_no(number, problem)
        else:
            self._complete(number, outcome="ok", level="RC", status=201, node_id="cloud")
        self._go_on("cloud", order, problem)

    def _read_at_cloud(self, number: int, problem: Problem | None) -> None:
        if problem is not None:
            self._told_no(number, problem)
        else:
            self._complete(number, outcome="ok", level="RC", status=200, node_id="cloud")

    def _told_no(self, number: int, problem: Problem) -> None:
        outcome = "fail" if problem.definite else "indefinite"
        self._complete(number, outcome=outcome, status=problem.status, problem=problem.type)

    def _complete(self, number: int, **told: Any) -> None:
        self._history.complete(number, completed_at_us=self._clock.now_us, **told)

    def _go_on(self, place: Place, order: Order, problem: Problem | None) -> None:
        if order is not self.order:
            return
        if problem is None or 400 <= problem.status < 500:
            self.done = True
            if self._generator.random() < REPEAT_SHARE:
                self._clock.after(
                    drawn_us(self._generator, *REPEAT_AFTER_US), self._attempt, self._again_at(place), order
                )
        elif not self.done:
            self._clock.after(drawn_us(self._generator, *BACKOFF_US), self._attempt, self._again_at(place), order)

    def _out_of_patience(self, number: int, place: Place, order: Order) -> None:
        if self._history.rows[number].completed_at_us is not None:
            return
        self._complete(number, outcome="indefinite", problem="timeout")
        if order is self.order and not self.done:
            self._attempt(self._again_at(place), order)

    def _again_at(self, place: Place) -> Place:
        return "cloud" if place == "cloud" else self._any_device()

    def _any_device(self) -> Place:
        return _device(self._generator)


def _device(generator: random.Random) -> Place:
    return "a" if generator.random() < 0.5 else "b"
