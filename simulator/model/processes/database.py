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
from simulator.model.vocabulary import ANSWER_BYTES, ENTRY_BYTES, OPENED, Event

Told = Callable[[Request], None]


class Database:
    """`stored` is called with each request whose transaction is done, `failed` with one that the database did not do."""

    def __init__(self, course: Course, stored: Told, failed: Told) -> None:
        self._course, self._stored, self._failed = course, stored, failed
        self._free = list(range(course.plan.connections - 1, -1, -1))
        self._queue: deque[Request] = deque()
        self._transactions = 0
        self._ready: list[int] = []
        self.close()

    def close(self) -> None:
        """The connections are gone; those that are open before anybody asks are so again when the database serves."""
        plan = self._course.plan
        self._ready = [OPENED if number < plan.connections_open else 0 for number in range(plan.connections)]

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
            more = (self._round_trips(connection, request.kind) - 1) * course.lasting(CLOUD_DATABASE)
            there = course.delivery(CLOUD_DATABASE, TO, ENTRY_BYTES, purposes.DATABASE, number, 1) - course.now
            back = course.delivery(CLOUD_DATABASE, FROM, ANSWER_BYTES, purposes.DATABASE, number, 2) - course.now
            course.at(
                course.now + time + there + back + more,
                Event.STORED,
                connection,
                0,
                lambda request=request, connection=connection: self._end(request, connection),  # type: ignore[misc]
            )

    def _round_trips(self, connection: int, kind: int) -> int:
        """The exchanges of one transaction; the first of its kind on a connection is prepared, and a new connection opened."""
        plan, ready = self._course.plan, self._ready[connection]
        self._ready[connection] |= OPENED | 1 << kind
        trips = int(plan.round_trips[kind])
        trips += 0 if ready >> kind & 1 else trips
        return trips if ready & OPENED else trips + plan.connect_round_trips

    def _end(self, request: Request, connection: int) -> None:
        self._free.append(connection)
        if self._course.is_up(POSTGRES):
            self._stored(request)
        else:
            self._failed(request)
        self._start()
