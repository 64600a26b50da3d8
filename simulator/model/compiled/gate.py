"""The gate before a node's routes, as `processes.gate` has it with the stack's own rules (`refsystem.overload.gate`)."""

from __future__ import annotations

import math
from typing import Any

from refsystem.overload.gate import LIMIT_SHARES, WAITING_MAX
from refsystem.overload.priority import PRIORITIES, Priority
from refsystem.overload.retry_after import MEMORY, SPREAD_S_MAX
from refsystem.overload.waiting_bound import INTERVAL_US, TARGET_US
from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, draw, now_is
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.limits import BEHIND, LIFE_SHIFT, OUT, REFUSED, STARTED, WAITING, gate_at
from simulator.model.compiled.memory import (
    AT_CLOUD,
    G_ARRIVED,
    G_BEFORE,
    G_DUE,
    G_LIFE,
    G_NEXT,
    G_PRIORITY,
    G_STARTED,
    G_STATE,
    G_USEFUL,
    GATE_LIMIT,
    GATE_REFUSED,
    GATE_WAITS,
    GATED,
    GATED_SIZE,
    GATES,
    I_STATE,
    ITEM_SIZE,
    ITEMS_STATE,
    K_AT_WORK,
    K_BEHIND,
    K_CHANGED,
    K_CHANGED_LAST,
    K_DECLARED,
    K_DELAYED,
    K_FORGETS,
    K_FORGOTTEN,
    K_FREED_HELD,
    K_HELD,
    K_HELD_LAST,
    K_LIFE,
    K_LINES,
    K_LOOKING,
    K_OUTSIDE,
    K_OUTSIDE_LAST,
    K_SAMPLES,
    K_SERVERS,
    K_UNDER_WAY,
    K_UNDER_WAY_MAX,
    K_WAITING,
    K_WINDOW_ENDS,
    LINE_SIZE,
    LN_BOUND_ENDS,
    LN_BOUND_LEAST,
    LN_FIRST,
    LN_LAST,
    LN_SEEN,
    LN_STANDING,
    LN_WORK,
    NOW,
    R_ATTEMPT,
    R_ENTITY,
    R_ITEM,
    R_KIND,
    R_NODE,
    REQUEST_SIZE,
    REQUESTS,
)
from simulator.model.compiled.requests import DOWN, UP, answer, arrive
from simulator.model.laws import NEVER, TICKS_PER_S
from simulator.model.overload import (
    BOUND,
    LIMIT,
    LIMIT_FIRST,
    LOOK_EVERY_US,
    NOT_SAID,
    PRIORITY,
    PRIORITY_OF_KIND,
    RETRY_AFTER,
)
from simulator.model.overload import DEADLINE as DEADLINE_ON
from simulator.model.plan import PRIMARY
from simulator.model.vocabulary import CLOUD, NODES, Code, Condition, Event, Kind

OF_KIND = tuple(int(priority) for priority in PRIORITY_OF_KIND)
SHARES = tuple(LIMIT_SHARES[priority] for priority in PRIORITIES)
BROWSE, LINES = int(Priority.BROWSE), len(PRIORITIES)
REFUSAL, TROUBLE, PAUSED = int(Kind.REFUSAL), int(Code.TROUBLE), int(Condition.PAUSED)
E_DELAYED, E_LOOK = int(Event.DELAYED), int(Event.LOOK)


@inlined
def _at(m: Any, number: int) -> int:
    return int(m[GATED] + number * GATED_SIZE)


@inlined
def _lines(m: Any) -> int:
    return LINES if m[GATES] & PRIORITY else 1


@compiled
def _push(m: Any, chain: int, number: int) -> None:
    """Put a request at the end of a chain, whose first and last stand side by side."""
    m[_at(m, number) + G_NEXT] = -1
    if m[chain] >= 0:
        m[_at(m, m[chain + 1]) + G_NEXT] = number
    else:
        m[chain] = number
    m[chain + 1] = number


@inlined
def _pop(m: Any, chain: int) -> int:
    number = m[chain]
    m[chain] = m[_at(m, number) + G_NEXT]
    return int(number)


