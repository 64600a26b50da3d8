"""The uplink: committed orders go to the cloud in batches, one after the other, and paced if the scenario says so."""

from __future__ import annotations

from typing import Any

from refsystem.overload.pacing import UPLINK_PACE
from simulator.model import purposes
from simulator.model.compiled.calendar import at, delivery, now_is
from simulator.model.compiled.jit import compiled
from simulator.model.compiled.memory import (
    BATCH_BEGIN,
    BATCH_END,
    BATCHES,
    GATES,
    NOW,
    PACE_AT,
    PACE_TOKENS,
    UPLINK_BUSY,
    UPLINK_HEAD,
    UPLINK_TAIL,
)
from simulator.model.compiled.server import arrive, new_request
from simulator.model.links import EDGE_CLOUD, TO
from simulator.model.overload import PACED as PACED_ON
from simulator.model.plan import PRIMARY
from simulator.model.vocabulary import CLOUD, ENTRY_BYTES, NO_PRIMARY, UPLINK_BATCH_MAX, Event, Kind

INGEST = int(Kind.INGEST)
E_UP, E_PACED = int(Event.UP), int(Event.PACED)
PACE_PER_S, PACE_BURST = UPLINK_PACE.per_s, UPLINK_PACE.burst * 1_000_000


@compiled
def send_batch(m: Any, f: Any, batch: int) -> None:
    """A batch of the uplink is on its way."""
    size = ENTRY_BYTES * (m[BATCH_END] - m[BATCH_BEGIN])
    at(m, delivery(m, f, EDGE_CLOUD, TO, size, purposes.UPLINK, batch, 0), E_UP, batch, 0, 0)


@compiled
def _paced(m: Any, count: int) -> int:
    """How long a batch of so many entries must wait (as `refsystem.overload.pacing`)."""
    if m[PACE_AT] >= 0:
        m[PACE_TOKENS] = min(PACE_BURST, m[PACE_TOKENS] + (m[NOW] - m[PACE_AT]) * PACE_PER_S)
    m[PACE_AT] = m[NOW]
    m[PACE_TOKENS] -= count * 1_000_000
    return int(max(0, -(m[PACE_TOKENS] // PACE_PER_S)))


@compiled
def send_up(m: Any, f: Any) -> None:
    """Begin a batch of the uplink, unless one is under way."""
    if m[UPLINK_BUSY] != 0 or m[UPLINK_HEAD] == m[UPLINK_TAIL] or now_is(m, PRIMARY) == NO_PRIMARY:
        return
    m[UPLINK_BUSY] = 1
    count = min(m[UPLINK_TAIL] - m[UPLINK_HEAD], UPLINK_BATCH_MAX)
    m[BATCH_BEGIN], m[BATCH_END] = m[UPLINK_HEAD], m[UPLINK_HEAD] + count
    m[UPLINK_HEAD] += count
    batch = m[BATCHES]
    m[BATCHES] += 1
    wait = _paced(m, count) if m[GATES] & PACED_ON else 0
    if wait > 0:
        at(m, m[NOW] + wait, E_PACED, batch, 0, 0)
    else:
        send_batch(m, f, batch)


@compiled
def up(m: Any, f: Any, batch: int, attempt: int) -> None:
    """A batch of the uplink reaches the cloud."""
    arrive(m, f, new_request(m, INGEST, batch, attempt, batch, 0, CLOUD, 0))


@compiled
def uplinked(m: Any, f: Any) -> None:
    """The store hears that a batch is stored."""
    m[UPLINK_BUSY] = 0
    send_up(m, f)
