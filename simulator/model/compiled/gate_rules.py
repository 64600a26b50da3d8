"""The rules of a gate, as `refsystem.overload.gate` has them: the lines before the workers, whom to start and whom to refuse."""

from __future__ import annotations

from typing import Any

from refsystem.overload.gate import LIMIT_SHARES, WAITING_MAX
from refsystem.overload.priority import PRIORITIES, Priority
from refsystem.overload.retry_after import MEMORY
from refsystem.overload.waiting_bound import INTERVAL_US, TARGET_US
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.limits import REFUSED, STARTED, gate_at
from simulator.model.compiled.memory import (
    G_ARRIVED,
    G_DUE,
    G_NEXT,
    G_STARTED,
    G_STATE,
    GATE_LIMIT,
    GATE_REFUSED,
    GATE_WAITS,
    GATED,
    GATED_SIZE,
    GATES,
    K_AT_WORK,
    K_CHANGED,
    K_CHANGED_LAST,
    K_HELD,
    K_HELD_LAST,
    K_LINES,
    K_OUTSIDE,
    K_OUTSIDE_LAST,
    K_SERVERS,
    K_UNDER_WAY,
    K_WAITING,
    LINE_SIZE,
    LN_BOUND_ENDS,
    LN_BOUND_LEAST,
    LN_FIRST,
    LN_LAST,
    LN_STANDING,
    NOW,
)
from simulator.model.overload import BOUND, LIMIT, LIMIT_FIRST, PRIORITY
from simulator.model.vocabulary import NODES

SHARES = tuple(LIMIT_SHARES[priority] for priority in PRIORITIES)
BROWSE, LINES = int(Priority.BROWSE), len(PRIORITIES)
assert (K_CHANGED_LAST, K_HELD_LAST, K_OUTSIDE_LAST, LN_LAST) == (
    K_CHANGED + 1,
    K_HELD + 1,
    K_OUTSIDE + 1,
    LN_FIRST + 1,
)


@inlined
def gated_at(m: Any, number: int) -> int:
    """The place of a request at its gate."""
    return int(m[GATED] + number * GATED_SIZE)


@inlined
def _lines(m: Any) -> int:
    return LINES if m[GATES] & PRIORITY else 1


@compiled
def push(m: Any, chain: int, number: int) -> None:
    """Put a request at the end of a chain, whose first and last stand side by side."""
    m[gated_at(m, number) + G_NEXT] = -1
    if m[chain] >= 0:
        m[gated_at(m, m[chain + 1]) + G_NEXT] = number
    else:
        m[chain] = number
    m[chain + 1] = number


@inlined
def _pop(m: Any, chain: int) -> int:
    number = m[chain]
    m[chain] = m[gated_at(m, number) + G_NEXT]
    return int(number)


@inlined
def take_all(m: Any, chain: int) -> int:
    """The first of a chain, from which the others follow; the chain is empty."""
    first = m[chain]
    m[chain] = -1
    return int(first)


@inlined
def press(f: Any, node: int, refused: float) -> None:
    """Count one who was let in (0) or refused (1) into the refused share."""
    f[GATE_REFUSED + node] += (refused - f[GATE_REFUSED + node]) / MEMORY


@compiled
def _turn_away(m: Any, f: Any, node: int, line: int) -> None:
    """Refuse, from the head of a line, who has waited too long or would be too late."""
    k, now, first = gate_at(m, node), m[NOW], m[line + LN_FIRST]
    waits = now - m[gated_at(m, first) + G_ARRIVED] if first >= 0 else 0
    if now >= m[line + LN_BOUND_ENDS]:
        m[line + LN_STANDING] = m[line + LN_BOUND_LEAST] > TARGET_US
        m[line + LN_BOUND_ENDS], m[line + LN_BOUND_LEAST] = now + INTERVAL_US, waits
    else:
        m[line + LN_BOUND_LEAST] = min(m[line + LN_BOUND_LEAST], waits)
    stands = m[GATES] & BOUND != 0 and m[line + LN_STANDING] != 0
    while m[line + LN_FIRST] >= 0:
        g = gated_at(m, m[line + LN_FIRST])
        if now < m[g + G_DUE] and not (stands and now - m[g + G_ARRIVED] > 2 * TARGET_US):
            return
        number = _pop(m, line + LN_FIRST)
        m[k + K_WAITING] -= 1
        m[k + K_UNDER_WAY] -= 1
        m[g + G_STATE] = REFUSED
        press(f, node, 1.0)
        push(m, k + K_CHANGED, number)


@compiled
def dispatch(m: Any, f: Any, node: int, free_since: int) -> None:
    """Start and refuse whom the rules say."""
    k = gate_at(m, node)
    for level in range(_lines(m)):
        _turn_away(m, f, node, k + K_LINES + level * LINE_SIZE)
    for level in range(_lines(m)):
        line = k + K_LINES + level * LINE_SIZE
        while m[line + LN_FIRST] >= 0 and m[k + K_AT_WORK] < m[k + K_SERVERS]:
            number = _pop(m, line + LN_FIRST)
            g = gated_at(m, number)
            m[k + K_WAITING] -= 1
            m[k + K_AT_WORK] += 1
            press(f, node, 0.0)
            m[g + G_STATE], m[g + G_STARTED] = STARTED, max(m[g + G_ARRIVED], free_since)
            push(m, k + K_CHANGED, number)
            _turn_away(m, f, node, line)


@inlined
def is_refused_at_once(m: Any, f: Any, node: int, priority: int) -> bool:
    """Whether a request that comes now is turned away at the door."""
    k = gate_at(m, node)
    share = SHARES[priority] if m[GATES] & PRIORITY else 1.0
    if m[k + K_WAITING] >= WAITING_MAX:
        return True
    return bool(m[GATES] & LIMIT != 0 and m[k + K_UNDER_WAY] >= int(f[GATE_LIMIT + node]) * share)


@compiled
def unchange(m: Any, k: int, number: int) -> None:
    """Take a request out of those to be told."""
    before, each = -1, m[k + K_CHANGED]
    while each != number:
        before, each = each, m[gated_at(m, each) + G_NEXT]
    following = m[gated_at(m, number) + G_NEXT]
    if before < 0:
        m[k + K_CHANGED] = following
    else:
        m[gated_at(m, before) + G_NEXT] = following
        if following < 0:
            m[k + K_CHANGED_LAST] = before


@compiled
def begin_gates(f: Any) -> None:
    """What the gates have learnt, before anybody comes."""
    for node in range(NODES):
        f[GATE_LIMIT + node], f[GATE_WAITS + node], f[GATE_REFUSED + node] = LIMIT_FIRST, 0.0, 0.0