@inlined
def _take_all(m: Any, chain: int) -> int:
    """The first of a chain, from which the others follow; the chain is empty."""
    first = m[chain]
    m[chain] = -1
    return int(first)


@inlined
def _press(f: Any, node: int, refused: float) -> None:
    f[GATE_REFUSED + node] += (refused - f[GATE_REFUSED + node]) / MEMORY


@compiled
def _turn_away(m: Any, f: Any, node: int, line: int) -> None:
    """Refuse, from the head of a line, who has waited too long or would be too late."""
    k, now, first = gate_at(m, node), m[NOW], m[line + LN_FIRST]
    waits = now - m[_at(m, first) + G_ARRIVED] if first >= 0 else 0
    if now >= m[line + LN_BOUND_ENDS]:
        m[line + LN_STANDING] = m[line + LN_BOUND_LEAST] > TARGET_US
        m[line + LN_BOUND_ENDS], m[line + LN_BOUND_LEAST] = now + INTERVAL_US, waits
    else:
        m[line + LN_BOUND_LEAST] = min(m[line + LN_BOUND_LEAST], waits)
    stands = m[GATES] & BOUND != 0 and m[line + LN_STANDING] != 0
    while m[line + LN_FIRST] >= 0:
        g = _at(m, m[line + LN_FIRST])
        if now < m[g + G_DUE] and not (stands and now - m[g + G_ARRIVED] > 2 * TARGET_US):
            return
        number = _pop(m, line + LN_FIRST)
        m[k + K_WAITING] -= 1
        m[k + K_UNDER_WAY] -= 1
        m[g + G_STATE] = REFUSED
        _press(f, node, 1.0)
        _push(m, k + K_CHANGED, number)


@compiled
def _dispatch(m: Any, f: Any, node: int, free_since: int) -> None:
    """Start and refuse whom the rules say."""
    k = gate_at(m, node)
    for level in range(_lines(m)):
        _turn_away(m, f, node, k + K_LINES + level * LINE_SIZE)
    for level in range(_lines(m)):
        line = k + K_LINES + level * LINE_SIZE
        while m[line + LN_FIRST] >= 0 and m[k + K_AT_WORK] < m[k + K_SERVERS]:
            number = _pop(m, line + LN_FIRST)
            g = _at(m, number)
            m[k + K_WAITING] -= 1
            m[k + K_AT_WORK] += 1
            _press(f, node, 0.0)
            m[g + G_STATE], m[g + G_STARTED] = STARTED, max(m[g + G_ARRIVED], free_since)
            _push(m, k + K_CHANGED, number)
            _turn_away(m, f, node, line)


@inlined
def _is_known(m: Any, r: int) -> bool:
    """Whether the log, or the cloud's database, has it already: then it is answered and never refused."""
    if m[r + R_NODE] == CLOUD:
        return bool(m[m[AT_CLOUD] + m[r + R_ITEM]] != 0)
    return bool(m[m[ITEMS_STATE] + m[r + R_ITEM] * ITEM_SIZE + I_STATE] != 0)


@compiled
def _refuse(m: Any, f: Any, node: int, number: int) -> None:
    g, r = _at(m, number), m[REQUESTS] + number * REQUEST_SIZE
    m[g + G_STATE] = OUT
    if m[g + G_PRIORITY] == BROWSE or not _is_known(m, r):
        after = 0
        if m[GATES] & RETRY_AFTER:
            wide = min(float(SPREAD_S_MAX), 1 / max(1 - f[GATE_REFUSED + node], 1 / SPREAD_S_MAX))
            seconds = int(math.floor(wide + 0.5))  # noqa: RUF046 -- compiled code rounds to a float
            if seconds - wide == 0.5 and seconds % 2 == 1:
                seconds -= 1
            u = draw(m, purposes.RETRY_AFTER, m[r + R_ENTITY], m[r + R_ATTEMPT])
            after = (1 + int(u * seconds)) * TICKS_PER_S
        m[r + R_KIND], m[r + R_ITEM] = REFUSAL, after
    arrive(m, f, number)


@compiled
def _go_on(m: Any, f: Any, node: int, number: int) -> None:
    g, k = _at(m, number), gate_at(m, node)
    m[g + G_STATE], m[g + G_LIFE] = BEHIND, m[k + K_FORGOTTEN]
    m[k + K_BEHIND] += 1
    arrive(m, f, number)


