"""The visits: what a person and the person's devices do, each a SimPy process (as `loadtests.journey` and `loadtests.client`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from simpy import Event as Happening

from simulator.model import purposes
from simulator.model.laws import NEVER, longer, pause
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
from simulator.model.plan import DINER_CLOUD, DINER_EDGE, TO
from simulator.model.processes.course import Course, Steps
from simulator.model.processes.dining import Tables
from simulator.model.processes.server import Request
from simulator.model.processes.store import DECLINED, IDLE, Store
from simulator.model.records import ATTEMPTS, LEVEL, MEANT, MENU_TOLD, OUTCOME, TOLD, WHICH
from simulator.model.timetable import (
    DOOR,
    DOUBLE_TAP,
    FIRST_EDGE,
    PATIENCE,
    PICKUP,
    PLAIN,
    POLL,
    REORDERS,
    RETAPS,
    SEAT,
    SWITCHES,
    TAPS,
    TENDER,
    THINK,
    TWO_DOORS,
)  # fmt: skip
from simulator.model.vocabulary import A_REPLY, CLOUD, NO_REPLY, REQUEST_BYTES, Code, Event, Kind, Outcome

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
            if told[0] <= Code.TROUBLE and self.door == EDGE_DOOR:
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
        time = pause(number, plan.backoff, plan.backoff_max, value if code == Code.BUSY else 0, u)
        if code == Code.TROUBLE and value == NO_REPLY and manners & SPREADS_RECONNECT:
            return longer(time, RECONNECT_SPREAD, self.course.draws.uniform(purposes.SPREAD, self.lane, self.attempts))
        if code == Code.BUSY and value > 0 and manners & SPREADS_COME_BACK:
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
        course.at(until, Event.TIMEOUT, self.lane, number, lambda: self._told(number, Code.TROUBLE, NO_REPLY))
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


@dataclass(slots=True, eq=False)
class Submission:
    """One order sent by up to two devices; `decided` gets the device that was told yes first, or None, and the last code."""

    which: int
    deadline: int
    decided: Happening
    asking: int = 0


@dataclass(slots=True, eq=False)
class Visit:
    """One diner's visit."""

    course: Course
    store: Store
    tables: Tables
    diner: int
    devices: tuple[Device, Device] = field(init=False)
    budget: RetryBudget

    def __post_init__(self) -> None:
        wants = self.course.diners[self.diner]
        made = []
        for place in (0, 1):
            device = Device(self.course, self.store, self.budget, self.diner, 2 * self.diner + place, 0, 0)
            crosses = place == 1 and wants[TAPS] == TWO_DOORS
            device.go_to(1 - wants[DOOR] if crosses else wants[DOOR], wants[FIRST_EDGE])
            made.append(device)
        self.devices = (made[0], made[1])

    def run(self) -> Steps:
        """From the menu to going home."""
        course, wants, row = self.course, self.course.diners[self.diner], self.course.rows[self.diner]
        own = self.devices[0]
        meant = course.now + wants[THINK]
        yield from own.ask(Kind.MENU, 0, course.now + max(wants[THINK], course.plan.attempt_timeout))
        row[MENU_TOLD] = course.now
        if course.now < meant:
            yield own.sleep_until(meant)
        row[MEANT] = meant
        since = meant
        device, code = yield from self._submit(0, since + wants[PATIENCE])
        if device is None and wants[REORDERS] and code != Code.TOO_LATE:
            if wants[SWITCHES]:
                for each in self.devices:
                    each.go_to(1 - each.door, wants[FIRST_EDGE])
            since = course.now
            device, code = yield from self._submit(1, since + wants[PATIENCE])
        if device is None:
            row[OUTCOME] = Outcome.UNANSWERED if code == Code.TROUBLE else Outcome.REFUSED
            self.tables.leave(self.diner)
            return
        row[OUTCOME] = Outcome.SERVED
        yield from self._watch(device, max(row[TOLD], since + wants[PICKUP]))
        if wants[TENDER] >= 0:
            yield from self._pay(device)
        if not wants[SEAT]:
            self.tables.leave(self.diner)

    def _submit(self, which: int, deadline: int) -> Steps:
        """Submit an order by one device, or two; returns the one that was told yes first, or None, and the last code."""
        course, wants = self.course, self.course.diners[self.diner]
        submission = Submission(which, deadline, course.env.event())
        submission.asking = 1
        course.env.process(self._tap(self.devices[0], submission))
        if wants[TAPS] in (DOUBLE_TAP, TWO_DOORS):
            submission.asking = 2
            course.env.process(self._tap(self.devices[1], submission))
        elif wants[TAPS] == PLAIN and wants[RETAPS] and course.plan.retap < NEVER:
            course.env.process(self._tap_again(submission))
        device, code = yield submission.decided
        return device, code

    def _tap(self, device: Device, submission: Submission) -> Steps:
        order = 2 * self.diner + submission.which
        code, value = yield from device.ask(Kind.ORDER, order, submission.deadline, submission.which)
        submission.asking -= 1
        if submission.decided.triggered:
            return
        if code < Code.ELSEWHERE:
            row = self.course.rows[self.diner]
            row[TOLD], row[LEVEL], row[WHICH] = self.course.now, value, submission.which
            self.tables.told(self.diner)
            submission.decided.succeed((device, code))
        elif submission.asking == 0:
            submission.decided.succeed((None, code))

    def _tap_again(self, submission: Submission) -> Steps:
        """Who has no answer after a while taps again, on the same order."""
        yield self.devices[1].sleep_until(self.course.now + self.course.plan.retap)
        if not submission.decided.triggered:
            submission.asking += 1
            yield from self._tap(self.devices[1], submission)

    def _watch(self, device: Device, begins: int) -> Steps:
        """Look now and then how the order stands."""
        course, poll = self.course, self.course.diners[self.diner][POLL]
        order = 2 * self.diner + course.rows[self.diner][WHICH]
        for number in range(1, course.plan.polls_max + 1):
            meant = begins + number * poll
            if meant > course.now:
                yield device.sleep_until(meant)
            code, _ = yield from device.ask(Kind.READ, order, meant + max(poll, course.plan.attempt_timeout))
            if code == Code.DONE:
                return

    def _pay(self, device: Device) -> Steps:
        """Pay at the edge, looking now and then whether the check is closed."""
        course, wants = self.course, self.course.diners[self.diner]
        if device.door == CLOUD_DOOR:
            device.go_to(EDGE_DOOR, wants[FIRST_EDGE])
            device.tokens_at = 0
        deadline, item = course.now + course.plan.pay_patience, 2 * len(course.diners) + self.diner
        while course.now < deadline:
            code, state = yield from device.ask(Kind.LOOK, item, deadline)
            if code == Code.DONE:
                return
            if code == Code.OK and state in (IDLE, DECLINED):
                yield from device.ask(Kind.PAY, item, deadline)
            yield device.sleep_until(course.now + wants[POLL])
