"""Everything that a run left behind, loaded once: history, faults, environment, load metrics, samples and final reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.judge.gate import Budgets
from chaos.judge.platforms import platform_attempts
from chaos.judge.reading import Model, parse, read_convergence, read_json, read_store
from chaos.judge.reads import ROUNDS, Convergence, Place, Record, StoreReads, Unreadable
from chaos.judge.steady import PlannedProbe, SteadyRow
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import DEMO_MENU, Menu, read_menu
from refsystem.ordering.store_rules import DEMO_RULES, Format, KitchenRules
from simulator.history import Attempt, read_history


class FaultRecord(Record):
    """One injected fault as it went: when, whether it took effect (and how that was seen), whether it was undone.

    `disk_lost_node_ids` are devices whose disk was destroyed; `off_node_ids` those that a person confirmed to be off when
    glass was broken (P19).
    """

    name: str
    kind: str
    target: str = ""
    resolved: str = ""
    store: str = ""
    planned_at_us: int | None = None
    started_at_us: int
    ended_at_us: int | None = None
    took_effect: bool
    evidence: str = ""
    undone: bool
    undo_detail: str = ""
    hits_primary: bool = False
    epoch_before: int | None = None
    disk_lost_node_ids: tuple[str, ...] = ()
    off_node_ids: tuple[str, ...] = ()

    @property
    def strikes(self) -> bool:
        """Whether orders in flight at its start count as exposed: it took effect and is more than a weak link."""
        return self.took_effect and self.kind != "link_weak"


class LoadMetrics(Record):
    """What one load process says of its own schedule. `skipped`: steps that the driven system's adapter cannot do, by name."""

    process: str
    planned: int
    started: int
    late_starts: int = 0
    dropped_starts: int = 0
    lateness_ms_max: float = 0.0
    cpu_percent_max: float = 0.0
    finished: bool = False
    late_after_ms: float | None = None
    skipped: Mapping[str, int] = {}


class Environment(Record):
    """Where and how the run was made. `start_us` is the moment of load offset 0."""

    rushproof_version: str = ""
    python: str = ""
    platform: str = ""
    cpus: int | None = None
    memory_bytes: int | None = None
    seed: int | None = None
    command: str | list[str] = ""
    started_at: str = ""
    start_us: int
    scenario: str = ""
    toxiproxy: str = ""
    load_ended_at_us: int | None = None
    broken_variant: str | None = None
    workers: int = 1


class SampledEdge(Record):
    """A device in a sample."""

    node_id: str = ""
    role: str = ""
    epoch: int = 0
    commit_seq: int = 0
    waiting: int = 0


class SampledFeed(Record):
    """A receiver of a feed in a sample."""

    cursor: Place


