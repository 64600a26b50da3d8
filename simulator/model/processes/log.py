"""The store's log: group commit on the primary's disk, log shipping to the standby, and what a change of roles does to both.

The commit rule is the protocol's (P4): with two members an entry is committed when both have flushed it, else when the
primary has.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.model import purposes
from simulator.model.laws import drawn, ticks
from simulator.model.links import EDGE_EDGE, FROM, TO
from simulator.model.plan import CONDITION, FLUSH_EXTRA, PRIMARY, SLOW, TWO
from simulator.model.processes.course import Course
from simulator.model.processes.server import Request
from simulator.model.vocabulary import (
    ABSENT,
    ANSWER_BYTES,
    ARGUMENT_MAX,
    COMMITTED,
    EDGE_A,
    EDGE_B,
    ENTRY_BYTES,
    NO_PRIMARY,
    PENDING,
    Condition,
    Event,
    Level,
)


class Log:
    """`committed` is called with each entry that is committed, its level, and the requests that wait for it; `cut_off` with each
    request that waits at a primary that dies; `lost` with each entry that a change of roles threw away."""

    def __init__(
        self,
        course: Course,
        items: int,
        committed: Callable[[int, int, list[Request]], None],
        cut_off: Callable[[Request], None],
        lost: Callable[[int], None],
    ) -> None:
        self._course, self._committed, self._cut_off, self._lost = course, committed, cut_off, lost
        self.state = [ABSENT] * items
        self._waiters: dict[int, list[Request]] = {}
        self._log = [-1]
        self._done = 0
        """How far the log is committed."""
        self._flushed = [0, 0]
        """By device: how far its disk holds the log. The standby's count is of what it was sent since it is a member."""
        self._received = 0
        self._matched = 0
        self._flushing = [False, False]
        self._flushes = [0, 0]
        self._generation = 0
        self._shipped, self._ship_last, self._match_last = 0, 0, 0
        self._matches = 0
        self._primary = EDGE_A
        """Who served last."""

    @property
    def primary(self) -> int:
        """The device that serves, or served last."""
        return self._primary

    @property
    def level(self) -> int:
        """The level of what is committed now."""
        return Level.R2 if self._two else Level.R1

    def append(self, item: int) -> None:
        """A new entry at the primary."""
        self._log.append(item)
        self.state[item] = PENDING
        self._flush(self._primary)
        self._ship()

    def wait(self, item: int, request: Request) -> None:
        """A request waits for the commit of an entry."""
        self._waiters.setdefault(item, []).append(request)

    def conditions_change(self, before: list[int]) -> None:
        """The store's condition is another than `before`."""
        now = self._course.segment
        for device in (EDGE_A, EDGE_B):
            if now[CONDITION + device] == Condition.DOWN != before[CONDITION + device] and device != self._primary:
                self._received = min(self._received, self._flushed[device])
        watched = (PRIMARY, TWO, CONDITION + EDGE_A, CONDITION + EDGE_B)
        if all(now[place] == before[place] for place in watched):
            return
        self._generation = (self._generation + 1) & ARGUMENT_MAX
        self._flushing = [False, False]
        self._ship_last = self._match_last = self._course.now
        primary, old = now[PRIMARY], self._primary
        if now[CONDITION + old] == Condition.DOWN != before[CONDITION + old]:
            cut_off = [request for item in self._log[self._done + 1 :] for request in self._waiters.get(item, [])]
            self._waiters.clear()
            self._cut_back(max(self._done, self._flushed[old]))
            for request in cut_off:
                self._cut_off(request)
        if primary not in (NO_PRIMARY, old):
            self._cut_back(max(self._done, self._received))
            self._waiters.clear()
            self._flushed[primary] = min(self._flushed[primary], self._last)
            self._primary = primary
        standby = 1 - self._primary
        if self._two and not before[TWO]:
            self._received = self._flushed[standby] = self._matched = self._done
        if primary != NO_PRIMARY:
            self._flush(primary)
            if self._two:
                self._received = self._flushed[standby] = self._matched = max(self._done, self._matched)
            self._ship()
            self._advance()

    @property
    def _last(self) -> int:
        return len(self._log) - 1

    @property
    def _two(self) -> bool:
        return bool(self._course.segment[TWO])

    def _cut_back(self, keep: int) -> None:
        """What stands behind `keep` is gone; who waits for it hears nothing."""
        for item in self._log[keep + 1 :]:
            self.state[item] = ABSENT
            self._waiters.pop(item, None)
            self._lost(item)
        del self._log[keep + 1 :]

    def _flush(self, device: int) -> None:
        """Begin a flush of all that waits for this disk, unless one is under way."""
        course = self._course
        upto = self._last if device == self._primary else self._received
        if self._flushing[device] or upto <= self._flushed[device] or not course.is_up(device):
            return
        self._flushing[device] = True
        plan, number, generation = course.plan, self._flushes[device], self._generation
        self._flushes[device] += 1
        u = course.draws.uniform(purposes.FLUSH, number, device)
        time = ticks(drawn(plan.flush_shape, plan.flush, plan.flush_spread, u)) * course.segment[SLOW + device] // 1000
        time += course.segment[FLUSH_EXTRA + device]
        course.at(
            course.now + time, Event.FLUSHED, device, generation, lambda: self._flush_ends(device, upto, generation)
        )

    def _flush_ends(self, device: int, upto: int, generation: int) -> None:
        if generation != self._generation:
            return
        self._flushing[device] = False
        self._flushed[device] = upto
        if device == self._primary:
            self._advance()
        else:
            course = self._course
            way = FROM if self._primary == EDGE_A else TO
            arrives = course.delivery(EDGE_EDGE, way, ANSWER_BYTES, purposes.MATCH, self._matches, 0)
            self._matches += 1
            self._match_last = max(self._match_last, arrives)
            course.at(self._match_last, Event.MATCHED, upto, generation, lambda: self._match(upto, generation))
        self._flush(device)

    def _ship(self) -> None:
        """Send the standby all that it lacks."""
        course = self._course
        if not self._two or self._last <= self._received or not course.is_up(1 - self._primary):
            return
        way = TO if self._primary == EDGE_A else FROM
        upto, generation = self._last, self._generation
        arrives = course.delivery(EDGE_EDGE, way, ENTRY_BYTES, purposes.SHIP, self._shipped, 0)
        self._shipped += 1
        self._ship_last = max(self._ship_last, arrives)
        course.at(self._ship_last, Event.SHIPPED, upto, generation, lambda: self._receive(upto, generation))

    def _receive(self, upto: int, generation: int) -> None:
        if generation != self._generation:
            return
        self._received = max(self._received, upto)
        self._flush(1 - self._primary)

    def _match(self, upto: int, generation: int) -> None:
        if generation != self._generation:
            return
        self._matched = max(self._matched, upto)
        self._advance()

    def _advance(self) -> None:
        if self._course.segment[PRIMARY] == NO_PRIMARY:
            return
        flushed = self._flushed[self._primary]
        upto = min(flushed, self._matched) if self._two else flushed
        while self._done < upto:
            self._done += 1
            item = self._log[self._done]
            self.state[item] = COMMITTED
            self._committed(item, self.level, self._waiters.pop(item, []))
