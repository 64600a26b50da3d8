"""What a run of load is told: `load.json`, written by whoever launches the load and read by each of its processes."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.errands import Errand

PLAN_VARIABLE = "RUSHPROOF_LOAD"
"""The environment variable that holds the path of `load.json` for a load process."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How a diner's device tries again: at most `attempts_max` rounds, with a doubling, jittered pause between them."""

    attempts_max: int = 6
    backoff_ms: int = 150
    backoff_max_ms: int = 1500


@dataclass(frozen=True, slots=True)
class StoreTargets:
    """Where a store's diners send: the base URLs of its devices, and of the cloud (None: no cloud door)."""

    edges: tuple[str, ...]
    cloud: str | None = None


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """One run of load.

    `start_us` is the moment of load offset 0 on the host's monotonic clock, `start_unix_ms` the same moment on the clock
    on the wall (None: worked out when the plan is written). Paths are taken from the folder of `load.json` unless absolute.
    `in_flight_max` bounds the diners who are under way at once, over all `processes`; a start beyond it is dropped.
    `adapter` names the `OrderingApi` as "module:Class". `access_secret` is the file of the secret that signs the tokens of tables
    and staff; it is needed where diners pay. `remedies` against overload are those of the clients that are in force.
    `errands` are what the staff of all stores do besides, `accepts_unverified` is the share of unverified wallet codes that they
    take on trust.
    """

    run: str
    seed: int
    start_us: int
    targets: Mapping[str, StoreTargets]
    timetable: str = "timetable.json"
    history: str = "history"
    metrics: str = "metrics"
    attempt_timeout_ms: int = 2000
    retries: Retries = field(default_factory=Retries)
    late_after_ms: int = 100
    in_flight_max: int = 2000
    processes: int = 1
    adapter: str = "loadtests.contract:ReferenceApi"
    start_unix_ms: int | None = None
    access_secret: str | None = None
    remedies: Sequence[str] = ()
    errands: Sequence[Errand] = ()
    accepts_unverified: float = 0.0


def write_plan(path: Path, plan: LoadPlan) -> LoadPlan:
    """Write `plan` to `path`, as a whole or not at all; returns it as written, with `start_unix_ms` set."""
    if plan.start_unix_ms is None:
        since_start_ms = (monotonic_us() - plan.start_us) // 1000
        plan = dataclasses.replace(plan, start_unix_ms=time.time_ns() // 1_000_000 - since_start_ms)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(dataclasses.asdict(plan), indent=1, ensure_ascii=False))
    return plan


def read_plan(path: Path) -> LoadPlan:
    """The plan in `path`, its paths made absolute; raises `ValueError` that names the file if it is not one."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["retries"] = Retries(**raw["retries"])
        raw["remedies"] = tuple(raw.get("remedies", ()))
        raw["errands"] = tuple(Errand(**errand) for errand in raw.get("errands", ()))
        raw["targets"] = {
            store: StoreTargets(tuple(target["edges"]), target.get("cloud")) for store, target in raw["targets"].items()
        }
        for name in ("timetable", "history", "metrics"):
            raw[name] = str(path.parent.resolve() / raw[name])
        return LoadPlan(**raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a load plan ({error})") from error


def monotonic_us() -> int:
    """Now, in microseconds of the host's monotonic clock."""
    return time.monotonic_ns() // 1000


def replace_text(path: Path, text: str) -> None:
    """Replace the content of `path` in one step, so that a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
