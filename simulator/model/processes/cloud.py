"""The cloud: what its database holds, and what follows when a transaction is done."""

from __future__ import annotations

from collections.abc import Callable

from simulator.model import purposes
from simulator.model.links import EDGE_CLOUD, FROM, TO
from simulator.model.processes.course import Course
from simulator.model.processes.kitchen import Kitchen
from simulator.model.processes.platform import Platform
from simulator.model.processes.server import Request, Server
from simulator.model.processes.uplink import Uplink
from simulator.model.records import ABSENT as NOT_YET
from simulator.model.records import STORED_0
from simulator.model.vocabulary import ANSWER_BYTES, CLOUD, ENTRY_BYTES, Code, Event, Kind, Level


class Cloud:
    """What one store sees of the cloud. `down` is called with each order that the downlink brings, and the number of its try."""

    def __init__(
        self,
        course: Course,
        server: Server,
        uplink: Uplink,
        platform: Platform,
        kitchen: Kitchen,
        down: Callable[[int, int], None],
    ) -> None:
        self._course, self._server, self._uplink = course, server, uplink
        self._platform, self._kitchen, self._down = platform, kitchen, down
        self.has = [False] * (2 * len(course.diners))
        """Which orders its database holds."""
        self._down_last = 0

    def stored(self, request: Request) -> None:
        """The database has done its part of a request."""
        course, item = self._course, request.item
        if request.kind == Kind.INGEST:
            for each in self._uplink.batch:
                self._store(each)
                self.has[each] = True
                self._platform.stored(each)
            back = course.delivery(EDGE_CLOUD, FROM, ANSWER_BYTES, purposes.UPLINKED, request.entity, request.attempt)
            course.at(back, Event.UPLINKED, request.entity, 0, self._uplink.uplinked)
            return
        if request.kind == Kind.WEBHOOK:
            self._placed(request)
            return
        if request.kind == Kind.ORDER:
            self._order_at_cloud(item)
        if course.is_up(CLOUD):
            told = request.kind == Kind.READ and self._kitchen.is_served(item) and course.whole(EDGE_CLOUD, TO)
            self._server.answer(request, Code.DONE if told else Code.OK, Level.RC)
        else:
            self._server.end(request, Code.TROUBLE)

    def _order_at_cloud(self, item: int) -> None:
        """An order is in the cloud's database, from which the downlink takes it."""
        course = self._course
        if not self.has[item]:
            self.has[item] = True
            self._store(item)
            arrives = course.delivery(EDGE_CLOUD, FROM, ENTRY_BYTES, purposes.DOWNLINK, item, 0)
            self._down_last = max(self._down_last, arrives)
            course.at(self._down_last, Event.DOWN, item, 0, lambda: self._down(item, 0))

    def _placed(self, request: Request) -> None:
        """A platform's order is in the cloud's database."""
        if self._platform.wants(request.entity):
            self._order_at_cloud(request.item)
            if self._course.plan.accepts_at_cloud:
                self._platform.accept(request.entity)
        if self._course.is_up(CLOUD):
            self._platform.answer(request.entity, request.attempt, heard=True)

    def _store(self, item: int) -> None:
        row = self._course.rows[item >> 1]
        if row[STORED_0 + (item & 1)] == NOT_YET:
            row[STORED_0 + (item & 1)] = self._course.now
