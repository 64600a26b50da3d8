"""The visits: what a person does, each a SimPy process (as `loadtests.journey`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from simpy import Event as Happening

from simulator.model.laws import NEVER
from simulator.model.people import (
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
)
from simulator.model.processes.course import Course, Steps
from simulator.model.processes.devices import CLOUD_DOOR, EDGE_DOOR, Device, RetryBudget
from simulator.model.processes.dining import Tables
from simulator.model.processes.payments import DECLINED, UNPAID
from simulator.model.processes.store import Store
from simulator.model.records import LEVEL, MEANT, MENU_TOLD, OUTCOME, TOLD, WHICH
from simulator.model.vocabulary import Code, Kind, Outcome


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
            if code == Code.OK and state in (UNPAID, DECLINED):
                yield from device.ask(Kind.PAY, item, deadline)
            yield device.sleep_until(course.now + wants[POLL])
