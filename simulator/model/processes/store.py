"""One store with its two devices, and the cloud as it sees it: what each request becomes, uplink, downlink and payments."""

from __future__ import annotations

from collections import deque

from refsystem.overload.pacing import UPLINK_PACE, Pacer
from simulator.model import purposes
from simulator.model.laws import EXPONENTIAL, drawn, ticks
from simulator.model.overload import PACED
from simulator.model.plan import (
    CARD,
    CASH,
    CONDITION,
    EDGE_CLOUD,
    FROM,
    GATEWAY,
    PARTNER_GATEWAY,
    POSTGRES,
    PRIMARY,
    REFUSES,
    TO,
    WALLET,
)
from simulator.model.processes.course import Course
from simulator.model.processes.database import Database
from simulator.model.processes.dining import Tables
from simulator.model.processes.gate import NodeGate
from simulator.model.processes.kitchen import Kitchen
from simulator.model.processes.log import ABSENT, COMMITTED, Log
from simulator.model.processes.platform import Platform
from simulator.model.processes.server import Request, Server
from simulator.model.records import ABSENT as NOT_YET
from simulator.model.records import COMMITTED_0, PAID, SERVED_0, STORED_0
from simulator.model.timetable import TENDER
from simulator.model.vocabulary import (
    ANSWER_BYTES,
    ASKED_AGAIN_US,
    CLOUD,
    ENTRY_BYTES,
    NO_PRIMARY,
    NODES,
    UPLINK_BATCH_MAX,
    Code,
    Condition,
    Event,
    Kind,
    Level,
)

IDLE, UNDER_WAY, CLOSED, DECLINED = range(4)
"""How the payment of a check stands."""


