"""The gate before a node's routes, as `processes.gate` has it; `gate_rules`: whom it lets in; `gate_faults`: what befalls it."""

from __future__ import annotations

import math
from typing import Any

from refsystem.overload.retry_after import SPREAD_S_MAX
from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, draw, now_is
from simulator.model.compiled.gate_rules import (
    BROWSE,
    dispatch,
    gated_at,
    is_refused_at_once,
    press,
    push,
    take_all,
    unchange,
)
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
    GATE_REFUSED,
    GATES,
    I_STATE,
    ITEM_SIZE,
    ITEMS_STATE,
    K_AT_WORK,
    K_BEHIND,
    K_CHANGED,
    K_DECLARED,
    K_DELAYED,
    K_FORGOTTEN,
    K_FREED_HELD,
    K_HELD,
    K_LIFE,
    K_LINES,
    K_LOOKING,
    K_OUTSIDE,
    K_UNDER_WAY,
    K_WAITING,
    LINE_SIZE,
    LN_FIRST,
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
from simulator.model.compiled.server import DOWN, UP, arrive
from simulator.model.laws import NEVER, TICKS_PER_S
from simulator.model.overload import DEADLINE as DEADLINE_ON
from simulator.model.overload import LOOK_EVERY_US, NOT_SAID, PRIORITY, PRIORITY_OF_KIND, RETRY_AFTER
from simulator.model.plan import PRIMARY
from simulator.model.vocabulary import CLOUD, Code, Condition, Event, Kind

OF_KIND = tuple(int(priority) for priority in PRIORITY_OF_KIND)
REFUSAL, TROUBLE, PAUSED = int(Kind.REFUSAL), int(Code.TROUBLE), int(Condition.PAUSED)
E_DELAYED, E_LOOK = int(Event.DELAYED), int(Event.LOOK)


@inlined
def _is_known(m: Any, r: int) -> bool:
    """Whether the log, or the cloud's database, has it already: then it is answered and never refused."""
    if m[r + R_NODE] == CLOUD:
        return bool(m[m[AT_CLOUD] + m[r + R_ITEM]] != 0)
    return bool(m[m[ITEMS_STATE] + m[r + R_ITEM] * ITEM_SIZE + I_STATE] != 0)


@compiled
def _refuse(m: Any, f: Any, node: int, number: int) -> None:
    g, r = gated_at(m, number), m[REQUESTS] + number * REQUEST_SIZE
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
def go_on(m: Any, f: Any, node: int, number: int) -> None:
    """A request goes on to the routes."""
    g, k = gated_at(m, number), gate_at(m, node)
    m[g + G_STATE], m[g + G_LIFE] = BEHIND, m[k + K_FORGOTTEN]
    m[k + K_BEHIND] += 1
    arrive(m, f, number)


@compiled
def _tell(m: Any, f: Any, node: int, number: int) -> None:
    """A request was started or refused."""
    g, k = gated_at(m, number), gate_at(m, node)
    if m[g + G_STATE] == REFUSED:
        _refuse(m, f, node, number)
    elif m[k + K_DECLARED] != 0:
        r, first = m[REQUESTS] + number * REQUEST_SIZE, m[k + K_DELAYED]
        m[g + G_NEXT], m[g + G_BEFORE] = first, -1
        if first >= 0:
            m[gated_at(m, first) + G_BEFORE] = number
        m[k + K_DELAYED] = number
        work = m[k + K_LINES + m[g + G_PRIORITY] * LINE_SIZE + LN_WORK]
        ends = max(m[NOW], m[g + G_STARTED] + work)
        at(m, ends, E_DELAYED, m[r + R_ENTITY], m[r + R_ATTEMPT], number)
    else:
        go_on(m, f, node, number)


@compiled
def tell_changed(m: Any, f: Any, node: int) -> None:
    """Tell all whom the rules started or refused."""
    number = take_all(m, gate_at(m, node) + K_CHANGED)
    while number >= 0:
        following = m[gated_at(m, number) + G_NEXT]
        _tell(m, f, node, number)
        number = following


