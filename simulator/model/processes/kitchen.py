"""The kitchen: tickets go to stations stage by stage; a cook makes up to a batch of them at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from simulator.model import purposes
from simulator.model.laws import cooking
from simulator.model.links import EDGE_KDS, TO
from simulator.model.people import ITEMS
from simulator.model.plan import KITCHEN
from simulator.model.processes.course import Course
from simulator.model.records import ABSENT, SERVED_0, SHOWN_0
from simulator.model.vocabulary import COOK_BITS, COOK_UNLIMITED, ENTRY_BYTES, Event


class Kitchen:
    """`served` is called with each order whose tickets are all done."""

    def __init__(self, course: Course, served: Callable[[int], None]) -> None:
        plan = course.plan
        self._course, self._served = course, served
        self._last_ticket = 0
        self._cooks: list[int] = plan.cooks.tolist()
        self._stage: list[int] = plan.stage.tolist()
        self._batch: list[int] = plan.batch.tolist()
        self._setup: list[int] = plan.setup.tolist()
        self._per_item: list[int] = plan.per_item.tolist()
        self._shape: list[int] = plan.cook_shape.tolist()
        self._spread: list[float] = plan.cook_spread.tolist()
        self._free = [list(range(cooks - 1, -1, -1)) for cooks in self._cooks]
        self._queues: list[deque[int]] = [deque() for _ in self._cooks]
        self._left: dict[int, int] = {}

    def send(self, order: int) -> None:
        """A committed order's ticket goes to the display, in the order of the log."""
        course = self._course
        arrives = course.delivery(EDGE_KDS, TO, ENTRY_BYTES, purposes.TICKET, order, 0)
        self._last_ticket = max(self._last_ticket, arrives)
        course.at(self._last_ticket, Event.TICKET, order, 0, lambda: self._show(order))

    def is_served(self, order: int) -> bool:
        """Whether the kitchen has served an order."""
        return self._course.rows[order >> 1][SERVED_0 + (order & 1)] != ABSENT

    def _show(self, order: int) -> None:
        course = self._course
        if not course.is_up(KITCHEN):
            course.at(course.next_up(KITCHEN), Event.TICKET, order, 0, lambda: self._show(order))
            return
        course.rows[order >> 1][SHOWN_0 + (order & 1)] = course.now
        self._fire(order, 1)

    def _fire(self, order: int, first_stage: int) -> None:
        items = self._course.diners[order >> 1][ITEMS:]
        for stage in range(first_stage, self._course.plan.stages + 1):
            stations = [number for number, at in enumerate(self._stage) if at == stage and items[number] > 0]
            if stations:
                self._left[order] = len(stations)
                for station in stations:
                    self._take(station, order)
                return
        self._course.rows[order >> 1][SERVED_0 + (order & 1)] = self._course.now
        self._served(order)

    def _take(self, station: int, order: int) -> None:
        if self._cooks[station] == 0:
            self._cook(station, COOK_UNLIMITED, [order])
            return
        self._queues[station].append(order)
        self._start(station)

    def _start(self, station: int) -> None:
        queue, free = self._queues[station], self._free[station]
        while queue and free:
            batch = [queue.popleft() for _ in range(min(len(queue), self._batch[station]))]
            self._cook(station, free.pop(), batch)

    def _cook(self, station: int, cook: int, batch: Sequence[int]) -> None:
        course = self._course
        longest = max(self._time(station, order) for order in batch)
        argument = station << COOK_BITS | cook
        course.at(course.now + longest, Event.COOKED, batch[0], argument, lambda: self._cooked(station, cook, batch))

    def _time(self, station: int, order: int) -> int:
        u = self._course.draws.uniform(purposes.COOK, order, station)
        items = self._course.diners[order >> 1][ITEMS + station]
        shape, spread = self._shape[station], self._spread[station]
        return cooking(self._setup[station], self._per_item[station], items, shape, spread, u)

    def _cooked(self, station: int, cook: int, batch: Sequence[int]) -> None:
        if cook != COOK_UNLIMITED:
            self._free[station].append(cook)
        for order in batch:
            self._left[order] -= 1
            if self._left[order] == 0:
                self._fire(order, self._stage[station] + 1)
        if cook != COOK_UNLIMITED:
            self._start(station)