class Store:
    """Where requests arrive. Entries of the log: order `2 * diner + which`; payment `2 * diners + diner`."""

    def __init__(self, course: Course, tables: Tables) -> None:
        self._course, self._diners = course, len(course.diners)
        self.servers = [Server(course, node, self._worked, self._cut_off) for node in range(NODES)]
        self.gates: list[NodeGate] = []
        if course.plan.gates:
            self.gates = [NodeGate(course, node, self.servers[node], self._is_known) for node in range(NODES)]
        self._pacer = Pacer(UPLINK_PACE) if course.plan.gates & PACED else None
        self.platform = Platform(course, self.servers[CLOUD].request)
        self.log = Log(course, 3 * self._diners, self._committed, self._cut_off, self._lost)
        self.kitchen = Kitchen(course, tables.meal_is_ready)
        self.payment = [IDLE] * self._diners
        self._tenders = [diner[TENDER] for diner in course.diners]
        self._payments = [0] * self._diners
        self._at_cloud = [False] * (2 * self._diners)
        self._database = Database(course, self._stored, self._cut_off)
        self._uplink: deque[int] = deque()
        self._batch: list[int] = []
        self._batches, self._uplink_busy = 0, False
        self._down_last = 0
        for number in range(1, len(course.segment_at)):
            course.at(course.segment_at[number], Event.SEGMENT, number, 0, lambda number=number: self._change(number))  # type: ignore[misc]

    def _change(self, number: int) -> None:
        """The store's condition changes."""
        course = self._course
        before, course.segment = course.segment, course.segments[number]
        for node in range(NODES):
            was, now = before[CONDITION + node], course.segment[CONDITION + node]
            if now == Condition.DOWN != was:
                self.servers[node].kill()
                if self.gates:
                    self.gates[node].kill()
        served = self.log.primary
        self.log.conditions_change(before)
        if self.gates and self.log.primary != served:
            self.gates[served].forget()
        if not course.is_up(POSTGRES):
            self._database.fail()
        for node in range(NODES):
            was, now = before[CONDITION + node], course.segment[CONDITION + node]
            if now == Condition.UP != was:
                self.servers[node].resume()
                if self.gates:
                    self.gates[node].resume()
        self._send_up()

    def arrive(self, request: Request) -> None:
        """A device's request arrives at its node."""
        if self.gates:
            self.gates[request.node].request(request)
        else:
            self.servers[request.node].request(request)

    def _is_known(self, request: Request) -> bool:
        """Whether the log, or the cloud's database, has it already: then it is answered and never refused."""
        if request.node == CLOUD:
            return self._at_cloud[request.item]
        return self.log.state[request.item] != ABSENT

    def _worked(self, request: Request) -> None:
        """A server has done its part of a request."""
        server, kind = self.servers[request.node], request.kind
        if kind == Kind.MENU:
            server.answer(request, Code.OK)
        elif kind == Kind.REFUSAL:
            server.answer(request, Code.BUSY, request.item)
        elif request.node == CLOUD:
            self._database.request(request)
        else:
            self._at_device(server, request)

    def _at_device(self, server: Server, request: Request) -> None:
        segment, kind, item = self._course.segment, request.kind, request.item
        primary = segment[PRIMARY]
        if primary != request.node:
            if kind == Kind.DOWNLINK:
                self._ask_again(request)
            elif primary == NO_PRIMARY:
                server.answer(request, Code.FENCED)
            else:
                server.answer(request, Code.ELSEWHERE, primary)
        elif kind == Kind.READ:
            server.answer(request, Code.DONE if self._served(item) else Code.OK)
        elif kind == Kind.LOOK:
            state = self.payment[item - 2 * self._diners]
            server.answer(request, Code.DONE if state == CLOSED else Code.OK, state)
        elif segment[REFUSES] and kind != Kind.DOWNLINK:
            server.answer(request, Code.FENCED)
        elif self.log.state[item] == COMMITTED:
            server.answer(request, Code.OK, self.log.level)
        else:
            new = self.log.state[item] == ABSENT
            if request.answered is not None:
                self.log.wait(item, request)
            if new:
                self.log.append(item)

    def _served(self, order: int) -> bool:
        return self._course.rows[order >> 1][SERVED_0 + (order & 1)] != NOT_YET

    def _committed(self, item: int, level: int, waiters: list[Request]) -> None:
        course = self._course
        if item < 2 * self._diners:
            course.rows[item >> 1][COMMITTED_0 + (item & 1)] = course.now
            self.kitchen.send(item)
            self._uplink.append(item)
            self._send_up()
        else:
            self._call_gateway(item - 2 * self._diners)
        for request in waiters:
            self.servers[request.node].answer(request, Code.OK, level)

    def _call_gateway(self, diner: int) -> None:
        course, tender, number = self._course, self._tenders[diner], self._payments[diner]
        self._payments[diner] += 1
        if tender == CASH:
            self._close(diner)
            return
        self.payment[diner] = UNDER_WAY
        back = course.delivery(PARTNER_GATEWAY, TO, ENTRY_BYTES, purposes.GATEWAY, diner, 2 * number)
        back += (
            course.delivery(PARTNER_GATEWAY, FROM, ANSWER_BYTES, purposes.GATEWAY, diner, 2 * number + 1) - course.now
        )
        back += course.next_up(GATEWAY) - course.now
        slow = course.plan.slow_share
        if slow > 0.0 and course.draws.uniform(purposes.SLOW_GATEWAY, diner, number) < slow:
            back += course.plan.slow_extra
        if tender == WALLET:
            back += ticks(
                drawn(EXPONENTIAL, course.plan.confirm, 1.0, course.draws.uniform(purposes.CONFIRM, diner, number))
            )
        course.at(back, Event.GATEWAY, diner, number, lambda: self._gateway_answers(diner, number))

    def _gateway_answers(self, diner: int, number: int) -> None:
        if self._course.draws.uniform(purposes.DECLINE, diner, number) < self._course.plan.decline_share:
            self._tenders[diner] = CARD if self._tenders[diner] == WALLET else CASH
            self.payment[diner] = DECLINED
            self.log.state[2 * self._diners + diner] = ABSENT
        else:
            self._close(diner)

    def _close(self, diner: int) -> None:
        self.payment[diner] = CLOSED
        self._course.rows[diner][PAID] = self._course.now

    def _stored(self, request: Request) -> None:
        """The database has done its part of a request."""
        course, item = self._course, request.item
        if request.kind == Kind.INGEST:
            for each in self._batch:
                self._store(each)
                self._at_cloud[each] = True
                self.platform.stored(each)
            back = course.delivery(EDGE_CLOUD, FROM, ANSWER_BYTES, purposes.UPLINKED, request.entity, request.attempt)
            course.at(back, Event.UPLINKED, request.entity, 0, self._uplinked)
            return
        if request.kind == Kind.WEBHOOK:
            self._placed(request)
            return
        if request.kind == Kind.ORDER:
            self._order_at_cloud(item)
        if course.is_up(CLOUD):
            told = request.kind == Kind.READ and self._served(item) and course.whole(EDGE_CLOUD, TO)
            self.servers[CLOUD].answer(request, Code.DONE if told else Code.OK, Level.RC)
        else:
            self.servers[CLOUD].end(request, Code.TROUBLE)

    def _order_at_cloud(self, item: int) -> None:
        """An order is in the cloud's database, from which the downlink takes it."""
        course = self._course
        if not self._at_cloud[item]:
            self._at_cloud[item] = True
            self._store(item)
            arrives = course.delivery(EDGE_CLOUD, FROM, ENTRY_BYTES, purposes.DOWNLINK, item, 0)
            self._down_last = max(self._down_last, arrives)
            course.at(self._down_last, Event.DOWN, item, 0, lambda: self._down(item, 0))

    def _placed(self, request: Request) -> None:
        """A platform's order is in the cloud's database."""
        if self.platform.wants(request.entity):
            self._order_at_cloud(request.item)
            if self._course.plan.accepts_at_cloud:
                self.platform.accept(request.entity)
        if self._course.is_up(CLOUD):
            self.platform.answer(request.entity, request.attempt, heard=True)

    def _store(self, item: int) -> None:
        row = self._course.rows[item >> 1]
        if row[STORED_0 + (item & 1)] == NOT_YET:
            row[STORED_0 + (item & 1)] = self._course.now

    def _down(self, item: int, number: int) -> None:
        """An order of the cloud reaches the store."""
        primary = self._course.segment[PRIMARY]
        request = Request(Kind.DOWNLINK, item, number, item, 0, primary)
        if primary == NO_PRIMARY:
            self._ask_again(request)
        else:
            self.servers[primary].request(request)

    def _send_up(self) -> None:
        """Begin a batch of the uplink, unless one is under way."""
        course = self._course
        if self._uplink_busy or not self._uplink or course.segment[PRIMARY] == NO_PRIMARY:
            return
        self._uplink_busy = True
        self._batch = [self._uplink.popleft() for _ in range(min(len(self._uplink), UPLINK_BATCH_MAX))]
        batch = self._batches
        self._batches += 1
        wait = 0 if self._pacer is None else self._pacer.wait_us(len(self._batch), course.now)
        if wait:
            course.at(course.now + wait, Event.PACED, batch, 0, lambda: self._send_batch(batch))
        else:
            self._send_batch(batch)

    def _send_batch(self, batch: int) -> None:
        course = self._course
        arrives = course.delivery(EDGE_CLOUD, TO, ENTRY_BYTES * len(self._batch), purposes.UPLINK, batch, 0)
        course.at(arrives, Event.UP, batch, 0, lambda: self._up(batch, 0))

    def _up(self, batch: int, number: int) -> None:
        self.servers[CLOUD].request(Request(Kind.INGEST, batch, number, batch, 0, CLOUD))

    def _uplinked(self) -> None:
        self._uplink_busy = False
        self._send_up()

    def _cut_off(self, request: Request) -> None:
        """A request was lost with its server, or the database failed it."""
        if request.kind == Kind.WEBHOOK:
            self.platform.answer(request.entity, request.attempt, heard=False)
        elif request.answered is None:
            self._ask_again(request)
        else:
            self.servers[request.node].answer(request, Code.TROUBLE)

    def _lost(self, item: int) -> None:
        """An entry is gone; the downlink brings an order of the cloud again, for its cursor moves at a commit only."""
        if item < 2 * self._diners and self._at_cloud[item]:
            course = self._course
            course.at(course.now + ASKED_AGAIN_US, Event.DOWN, item, 0, lambda: self._down(item, 0))

    def _ask_again(self, request: Request) -> None:
        course, about, number = self._course, request.entity, request.attempt + 1
        if request.kind == Kind.INGEST:
            course.at(course.now + ASKED_AGAIN_US, Event.UP, about, number, lambda: self._up(about, number))
        else:
            course.at(course.now + ASKED_AGAIN_US, Event.DOWN, about, number, lambda: self._down(about, number))
