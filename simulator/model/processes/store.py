"""One store with its two devices: what each request becomes, and a change of the store's condition."""

from __future__ import annotations

from simulator.model.plan import CONDITION, POSTGRES, PRIMARY, REFUSES
from simulator.model.processes.cloud import Cloud
from simulator.model.processes.course import Course
from simulator.model.processes.database import Database
from simulator.model.processes.dining import Tables
from simulator.model.processes.gate import NodeGate
from simulator.model.processes.kitchen import Kitchen
from simulator.model.processes.log import Log
from simulator.model.processes.payments import CLOSED, Payments
from simulator.model.processes.platform import Platform
from simulator.model.processes.server import Request, Server
from simulator.model.processes.uplink import Uplink
from simulator.model.records import COMMITTED_0
from simulator.model.vocabulary import (
    ABSENT,
    ASKED_AGAIN_US,
    CLOUD,
    COME_BACK_US,
    COMMITTED,
    NO_PRIMARY,
    NO_REPLY,
    NODES,
    Code,
    Condition,
    Event,
    Kind,
)


class Store:
    """Where requests arrive. Entries of the log: order `2 * diner + which`; payment `2 * diners + diner`."""

    def __init__(self, course: Course, tables: Tables) -> None:
        self._course, self._diners = course, len(course.diners)
        self.servers = [Server(course, node, self._worked, self._cut_off) for node in range(NODES)]
        self.gates: list[NodeGate] = []
        if course.plan.gates:
            self.gates = [NodeGate(course, node, self.servers[node], self._is_known) for node in range(NODES)]
        self.platform = Platform(course, self.servers[CLOUD].request)
        self.log = Log(course, 3 * self._diners, self._committed, self._cut_off, self._lost)
        self.kitchen = Kitchen(course, tables.meal_is_ready)
        self.payments = Payments(course, self.log)
        self._uplink = Uplink(course, self.servers[CLOUD].request)
        self._cloud = Cloud(course, self.servers[CLOUD], self._uplink, self.platform, self.kitchen, self._down)
        self._database = Database(course, self._cloud.stored, self._failed)
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
        if not course.is_up(POSTGRES) or course.segment[CONDITION + CLOUD] == Condition.DOWN:
            self._database.close()
        for node in range(NODES):
            was, now = before[CONDITION + node], course.segment[CONDITION + node]
            if now == Condition.UP != was:
                self.servers[node].resume()
                if self.gates:
                    self.gates[node].resume()
        self._uplink.send()

    def arrive(self, request: Request) -> None:
        """A device's request arrives at its node."""
        if self.gates:
            self.gates[request.node].request(request)
        else:
            self.servers[request.node].request(request)

    def _is_known(self, request: Request) -> bool:
        """Whether the log, or the cloud's database, has it already: then it is answered and never refused."""
        if request.node == CLOUD:
            return self._cloud.has[request.item]
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
            server.answer(request, Code.DONE if self.kitchen.is_served(item) else Code.OK)
        elif kind == Kind.LOOK:
            state = self.payments.states[item - 2 * self._diners]
            server.answer(request, Code.DONE if state == CLOSED else Code.OK, state)
        elif segment[REFUSES] and kind != Kind.DOWNLINK:
            server.answer(request, Code.BUSY, COME_BACK_US)
        elif self.log.state[item] == COMMITTED:
            server.answer(request, Code.OK, self.log.level)
        else:
            new = self.log.state[item] == ABSENT
            if request.answered is not None:
                self.log.wait(item, request)
            if new:
                self.log.append(item)

    def _committed(self, item: int, level: int, waiters: list[Request]) -> None:
        course = self._course
        if item < 2 * self._diners:
            course.rows[item >> 1][COMMITTED_0 + (item & 1)] = course.now
            self.kitchen.send(item)
            self._uplink.add(item)
        else:
            self.payments.call_gateway(item - 2 * self._diners)
        for request in waiters:
            self.servers[request.node].answer(request, Code.OK, level)

    def _down(self, item: int, number: int) -> None:
        """An order of the cloud reaches the store."""
        primary = self._course.segment[PRIMARY]
        request = Request(Kind.DOWNLINK, item, number, item, 0, primary)
        if primary == NO_PRIMARY:
            self._ask_again(request)
        else:
            self.servers[primary].request(request)

    def _cut_off(self, request: Request) -> None:
        """A request was lost with its server."""
        self._gives_up(request, NO_REPLY)

    def _failed(self, request: Request) -> None:
        """The database failed a request."""
        self._gives_up(request, COME_BACK_US)

    def _gives_up(self, request: Request, value: int) -> None:
        if request.kind == Kind.WEBHOOK:
            self.platform.answer(request.entity, request.attempt, heard=False)
        elif request.answered is None:
            self._ask_again(request)
        else:
            self.servers[request.node].answer(request, Code.TROUBLE, value)

    def _lost(self, item: int) -> None:
        """An entry is gone; the downlink brings an order of the cloud again, for its cursor moves at a commit only."""
        if item < 2 * self._diners and self._cloud.has[item]:
            course = self._course
            course.at(course.now + ASKED_AGAIN_US, Event.DOWN, item, 0, lambda: self._down(item, 0))

    def _ask_again(self, request: Request) -> None:
        course, about, number = self._course, request.entity, request.attempt + 1
        if request.kind == Kind.INGEST:
            course.at(course.now + ASKED_AGAIN_US, Event.UP, about, number, lambda: self._uplink.up(about, number))
        else:
            course.at(course.now + ASKED_AGAIN_US, Event.DOWN, about, number, lambda: self._down(about, number))
