"""Runs one replication on SimPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.model.draws import Key
from simulator.model.people import DOOR
from simulator.model.plan import Plan
from simulator.model.platforms import AT_PLATFORM
from simulator.model.processes.course import Course
from simulator.model.processes.devices import RetryBudget
from simulator.model.processes.dining import Tables
from simulator.model.processes.store import Store
from simulator.model.processes.visits import Visit
from simulator.model.records import FIELDS, Run
from simulator.model.vocabulary import Event


def run_on_simpy(plan: Plan, timetable: npt.NDArray[np.int64], key: Key, *, traced: bool = False) -> Run:
    """One replication of one store, until nothing happens any more."""
    course = Course(plan, timetable, key, traced=traced)
    budget = RetryBudget(plan.retry_budget, plan.retry_burst, plan.retry_burst)

    def begin(diner: int) -> None:
        course.env.process(Visit(course, store, tables, diner, budget).run())

    tables = Tables(course, begin)
    store = Store(course, tables)
    for number, diner in enumerate(course.diners):
        come = store.platform.place if diner[DOOR] == AT_PLATFORM else tables.arrive
        course.at(diner[0], Event.ARRIVAL, number, 0, lambda number=number, come=come: come(number))  # type: ignore[misc]
    course.env.run()
    return Run(
        np.array(course.rows, dtype=np.int64).reshape(-1, len(FIELDS)),
        np.array(course.servers, dtype=np.int64),
        course.events,
        course.hash,
        course.now,
        None if course.trace is None else np.array(course.trace, dtype=np.int64).reshape(-1, 2),
    )
