"""A delivery platform: it pushes an order to the cloud until it is heard, and cancels what is not accepted in time."""

from __future__ import annotations

from collections.abc import Callable

from simulator.model import purposes
from simulator.model.links import FROM, PARTNER_CLOUD, TO
from simulator.model.people import CANCELS, DOOR
from simulator.model.plan import PLATFORM
from simulator.model.platforms import ANSWER_TIMEOUT, AT_PLATFORM, TRIES
from simulator.model.processes.course import Course
from simulator.model.processes.server import Request
from simulator.model.records import ABSENT, ATTEMPTS, LEFT, LEVEL, OUTCOME, PLACED, TOLD
from simulator.model.vocabulary import ANSWER_BYTES, CLOUD, ENTRY_BYTES, Event, Kind, Level, Outcome


class Platform:
    """The platform of the scenario's stores, as this store sees it. `reach` takes a webhook at the cloud."""

    def __init__(self, course: Course, reach: Callable[[Request], None]) -> None:
        self._course, self._reach = course, reach
        self._next_try = [0] * len(course.diners)
        self._heard = [False] * len(course.diners)
        self._settled = [False] * len(course.diners)
        self._called = [False] * len(course.diners)

    def place(self, diner: int) -> None:
        """Somebody orders at the platform."""
        course, cancels = self._course, self._course.diners[diner][CANCELS]
        course.rows[diner][PLACED] = course.now
        course.at(course.now + course.plan.accept_within, Event.EXPIRED, diner, 0, lambda: self._expire(diner))
        course.at(course.now + cancels, Event.CANCELLED, diner, 0, lambda: self._cancel(diner))
        self._push(diner, 0)

    def wants(self, diner: int) -> bool:
        """Whether the order is still wanted, as far as the platform has said."""
        return not self._settled[diner]

    def stored(self, item: int) -> None:
        """The cloud has heard that the store has committed this entry."""
        diner = item >> 1
        if self._course.diners[diner][DOOR] == AT_PLATFORM and not self._course.plan.accepts_at_cloud:
            self.accept(diner)

    def accept(self, diner: int) -> None:
        """The cloud tells the platform, once, that the order is accepted."""
        if not self._called[diner]:
            self._called[diner] = True
            course = self._course
            arrives = course.delivery(PARTNER_CLOUD, FROM, ENTRY_BYTES, purposes.ACCEPT, diner, 0)
            course.at(arrives, Event.ACCEPTED, diner, 0, lambda: self._accepted(diner))

    def answer(self, diner: int, number: int, heard: bool) -> None:
        """What the cloud says to a webhook."""
        course = self._course
        arrives = course.trip(PARTNER_CLOUD, FROM, ANSWER_BYTES, purposes.WEBHOOK_ANSWER, diner, number)
        course.at(arrives, Event.HEARD, diner, number, lambda: self._hear(diner, number, heard))

    def _push(self, diner: int, number: int) -> None:
        course, plan = self._course, self._course.plan
        if self._heard[diner] or number != self._next_try[diner]:
            return
        if not course.is_up(PLATFORM):
            self._push_at(course.next_up(PLATFORM), diner, number)
            return
        self._next_try[diner] += 1
        course.rows[diner][ATTEMPTS] += 1
        arrives = course.trip(PARTNER_CLOUD, TO, ENTRY_BYTES, purposes.WEBHOOK, diner, number)
        request = Request(Kind.WEBHOOK, diner, number, 2 * diner, 0, CLOUD)
        course.at(arrives, Event.WEBHOOK, diner, number, lambda: self._reach(request))
        if number + 1 < TRIES:
            self._push_at(course.now + ANSWER_TIMEOUT + (plan.push_again << number), diner, number + 1)

    def _push_at(self, tick: int, diner: int, number: int) -> None:
        self._course.at(tick, Event.PUSH, diner, number, lambda: self._push(diner, number))

    def _hear(self, diner: int, number: int, heard: bool) -> None:
        if heard:
            self._heard[diner] = True
        elif number + 1 < TRIES:
            self._push_at(self._course.now + (self._course.plan.push_again << number), diner, number + 1)

    def _accepted(self, diner: int) -> None:
        course = self._course
        if not course.is_up(PLATFORM):
            course.at(course.next_up(PLATFORM), Event.ACCEPTED, diner, 0, lambda: self._accepted(diner))
        elif not self._settled[diner]:
            row = course.rows[diner]
            row[TOLD], row[LEVEL] = course.now, Level.RC if course.plan.accepts_at_cloud else Level.R1
            self._settle(diner, Outcome.SERVED)

    def _expire(self, diner: int) -> None:
        if not self._settled[diner]:
            self._settle(diner, Outcome.EXPIRED)

    def _cancel(self, diner: int) -> None:
        if not self._settled[diner] or self._course.rows[diner][OUTCOME] == Outcome.SERVED:
            self._settle(diner, Outcome.CANCELLED)

    def _settle(self, diner: int, outcome: Outcome) -> None:
        row = self._course.rows[diner]
        self._settled[diner], row[OUTCOME] = True, outcome
        if row[LEFT] == ABSENT:
            row[LEFT] = self._course.now
