"""A diner's devices: attempts, rounds and pauses, each a SimPy process (as `loadtests.client`)."""

from __future__ import annotations

from dataclasses import dataclass

from simpy import Event as Happening

from simulator.model import purposes
from simulator.model.laws import longer, pause
from simulator.model.links import DINER_CLOUD, DINER_EDGE, TO
from simulator.model.overload import (
    COME_BACK_SPREAD,
    HAS_BUDGET,
    RECONNECT_SPREAD,
    SAYS_DEADLINE,
    SPREADS_COME_BACK,
    SPREADS_RECONNECT,
    TOKEN_US,
    TOKENS,
)
from simulator.model.processes.course import Course, Steps
from simulator.model.processes.server import Request
from simulator.model.processes.store import Store
from simulator.model.records import ATTEMPTS, TOLD, WHICH
from simulator.model.vocabulary import A_REPLY, CLOUD, NO_REPLY, REQUEST_BYTES, Code, Event, Kind

EDGE_DOOR, CLOUD_DOOR = 0, 1
Told = tuple[int, int]
"""A code, and what came with it."""


@dataclass(slots=True)
class RetryBudget:
    """Retries that all diners of the store may still make, in thousandths (remedy `retry_budget`)."""

    each: int
    most: int
    left: int

    def first(self) -> None:
        """A first attempt earns."""
        if self.each >= 0:
            self.left = min(self.most, self.left + self.each)

    def take(self) -> bool:
        """Whether one more retry is allowed; it is spent."""
        if self.each < 0:
            return True
        if self.left < 1_000:
            return False
        self.left -= 1_000
        return True


@dataclass(slots=True, eq=False)
class Device:
    """One of a diner's two devices. `node` is where it asks next."""

    course: Course
    store: Store
    budget: RetryBudget
    diner: int
    lane: int
    door: int
    node: int
    attempts: int = 0
    wakes: int = 0
    active: int = 0
    tokens_at: int = 0
    reply: Happening | None = None

    def go_to(self, door: int, first_edge: int) -> None:
        """Use this door from now on."""
        self.door, self.node = door, CLOUD if door == CLOUD_DOOR else first_edge

    def sleep_until(self, tick: int) -> Happening:
        """The moment to wait for."""
        self.wakes += 1
        return self.course.moment(tick, Event.WAKE, self.lane, self.wakes)

    def ask(self, kind: int, item: int, deadline: int, which: int = -1) -> Steps:
        """Ask until the answer is final, the rounds are used up, or the deadline would pass; returns what was told last.

        `which` is the order that is submitted: nobody asks again for what another device was told yes to.
        """
        course, plan = self.course, self.course.plan
        told: Told = (Code.TOO_LATE, 0)
        self.budget.first()
        for number in range(plan.attempts_max):
            if number:
                if not self._has_token(told[0]):
                    break
                wakes_at = course.now + self._pause(number, told)
                if wakes_at >= deadline or not self.budget.take():
                    break
                yield self.sleep_until(wakes_at)
                if which >= 0 and self._has_yes(which):
                    break
            answer: Told | None = yield from self._attempt(kind, item, deadline)
            if answer is None:
                break
            told = answer
            if told[0] == Code.ELSEWHERE and told[1] != self.node:
                self.node = told[1]
                again: Told | None = yield from self._attempt(kind, item, deadline)
                told = told if again is None else again
            if told[0] < Code.ELSEWHERE:
                break
            if (told[0] < Code.TROUBLE or told == (Code.TROUBLE, NO_REPLY)) and self.door == EDGE_DOOR:
                self.node = 1 - self.node
        return told

    def _has_token(self, code: int) -> bool:
        """Whether this device may ask again (remedy `retry_budget`); takes a token. To be sent on to the primary is no retry."""
        if not self.course.plan.manners & HAS_BUDGET or code in (Code.ELSEWHERE, Code.FENCED):
            return True
        if self.tokens_at - self.course.now > (TOKENS - 1) * TOKEN_US:
            return False
        self.tokens_at = max(self.tokens_at, self.course.now) + TOKEN_US
        return True

    def _pause(self, number: int, told: Told) -> int:
        plan, manners, (code, value) = self.course.plan, self.course.plan.manners, told
        u = self.course.draws.uniform(purposes.BACKOFF, self.lane, self.attempts)
        time = pause(number, plan.backoff, plan.backoff_max, value if value > A_REPLY else 0, u)
        if code == Code.TROUBLE and value == NO_REPLY and manners & SPREADS_RECONNECT:
            return longer(time, RECONNECT_SPREAD, self.course.draws.uniform(purposes.SPREAD, self.lane, self.attempts))
        if value > A_REPLY and manners & SPREADS_COME_BACK:
            return longer(time, COME_BACK_SPREAD, self.course.draws.uniform(purposes.SPREAD, self.lane, self.attempts))
        return time

    def _has_yes(self, which: int) -> bool:
        row = self.course.rows[self.diner]
        return row[TOLD] >= 0 and row[WHICH] == which

    def _attempt(self, kind: int, item: int, deadline: int) -> Steps:
        """Send one request and wait for its answer; None if it is too late to send."""
        course = self.course
        left = deadline - course.now
        if left <= 0:
            return None
        self.attempts += 1
        course.rows[self.diner][ATTEMPTS] += 1
        number = self.active = self.attempts
        self.reply = course.env.event()
        until = course.now + min(left, course.plan.attempt_timeout)
        request = Request(
            kind, self.lane, number, item, until, self.node, lambda code, value: self._told(number, code, value)
        )
        if course.plan.manners & SAYS_DEADLINE:
            request.useful = (until - course.now) // 1_000 * 1_000
        link = DINER_CLOUD if self.node == CLOUD else DINER_EDGE
        arrives = course.trip(link, TO, REQUEST_BYTES, purposes.REQUEST_TRIP, self.lane, number)
        course.at(arrives, Event.REQUEST, self.lane, number, lambda: self._arrive(link, request))
        given_up = course.given_up_at(link, until)
        course.at(given_up, Event.TIMEOUT, self.lane, number, lambda: self._told(number, Code.TROUBLE, NO_REPLY))
        answer: Told = yield self.reply
        return answer

    def _arrive(self, link: int, request: Request) -> None:
        server, is_order = self.store.servers[request.node], request.kind == Kind.ORDER
        if self.course.fails_on_its_way(link, is_order, purposes.HTTP_ERROR, self.lane, request.attempt):
            server.answer(request, Code.TROUBLE, A_REPLY)
        else:
            self.store.arrive(request)

    def _told(self, number: int, code: int, value: int) -> None:
        """An answer or a time-out; what comes later than the first of them is not seen."""
        if self.active == number:
            self.active = 0
            assert self.reply is not None
            self.reply.succeed((code, value))
