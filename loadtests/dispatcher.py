"""Starts every diner at the moment that the timetable says, whatever became of the diners before: an open workload.

Nothing here waits for an answer. A start that finds `in_flight_max` diners under way is dropped and counted, and a
start that comes too late is counted late, so that a load generator at its limit is seen instead of quietly becoming a
closed one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import gevent
from gevent import Greenlet
from gevent.pool import Pool

from loadtests.plan import LoadPlan, monotonic_us
from loadtests.tally import Tally
from simulator.diners import Diner
from simulator.history import Outcome

TALLY_EVERY_S = 1.0
STEPS_MAX = 8
SPARE_US = 10_000_000
"""How much longer than its longest possible journey a run is waited for before it is called stuck."""


class Beside(Protocol):
    """What goes on beside the diners."""

    @property
    def ends_by_us(self) -> int:
        """When it is done at the latest, after the start of the run."""
        ...

    def run(self) -> None:
        """Do it, and leave nothing running."""


class Dispatcher:
    """Walks this process's share of a timetable; `journey` lives one diner's visit and returns its outcome.

    What goes on `beside` the diners belongs to the load: it must end, and may not break.
    """

    def __init__(
        self,
        plan: LoadPlan,
        diners: Sequence[Diner],
        journey: Callable[[Diner], Outcome],
        tally: Tally,
        beside: Sequence[Beside] = (),
    ) -> None:
        self._plan, self._journey, self._tally, self._beside = plan, journey, tally, beside
        self._diners = sorted(diners, key=lambda diner: (diner.at_us, diner.diner))
        self._pool = Pool(max(1, plan.in_flight_max // plan.processes))

    def run(self) -> None:
        """Start all diners, wait for the last, and leave the tally written. Killed meanwhile, it kills all journeys."""
        tally = self._tally
        tally.write()
        ticker = gevent.spawn(self._keep_tally)
        others = [gevent.spawn(other.run) for other in self._beside]
        for other in others:
            other.link_exception(self._broke)
        try:
            for diner in self._diners:
                self._sleep_until(self._plan.start_us + diner.at_us)
                self._start(diner)
            all_done = self._pool.join(timeout=max(0, self._ends_by_us() - monotonic_us()) / 1_000_000)
            gevent.joinall(others, timeout=max(0, self._ends_by_us() - monotonic_us()) / 1_000_000)
            tally.finished = all_done and all(other.ready() for other in others) and not tally.broken_journeys
        finally:
            ticker.kill()
            gevent.killall(others)
            self._pool.kill()
            tally.in_flight = 0
            tally.sample_cpu()
            tally.write()

    def _start(self, diner: Diner) -> None:
        if self._pool.full():
            self._tally.dropped_starts += 1
            return
        self._tally.started += 1
        visit = self._pool.spawn(self._journey, diner)
        visit.link_value(self._ended)
        visit.link_exception(self._broke)

    def _ended(self, visit: Greenlet) -> None:
        if not isinstance(visit.value, gevent.GreenletExit):
            self._tally.outcomes[visit.value] += 1

    def _broke(self, visit: Greenlet) -> None:
        """A journey raised: an error of this program. gevent prints it; here it makes the run unfinished."""
        self._tally.broken_journeys += 1

    def _keep_tally(self) -> None:
        while True:
            gevent.sleep(TALLY_EVERY_S)
            self._tally.in_flight = len(self._pool)
            self._tally.sample_cpu()
            self._tally.write()

    def _ends_by_us(self) -> int:
        """The moment by which even the most patient diner, and what goes on beside, is done."""
        longest_us = (*map(self._longest_us, self._diners), *(other.ends_by_us for other in self._beside))
        return self._plan.start_us + SPARE_US + max(longest_us, default=0)

    def _longest_us(self, diner: Diner) -> int:
        attempt_us = self._plan.attempt_timeout_ms * 1000
        watching_us = diner.polls_max * max(diner.poll_us, attempt_us) + attempt_us
        paying_us = 2 * (diner.pay_patience_us + attempt_us) + diner.stay_us
        if diner.visit is not None:  # what is done with the check besides: each step as long as a person bears it
            paying_us += STEPS_MAX * (diner.patience_us + attempt_us)
        return diner.at_us + diner.think_us + attempt_us + 2 * diner.patience_us + watching_us + paying_us

    @staticmethod
    def _sleep_until(at_us: int) -> None:
        left_us = at_us - monotonic_us()
        gevent.sleep(max(0, left_us) / 1_000_000)
