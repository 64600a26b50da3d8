"""When a toxic acts: from when, for how long, how often, and how it grows. Pure: the time goes in, the phase comes out.

Times count from when the toxic got its schedule (when it was added, or when a change gave it another one).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

SCHEDULE_MS_MAX = 366 * 24 * 3600 * 1000
EVERY_MS_MIN = 10


@dataclass(frozen=True, slots=True)
class Phase:
    """How things stand at one moment.

    `on`: the toxic acts. `round`: which time it acts, from 1 (0 before the first). `share`: how far the ramp has come,
    above 0 and up to 1. `until_ms`: when the next phase begins, in ms of the schedule; None if this is the last one.
    """

    on: bool
    round: int
    share: float = 1.0
    until_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A toxic acts from `at_ms` on, `for_ms` long (None: for good), again every `every_ms` (None: once).

    In the first `ramp_ms` of each round its effect grows from nothing to full strength. ValueError, with one text, if the
    parts do not fit together.
    """

    at_ms: int = 0
    for_ms: int | None = None
    every_ms: int | None = None
    ramp_ms: int = 0

    def __post_init__(self) -> None:
        for name, low in (("at_ms", 0), ("for_ms", 1), ("every_ms", EVERY_MS_MIN), ("ramp_ms", 0)):
            value = getattr(self, name)
            if value is not None and not low <= value <= SCHEDULE_MS_MAX:
                raise ValueError(f"schedule: {name} must lie between {low} and {SCHEDULE_MS_MAX}")
        if self.every_ms is not None and (self.for_ms is None or self.for_ms >= self.every_ms):
            raise ValueError("schedule: every_ms needs a for_ms that is shorter, or the toxic would never pause")
        if self.for_ms is not None and self.ramp_ms > self.for_ms:
            raise ValueError(f"schedule: ramp_ms must not be longer than for_ms ({self.for_ms}), not {self.ramp_ms}")

    def fields(self) -> dict[str, int]:
        """As JSON shows it: what was given."""
        given = {name: getattr(self, name) for name in ("at_ms", "for_ms", "every_ms")}
        shown = {name: value for name, value in given.items() if value is not None}
        return shown | ({"ramp_ms": self.ramp_ms} if self.ramp_ms else {})

    def phase(self, elapsed_ms: float) -> Phase:
        """How things stand `elapsed_ms` after the schedule began."""
        into_ms = elapsed_ms - self.at_ms
        if into_ms < 0:
            return Phase(False, 0, until_ms=self.at_ms)
        earlier_rounds = 0 if self.every_ms is None else int(into_ms // self.every_ms)
        began_ms = self.at_ms + earlier_rounds * (self.every_ms or 0)
        number = earlier_rounds + 1
        into_ms = elapsed_ms - began_ms
        if self.for_ms is not None and into_ms >= self.for_ms:
            return Phase(False, number, until_ms=None if self.every_ms is None else began_ms + self.every_ms)
        ends_ms = None if self.for_ms is None else began_ms + self.for_ms
        if into_ms < self.ramp_ms:
            return Phase(True, number, max(into_ms / self.ramp_ms, 1e-6), began_ms + self.ramp_ms)
        return Phase(True, number, 1.0, ends_ms)


def decode_schedule(value: Any) -> Schedule | None:
    """A schedule from its JSON value, keys in any case; None for null. ValueError, with one clear text, for anything else."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError('schedule: must be an object such as {"at_ms": 1000, "for_ms": 5000}')
    known = {each.name for each in dataclasses.fields(Schedule)}
    given: dict[str, int] = {}
    for key, part in value.items():
        name = str(key).lower()
        if name not in known:
            raise ValueError(f"schedule: {key} is not known; there are {', '.join(sorted(known))}")
        if part is None:
            continue
        if not isinstance(part, int) or isinstance(part, bool):
            raise ValueError(f"schedule: {name} must be a whole number of milliseconds")
        given[name] = part
    return Schedule(**given)
