"""The gate before a process's work: who starts, who waits and who is refused. It reads no clock and does no I/O.

At most `servers` requests are at work. The others wait, by priority, first come first served. A request is refused when it
comes (too many are under way) or while it waits (too long, or too late for its client); never once it has started. What
refuses is in `waiting_bound`, `concurrency` and here; without any remedy a request is refused only when `waiting_max` wait
already (P20), and all wait in one line.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from refsystem.overload.concurrency import ConcurrencyLimit
from refsystem.overload.priority import PRIORITIES, Priority
from refsystem.overload.remedies import Remedies
from refsystem.overload.retry_after import Pressure
from refsystem.overload.waiting_bound import WaitingBound

AT_WORK_MAX = 1_000
WAITING_MAX = 2_000
LIMIT_SHARES = {Priority.PAYMENT: 1.0, Priority.SUBMIT: 0.9, Priority.BROWSE: 0.6}
"""How much of the concurrency limit is open to each priority."""


class State(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    STARTED = "started"
    REFUSED = "refused"


class Reason(StrEnum):
    """Why a request was refused; the value is what its client is told."""

    FULL = "too many requests wait already"
    LIMIT = "too many requests are under way"
    WAITED = "it has waited too long"
    TOO_LATE = "it would be answered after its deadline"


@dataclass(slots=True, eq=False)
class Ticket:
    """One request at the gate. `due_us` is the last moment at which to start it, if its client gave a deadline."""

    priority: Priority
    arrived_us: int
    due_us: int | None
    state: State = State.WAITING
    reason: Reason | None = None
    started_us: int = 0


class Gate:
    """The gate of one process. Those whose state changed through a call, apart from its own ticket, are in `take_changed`."""

    def __init__(self, remedies: Remedies, servers: int = AT_WORK_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._remedies = remedies
        self._servers, self._waiting_max = servers, waiting_max
        lines = PRIORITIES if remedies.priority else PRIORITIES[:1]
        self._lines: dict[Priority, deque[Ticket]] = {priority: deque() for priority in lines}
        self._bounds = {priority: WaitingBound() for priority in lines}
        self._limit = ConcurrencyLimit()
        self._pressure = Pressure()
        self._at_work = 0
        self._under_way = 0
        self._changed: list[Ticket] = []

    @property
    def waiting(self) -> int:
        """How many requests wait to be started."""
        return sum(map(len, self._lines.values()))

    @property
    def under_way(self) -> int:
        """How many requests have come and are not answered."""
        return self._under_way

    @property
    def limit(self) -> int:
        """The concurrency limit."""
        return self._limit.limit

    @property
    def refused_share(self) -> float:
        """The share of the latest requests that were refused."""
        return self._pressure.refused_share

    def arrive(self, priority: Priority, now_us: int, deadline_us: int | None = None, work_us: int = 0) -> Ticket:
        """A request comes, which takes `work_us` at least and is of no use after `deadline_us`. Its state says what is next."""
        due_us = deadline_us - work_us if deadline_us is not None and self._remedies.deadline else None
        ticket = Ticket(priority, now_us, due_us)
        reason = self._reason_against(priority)
        if reason is not None:
            self._refuse(ticket, reason)
            return ticket
        self._under_way += 1
        self._line(priority).append(ticket)
        self._dispatch(now_us, now_us)
        if ticket.state is not State.WAITING:
            self._changed.remove(ticket)
        return ticket

    def freed(self, ticket: Ticket, free_since_us: int, now_us: int) -> None:
        """The server of a started request is free, since a moment ago if this process comes late."""
        assert ticket.state is State.STARTED, "only what has started has a server"
        self._at_work -= 1
        self._dispatch(now_us, free_since_us)

    def answered(self, ticket: Ticket, now_us: int, failed: bool = False) -> None:
        """A started request, whose server is free, was answered. One that failed (a time-out, a standby lost) teaches nothing."""
        if not failed:
            self._limit.observe(ticket.priority, now_us - ticket.arrived_us, self._under_way, now_us)
        self._under_way -= 1

    def abandoned(self, ticket: Ticket) -> None:
        """A waiting request is not waited for any more."""
        assert ticket.state is State.WAITING, "what has started is answered"
        self._line(ticket.priority).remove(ticket)
        self._under_way -= 1

    def tick(self, now_us: int) -> None:
        """Refuse who has waited too long; to be called now and then while somebody waits."""
        self._dispatch(now_us, now_us)

    def take_changed(self) -> list[Ticket]:
        """Those that waited and were started or refused since the last call."""
        changed, self._changed = self._changed, []
        return changed

    def _line(self, priority: Priority) -> deque[Ticket]:
        return self._lines.get(priority, self._lines[Priority.PAYMENT])

    def _reason_against(self, priority: Priority) -> Reason | None:
        if self.waiting >= self._waiting_max:
            return Reason.FULL
        share = LIMIT_SHARES[priority] if self._remedies.priority else 1.0
        if self._remedies.concurrency_limit and self._under_way >= self._limit.limit * share:
            return Reason.LIMIT
        return None

    def _dispatch(self, now_us: int, free_since_us: int) -> None:
        for priority in self._lines:
            self._turn_away(priority, now_us)
        for priority, line in self._lines.items():
            while line and self._at_work < self._servers:
                self._start(line.popleft(), free_since_us)
                self._turn_away(priority, now_us)

    def _turn_away(self, priority: Priority, now_us: int) -> None:
        """Refuse, from the head of a line, who has waited too long or would be too late."""
        line, bound = self._lines[priority], self._bounds[priority]
        bound.look(now_us - line[0].arrived_us if line else 0, now_us)
        while line:
            oldest = line[0]
            if oldest.due_us is not None and now_us >= oldest.due_us:
                reason = Reason.TOO_LATE
            elif self._remedies.waiting_bound and bound.refuses(now_us - oldest.arrived_us):
                reason = Reason.WAITED
            else:
                return
            line.popleft()
            self._under_way -= 1
            self._refuse(oldest, reason)
            self._changed.append(oldest)

    def _start(self, ticket: Ticket, free_since_us: int) -> None:
        self._at_work += 1
        self._pressure.note(False)
        ticket.state, ticket.started_us = State.STARTED, max(ticket.arrived_us, free_since_us)
        self._changed.append(ticket)

    def _refuse(self, ticket: Ticket, reason: Reason) -> None:
        self._pressure.note(True)
        ticket.state, ticket.reason = State.REFUSED, reason
