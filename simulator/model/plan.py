"""A scenario as the engines take it: whole numbers, ticks and tables for one store. Nothing here is random."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.model.conditions import store_segments
from simulator.model.gateways import slow_rule
from simulator.model.kitchens import stations_of
from simulator.model.laws import DETERMINISTIC, EXPONENTIAL, LOGNORMAL, NEVER, UNIFORM, spread_of
from simulator.model.links import planned_links
from simulator.model.overload import planned_gates
from simulator.model.platforms import planned_platform
from simulator.model.settings import Database, Disk, ModelSettings, Server, Shape, Station
from simulator.model.tables import planned_tables
from simulator.model.vocabulary import CLOUD, EDGE_A, EDGE_B, NODES, Kind
from simulator.scenario_model import Scenario, Store

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Columns of `segment`.
PRIMARY, TWO, REFUSES, CONDITION, SLOW, FLUSH_EXTRA, SEGMENT_COLUMNS = 0, 1, 2, 3, 10, 17, 19
POSTGRES, KITCHEN, GATEWAY, PLATFORM = 3, 4, 5, 6
"""Places in CONDITION and SLOW beside those of the nodes, which are 0 to 2."""

SHAPES: dict[Shape, int] = {
    "deterministic": DETERMINISTIC,
    "exponential": EXPONENTIAL,
    "lognormal": LOGNORMAL,
    "uniform": UNIFORM,
}
TENDERS = ("cash", "wallet_code", "card")
CASH, WALLET, CARD = range(3)


class Plan(NamedTuple):
    """Everything that an engine must know of a scenario's one store. Times are ticks, shares are floats from 0 to 1."""

    duration: int
    orders: int
    tables: int
    tables_at: Integers
    tables_more: Integers
    table_queue_max: int
    attempts_max: int
    backoff: int
    backoff_max: int
    attempt_timeout: int
    polls_max: int
    retap: int
    pays: int
    pay_patience: int
    confirm: float
    decline_share: float
    slow_share: float
    slow_extra: int
    queue_max: int
    waiting_max: int
    deadline_drop: int
    priority: int
    lifo_after: int
    retry_after: int
    retry_budget: int
    retry_burst: int
    gates: int
    manners: int
    gate_servers: Integers
    gate_declared: Integers
    gate_work: Integers
    platform: int
    accepts_at_cloud: int
    accept_within: int
    push_again: int
    workers: Integers
    service: Floats
    service_shape: Integers
    service_spread: Floats
    flush: float
    flush_shape: int
    flush_spread: float
    connections: int
    transaction: float
    transaction_shape: int
    transaction_spread: float
    connections_open: int
    connect_round_trips: int
    round_trips: Integers
    stations: int
    stages: int
    cooks: Integers
    setup: Integers
    per_item: Integers
    cook_shape: Integers
    cook_spread: Floats
    batch: Integers
    stage: Integers
    link_at: Integers
    link: Integers
    link_loss: Floats
    link_error: Floats
    link_error_orders_only: Integers
    segment_at: Integers
    segment: Integers


def make_plan(scenario: Scenario, store: Store | None = None) -> Plan:
    """The plan of one store (default: the first)."""
    said, store = scenario.model or ModelSettings(), store or scenario.stores[0]
    diners, retries, payments = scenario.diners, scenario.diners.retries, scenario.payments
    overload, impatience, seating = said.overload, said.impatience, said.seating
    boot, join = round(said.boot_ms * 1_000), round(said.join_ms * 1_000)
    shares = {} if payments is None else {rule.kind: rule.share for rule in payments.misbehaviour}
    slow = None if payments is None else slow_rule(payments)
    return Plan(
        duration=round(scenario.duration_s * 1e6),
        orders=int(said.visit == "order"),
        **planned_tables(scenario, store),
        table_queue_max=0 if seating is None else seating.queue_max,
        attempts_max=retries.attempts_max,
        backoff=retries.backoff_ms * 1_000,
        backoff_max=retries.backoff_max_ms * 1_000,
        attempt_timeout=diners.attempt_timeout_ms * 1_000,
        polls_max=diners.polls_max,
        retap=NEVER if impatience.retap_s is None else max(1, scenario.scaled_us(impatience.retap_s)),
        pays=int(payments is not None),
        pay_patience=0 if payments is None else max(1, scenario.scaled_us(payments.patience_s)),
        confirm=0.0 if payments is None else payments.wallet_confirm_s * 1e6 / scenario.time_scale,
        decline_share=shares.get("declined", 0.0),
        slow_share=0.0 if slow is None else slow.share,
        slow_extra=0 if slow is None else slow.ms * 1_000,
        queue_max=NEVER if overload.queue_max is None else overload.queue_max,
        waiting_max=NEVER if overload.waiting_ms is None else round(overload.waiting_ms * 1_000),
        deadline_drop=int(overload.deadline),
        priority=int(overload.priority),
        lifo_after=NEVER if overload.lifo_ms is None else round(overload.lifo_ms * 1_000),
        retry_after=overload.retry_after_ms * 1_000,
        retry_budget=-1 if overload.retry_budget is None else round(overload.retry_budget * 1_000),
        retry_burst=overload.retry_burst * 1_000,
        **planned_gates(scenario, store),
        **planned_platform(scenario),
        **_servers(said),
        **_disk(said.disk),
        connections=said.database.connections,
        transaction=said.database.transaction_ms * 1_000.0,
        transaction_shape=SHAPES[said.database.shape],
        transaction_spread=_spread(said.database),
        connections_open=min(said.database.connections, said.database.connections_open),
        connect_round_trips=said.database.connect_round_trips,
        round_trips=_round_trips(said.database),
        **_kitchen(scenario, store),
        **planned_links(scenario, store),
        **_segments(scenario, store, boot, join, said.database.open_round_trips),
    )


