"""Drives the timetable of a load plan by gevent alone: what a load process does, without Locust around it."""

import sys
from pathlib import Path

from loadtests.contract import load_api
from loadtests.dispatcher import Dispatcher
from loadtests.journey import Journey, Told
from loadtests.ledger import Ledger
from loadtests.plan import read_plan
from loadtests.tally import Tally
from simulator.diners import read_timetable


class Quiet:
    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def woke(self, diner: int, lateness_us: int) -> None:
        self.tally.woke(diner, lateness_us)

    def told(self, told: Told) -> None:
        assert told.response_us >= 0


def main() -> None:
    plan = read_plan(Path(sys.argv[1]))
    diners = read_timetable(Path(plan.timetable))
    observer = Quiet(Tally(plan, "locust-0", len(diners)))
    with Ledger(Path(plan.history), "locust-0") as ledger:
        api = load_api(plan.adapter)
        Dispatcher(plan, diners, lambda diner: Journey(diner, plan, api, ledger, observer).run(), observer.tally).run()


main()
