"""What one schedule came to: the history that clients saw, what every place held at the end, and what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simulator.cluster.schedule import Schedule
from simulator.history import Attempt

End = Literal["converged", "violated"]


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that did not hold: its name, what was seen, and when (virtual microseconds)."""

    invariant: str
    detail: str
    at_us: int


@dataclass(frozen=True)
class ClusterRun:
    """One schedule as it went.

    `end` is "converged" or "violated" (see `broken`). `reads` holds the final reads by store and place (`edge_a`, `edge_b`,
    `cloud`, `kitchen`) in the shape that the audit reads; empty unless converged. `faults` are rows in the shape of
    `faults.jsonl`. `places` tells for each of `attempts` where it was sent. `trace_hash` covers every event in its order; `trace`
    is filled only when tracing.
    """

    schedule: Schedule
    variant: str | None
    end: End
    broken: Broken | None
    goals: Counter[str]
    trace_hash: str
    events: int
    ended_at_us: int
    attempts: tuple[Attempt, ...]
    faults: tuple[Mapping[str, Any], ...]
    reads: Mapping[str, Mapping[str, Mapping[str, Any]]]
    trace: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
