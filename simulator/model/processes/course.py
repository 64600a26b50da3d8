"""The course of events: SimPy's environment on whole ticks, with the model's order of events and the hash of all of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from simpy import Environment, Event

from simulator.model.draws import Draws, Key
from simulator.model.laws import NEVER, transfer
from simulator.model.links import BYTE_NS, CLOSING, CUT, FROM, JITTER, LATENCY, PACED_NS, REFUSING, TO
from simulator.model.people import SEAT
from simulator.model.plan import CONDITION, Plan
from simulator.model.records import ABSENT, AT, ATTEMPTS, FIELDS, LEVEL, OUTCOME, WANTED_TABLE, WHICH, empty_servers
from simulator.model.vocabulary import HASH_MIX, HASH_PRIME, HASH_SEED, REFUSED_US, Condition, key_of

Steps: TypeAlias = Generator[Event, Any, Any]
MASK = (1 << 64) - 1


class Moment(Event):
    """An event of the model: happens at its tick, in the order of its key, and is counted before anybody acts on it."""

    def __init__(self, course: Course, tick: int, key: int) -> None:
        super().__init__(course.env)
        self._ok, self._value = True, None
        self._course, self._tick, self._key = course, tick, key
        assert self.callbacks is not None
        self.callbacks.append(self._count)
        course.env.schedule(self, priority=key, delay=tick - course.env.now)  # type: ignore[arg-type]

    def _count(self, _: Event) -> None:
        self._course.count(self._tick, self._key)


class Course:
    """Time, draws, the plan's tables and the rows of one replication."""

    def __init__(self, plan: Plan, timetable: npt.NDArray[np.int64], key: Key, *, traced: bool) -> None:
        self.env = Environment(initial_time=0)
        self.plan = plan
        self.draws = Draws(key)
        self.diners: list[list[int]] = timetable.tolist()
        self.rows = [[ABSENT] * len(FIELDS) for _ in self.diners]
        for row in self.rows:
            row[OUTCOME] = row[LEVEL] = row[WHICH] = row[ATTEMPTS] = 0
        for row, diner in zip(self.rows, self.diners, strict=True):
            row[AT], row[WANTED_TABLE] = diner[0], diner[SEAT]
        self.servers: list[list[int]] = empty_servers().tolist()
        self.events, self.hash = 0, HASH_SEED
        self.trace: list[tuple[int, int]] | None = [] if traced else None
        self.segment: list[int] = plan.segment[0].tolist()
        self.segments: list[list[int]] = plan.segment.tolist()
        self.segment_at: list[int] = plan.segment_at.tolist()
        self._link_at = [[at for at in row if at < NEVER] for row in plan.link_at.tolist()]
        self._links: list[list[list[int]]] = plan.link.tolist()
        self._losses: list[list[float]] = plan.link_loss.tolist()
        self._errors: list[list[float]] = plan.link_error.tolist()
        self._errors_orders_only: list[list[int]] = plan.link_error_orders_only.tolist()

    @property
    def now(self) -> int:
        """The present tick."""
        return self.env.now  # type: ignore[return-value]

    def moment(self, tick: int, event: int, entity: int, argument: int = 0) -> Moment:
        """An event to wait for."""
        return Moment(self, tick, key_of(event, entity, argument))

    def at(self, tick: int, event: int, entity: int, argument: int, act: Callable[[], None]) -> None:
        """Do something at a tick; at NEVER or later it is not done."""
        if tick < NEVER:
            moment = self.moment(tick, event, entity, argument)
            assert moment.callbacks is not None
            moment.callbacks.append(lambda _: act())

    def count(self, tick: int, key: int) -> None:
        """An event happens."""
        mixed = ((self.hash ^ ((tick * HASH_MIX + key) & MASK)) * HASH_PRIME) & MASK
        self.hash = mixed ^ (mixed >> 32)
        self.events += 1
        if self.trace is not None:
            self.trace.append((tick, key))

    def is_up(self, process: int) -> bool:
        """Whether a process runs now."""
        return self.segment[CONDITION + process] == Condition.UP

    def next_up(self, process: int) -> int:
        """The first tick from now on at which a process runs."""
        if self.is_up(process):
            return self.now
        for at, segment in zip(self.segment_at, self.segments, strict=True):
            if at > self.now and segment[CONDITION + process] == Condition.UP:
                return at
        return NEVER

    def trip(self, link: int, way: int, size: int, purpose: int, entity: int, index: int) -> int:
        """When a message that is sent now arrives; NEVER if the link is cut."""
        place = self._place(link)
        if self._links[link][place][CUT + way]:
            return NEVER
        return self.now + self._time(link, way, place, size, purpose, entity, index)

    def delivery(self, link: int, way: int, size: int, purpose: int, entity: int, index: int) -> int:
        """When a message arrives that is sent as soon as the link is whole."""
        place, begin = self._place(link), self.now
        while self._links[link][place][CUT + way]:
            place += 1
            if place >= len(self._link_at[link]):
                return NEVER
            begin = self._link_at[link][place]
        return begin + self._time(link, way, place, size, purpose, entity, index)

    def lasting(self, link: int) -> int:
        """How long one exchange takes now on a link that is whole, but for jitter and loss."""
        state = self._links[link][self._place(link)]
        return state[LATENCY + TO] + state[LATENCY + FROM]

    def given_up_at(self, link: int, until: int) -> int:
        """When an attempt that is sent now learns that it has no answer: at `until`, or when the link refuses or closes it."""
        place = self._place(link)
        if self._links[link][place][REFUSING]:
            return min(until, self.now + REFUSED_US)
        for later in range(place + 1, len(self._link_at[link])):
            closes_at: int = self._link_at[link][later]
            if closes_at >= until:
                break
            if self._links[link][later][CLOSING]:
                return closes_at
        return until

    def fails_on_its_way(self, link: int, is_order: bool, purpose: int, entity: int, index: int) -> bool:
        """Whether a request is answered with an error by the link itself."""
        place = self._place(link)
        share = self._errors[link][place]
        if share <= 0.0 or (self._errors_orders_only[link][place] and not is_order):
            return False
        return self.draws.uniform(purpose, entity, index) < share

    def whole(self, link: int, way: int) -> bool:
        """Whether a link carries something that way now."""
        return not self._links[link][self._place(link)][CUT + way]

    def _time(self, link: int, way: int, place: int, size: int, purpose: int, entity: int, index: int) -> int:
        state, loss = self._links[link][place], self._losses[link][place]
        u_jitter = self.draws.uniform(purpose, entity, 2 * index) if state[JITTER] else 0.5
        u_loss = self.draws.uniform(purpose, entity, 2 * index + 1) if loss > 0.0 else 0.5
        round_trip = state[LATENCY + TO] + state[LATENCY + FROM]
        return transfer(
            state[LATENCY + way], state[JITTER], state[BYTE_NS + way], state[PACED_NS], size, loss, round_trip, u_jitter,
            u_loss,
        )  # fmt: skip

    def _place(self, link: int) -> int:
        """The present place in a link's row."""
        at, now = self._link_at[link], self.env.now
        place = len(at) - 1
        while at[place] > now:
            place -= 1
        return place
