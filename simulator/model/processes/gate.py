"""The gate before a node's routes: the stack's own rules (`refsystem.overload.gate`), here in virtual time.

It does what `refsystem.overload.layer` does: lets requests of diners' devices wait for a worker, refuses some, and holds each for
the declared delay, if there is one. Without one a worker is busy until the request is answered.
"""

from __future__ import annotations

from collections.abc import Callable

from refsystem.overload.gate import Gate, State, Ticket
from refsystem.overload.priority import Priority
from refsystem.overload.retry_after import retry_after_s
from simulator.model import purposes
from simulator.model.laws import TICKS_PER_S
from simulator.model.overload import LOOK_EVERY_US, NOT_SAID, PRIORITY_OF_KIND, remedies_of
from simulator.model.plan import CONDITION, PRIMARY
from simulator.model.processes.course import Course
from simulator.model.processes.server import Request, Server
from simulator.model.vocabulary import CLOUD, Code, Condition, Event, Kind


class NodeGate:
    """The gate of one node. `known` says whether what a request wants is in the log, or the cloud's database, already."""

    def __init__(self, course: Course, node: int, server: Server, known: Callable[[Request], bool]) -> None:
        self._course, self._node, self._server, self._known = course, node, server, known
        plan = course.plan
        self._remedies = remedies_of(plan.gates)
        self._declared = bool(plan.gate_declared[node])
        self._work: list[int] = plan.gate_work[node].tolist()
        self._reset()
        server.on_end = self._ended

    def _reset(self) -> None:
        """As in a process that has just started."""
        self._gate = Gate(self._remedies, int(self._course.plan.gate_servers[self._node]))
        self._requests: dict[Ticket, Request] = {}
        """Those that wait, or are held for the declared delay."""
        self._behind: dict[Request, Ticket] = {}
        """Those that went on to the routes."""
        self._outside: list[Request] = []
        """Those that came while the process was paused."""
        self._held: list[tuple[Ticket, int]] = []
        """Those whose worker became free while the process was paused, and when."""
        self._looking = self._forgets = False

    def request(self, request: Request) -> None:
        """A request of a device arrives."""
        segment = self._course.segment
        condition = segment[CONDITION + self._node]
        if condition == Condition.PAUSED:
            self._outside.append(request)
        elif condition == Condition.DOWN or (self._node != CLOUD and segment[PRIMARY] != self._node):
            self._server.request(request)
        else:
            self._come(request)

    def kill(self) -> None:
        """The process is gone: whoever was inside is cut off."""
        for request in [*self._requests.values(), *self._outside]:
            self._server.answer(request, Code.TROUBLE)
        self._reset()

    def resume(self) -> None:
        """The process goes on after a pause."""
        if self._forgets:
            self.forget()
        held, self._held = self._held, []
        for ticket, since in held:
            self._free(ticket, since)
        self._gate.tick(self._course.now)
        self._tell_changed()
        self._look_later()
        outside, self._outside = self._outside, []
        for request in outside:
            self.request(request)

    def forget(self) -> None:
        """Another device is primary: who waits behind the gate for a commit hears nothing."""
        if not self._course.is_up(self._node):
            self._forgets = True
            return
        self._forgets = False
        now, behind = self._course.now, self._behind
        self._behind = {}
        for ticket in behind.values():
            if not self._declared:
                self._gate.freed(ticket, now, now)
            self._gate.answered(ticket, now, failed=True)
        self._tell_changed()

    def _come(self, request: Request) -> None:
        now, priority = self._course.now, PRIORITY_OF_KIND[request.kind]
        deadline = None if request.useful == NOT_SAID else now + request.useful
        ticket = self._gate.arrive(priority, now, deadline, self._work[priority])
        self._tell_changed()
        self._requests[ticket] = request
        if ticket.state is State.WAITING:
            self._look_later()
        else:
            self._tell(ticket)

    def _tell_changed(self) -> None:
        for ticket in self._gate.take_changed():
            self._tell(ticket)

    def _tell(self, ticket: Ticket) -> None:
        """A request was started or refused."""
        course, request = self._course, self._requests[ticket]
        if ticket.state is State.REFUSED:
            del self._requests[ticket]
            self._refuse(request)
        elif self._declared:
            ends = max(course.now, ticket.started_us + self._work[ticket.priority])
            gate = self._gate
            course.at(
                ends, Event.DELAYED, request.entity, request.attempt, lambda: self._delay_ends(gate, ticket, ends)
            )
        else:
            del self._requests[ticket]
            self._go_on(ticket, request)

    def _refuse(self, request: Request) -> None:
        if request.kind not in _LOOKS and self._known(request):
            self._server.request(request)
            return
        after = 0
        if self._remedies.retry_after:
            u = self._course.draws.uniform(purposes.RETRY_AFTER, request.entity, request.attempt)
            after = retry_after_s(self._gate.refused_share, u) * TICKS_PER_S
        request.kind, request.item = Kind.REFUSAL, after
        self._server.request(request)

    def _go_on(self, ticket: Ticket, request: Request) -> None:
        self._behind[request] = ticket
        self._server.request(request)

    def _delay_ends(self, gate: Gate, ticket: Ticket, ends: int) -> None:
        if gate is not self._gate:
            return
        if self._course.is_up(self._node):
            self._free(ticket, ends)
        else:
            self._held.append((ticket, ends))

    def _free(self, ticket: Ticket, since: int) -> None:
        """A worker is free, since a moment ago if the process was paused."""
        self._gate.freed(ticket, since, self._course.now)
        self._tell_changed()
        request = self._requests.pop(ticket, None)
        if request is not None:
            self._go_on(ticket, request)

    def _ended(self, request: Request, code: int) -> None:
        """A request is done with behind the gate."""
        ticket = self._behind.pop(request, None)
        if ticket is None:
            return
        course, gate = self._course, self._gate
        gate.answered(ticket, course.now, failed=code >= Code.ELSEWHERE)
        if not self._declared:
            now = course.now
            course.at(now, Event.FREED, request.entity, request.attempt, lambda: self._delay_ends(gate, ticket, now))

    def _look_later(self) -> None:
        if not self._looking and self._gate.waiting:
            self._looking = True
            course, gate = self._course, self._gate
            course.at(course.now + LOOK_EVERY_US, Event.LOOK, self._node, 0, lambda: self._look(gate))

    def _look(self, gate: Gate) -> None:
        if gate is not self._gate:
            return
        self._looking = False
        if self._course.is_up(self._node):
            gate.tick(self._course.now)
            self._tell_changed()
            self._look_later()


_LOOKS = tuple(kind for kind, priority in enumerate(PRIORITY_OF_KIND) if priority is Priority.BROWSE)
