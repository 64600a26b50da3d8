"""The cloud's database behind its pool of connections."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simulator.model import purposes
from simulator.model.laws import drawn, ticks
from simulator.model.links import CLOUD_DATABASE, FROM, TO
from simulator.model.plan import POSTGRES, SLOW
from simulator.model.processes.course import Course
from simulator.model.processes.server import Request
from simulator.model.vocabulary import ANSWER_BYTES, ENTRY_BYTES, Event

Told = Callable[[Request], None]


class Database:
    """`stored` is called with each request whose transaction is done, `failed` with one that the database did not do."""

    def __init__(self, course: Course, stored: Told, failed: Told) -> None:
        self._course, self._stored, self._failed = course, stored, failed
        self._free = list(range(course.plan.connections - 1, -1, -1))
        self._queue: deque[Request] = deque()
        self._transactions = 0

    def request(self, request: Request) -> None:
        """A request wants a transaction."""
        if not self._course.is_up(POSTGRES):
            self._failed(request)
            return
        self._queue.append(request)
        self._start()

    def fail(self) -> None:
        """The database is gone: who waits is told so."""
        queue = list(self._queue)
        self._queue.clear()
        for request in queue:
            self._failed(request)

    def _start(self) -> None:
        course, plan = self._course, self._course.plan
        while self._queue and self._free:
            request, connection, number = self._queue.popleft(), self._free.pop(), self._transactions
            self._transactions += 1
            u = course.draws.uniform(purposes.DATABASE, number, 0)
            time = ticks(drawn(plan.transaction_shape, plan.transaction, plan.transaction_spread, u))
            time = time * course.segment[SLOW + POSTGRES] // 1000
            more = (int(plan.round_trips[request.kind]) - 1) * course.lasting(CLOUD_DATABASE)
            there = course.delivery(CLOUD_DATABASE, TO, ENTRY_BYTES, purposes.DATABASE, number, 1) - course.now
            back = course.delivery(CLOUD_DATABASE, FROM, ANSWER_BYTES, purposes.DATABASE, number, 2) - course.now
            course.at(
                course.now + time + there + back + more,
                Event.STORED,
                connection,
                0,
                lambda request=request, connection=connection: self._end(request, connection),  # type: ignore[misc]
            )

    def _end(self, request: Request, connection: int) -> None:
        self._free.append(connection)
        if self._course.is_up(POSTGRES):
            self._stored(request)
        else:
            self._failed(request)
        self._start()