@compiled
def look_later(m: Any, node: int) -> None:
    """Look again in a while, if anybody waits."""
    k = gate_at(m, node)
    if m[k + K_LOOKING] == 0 and m[k + K_WAITING] > 0:
        m[k + K_LOOKING] = 1
        at(m, m[NOW] + LOOK_EVERY_US, E_LOOK, node, 0, m[k + K_LIFE])


@compiled
def _come(m: Any, f: Any, node: int, number: int) -> None:
    k, g, r, now = gate_at(m, node), gated_at(m, number), m[REQUESTS] + number * REQUEST_SIZE, m[NOW]
    priority = OF_KIND[m[r + R_KIND]]
    m[g + G_PRIORITY], m[g + G_ARRIVED], m[g + G_DUE] = priority, now, NEVER
    if m[GATES] & DEADLINE_ON and m[g + G_USEFUL] != NOT_SAID:
        m[g + G_DUE] = now + m[g + G_USEFUL] - m[k + K_LINES + priority * LINE_SIZE + LN_WORK]
    if is_refused_at_once(m, f, node, priority):
        press(f, node, 1.0)
        m[g + G_STATE] = REFUSED
        _tell(m, f, node, number)
        return
    m[k + K_UNDER_WAY] += 1
    m[k + K_WAITING] += 1
    m[g + G_STATE] = WAITING
    push(m, k + K_LINES + (priority if m[GATES] & PRIORITY else 0) * LINE_SIZE + LN_FIRST, number)
    dispatch(m, f, node, now)
    if m[g + G_STATE] != WAITING:
        unchange(m, k, number)
    tell_changed(m, f, node)
    if m[g + G_STATE] == WAITING:
        look_later(m, node)
    else:
        _tell(m, f, node, number)


@compiled
def gate_request(m: Any, f: Any, number: int) -> None:
    """A request of a device arrives at its node."""
    node = m[m[REQUESTS] + number * REQUEST_SIZE + R_NODE]
    state = condition(m, node)
    if state == PAUSED:
        push(m, gate_at(m, node) + K_OUTSIDE, number)
    elif state == DOWN or (node != CLOUD and now_is(m, PRIMARY) != node):
        arrive(m, f, number)
    else:
        _come(m, f, node, number)


@inlined
def free(m: Any, f: Any, node: int, since: int) -> None:
    """A worker is free, since a moment ago if the process was paused."""
    m[gate_at(m, node) + K_AT_WORK] -= 1
    dispatch(m, f, node, since)
    tell_changed(m, f, node)


@compiled
def delay_ends(m: Any, f: Any, lane: int, attempt: int, number: int) -> None:
    """The declared delay of a request is over, if it is still held for it."""
    g, r = gated_at(m, number), m[REQUESTS] + number * REQUEST_SIZE
    if m[g + G_STATE] != STARTED or m[r + R_ENTITY] != lane or m[r + R_ATTEMPT] != attempt:
        return
    node = m[r + R_NODE]
    k, before, following = gate_at(m, node), m[g + G_BEFORE], m[g + G_NEXT]
    if before >= 0:
        m[gated_at(m, before) + G_NEXT] = following
    else:
        m[k + K_DELAYED] = following
    if following >= 0:
        m[gated_at(m, following) + G_BEFORE] = before
    if condition(m, node) == UP:
        free(m, f, node, m[NOW])
        go_on(m, f, node, number)
    else:
        m[g + G_STARTED] = m[NOW]
        push(m, k + K_HELD, number)


@compiled
def worker_freed(m: Any, f: Any, load: int) -> None:
    """A request that held a worker was answered."""
    node, life = load & ((1 << LIFE_SHIFT) - 1), load >> LIFE_SHIFT
    k = gate_at(m, node)
    if life != m[k + K_LIFE]:
        return
    if condition(m, node) == UP:
        free(m, f, node, m[NOW])
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
        dispatch(m, f, node, m[NOW])
        tell_changed(m, f, node)
        look_later(m, node)
