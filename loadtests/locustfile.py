"""What Locust loads: `RUSHPROOF_LOAD=.../load.json locust -f locustfile.py --headless`. `launch.py` does so.

The run ends by itself when the timetable has ended and every diner was served or has given up. Failed requests are
what a drill is made to produce, so they do not make the process fail; the history and the verdict tell of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment

from loadtests.open_workload import OpenWorkload
from loadtests.plan import PLAN_VARIABLE, read_plan
from refsystem.lifeline import PARENT_VARIABLE, die_with_parent

_MAIN_PID = os.getpid()
if PARENT_VARIABLE in os.environ:
    die_with_parent(int(os.environ[PARENT_VARIABLE]))


class Diners(OpenWorkload):
    """The dispatcher of each process; `--users` must be the number of processes, as in the plan."""

    fixed_count = read_plan(Path(os.environ[PLAN_VARIABLE])).processes


@events.init.add_listener  # type: ignore[untyped-decorator]
def follow_the_main_process(environment: Environment, **_: Any) -> None:
    """A worker, forked by `--processes`, ends with the process that forked it."""
    if os.getpid() != _MAIN_PID:
        die_with_parent(_MAIN_PID)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def judge_elsewhere(environment: Environment, **_: Any) -> None:
    """Leave success and failure of the driven system to the verdict; only an unfinished load is an error of ours."""
    if environment.process_exit_code is None:
        environment.process_exit_code = 0
