"""What befalls a gate: its process pauses and goes on, or dies, or another device is primary (as `processes.gate` has it)."""

from __future__ import annotations

from typing import Any

from simulator.model.compiled.calendar import condition
from simulator.model.compiled.gate import free, gate_request, go_on, look_later, tell_changed
from simulator.model.compiled.gate_rules import LINES, dispatch, gated_at, take_all
from simulator.model.compiled.jit import compiled
from simulator.model.compiled.limits import OUT, gate_at
from simulator.model.compiled.memory import (
    G_NEXT,
    G_STARTED,
    G_STATE,
    GATE_LIMIT,
    GATE_REFUSED,
    GATE_WAITS,
    K_AT_WORK,
    K_BEHIND,
    K_DECLARED,
    K_DELAYED,
    K_FORGETS,
    K_FORGOTTEN,
    K_FREED_HELD,
    K_HELD,
    K_LIFE,
    K_LINES,
    K_LOOKING,
    K_OUTSIDE,
    K_SAMPLES,
    K_UNDER_WAY,
    K_UNDER_WAY_MAX,
    K_WAITING,
    K_WINDOW_ENDS,
    LINE_SIZE,
    LN_BOUND_ENDS,
    LN_BOUND_LEAST,
    LN_FIRST,
    LN_SEEN,
    LN_STANDING,
    NOW,
)
from simulator.model.compiled.server import UP, answer
from simulator.model.overload import LIMIT_FIRST
from simulator.model.vocabulary import Code, Condition, Kind

REFUSAL, TROUBLE, PAUSED = int(Kind.REFUSAL), int(Code.TROUBLE), int(Condition.PAUSED)


@compiled
def forget(m: Any, f: Any, node: int) -> None:
    """Another device is primary: who waits behind the gate for a commit hears nothing."""
    k = gate_at(m, node)
    if condition(m, node) != UP:
        m[k + K_FORGETS] = 1
        return
    m[k + K_FORGETS] = 0
    behind = m[k + K_BEHIND]
    m[k + K_BEHIND] = 0
    m[k + K_FORGOTTEN] += 1
    for _ in range(behind):
        if m[k + K_DECLARED] == 0:
            m[k + K_AT_WORK] -= 1
            dispatch(m, f, node, m[NOW])
        m[k + K_UNDER_WAY] -= 1
    tell_changed(m, f, node)


@compiled
def resume_gate(m: Any, f: Any, node: int) -> None:
    """The process goes on after a pause."""
    k = gate_at(m, node)
    if m[k + K_FORGETS] != 0:
        forget(m, f, node)
    freed = m[k + K_FREED_HELD]
    m[k + K_FREED_HELD] = 0
    for _ in range(freed):
        free(m, f, node, m[NOW])
    number = take_all(m, k + K_HELD)
    while number >= 0:
        following = m[gated_at(m, number) + G_NEXT]
        free(m, f, node, m[gated_at(m, number) + G_STARTED])
        go_on(m, f, node, number)
        number = following
    dispatch(m, f, node, m[NOW])
    tell_changed(m, f, node)
    look_later(m, node)
    number = take_all(m, k + K_OUTSIDE)
    while number >= 0:
        following = m[gated_at(m, number) + G_NEXT]
        gate_request(m, f, number)
        number = following


@compiled
def _cut_off_all(m: Any, f: Any, chain: int) -> None:
    number = take_all(m, chain)
    while number >= 0:
        following = m[gated_at(m, number) + G_NEXT]
        m[gated_at(m, number) + G_STATE] = OUT
        answer(m, f, number, TROUBLE, 0)
        number = following


@compiled
def kill_gate(m: Any, f: Any, node: int) -> None:
    """The process is gone: whoever was inside is cut off, and the next one begins anew."""
    k = gate_at(m, node)
    for level in range(LINES):
        line = k + K_LINES + level * LINE_SIZE
        _cut_off_all(m, f, line + LN_FIRST)
        m[line + LN_BOUND_ENDS] = m[line + LN_BOUND_LEAST] = m[line + LN_STANDING] = m[line + LN_SEEN] = 0
    for chain in (K_DELAYED, K_HELD, K_OUTSIDE):
        _cut_off_all(m, f, k + chain)
    m[k + K_AT_WORK] = m[k + K_UNDER_WAY] = m[k + K_BEHIND] = m[k + K_LOOKING] = m[k + K_FORGETS] = m[k + K_WAITING] = 0
    m[k + K_FREED_HELD] = m[k + K_SAMPLES] = m[k + K_WINDOW_ENDS] = m[k + K_UNDER_WAY_MAX] = 0
    m[k + K_LIFE] += 1
    m[k + K_FORGOTTEN] += 1
    f[GATE_LIMIT + node], f[GATE_WAITS + node], f[GATE_REFUSED + node] = LIMIT_FIRST, 0.0, 0.0
