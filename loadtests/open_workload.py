"""The open workload in Locust: one user in each process, who does nothing but start the diners of the timetable.

Locust's own users are a closed workload: each starts again when it is done. So the diners are greenlets of our own,
and Locust is told of each step through its `request` event, with the time from the *intended* start.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import ClassVar

import gevent
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from loadtests.contract import load_api
from loadtests.dispatcher import Dispatcher
from loadtests.errands import staff_rounds
from loadtests.journey import Journey, Told
from loadtests.ledger import Ledger
from loadtests.plan import PLAN_VARIABLE, LoadPlan, read_plan
from loadtests.tally import Tally
from simulator.diners import Diner, read_timetable
from simulator.history import Outcome

EXIT_UNFINISHED = 2
"""The exit code of a process that was stopped or broke before its last diner was done."""

_NAMES = {"menu": "look at the menu", "order": "order", "read": "look how it stands", "pay": "pay"}
_METHODS = {"menu": "GET", "order": "POST", "read": "GET", "pay": "POST"}


class StepFailed(Exception):
    """A step of a visit did not end with a yes."""


class OpenWorkload(User):
    """Walks this process's share of the timetable once, then ends the process's part of the run."""

    abstract = True
    fixed_count = 1
    _walked: ClassVar[bool] = False

    @task
    def walk(self) -> None:
        """Drive all diners. A second user here, as Locust makes when another worker has ended, has nothing to do."""
        if OpenWorkload._walked:
            raise StopUser
        OpenWorkload._walked = True
        runner = self.environment.runner
        assert runner is not None, "a user runs in a runner"
        self.environment.process_exit_code = EXIT_UNFINISHED
        try:
            plan = read_plan(Path(os.environ[PLAN_VARIABLE]))
            if drive(plan, getattr(runner, "worker_index", 0), self.environment):
                self.environment.process_exit_code = 0
        finally:
            gevent.spawn(runner.quit)  # not from here: it waits for this very greenlet to end
        raise StopUser


def drive(plan: LoadPlan, index: int, environment: Environment) -> bool:
    """Drive the diners whose number falls to process `index` of `plan.processes`; False if any visit broke or was stuck."""
    process = f"locust-{index}"
    diners = [diner for diner in read_timetable(Path(plan.timetable)) if diner.diner % plan.processes == index]
    api = load_api(plan.adapter)
    observer = _Observer(environment, Tally(plan, process, planned=len(diners)))
    gc.collect()
    gc.freeze()  # the timetable stays; a collection in mid-rush need not look through it
    with Ledger(Path(plan.history), process) as ledger:

        def journey(diner: Diner) -> Outcome:
            return Journey(diner, plan, api, ledger, observer).run()

        beside = staff_rounds(plan, api, ledger, observer.skipped) if index == 0 else ()
        Dispatcher(plan, diners, journey, observer.tally, beside).run()
    return observer.tally.finished


class _Observer:
    """Tells the tally and Locust of what happens."""

    def __init__(self, environment: Environment, tally: Tally) -> None:
        self.tally = tally
        self._environment = environment

    def woke(self, diner: int, lateness_us: int) -> None:
        self.tally.woke(diner, lateness_us)

    def skipped(self, step: str) -> None:
        self.tally.skipped[step] += 1

    def told(self, told: Told) -> None:
        answer = told.answer
        failure = None if answer.outcome == "ok" else StepFailed(f"{answer.outcome}: {answer.problem}")
        self._environment.events.request.fire(  # type: ignore[no-untyped-call]
            request_type=_METHODS[told.step],
            name=_NAMES[told.step],
            response_time=told.response_us / 1000,
            response_length=0,
            response=None,
            context={},
            exception=failure,
        )
