"""What a scenario says of overload, as the engines take it: gates before the routes (`refsystem.overload`), and clients' manners.

There are gates in the model if the scenario says `overload` or the store a `service_delay`; the clients take part in the remedies
only if the scenario says `overload`, as in the drill.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refsystem.overload.gate import AT_WORK_MAX
from refsystem.overload.priority import PRIORITIES, Priority
from refsystem.overload.remedies import Remedies
from refsystem.overload.settings import ServiceDelay
from simulator.model.vocabulary import EDGE_A, EDGE_B, NODES
from simulator.scenario_model import Scenario, Store

GATED, BOUND, DEADLINE, PRIORITY, LIMIT, RETRY_AFTER, PACED = (1 << place for place in range(7))
"""Bits of a plan's `gates`: that there are any, and the remedies in force at the nodes."""
SAYS_DEADLINE, HAS_BUDGET, SPREADS_COME_BACK, SPREADS_RECONNECT = (1 << place for place in range(4))
"""Bits of a plan's `manners`: the remedies in force at the clients."""
NOT_SAID = -1

TOKEN_US, TOKENS = 5_000_000, 2
"""A device may ask again this often at once, and then once in so many ticks."""
COME_BACK_SPREAD, RECONNECT_SPREAD = 0.5, 3.0
"""How much longer a device waits than it was told to, and after it lost its connection; at most, as a share."""
LOOK_EVERY_US = 25_000
"""A gate looks so often whether somebody has waited too long."""
LIMIT_FIRST, LIMIT_LEAST, LIMIT_MOST = 400.0, 8.0, 1_000.0
"""Where the concurrency limit begins, and between what it stays."""

PRIORITY_OF_KIND = (
    Priority.BROWSE, Priority.SUBMIT, Priority.BROWSE, Priority.PAYMENT, Priority.BROWSE
)  # fmt: skip
"""By kind of request, of those that a device sends."""


def planned_gates(scenario: Scenario, store: Store) -> dict[str, Any]:
    """The fields of a plan about gates."""
    said, delay = scenario.overload, store.service_delay
    servers, declared = np.full(NODES, AT_WORK_MAX, dtype=np.int64), np.zeros(NODES, dtype=np.int64)
    work = np.zeros((NODES, len(PRIORITIES)), dtype=np.int64)
    gates = manners = 0
    if said is not None or delay is not None:
        remedies = Remedies.without(*(said.off if said is not None else ()))
        gates = GATED | gate_bits(remedies)
        manners = _manners(remedies) if said is not None else 0
    if delay is not None:
        declares = ServiceDelay(delay.servers, delay.ms, delay.read_ms)
        for node in (EDGE_A, EDGE_B):
            servers[node], declared[node] = delay.servers, 1
            work[node] = [declares.of(priority) for priority in PRIORITIES]
    return {
        "gates": gates, "manners": manners, "gate_servers": servers, "gate_declared": declared, "gate_work": work
    }  # fmt: skip


def gate_bits(remedies: Remedies) -> int:
    """The remedies of a node as bits."""
    return (
        BOUND * remedies.waiting_bound | DEADLINE * remedies.deadline | PRIORITY * remedies.priority
        | LIMIT * remedies.concurrency_limit | RETRY_AFTER * remedies.retry_after | PACED * remedies.paced_drain
    )  # fmt: skip


def remedies_of(gates: int) -> Remedies:
    """The remedies of a node from these bits; of the clients' own nothing is said."""
    return Remedies(
        waiting_bound=bool(gates & BOUND),
        deadline=bool(gates & DEADLINE),
        priority=bool(gates & PRIORITY),
        concurrency_limit=bool(gates & LIMIT),
        retry_after=bool(gates & RETRY_AFTER),
        paced_drain=bool(gates & PACED),
    )


def _manners(remedies: Remedies) -> int:
    return (
        SAYS_DEADLINE * remedies.deadline | HAS_BUDGET * remedies.retry_budget
        | SPREADS_COME_BACK * remedies.retry_after | SPREADS_RECONNECT * remedies.paced_drain
    )  # fmt: skip
