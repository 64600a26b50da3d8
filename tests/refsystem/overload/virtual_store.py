"""A store in virtual time: a gate, servers with a declared delay, and people whose devices ask again. Shared by tests."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from refsystem.overload.gate import Gate, State, Ticket
from refsystem.overload.priority import Priority
from refsystem.overload.remedies import Remedies
from refsystem.overload.settings import ServiceDelay

TIMEOUT_US, PATIENCE_US, LOOK_US = 1_000_000, 6_000_000, 25_000
BACK_OFF_US = (150_000, 300_000, 600_000, 1_000_000)


@dataclass
class Person:
    """Somebody who orders once, and asks again until their patience ends."""

    came_us: int
    priority: Priority
    retries_left: int
    asked: int = 0
    given_up_attempt: int = 0
    served_at_us: int | None = None


@dataclass
class VirtualStore:
    """People come at `rate_per_s(now)`, each with one request of `priority(number)`. Run it once, then look at `people`."""

    remedies: Remedies
    delay: ServiceDelay
    rate_per_s: Callable[[float], float]
    seed: int
    priority: Callable[[int], Priority] = lambda _number: Priority.SUBMIT
    retries_max: int = 9
    budget: int = 2
    people: list[Person] = field(default_factory=list)
    waits_us: list[int] = field(default_factory=list)
    refused_started: int = 0
    asked: int = 0
    limit_after: int = 0

    def run(self, duration_s: float) -> VirtualStore:
        self._gate = Gate(self.remedies, self.delay.servers)
        self._draw = random.Random(self.seed)
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()
        self._whose: dict[Ticket, tuple[Person, int]] = {}
        self._ends_us = round(duration_s * 1e6)
        self._at(0, self._arrival)
        self._at(LOOK_US, self._look)
        while self._agenda:
            now_us, _, act = heapq.heappop(self._agenda)
            act(now_us)
            for ticket in self._gate.take_changed():
                self._settled(ticket, now_us)
        self.limit_after = self._gate.limit
        return self

    def served_per_s(self, from_s: float, to_s: float) -> float:
        """People served in time, by when they were."""
        served = [p.served_at_us for p in self.people if p.served_at_us is not None]
        return sum(from_s * 1e6 <= at_us < to_s * 1e6 for at_us in served) / (to_s - from_s)

    def _at(self, at_us: int, act: Callable[[int], None]) -> None:
        heapq.heappush(self._agenda, (at_us, next(self._order), act))

    def _arrival(self, now_us: int) -> None:
        if now_us >= self._ends_us:
            return
        retries = self.budget if self.remedies.retry_budget else self.retries_max
        person = Person(now_us, self.priority(len(self.people)), retries)
        self.people.append(person)
        self._ask(person, now_us)
        self._at(now_us + round(self._draw.expovariate(self.rate_per_s(now_us / 1e6)) * 1e6), self._arrival)

    def _ask(self, person: Person, now_us: int) -> None:
        person.asked += 1
        self.asked += 1
        attempt = person.asked
        work_us = self.delay.of(person.priority)
        ticket = self._gate.arrive(person.priority, now_us, now_us + TIMEOUT_US, work_us)
        self._whose[ticket] = (person, attempt)
        self._at(now_us + TIMEOUT_US, lambda at_us: self._timed_out(person, attempt, at_us))
        self._settled(ticket, now_us)

    def _settled(self, ticket: Ticket, now_us: int) -> None:
        if ticket.state is State.STARTED:
            self.waits_us.append(now_us - ticket.arrived_us)
            self._at(now_us + self.delay.of(ticket.priority), lambda at_us: self._done(ticket, at_us))
        elif ticket.state is State.REFUSED:
            person, attempt = self._whose[ticket]
            self.refused_started += bool(ticket.started_us)
            self._again(person, attempt, now_us)

    def _done(self, ticket: Ticket, now_us: int) -> None:
        self._gate.freed(ticket, now_us, now_us)
        self._gate.answered(ticket, now_us)
        person, _ = self._whose[ticket]
        if person.served_at_us is None and now_us < ticket.arrived_us + TIMEOUT_US:
            person.served_at_us = now_us

    def _timed_out(self, person: Person, attempt: int, now_us: int) -> None:
        self._again(person, attempt, now_us)

    def _again(self, person: Person, attempt: int, now_us: int) -> None:
        if attempt != person.asked or attempt == person.given_up_attempt or person.served_at_us is not None:
            return
        person.given_up_attempt = attempt
        if person.retries_left == 0:
            return
        person.retries_left -= 1
        back_off_us = BACK_OFF_US[min(attempt, len(BACK_OFF_US)) - 1] * self._draw.uniform(0.5, 1.0)
        at_us = now_us + round(back_off_us)
        if at_us < person.came_us + PATIENCE_US:
            self._at(at_us, lambda later_us: self._ask(person, later_us))

    def _look(self, now_us: int) -> None:
        self._gate.tick(now_us)
        if self._agenda:
            self._at(now_us + LOOK_US, self._look)
