"""The uplink: committed orders go to the cloud in batches, one after the other, and paced if the scenario says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from refsystem.overload.pacing import UPLINK_PACE, Pacer
from simulator.model import purposes
from simulator.model.links import EDGE_CLOUD, TO
from simulator.model.overload import PACED
from simulator.model.plan import PRIMARY
from simulator.model.processes.course import Course
from simulator.model.processes.server import Request
from simulator.model.vocabulary import CLOUD, ENTRY_BYTES, NO_PRIMARY, UPLINK_BATCH_MAX, Event, Kind


class Uplink:
    """A store's uplink. `reach` takes a batch at the cloud."""

    def __init__(self, course: Course, reach: Callable[[Request], None]) -> None:
        self._course, self._reach = course, reach
        self.batch: list[int] = []
        """The orders that are on their way."""
        self._pacer = Pacer(UPLINK_PACE) if course.plan.gates & PACED else None
        self._waiting: deque[int] = deque()
        self._batches, self._busy = 0, False

    def add(self, order: int) -> None:
        """An order is committed."""
        self._waiting.append(order)
        self.send()

    def send(self) -> None:
        """Begin a batch of the uplink, unless one is under way."""
        course = self._course
        if self._busy or not self._waiting or course.segment[PRIMARY] == NO_PRIMARY:
            return
        self._busy = True
        self.batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), UPLINK_BATCH_MAX))]
        batch = self._batches
        self._batches += 1
        wait = 0 if self._pacer is None else self._pacer.wait_us(len(self.batch), course.now)
        if wait:
            course.at(course.now + wait, Event.PACED, batch, 0, lambda: self._send_batch(batch))
        else:
            self._send_batch(batch)

    def _send_batch(self, batch: int) -> None:
        course = self._course
        arrives = course.delivery(EDGE_CLOUD, TO, ENTRY_BYTES * len(self.batch), purposes.UPLINK, batch, 0)
        course.at(arrives, Event.UP, batch, 0, lambda: self.up(batch, 0))

    def up(self, batch: int, number: int) -> None:
        """A batch reaches the cloud."""
        self._reach(Request(Kind.INGEST, batch, number, batch, 0, CLOUD))

    def uplinked(self) -> None:
        """The store hears that a batch is stored."""
        self._busy = False
        self.send()
