"""A gate's learnt concurrency limit, and what the end of a request tells it (as `refsystem.overload.concurrency`)."""

from __future__ import annotations

import math
from typing import Any

from refsystem.overload.concurrency import (
    FALL,
    FORGET_US,
    SAMPLES_MIN,
    WAITING_FEW,
    WAITING_FEW_SHARE,
    WAITING_MANY,
    WAITING_MANY_SHARE,
    WINDOW_US,
)
from simulator.model.compiled.calendar import at
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    G_ARRIVED,
    G_LIFE,
    G_PRIORITY,
    G_STATE,
    GATE,
    GATE_LIMIT,
    GATE_SIZE,
    GATE_WAITS,
    GATED,
    GATED_SIZE,
    K_BEHIND,
    K_DECLARED,
    K_FORGOTTEN,
    K_LIFE,
    K_LINES,
    K_SAMPLES,
    K_UNDER_WAY,
    K_UNDER_WAY_MAX,
    K_WINDOW_ENDS,
    LINE_SIZE,
    LN_LEAST,
    LN_LEAST_BEFORE,
    LN_SEEN,
    LN_SINCE,
    NOW,
    R_ATTEMPT,
    R_ENTITY,
    R_NODE,
    REQUEST_SIZE,
    REQUESTS,
)
from simulator.model.overload import LIMIT_LEAST, LIMIT_MOST
from simulator.model.vocabulary import Code, Event

OUT, WAITING, STARTED, REFUSED, BEHIND = range(5)
"""How a request stands at a gate: not there; in a line; a worker is its own; turned away; gone on to the routes."""
LIFE_SHIFT = 2
E_FREED, ELSEWHERE = int(Event.FREED), int(Code.ELSEWHERE)


@inlined
def gate_at(m: Any, node: int) -> int:
    """The place of a node's gate."""
    return int(m[GATE] + node * GATE_SIZE)


@compiled
def _step(m: Any, f: Any, node: int) -> None:
    k = gate_at(m, node)
    limit, most = f[GATE_LIMIT + node], m[k + K_UNDER_WAY_MAX]
    waiting = most * f[GATE_WAITS + node] / m[k + K_SAMPLES]
    if most < limit / 2:
        return
    if waiting > max(float(WAITING_MANY), WAITING_MANY_SHARE * limit):
        f[GATE_LIMIT + node] = max(LIMIT_LEAST, limit * FALL)
    elif waiting < max(float(WAITING_FEW), WAITING_FEW_SHARE * limit):
        f[GATE_LIMIT + node] = min(LIMIT_MOST, limit + 1 + math.log10(limit))


@compiled
def _observe(m: Any, f: Any, node: int, priority: int, took: int) -> None:
    """A request was answered after so long."""
    k, now, latency = gate_at(m, node), m[NOW], max(1, took)
    line = k + K_LINES + priority * LINE_SIZE
    if m[line + LN_SEEN] == 0:
        m[line + LN_SEEN], m[line + LN_SINCE], m[line + LN_LEAST], m[line + LN_LEAST_BEFORE] = 1, now, latency, latency
    if now - m[line + LN_SINCE] > FORGET_US:
        m[line + LN_SINCE], m[line + LN_LEAST_BEFORE], m[line + LN_LEAST] = now, m[line + LN_LEAST], latency
    m[line + LN_LEAST] = min(m[line + LN_LEAST], latency)
    least = min(m[line + LN_LEAST], m[line + LN_LEAST_BEFORE])
    m[k + K_SAMPLES] += 1
    f[GATE_WAITS + node] += 1.0 - float(least) / float(latency)
    m[k + K_UNDER_WAY_MAX] = max(m[k + K_UNDER_WAY_MAX], m[k + K_UNDER_WAY])
    if now >= m[k + K_WINDOW_ENDS] and m[k + K_SAMPLES] >= SAMPLES_MIN:
        _step(m, f, node)
        m[k + K_WINDOW_ENDS], m[k + K_SAMPLES], m[k + K_UNDER_WAY_MAX] = now + WINDOW_US, 0, 0
        f[GATE_WAITS + node] = 0.0


@compiled
def request_ends(m: Any, f: Any, number: int, code: int) -> None:
    """A device's request is done with, with this code or unanswered."""
    g, r = m[GATED] + number * GATED_SIZE, m[REQUESTS] + number * REQUEST_SIZE
    node = m[r + R_NODE]
    k = gate_at(m, node)
    if m[g + G_STATE] != BEHIND or m[g + G_LIFE] != m[k + K_FORGOTTEN]:
        return
    m[g + G_STATE] = OUT
    m[k + K_BEHIND] -= 1
    if code < ELSEWHERE:
        _observe(m, f, node, m[g + G_PRIORITY], m[NOW] - m[g + G_ARRIVED])
    m[k + K_UNDER_WAY] -= 1
    if m[k + K_DECLARED] == 0:
        at(m, m[NOW], E_FREED, m[r + R_ENTITY], m[r + R_ATTEMPT], node | (m[k + K_LIFE] << LIFE_SHIFT))
