"""A server: event loops before one queue, with limits and the remedies against overload."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from simulator.model import purposes
from simulator.model.laws import drawn, ticks
from simulator.model.links import DINER_CLOUD, DINER_EDGE, FROM
from simulator.model.overload import NOT_SAID
from simulator.model.plan import CONDITION, SLOW
from simulator.model.processes.course import Course
from simulator.model.records import ARRIVED, BUSY, BUSY_IN_LOAD, DONE, DROPPED, REFUSED, STAYED, WAITED, WAITING_MOST
from simulator.model.vocabulary import (
    ANSWER_BYTES,
    CLOUD,
    COOK_BITS,
    LEVELS,
    MENU_BYTES,
    PRIORITY,
    Code,
    Condition,
    Event,
    Kind,
)

LIFE_MASK = (1 << COOK_BITS) - 1
_SERVICE = (
    *[purposes.SERVICE] * (Kind.LOOK + 1),
    purposes.SERVICE_DOWNLINK,
    purposes.SERVICE_INGEST,
    purposes.SERVICE,
    purposes.SERVICE_WEBHOOK,
)


@dataclass(slots=True, eq=False)
class Request:
    """A request at a server. `entity` is the lane of a diner's device, or what an internal exchange is about; `item` the entry
    of the log that it wants; `answered` gets code and value when the answer arrives; `useful` is for how long it is of use, if
    the device says so."""

    kind: int
    entity: int
    attempt: int
    item: int
    deadline: int
    node: int
    answered: Callable[[int, int], None] | None = None
    useful: int = NOT_SAID
    arrived: int = 0
    begun: int = 0
    time: int = 0


Work = Callable[[Request], None]


class Server:
    """One node. `work` is called with each request that has been worked off, `ended` with internal ones that a kill ended."""

    def __init__(self, course: Course, node: int, work: Work, ended: Work) -> None:
        self._course, self._plan, self._node, self._work, self._ended = course, course.plan, node, work, ended
        self._queues: list[deque[Request]] = [deque() for _ in range(LEVELS)]
        self._waiting = 0
        self._workers: list[Request | None] = [None] * int(course.plan.workers[node])
        self._free = list(range(len(self._workers) - 1, -1, -1))
        self._held: list[int] = []
        self._life = 0
        self._counters = course.servers[node]
        self._service: list[float] = course.plan.service[node].tolist()
        self._shape = int(course.plan.service_shape[node])
        self._spread = float(course.plan.service_spread[node])
        self.on_end: Callable[[Request, int], None] | None = None
        """Told of each request of a device that ends here, with its code."""

    def request(self, request: Request) -> None:
        """A request arrives."""
        course, plan = self._course, self._plan
        if course.segment[CONDITION + self._node] == Condition.DOWN:
            self._turn_away(request)
            return
        self._counters[ARRIVED] += 1
        request.arrived = course.now
        if request.answered is not None and (
            self._waiting >= plan.queue_max or self._oldest_waited() > plan.waiting_max
        ):
            self._counters[REFUSED] += 1
            self.answer(request, Code.BUSY, plan.retry_after)
            return
        level = PRIORITY[request.kind] if plan.priority else 0
        self._queues[level].append(request)
        self._waiting += 1
        self._counters[WAITING_MOST] = max(self._counters[WAITING_MOST], self._waiting)
        self._start()

    def answer(self, request: Request, code: int, value: int = 0) -> None:
        """Send an answer to a diner's device."""
        answered = request.answered
        if answered is None:
            return
        self.end(request, code)
        size = MENU_BYTES if request.kind == Kind.MENU and code == Code.OK else ANSWER_BYTES
        link = DINER_CLOUD if self._node == CLOUD else DINER_EDGE
        course = self._course
        at = course.trip(link, FROM, size, purposes.ANSWER_TRIP, request.entity, request.attempt)
        course.at(at, Event.ANSWER, request.entity, request.attempt, lambda: answered(code, value))

    def end(self, request: Request, code: int) -> None:
        """A request is done with, with this code or unanswered."""
        if self.on_end is not None:
            self.on_end(request, code)

    def kill(self) -> None:
        """The process is gone: whoever was inside is cut off."""
        inside = [request for request in self._workers if request is not None]
        for queue in self._queues:
            inside += queue
            queue.clear()
        self._waiting = 0
        self._workers = [None] * len(self._workers)
        self._free = list(range(len(self._workers) - 1, -1, -1))
        self._held.clear()
        self._life = (self._life + 1) & LIFE_MASK
        for request in inside:
            self._counters[DROPPED] += 1
            self._counters[STAYED] += self._course.now - request.arrived
            self._turn_away(request)

    def resume(self) -> None:
        """The process goes on after a pause, or has started: what was done meanwhile is told, what waits is begun."""
        held, self._held = self._held, []
        for worker in held:
            self._worked(worker)
        self._start()

    def _turn_away(self, request: Request) -> None:
        if request.answered is None:
            self._ended(request)
        else:
            self.answer(request, Code.TROUBLE)

    def _oldest_waited(self) -> int:
        heads = [queue[0].arrived for queue in self._queues if queue]
        return self._course.now - min(heads) if heads else 0

    def _start(self) -> None:
        course = self._course
        while self._free and self._waiting and course.is_up(self._node):
            request = self._next()
            if request.answered is not None and self._plan.deadline_drop and course.now >= request.deadline:
                self._counters[DROPPED] += 1
                self._counters[STAYED] += course.now - request.arrived
                self.end(request, Code.TROUBLE)
                continue
            worker = self._free.pop()
            self._workers[worker] = request
            self._counters[WAITED] += course.now - request.arrived
            u = course.draws.uniform(_SERVICE[request.kind], request.entity, request.attempt)
            time = ticks(drawn(self._shape, self._service[request.kind], self._spread, u))
            request.begun = course.now
            request.time = time * course.segment[SLOW + self._node] // 1000
            life = self._life
            course.at(
                course.now + request.time,
                Event.WORKED,
                self._node,
                worker << COOK_BITS | life,
                lambda worker=worker, life=life: self._end_work(worker, life),  # type: ignore[misc]
            )

    def _next(self) -> Request:
        lifo = self._oldest_waited() > self._plan.lifo_after
        queue = next(queue for queue in self._queues if queue)
        self._waiting -= 1
        return queue.pop() if lifo else queue.popleft()

    def _end_work(self, worker: int, life: int) -> None:
        if life != self._life:
            return
        if not self._course.is_up(self._node):
            self._held.append(worker)
            return
        self._worked(worker)
        self._start()

    def _worked(self, worker: int) -> None:
        request = self._workers[worker]
        assert request is not None, "a worker that ends had work"
        self._workers[worker] = None
        self._free.append(worker)
        self._counters[DONE] += 1
        self._counters[STAYED] += self._course.now - request.arrived
        self._counters[BUSY] += request.time
        self._counters[BUSY_IN_LOAD] += min(request.time, max(0, self._plan.duration - request.begun))
        self._work(request)