@compiled
def _tell(m: Any, f: Any, node: int, number: int) -> None:
    """A request was started or refused."""
    g, k = _at(m, number), gate_at(m, node)
    if m[g + G_STATE] == REFUSED:
        _refuse(m, f, node, number)
    elif m[k + K_DECLARED] != 0:
        r, first = m[REQUESTS] + number * REQUEST_SIZE, m[k + K_DELAYED]
        m[g + G_NEXT], m[g + G_BEFORE] = first, -1
        if first >= 0:
            m[_at(m, first) + G_BEFORE] = number
        m[k + K_DELAYED] = number
        work = m[k + K_LINES + m[g + G_PRIORITY] * LINE_SIZE + LN_WORK]
        ends = max(m[NOW], m[g + G_STARTED] + work)
        at(m, ends, E_DELAYED, m[r + R_ENTITY], m[r + R_ATTEMPT], number)
    else:
        _go_on(m, f, node, number)


@compiled
def _tell_changed(m: Any, f: Any, node: int) -> None:
    number = _take_all(m, gate_at(m, node) + K_CHANGED)
    while number >= 0:
        following = m[_at(m, number) + G_NEXT]
        _tell(m, f, node, number)
        number = following


@compiled
def _look_later(m: Any, node: int) -> None:
    k = gate_at(m, node)
    if m[k + K_LOOKING] == 0 and m[k + K_WAITING] > 0:
        m[k + K_LOOKING] = 1
        at(m, m[NOW] + LOOK_EVERY_US, E_LOOK, node, 0, m[k + K_LIFE])


@inlined
def _is_refused_at_once(m: Any, f: Any, node: int, priority: int) -> bool:
    k = gate_at(m, node)
    share = SHARES[priority] if m[GATES] & PRIORITY else 1.0
    if m[k + K_WAITING] >= WAITING_MAX:
        return True
    return bool(m[GATES] & LIMIT != 0 and m[k + K_UNDER_WAY] >= int(f[GATE_LIMIT + node]) * share)


@compiled
def _unchange(m: Any, k: int, number: int) -> None:
    """Take a request out of those to be told."""
    before, each = -1, m[k + K_CHANGED]
    while each != number:
        before, each = each, m[_at(m, each) + G_NEXT]
    following = m[_at(m, number) + G_NEXT]
    if before < 0:
        m[k + K_CHANGED] = following
    else:
        m[_at(m, before) + G_NEXT] = following
        if following < 0:
            m[k + K_CHANGED_LAST] = before


@compiled
def _come(m: Any, f: Any, node: int, number: int) -> None:
    k, g, r, now = gate_at(m, node), _at(m, number), m[REQUESTS] + number * REQUEST_SIZE, m[NOW]
    priority = OF_KIND[m[r + R_KIND]]
    m[g + G_PRIORITY], m[g + G_ARRIVED], m[g + G_DUE] = priority, now, NEVER
    if m[GATES] & DEADLINE_ON and m[g + G_USEFUL] != NOT_SAID:
        m[g + G_DUE] = now + m[g + G_USEFUL] - m[k + K_LINES + priority * LINE_SIZE + LN_WORK]
    if _is_refused_at_once(m, f, node, priority):
        _press(f, node, 1.0)
        m[g + G_STATE] = REFUSED
        _tell(m, f, node, number)
        return
    m[k + K_UNDER_WAY] += 1
    m[k + K_WAITING] += 1
    m[g + G_STATE] = WAITING
    _push(m, k + K_LINES + (priority if m[GATES] & PRIORITY else 0) * LINE_SIZE + LN_FIRST, number)
    _dispatch(m, f, node, now)
    if m[g + G_STATE] != WAITING:
        _unchange(m, k, number)
    _tell_changed(m, f, node)
    if m[g + G_STATE] == WAITING:
        _look_later(m, node)
    else:
        _tell(m, f, node, number)


