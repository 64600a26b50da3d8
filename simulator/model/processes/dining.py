"""The dining room: who needs a table waits for one, or goes away; a table is kept until the meal is eaten."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simulator.model.people import BALKS, DINING, SEAT, SEAT_PATIENCE
from simulator.model.processes.course import Course
from simulator.model.records import ABSENT, LEFT, OUTCOME, SEATED, SERVED_0, TOLD, WHICH
from simulator.model.vocabulary import Event, Outcome


class Tables:
    """`begin` is called with each diner who comes in."""

    def __init__(self, course: Course, begin: Callable[[int], None]) -> None:
        self._course, self._begin = course, begin
        self._free = course.plan.tables  # below 0 while people sit in a section that has closed
        self._queue: deque[int] = deque()
        self._waiting: set[int] = set()
        changes = zip(course.plan.tables_at.tolist(), course.plan.tables_more.tolist(), strict=True)
        for number, (at, more) in enumerate(changes):
            course.at(at, Event.SECTION, number, 0, lambda more=more: self._change(more))  # type: ignore[misc]

    def arrive(self, diner: int) -> None:
        """Somebody comes."""
        course, wants = self._course, self._course.diners[diner]
        if not wants[SEAT]:
            self._come_in(diner)
        elif self._free > 0 and not self._waiting:
            self._free -= 1
            self._come_in(diner)
        elif wants[BALKS] or len(self._waiting) >= course.plan.table_queue_max:
            self._go(diner, Outcome.BALKED)
        else:
            self._queue.append(diner)
            self._waiting.add(diner)
            course.at(course.now + wants[SEAT_PATIENCE], Event.RENEGE, diner, 0, lambda: self._renege(diner))

    def meal_is_ready(self, order: int) -> None:
        """An order is on the table, or was told yes after that."""
        diner = order >> 1
        row = self._course.rows[diner]
        if self._course.diners[diner][SEAT] and row[TOLD] != ABSENT and row[WHICH] == order & 1 and row[LEFT] == ABSENT:
            self._eat(diner)

    def told(self, diner: int) -> None:
        """Somebody was told yes; the meal may be there already."""
        row = self._course.rows[diner]
        if row[SERVED_0 + row[WHICH]] != ABSENT:
            self.meal_is_ready(2 * diner + row[WHICH])

    def leave(self, diner: int) -> None:
        """Somebody goes home."""
        self._course.rows[diner][LEFT] = self._course.now
        if self._course.diners[diner][SEAT]:
            self._change(1)

    def _come_in(self, diner: int) -> None:
        self._course.rows[diner][SEATED] = self._course.now
        if self._course.plan.orders:
            self._begin(diner)
        else:
            self._course.rows[diner][OUTCOME] = Outcome.DINED
            self._eat(diner)

    def _eat(self, diner: int) -> None:
        course = self._course
        course.at(course.now + course.diners[diner][DINING], Event.DEPART, diner, 0, lambda: self.leave(diner))

    def _change(self, more: int) -> None:
        """So many tables more are free."""
        self._free += more
        while self._free > 0 and self._queue:
            diner = self._queue.popleft()
            if diner in self._waiting:
                self._waiting.discard(diner)
                self._free -= 1
                self._come_in(diner)

    def _renege(self, diner: int) -> None:
        if diner in self._waiting:
            self._waiting.discard(diner)
            self._go(diner, Outcome.RENEGED)

    def _go(self, diner: int, outcome: Outcome) -> None:
        row = self._course.rows[diner]
        row[OUTCOME], row[LEFT] = outcome, self._course.now