class Sample(Record):
    """The stack at one moment, about four a second. `None` is a place that did not answer; no `store` is the only one."""

    at_us: int
    store: str = ""
    edge_a: SampledEdge | None = None
    edge_b: SampledEdge | None = None
    cloud: SampledFeed | None = None
    kitchen: SampledFeed | None = None
    faults: tuple[str, ...] = ()

    @property
    def primary(self) -> SampledEdge | None:
        """The device that is primary at the highest epoch, or None."""
        devices = [edge for edge in (self.edge_a, self.edge_b) if edge is not None and edge.role == "primary"]
        return max(devices, key=lambda edge: edge.epoch, default=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the scenario asked for. `misbehaviour`: what the payment gateway was to do wrong, by kind. `format`: the stores'.

    `printers`: the stores that have one; `receipts`: those that print them. `capacity_per_s`: the orders that the stores are
    declared to let through. `delivery`: there is a delivery platform, which was to do wrong `delivery_misbehaviour`.
    """

    name: str
    title: str
    seed: int
    time_scale: float
    stores: tuple[str, ...]
    faults_planned: int
    budgets: Budgets
    probes: tuple[PlannedProbe, ...] = ()
    blast_radius: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    payments: bool = False
    misbehaviour: tuple[str, ...] = ()
    delivery: bool = False
    delivery_misbehaviour: tuple[str, ...] = ()
    printers: tuple[str, ...] = ()
    receipts: tuple[str, ...] = ()
    format: Format | None = None
    stock: Mapping[str, int] = field(default_factory=dict)
    capacity_per_s: float | None = None


@dataclass(frozen=True)
class RunFiles:
    """A run folder, loaded. `broken` lists the files that could not be read or are not whole."""

    path: Path
    plan: Plan | Unreadable
    environment: Environment | Unreadable
    attempts: tuple[Attempt, ...]
    history_processes: frozenset[str]
    faults: tuple[FaultRecord, ...]
    loads: tuple[LoadMetrics, ...]
    samples: tuple[Sample, ...]
    convergence: Convergence | Unreadable
    rounds: Mapping[int, Mapping[str, StoreReads]]
    broken: tuple[Unreadable, ...]
    steady: tuple[SteadyRow, ...] = ()
    menu: Menu = DEMO_MENU

    @property
    def has_payments(self) -> bool:
        """Whether checks were to be paid in this run, or were."""
        planned = isinstance(self.plan, Plan) and self.plan.payments
        return planned or any(reads.gateway is not None for round_ in self.rounds.values() for reads in round_.values())

    @property
    def rules(self) -> KitchenRules | None:
        """The rules of the stores' kitchens; None without a format."""
        kind = self.plan.format if isinstance(self.plan, Plan) else None
        return None if kind is None else DEMO_RULES[kind].kitchen

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores of this run."""
        return tuple(self.rounds[ROUNDS[-1]])

    @property
    def start_us(self) -> int:
        """The moment of load offset 0; without an environment the first thing known to have happened."""
        if isinstance(self.environment, Environment):
            return self.environment.start_us
        moments = [attempt.intended_at_us for attempt in self.attempts] + [fault.started_at_us for fault in self.faults]
        return min(moments, default=0)

    @property
    def history_whole(self) -> bool:
        """Whether every load process that is known left its history; else "never attempted" proves nothing."""
        broken = any(item.place == "history" for item in self.broken)
        expected = {load.process for load in self.loads if load.started}
        return bool(self.attempts) and not broken and expected <= self.history_processes


def load_run_files(run: Path, plan: Plan | Unreadable) -> RunFiles:
    """Everything in the run folder `run`; nothing in it can make this fail."""
    broken: list[Unreadable] = []
    attempts = _read_attempts(run / "history", broken)
    faults = _read_lines(run / "faults.jsonl", FaultRecord, "faults", broken)
    samples = _read_lines(run / "metrics" / "stack.jsonl", Sample, "samples", broken)
    steady = _read_lines(run / "metrics" / "steady_state.jsonl", SteadyRow, "steady_state", broken)
    loads: list[LoadMetrics] = []
    for path in sorted((run / "metrics").glob("load-*.json")):
        metrics = read_json(path, LoadMetrics, f"metrics/{path.name}")
        if isinstance(metrics, Unreadable):
            broken.append(metrics)
        else:
            loads.append(metrics)
    stores, menu = _stores(run, plan, attempts), _read_menu(run / "menu.json", broken)
    rounds = {number: {store: read_store(run, number, store) for store in stores} for number in ROUNDS}
    attempts = _with_platforms(attempts, rounds[ROUNDS[-1]], broken)
    return RunFiles(
        path=run,
        plan=plan,
        environment=read_json(run / "environment.json", Environment, "environment"),
        attempts=attempts,
        history_processes=frozenset(path.stem for path in (run / "history").glob("*.jsonl")),
        faults=tuple(sorted(faults, key=lambda fault: fault.started_at_us)),
        loads=tuple(loads),
        samples=tuple(sorted(samples, key=lambda sample: sample.at_us)),
        convergence=read_convergence(run),
        rounds=rounds,
        broken=tuple(broken),
        steady=tuple(sorted(steady, key=lambda row: row.at_us)),
        menu=menu,
    )


def _with_platforms(
    attempts: tuple[Attempt, ...], reads: Mapping[str, StoreReads], broken: list[Unreadable]
) -> tuple[Attempt, ...]:
    """With the attempts that a delivery platform's own list makes, in the order of time."""
    try:
        listed = tuple(platform_attempts(reads.values()))
    except (ValueError, OrderRejected) as error:
        broken.append(Unreadable("delivery_platform", f"an order in its list cannot be read ({error})"))
        return attempts
    return tuple(sorted((*attempts, *listed), key=lambda attempt: (attempt.invoked_at_us, attempt.process, attempt.op)))


def _read_menu(path: Path, broken: list[Unreadable]) -> Menu:
    """The menu of the run; the demo menu if it says none."""
    if not path.exists():
        return DEMO_MENU
    try:
        return read_menu(path)
    except ValueError as error:
        broken.append(Unreadable("menu", str(error)))
        return DEMO_MENU


def _stores(run: Path, plan: Plan | Unreadable, attempts: tuple[Attempt, ...]) -> tuple[str, ...]:
    named: set[str] = {attempt.store for attempt in attempts}
    if isinstance(plan, Plan):
        named |= set(plan.stores)
    for number in ROUNDS:
        named |= {path.name for path in (run / "reads" / str(number)).glob("*") if path.is_dir()}
    return tuple(sorted(named))


def _read_attempts(folder: Path, broken: list[Unreadable]) -> tuple[Attempt, ...]:
    try:
        return tuple(read_history(folder))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        broken.append(Unreadable("history", f"it is not whole ({error})"))
        return ()


def _read_lines(path: Path, model: type[Model], place: str, broken: list[Unreadable]) -> list[Model]:
    """The rows of a JSON-lines file; a row that cannot be read is noted in `broken` and passed over."""
    rows: list[Model] = []
    if not path.exists():
        return rows
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        broken.append(Unreadable(place, f"{path.name} cannot be read ({error})"))
        return rows
    for number, line in enumerate(lines, start=1):
        row = _parse_line(line, model, f"{place}, line {number}")
        if isinstance(row, Unreadable):
            broken.append(Unreadable(place, f"line {number} of {path.name}: {row.reason}"))
        else:
            rows.append(row)
    return rows


def _parse_line(line: str, model: type[Model], place: str) -> Model | Unreadable:
    try:
        raw: Any = json.loads(line)
    except ValueError as error:
        return Unreadable(place, f"not JSON ({error})")
    return parse(raw, model, place)