@compiled
def gate_request(m: Any, f: Any, number: int) -> None:
    """A request of a device arrives at its node."""
    node = m[m[REQUESTS] + number * REQUEST_SIZE + R_NODE]
    state = condition(m, node)
    if state == PAUSED:
        _push(m, gate_at(m, node) + K_OUTSIDE, number)
    elif state == DOWN or (node != CLOUD and now_is(m, PRIMARY) != node):
        arrive(m, f, number)
    else:
        _come(m, f, node, number)


@inlined
def _free(m: Any, f: Any, node: int, since: int) -> None:
    m[gate_at(m, node) + K_AT_WORK] -= 1
    _dispatch(m, f, node, since)
    _tell_changed(m, f, node)


@compiled
def delay_ends(m: Any, f: Any, lane: int, attempt: int, number: int) -> None:
    """The declared delay of a request is over, if it is still held for it."""
    g, r = _at(m, number), m[REQUESTS] + number * REQUEST_SIZE
    if m[g + G_STATE] != STARTED or m[r + R_ENTITY] != lane or m[r + R_ATTEMPT] != attempt:
        return
    node = m[r + R_NODE]
    k, before, following = gate_at(m, node), m[g + G_BEFORE], m[g + G_NEXT]
    if before >= 0:
        m[_at(m, before) + G_NEXT] = following
    else:
        m[k + K_DELAYED] = following
    if following >= 0:
        m[_at(m, following) + G_BEFORE] = before
    if condition(m, node) == UP:
        _free(m, f, node, m[NOW])
        _go_on(m, f, node, number)
    else:
        m[g + G_STARTED] = m[NOW]
        _push(m, k + K_HELD, number)


@compiled
def worker_freed(m: Any, f: Any, load: int) -> None:
    """A request that held a worker was answered."""
    node, life = load & ((1 << LIFE_SHIFT) - 1), load >> LIFE_SHIFT
    k = gate_at(m, node)
    if life != m[k + K_LIFE]:
        return
    if condition(m, node) == UP:
        _free(m, f, node, m[NOW])
    else:
        m[k + K_FREED_HELD] += 1


@compiled
def look(m: Any, f: Any, node: int, life: int) -> None:
    """See whether somebody has waited too long."""
    k = gate_at(m, node)
    if life != m[k + K_LIFE]:
        return
    m[k + K_LOOKING] = 0
    if condition(m, node) == UP:
        _dispatch(m, f, node, m[NOW])
        _tell_changed(m, f, node)
        _look_later(m, node)


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
            _dispatch(m, f, node, m[NOW])
        m[k + K_UNDER_WAY] -= 1
    _tell_changed(m, f, node)


@compiled
def resume_gate(m: Any, f: Any, node: int) -> None:
    """The process goes on after a pause."""
    k = gate_at(m, node)
    if m[k + K_FORGETS] != 0:
        forget(m, f, node)
    freed = m[k + K_FREED_HELD]
    m[k + K_FREED_HELD] = 0
    for _ in range(freed):
        _free(m, f, node, m[NOW])
    number = _take_all(m, k + K_HELD)
    while number >= 0:
        following = m[_at(m, number) + G_NEXT]
        _free(m, f, node, m[_at(m, number) + G_STARTED])
        _go_on(m, f, node, number)
        number = following
    _dispatch(m, f, node, m[NOW])
    _tell_changed(m, f, node)
    _look_later(m, node)
    number = _take_all(m, k + K_OUTSIDE)
    while number >= 0:
        following = m[_at(m, number) + G_NEXT]
        gate_request(m, f, number)
        number = following


@compiled
def begin_gates(f: Any) -> None:
    """What the gates have learnt, before anybody comes."""
    for node in range(NODES):
        f[GATE_LIMIT + node], f[GATE_WAITS + node], f[GATE_REFUSED + node] = LIMIT_FIRST, 0.0, 0.0


@compiled
def _cut_off_all(m: Any, f: Any, chain: int) -> None:
    number = _take_all(m, chain)
    while number >= 0:
        following = m[_at(m, number) + G_NEXT]
        m[_at(m, number) + G_STATE] = OUT
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


assert (K_CHANGED_LAST, K_HELD_LAST, K_OUTSIDE_LAST, LN_LAST) == (
    K_CHANGED + 1,
    K_HELD + 1,
    K_OUTSIDE + 1,
    LN_FIRST + 1,
)
