"""What is shown of a failing seed: its shrunken schedule, the trace around the failure, and a file that replays it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.campaign.judging import DIFFERENT_TRACE, Failure
from chaos.campaign.results import run_and_judge
from chaos.campaign.shrinking import Shrunken, shrink
from chaos.campaign.simulation import Simulation
from chaos.campaign.trace import readable_trace
from simulator.cluster.schedule import Schedule
from simulator.cluster.schedule_checks import ScheduleError, shown
from simulator.cluster.variants import find_variant

FILE_KIND = "rushproof fuzz schedule"
FILE_VERSION = 1
SCHEDULE_FILE = "schedule.json"
TRACE_FILE = "trace.txt"


class ScheduleFileError(ValueError):
    """The file holds no schedule that can be replayed."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A failing schedule made small. `failure` and `trace` are those of the shrunken one; `drawn` is what the seed drew."""

    drawn: Schedule
    variant: str | None
    shrunken: Shrunken
    failure: Failure
    trace: tuple[str, ...]

    @property
    def schedule(self) -> Schedule:
        """The shrunken schedule."""
        return self.shrunken.schedule


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """A stored schedule: the variant that it was run with, and what it broke then."""

    schedule: Schedule
    variant: str | None
    broken: str


def investigate(
    simulation: Simulation,
    schedule: Schedule,
    variant: str | None,
    failure: Failure,
    *,
    shrinking: bool = True,
    interrupted: Callable[[], bool] = lambda: False,
) -> Exhibit:
    """Make a schedule that breaks `failure.name` small, and trace it. One that goes two ways is left as it is."""

    def breaks(candidate: Schedule) -> bool:
        _, judgement = run_and_judge(simulation, candidate, variant)
        return judgement.failure is not None and judgement.failure.name == failure.name

    if shrinking and failure.name != DIFFERENT_TRACE:
        shrunken = shrink(schedule, breaks, interrupted=interrupted)
    else:
        shrunken = Shrunken(schedule, 0, minimal=False)
    run, judgement = run_and_judge(simulation, shrunken.schedule, variant, tracing=True)
    trace = readable_trace(run) if run is not None else ()
    return Exhibit(schedule, variant, shrunken, judgement.failure or failure, trace)


def save(exhibit: Exhibit, folder: Path) -> Path:
    """Write the shrunken schedule and its whole trace into `folder`; returns the schedule's file. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "kind": FILE_KIND,
        "version": FILE_VERSION,
        "variant": exhibit.variant,
        "broken": exhibit.failure.name,
        "detail": exhibit.failure.detail,
        "schedule": exhibit.schedule.to_json(),
    }
    (folder / TRACE_FILE).write_text("".join(f"{line}\n" for line in exhibit.trace), encoding="utf-8")
    path = folder / SCHEDULE_FILE
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> ScheduleFile:
    """The schedule that `save` wrote. Raises `ScheduleFileError` with one sentence."""
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScheduleFileError(f"{path}: there is no such file; a schedule is named by its seed or its file") from None
    except OSError as error:
        raise ScheduleFileError(f"{path}: cannot be read ({error.strerror})") from error
    except RecursionError:
        raise ScheduleFileError(f"{path}: cannot be read as JSON (it is nested too deeply)") from None
    except UnicodeDecodeError:
        raise ScheduleFileError(f"{path}: cannot be read as JSON (it is not UTF-8 text)") from None
    except ValueError as error:
        reason = "it holds a number of thousands of digits" if "int_max_str_digits" in str(error) else str(error)
        raise ScheduleFileError(f"{path}: cannot be read as JSON ({reason})") from None
    if not isinstance(raw, Mapping) or raw.get("kind") != FILE_KIND:
        raise ScheduleFileError(f"{path}: not a schedule that 'rushproof fuzz' has written")
    if raw.get("version") != FILE_VERSION:
        told = shown(raw.get("version"))
        raise ScheduleFileError(f"{path}: of version {told}, and this program reads {FILE_VERSION}")
    variant, broken = raw.get("variant"), raw.get("broken", "")
    try:
        schedule = Schedule.from_json(raw.get("schedule"))
        find_variant(variant)
    except ScheduleError as error:
        raise ScheduleFileError(f"{path}: the schedule in it is not right ({error})") from error
    if not isinstance(broken, str):
        raise ScheduleFileError(f"{path}: 'broken' must be a text, not {shown(broken)}")
    return ScheduleFile(schedule, variant, broken)