def _servers(said: ModelSettings) -> dict[str, Any]:
    nodes = {EDGE_A: said.edge, EDGE_B: said.edge, CLOUD: said.cloud}
    service = np.zeros((NODES, len(Kind)))
    for node, server in nodes.items():
        for kind, mean_ms in _work(server).items():
            service[node, kind] = mean_ms * 1_000.0
    return {
        "workers": np.array([nodes[node].workers for node in range(NODES)], dtype=np.int64),
        "service": service,
        "service_shape": np.array([SHAPES[nodes[node].shape] for node in range(NODES)], dtype=np.int64),
        "service_spread": np.array([_spread(nodes[node]) for node in range(NODES)], dtype=np.float64),
    }


def _work(server: Server) -> dict[Kind, float]:
    return {
        Kind.MENU: server.menu_ms,
        Kind.ORDER: server.order_ms,
        Kind.READ: server.read_ms,
        Kind.PAY: server.pay_ms,
        Kind.LOOK: server.read_ms,
        Kind.DOWNLINK: server.order_ms,
        Kind.INGEST: server.ingest_ms,
        Kind.REFUSAL: server.refuse_ms,
        Kind.WEBHOOK: server.order_ms,
    }


def _spread(said: Server | Disk | Database | Station) -> float:
    return spread_of(SHAPES[said.shape], said.variation)


def _disk(disk: Disk) -> dict[str, Any]:
    return {
        "flush": disk.flush_ms * 1_000.0,
        "flush_shape": SHAPES[disk.shape],
        "flush_spread": _spread(disk),
    }


def _round_trips(database: Database) -> Integers:
    trips = np.ones(len(Kind), dtype=np.int64)
    trips[[Kind.ORDER, Kind.WEBHOOK]] = database.order_round_trips
    trips[Kind.READ] = database.read_round_trips
    trips[Kind.INGEST] = database.ingest_round_trips
    return trips


def _kitchen(scenario: Scenario, store: Store) -> dict[str, Any]:
    stations = stations_of(scenario, store)
    if not stations:
        return {
            "stations": 1,
            "stages": 1,
            "cooks": np.zeros(1, dtype=np.int64),
            "setup": np.array([scenario.scaled_us(store.kitchen_seconds)], dtype=np.int64),
            "per_item": np.zeros(1, dtype=np.int64),
            "cook_shape": np.array([DETERMINISTIC], dtype=np.int64),
            "cook_spread": np.zeros(1),
            "batch": np.ones(1, dtype=np.int64),
            "stage": np.ones(1, dtype=np.int64),
        }
    return {
        "stations": len(stations),
        "stages": max(station.stage for station in stations),
        "cooks": np.array([station.cooks for station in stations], dtype=np.int64),
        "setup": np.array([scenario.scaled_us(station.setup_s) for station in stations], dtype=np.int64),
        "per_item": np.array([scenario.scaled_us(station.item_s) for station in stations], dtype=np.int64),
        "cook_shape": np.array([SHAPES[station.shape] for station in stations], dtype=np.int64),
        "cook_spread": np.array([_spread(station) for station in stations], dtype=np.float64),
        "batch": np.array([station.batch for station in stations], dtype=np.int64),
        "stage": np.array([station.stage for station in stations], dtype=np.int64),
    }


def _segments(scenario: Scenario, store: Store, boot: int, join: int, open_round_trips: int) -> dict[str, Any]:
    found = store_segments(scenario, store, boot, join, open_round_trips)
    table = [
        [each.primary, int(each.two), int(each.refuses), *each.condition, *each.slow, *each.flush_extra]
        for each in found
    ]
    return {
        "segment_at": np.array([each.at for each in found], dtype=np.int64),
        "segment": np.array(table, dtype=np.int64),
    }
