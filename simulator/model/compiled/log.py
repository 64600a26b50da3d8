"""The store's log: group commit, log shipping, and what a change of roles does; payments and the uplink begin at a commit."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, delivery, now_is, random_time
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.kitchen import send_ticket
from simulator.model.compiled.memory import (
    AT_CLOUD,
    D_FLUSHED,
    D_FLUSHES,
    D_FLUSHING,
    DEVICE_SIZE,
    DEVICES,
    DINERS,
    FLUSH,
    FLUSH_SHAPE,
    FLUSH_SPREAD,
    I_FIRST,
    I_LAST,
    I_STATE,
    ITEM_SIZE,
    ITEMS_STATE,
    LOG,
    LOG_DONE,
    LOG_GENERATION,
    LOG_LAST,
    LOG_MATCH_LAST,
    LOG_MATCHED,
    LOG_MATCHES,
    LOG_PRIMARY,
    LOG_RECEIVED,
    LOG_SHIP_LAST,
    LOG_SHIPPED,
    NOW,
    R_NEXT,
    REQUEST_SIZE,
    REQUESTS,
    ROWS,
    SEGMENT_TABLE,
    UPLINK,
    UPLINK_TAIL,
)
from simulator.model.compiled.payments import call_gateway
from simulator.model.compiled.server import answer, cut_off, drop_request
from simulator.model.compiled.uplink import send_up
from simulator.model.links import EDGE_EDGE, FROM, TO
from simulator.model.plan import CONDITION, FLUSH_EXTRA, PRIMARY, SEGMENT_COLUMNS, SLOW, TWO
from simulator.model.records import COMMITTED_0, FIELDS
from simulator.model.vocabulary import (
    ABSENT,
    ANSWER_BYTES,
    ARGUMENT_MAX,
    ASKED_AGAIN_US,
    COMMITTED,
    EDGE_A,
    ENTRY_BYTES,
    NO_PRIMARY,
    NO_REPLY,
    PENDING,
    Code,
    Condition,
    Event,
    Level,
)

UP, DOWN = int(Condition.UP), int(Condition.DOWN)
R1, R2, OK = int(Level.R1), int(Level.R2), int(Code.OK)
E_FLUSHED, E_SHIPPED, E_MATCHED = int(Event.FLUSHED), int(Event.SHIPPED), int(Event.MATCHED)
E_DOWN = int(Event.DOWN)
N_FIELDS = len(FIELDS)


@inlined
def level(m: Any) -> int:
    """The level of what is committed now."""
    return R2 if now_is(m, TWO) != 0 else R1


@compiled
def wait(m: Any, item: int, number: int) -> None:
    """A request waits for the commit of an entry."""
    i = m[ITEMS_STATE] + item * ITEM_SIZE
    m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT] = -1
    if m[i + I_LAST] >= 0:
        m[m[REQUESTS] + m[i + I_LAST] * REQUEST_SIZE + R_NEXT] = number
    else:
        m[i + I_FIRST] = number
    m[i + I_LAST] = number


@inlined
def _take_waiters(m: Any, item: int) -> int:
    """The first request that waits for an entry, from which the others follow; the entry has none any more."""
    i = m[ITEMS_STATE] + item * ITEM_SIZE
    first = m[i + I_FIRST]
    m[i + I_FIRST] = m[i + I_LAST] = -1
    return int(first)


@compiled
def _forget_waiters(m: Any, item: int) -> None:
    number = _take_waiters(m, item)
    while number >= 0:
        following = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
        drop_request(m, number)
        number = following


@compiled
def _cut_back(m: Any, keep: int) -> None:
    """What stands behind `keep` is gone; who waits for it hears nothing."""
    for seq in range(keep + 1, m[LOG_LAST] + 1):
        item = m[m[LOG] + seq]
        m[m[ITEMS_STATE] + item * ITEM_SIZE + I_STATE] = ABSENT
        _forget_waiters(m, item)
        if item < 2 * m[DINERS] and m[m[AT_CLOUD] + item] != 0:
            at(m, m[NOW] + ASKED_AGAIN_US, E_DOWN, item, 0, 0)
    m[LOG_LAST] = min(m[LOG_LAST], keep)


@compiled
def _committed(m: Any, f: Any, item: int) -> None:
    if item < 2 * m[DINERS]:
        m[m[ROWS] + (item >> 1) * N_FIELDS + COMMITTED_0 + (item & 1)] = m[NOW]
        send_ticket(m, f, item)
        m[m[UPLINK] + m[UPLINK_TAIL]] = item
        m[UPLINK_TAIL] += 1
        send_up(m, f)
    else:
        call_gateway(m, f, item - 2 * m[DINERS])


@compiled
def advance(m: Any, f: Any) -> None:
    """Commit what the commit rule allows."""
    if now_is(m, PRIMARY) == NO_PRIMARY:
        return
    upto = m[m[DEVICES] + m[LOG_PRIMARY] * DEVICE_SIZE + D_FLUSHED]
    if now_is(m, TWO) != 0:
        upto = min(upto, m[LOG_MATCHED])
    while m[LOG_DONE] < upto:
        m[LOG_DONE] += 1
        item = m[m[LOG] + m[LOG_DONE]]
        m[m[ITEMS_STATE] + item * ITEM_SIZE + I_STATE] = COMMITTED
        _committed(m, f, item)
        number = _take_waiters(m, item)
        while number >= 0:
            following = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
            answer(m, f, number, OK, level(m))
            number = following


@compiled
def flush(m: Any, f: Any, device: int) -> None:
    """Begin a flush of all that waits for this disk, unless one is under way."""
    upto = m[LOG_LAST] if device == m[LOG_PRIMARY] else m[LOG_RECEIVED]
    d = m[DEVICES] + device * DEVICE_SIZE
    if m[d + D_FLUSHING] != 0 or upto <= m[d + D_FLUSHED] or condition(m, device) != UP:
        return
    m[d + D_FLUSHING] = 1
    time = random_time(m, m[FLUSH_SHAPE], f[FLUSH], f[FLUSH_SPREAD], purposes.FLUSH, m[d + D_FLUSHES], device)
    m[d + D_FLUSHES] += 1
    time = time * now_is(m, SLOW + device) // 1000
    time += now_is(m, FLUSH_EXTRA + device)
    at(m, m[NOW] + time, E_FLUSHED, device, m[LOG_GENERATION], upto)


@compiled
def ship(m: Any, f: Any) -> None:
    """Send the standby all that it lacks."""
    if now_is(m, TWO) == 0 or m[LOG_LAST] <= m[LOG_RECEIVED] or condition(m, 1 - m[LOG_PRIMARY]) != UP:
        return
    way = TO if m[LOG_PRIMARY] == EDGE_A else FROM
    arrives = delivery(m, f, EDGE_EDGE, way, ENTRY_BYTES, purposes.SHIP, m[LOG_SHIPPED], 0)
    m[LOG_SHIPPED] += 1
    m[LOG_SHIP_LAST] = max(m[LOG_SHIP_LAST], arrives)
    at(m, m[LOG_SHIP_LAST], E_SHIPPED, m[LOG_LAST], m[LOG_GENERATION], 0)


@compiled
def append(m: Any, f: Any, item: int) -> None:
    """A new entry at the primary."""
    m[LOG_LAST] += 1
    m[m[LOG] + m[LOG_LAST]] = item
    m[m[ITEMS_STATE] + item * ITEM_SIZE + I_STATE] = PENDING
    flush(m, f, m[LOG_PRIMARY])
    ship(m, f)


@compiled
def flushed(m: Any, f: Any, device: int, generation: int, upto: int) -> None:
    """A flush has ended."""
    if generation != m[LOG_GENERATION]:
        return
    d = m[DEVICES] + device * DEVICE_SIZE
    m[d + D_FLUSHING], m[d + D_FLUSHED] = 0, upto
    if device == m[LOG_PRIMARY]:
        advance(m, f)
    else:
        way = FROM if m[LOG_PRIMARY] == EDGE_A else TO
        arrives = delivery(m, f, EDGE_EDGE, way, ANSWER_BYTES, purposes.MATCH, m[LOG_MATCHES], 0)
        m[LOG_MATCHES] += 1
        m[LOG_MATCH_LAST] = max(m[LOG_MATCH_LAST], arrives)
        at(m, m[LOG_MATCH_LAST], E_MATCHED, upto, generation, 0)
    flush(m, f, device)


@compiled
def shipped(m: Any, f: Any, upto: int, generation: int) -> None:
    """The standby gets entries."""
    if generation == m[LOG_GENERATION]:
        m[LOG_RECEIVED] = max(m[LOG_RECEIVED], upto)
        flush(m, f, 1 - m[LOG_PRIMARY])


@compiled
def matched(m: Any, f: Any, upto: int, generation: int) -> None:
    """The primary hears how far the standby has come."""
    if generation == m[LOG_GENERATION]:
        m[LOG_MATCHED] = max(m[LOG_MATCHED], upto)
        advance(m, f)


@compiled
def log_conditions_change(m: Any, f: Any, before: int) -> None:
    """The store's condition is another than in segment `before`."""
    was = m[SEGMENT_TABLE] + before * SEGMENT_COLUMNS
    old = m[LOG_PRIMARY]
    for device in range(2):
        if device != old and condition(m, device) == DOWN and m[was + CONDITION + device] != DOWN:
            m[LOG_RECEIVED] = min(m[LOG_RECEIVED], m[m[DEVICES] + device * DEVICE_SIZE + D_FLUSHED])
    if (
        now_is(m, PRIMARY) == m[was + PRIMARY]
        and now_is(m, TWO) == m[was + TWO]
        and condition(m, 0) == m[was + CONDITION]
        and condition(m, 1) == m[was + CONDITION + 1]
    ):
        return
    m[LOG_GENERATION] = (m[LOG_GENERATION] + 1) & ARGUMENT_MAX
    m[m[DEVICES] + D_FLUSHING] = m[m[DEVICES] + DEVICE_SIZE + D_FLUSHING] = 0
    m[LOG_SHIP_LAST] = m[LOG_MATCH_LAST] = m[NOW]
    if condition(m, old) == DOWN and m[was + CONDITION + old] != DOWN:
        for seq in range(m[LOG_DONE] + 1, m[LOG_LAST] + 1):
            number = _take_waiters(m, m[m[LOG] + seq])
            while number >= 0:
                following = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
                cut_off(m, f, number, NO_REPLY)
                number = following
        _cut_back(m, max(m[LOG_DONE], m[m[DEVICES] + old * DEVICE_SIZE + D_FLUSHED]))
    primary = now_is(m, PRIMARY)
    if primary not in (NO_PRIMARY, old):
        _cut_back(m, max(m[LOG_DONE], m[LOG_RECEIVED]))
        for seq in range(m[LOG_DONE] + 1, m[LOG_LAST] + 1):
            _forget_waiters(m, m[m[LOG] + seq])
        flushed = m[DEVICES] + primary * DEVICE_SIZE + D_FLUSHED
        m[flushed] = min(m[flushed], m[LOG_LAST])
        m[LOG_PRIMARY] = primary
    standby = m[DEVICES] + (1 - m[LOG_PRIMARY]) * DEVICE_SIZE
    two = now_is(m, TWO) != 0
    if two and m[was + TWO] == 0:
        m[LOG_RECEIVED] = m[standby + D_FLUSHED] = m[LOG_MATCHED] = m[LOG_DONE]
    if primary != NO_PRIMARY:
        flush(m, f, primary)
        if two:
            m[LOG_RECEIVED] = m[standby + D_FLUSHED] = m[LOG_MATCHED] = max(m[LOG_DONE], m[LOG_MATCHED])
        ship(m, f)
        advance(m, f)
