"""Drives the timetable of a load plan by gevent alone: what a load process does, without Locust around it.

With a second argument the run starts when this process is ready, and the plan is written again with the true start.
"""

import dataclasses
import sys
from pathlib import Path

from loadtests.contract import load_api
from loadtests.dispatcher import Dispatcher
from loadtests.errands import staff_rounds
from loadtests.journey import Journey, Told
from loadtests.ledger import Ledger
from loadtests.plan import monotonic_us, read_plan, write_plan
from loadtests.tally import Tally
from simulator.diners import read_timetable


class Quiet:
    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def woke(self, diner: int, lateness_us: int) -> None:
        self.tally.woke(diner, lateness_us)

    def skipped(self, step: str) -> None:
        self.tally.skipped[step] += 1

    def told(self, told: Told) -> None:
        assert told.response_us >= 0


def main() -> None:
    path = Path(sys.argv[1])
    plan = read_plan(path)
    if len(sys.argv) > 2:
        plan = write_plan(path, dataclasses.replace(plan, start_us=monotonic_us() + 100_000, start_unix_ms=None))
    diners = read_timetable(Path(plan.timetable))
    observer = Quiet(Tally(plan, "locust-0", len(diners)))
    with Ledger(Path(plan.history), "locust-0") as ledger:
        api = load_api(plan.adapter)
        beside = staff_rounds(plan, api, ledger, observer.skipped)
        Dispatcher(
            plan, diners, lambda diner: Journey(diner, plan, api, ledger, observer).run(), observer.tally, beside
        ).run()


main()
