"""What a drill may do to a process from outside while it runs: trouble with its disk, a wrong wall clock.

A launcher that wants this names a file in `RUSHPROOF_CONTROL`; it is looked at again whenever it has changed. Without that
variable nothing of this is there: no file is looked at, no thread runs, and the disk's operations take their usual way.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

logger = logging.getLogger(__name__)

CONTROL_VARIABLE = "RUSHPROOF_CONTROL"
DiskState = Literal["full", "slow", "write_erring", "sync_erring", "read_erring", "dead"]


class ControlError(ValueError):
    """The control file does not say what it should."""


@dataclass(frozen=True, slots=True)
class DiskTrouble:
    """What is wrong with the disk. `delay_ms` is what a slow one adds to each sync."""

    state: DiskState
    delay_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ClockTrouble:
    """By how much the wall clock is wrong: `offset_us`, and `drift_ppm` since the monotonic clock showed `since_us`."""

    offset_us: int = 0
    drift_ppm: float = 0.0
    since_us: int = 0

    def skew_us(self, monotonic_us: int) -> int:
        """What is to be added to the right time."""
        return self.offset_us + round((monotonic_us - self.since_us) * self.drift_ppm / 1_000_000)


@dataclass(frozen=True, slots=True)
class Trouble:
    """All that is wrong with a process."""

    disk: DiskTrouble | None = None
    clock: ClockTrouble | None = None


NOTHING = Trouble()


class Control:
    """The control file of one process. Reading costs a look at the file's time of change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._trouble = NOTHING

    @property
    def version(self) -> tuple[int, int] | None:
        """Which state of the file was read last; None if there was none."""
        return self._seen

    @property
    def told_path(self) -> Path:
        """Where the process writes down what became of its disk's operations, a JSON object for each line."""
        return self.path.with_suffix(".told.jsonl")

    def read(self) -> Trouble:
        """What is wrong now. A file that cannot be understood is logged and changes nothing."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            self._seen, self._trouble = None, NOTHING
            return NOTHING
        if (found.st_mtime_ns, found.st_ino) != self._seen:
            try:
                self._trouble = trouble_of(self.path.read_text(encoding="utf-8"))
            except (ControlError, OSError) as error:
                logger.error("%s: %s", self.path, error)
            self._seen = (found.st_mtime_ns, found.st_ino)
        return self._trouble


@cache
def from_environment() -> Control | None:
    """The control file that this process was started with, if any."""
    named = os.environ.get(CONTROL_VARIABLE)
    return Control(Path(named)) if named else None


def change(path: Path, **parts: DiskTrouble | ClockTrouble | None) -> None:
    """Have the process of this control file in the trouble named (`disk=`, `clock=`); None ends it, others stay."""
    try:
        before = trouble_of(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        before = NOTHING
    partial = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(asdict(replace(before, **parts))), encoding="utf-8")  # type: ignore[arg-type]
    partial.rename(path)


def trouble_of(text: str) -> Trouble:
    """The trouble that a control file tells of; raises `ControlError`."""
    try:
        said: Any = json.loads(text)
        disk, clock = said["disk"], said["clock"]
        trouble = Trouble(
            None if disk is None else DiskTrouble(str(disk["state"]), float(disk["delay_ms"])),  # type: ignore[arg-type]
            None
            if clock is None
            else ClockTrouble(int(clock["offset_us"]), float(clock["drift_ppm"]), int(clock["since_us"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ControlError(f"is no control file of a drill ({error}); write it by refsystem.drill_control") from error
    if trouble.disk is not None and trouble.disk.state not in get_args(DiskState):
        raise ControlError(f"{trouble.disk.state!r} is no state of a disk; one of {', '.join(get_args(DiskState))}")
    return trouble
