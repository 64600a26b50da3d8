"""Events to come, the hash of those that were, links, and draws.

Events to come stand in several places. Arrivals are read from the timetable one by one. Time-outs mostly come in the order in
which they are set, and stand in line. The next of all others stand in order, which for a few is sooner done than a heap; what is
too many is in a binary heap. What comes later lies in slots of time, without order, until its slot is reached.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.model.compiled.coming import KEYS, LOADS, enter, is_before, pour, put_off, refill
from simulator.model.compiled.drawing import both
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    EVENTS,
    FAR_COUNT,
    H_KEY,
    H_TICK,
    HASH,
    HEAP_SIZE,
    KEY_HIGH,
    KEY_LOW,
    LINE,
    LINE_END,
    LINE_FIRST,
    LINE_LAST,
    LINE_ROOM,
    LINE_WIDTH,
    LINK,
    LINK_AT,
    LINK_LOSS,
    LINK_NOW,
    LINK_ONLY,
    LINK_WIDTH,
    LOAD,
    NEAR,
    NEAR_COUNT,
    NEXT_ARRIVAL,
    NEXT_DINER,
    NOW,
    SEGMENT_AT,
    SEGMENT_ROW,
    SEGMENT_TABLE,
    SEGMENTS_COUNT,
    SLOT,
    SLOT_BITS,
    SLOTS_ROOM,
    STATUS,
    TRACE,
    TRACE_FULL,
    TRACED,
)
from simulator.model.draws import uniform
from simulator.model.laws import NEVER, drawn, ticks, transfer
from simulator.model.links import (
    BYTE_NS,
    CLOSING,
    CUT,
    FROM,
    JITTER,
    LATENCY,
    LINK_COLUMNS,
    LINKS,
    PACED_NS,
    REFUSING,
    TO,
)
from simulator.model.plan import CONDITION, SEGMENT_COLUMNS
from simulator.model.vocabulary import ARGUMENT_BITS, CLASS_SHIFT, HASH_MIX, HASH_PRIME, REFUSED_US, Condition, Event

UP = int(Condition.UP)
N_LINKS = len(LINKS)
NEAR_FEW = 16
"""As long as fewer events stand in order, nothing is put off."""
E_ARRIVAL, E_TIMEOUT = int(Event.ARRIVAL), int(Event.TIMEOUT)
assert max(Event) == Event.ARRIVAL, "an arrival comes after everything else of its tick"


@compiled
def at(m: Any, tick: int, event: int, entity: int, argument: int, load: int) -> None:
    """An event will happen at this tick, unless that is never."""
    if tick >= NEVER:
        return
    key = (event << CLASS_SHIFT) | (entity << ARGUMENT_BITS) | argument
    slot = tick >> m[SLOT_BITS]
    if m[SLOT] < slot < m[SLOT] + SLOTS_ROOM and m[NEAR_COUNT] + m[HEAP_SIZE] >= NEAR_FEW:
        put_off(m, slot, tick, key, load)
    else:
        enter(m, tick, key, load)


@compiled
def time_out_at(m: Any, tick: int, number: int, attempt: int) -> None:
    """A lane's attempt will time out: behind the other time-outs in line, or in the heap if it comes before the last of them."""
    first, end = m[LINE_FIRST], m[LINE_END]
    if end - first >= LINE_ROOM or tick < m[LINE_LAST] or tick >= NEVER:
        at(m, tick, E_TIMEOUT, number, attempt, 0)
        return
    key = (E_TIMEOUT << CLASS_SHIFT) | (number << ARGUMENT_BITS) | attempt
    place = end
    while place > first:
        before = m[LINE] + LINE_WIDTH * ((place - 1) & (LINE_ROOM - 1))
        if m[before + H_TICK] < tick or m[before + H_KEY] < key:
            break
        target = m[LINE] + LINE_WIDTH * (place & (LINE_ROOM - 1))
        m[target + H_TICK], m[target + H_KEY] = m[before + H_TICK], m[before + H_KEY]
        place -= 1
    target = m[LINE] + LINE_WIDTH * (place & (LINE_ROOM - 1))
    m[target + H_TICK], m[target + H_KEY] = tick, key
    m[LINE_LAST], m[LINE_END] = tick, end + 1


@inlined
def next_event(m: Any) -> int:
    """Take the first event; returns its key, or -1. The clock is set to its tick, LOAD to its load, and it is counted."""
    while True:
        if m[NEAR_COUNT] == 0 and m[HEAP_SIZE] > 0:
            refill(m)
        source, tick, key = 0, NEVER, 0
        n = m[NEAR] + m[NEAR_COUNT] - 1
        if m[NEAR_COUNT] > 0:
            source, tick, key = 1, m[n], m[n + KEYS]
        if m[LINE_FIRST] < m[LINE_END]:
            place = m[LINE] + LINE_WIDTH * (m[LINE_FIRST] & (LINE_ROOM - 1))
            if is_before(m, place, tick, key):
                source, tick, key = 2, m[place + H_TICK], m[place + H_KEY]
        if m[NEXT_ARRIVAL] < tick:
            source, tick = 3, m[NEXT_ARRIVAL]
            key = (E_ARRIVAL << CLASS_SHIFT) | (m[NEXT_DINER] << ARGUMENT_BITS)
        if tick >> m[SLOT_BITS] <= m[SLOT] or m[STATUS] != 0:
            break
        if m[FAR_COUNT] == 0:
            m[SLOT] = tick >> m[SLOT_BITS]
            break
        pour(m, tick)
    if source == 0:
        return -1
    m[NOW] = tick
    if source == 1:
        m[LOAD] = m[n + LOADS]
        m[NEAR_COUNT] -= 1
    elif source == 2:
        m[LINE_FIRST] += 1
    mixed = (np.uint64(m[HASH]) ^ (np.uint64(tick) * np.uint64(HASH_MIX) + np.uint64(key))) * np.uint64(HASH_PRIME)
    m[HASH] = np.int64(mixed ^ (mixed >> np.uint64(32)))
    if m[TRACED] > 0:
        if m[EVENTS] >= m[TRACED]:
            m[STATUS] = TRACE_FULL
        else:
            m[m[TRACE] + 2 * m[EVENTS]], m[m[TRACE] + 2 * m[EVENTS] + 1] = tick, key
    m[EVENTS] += 1
    return int(key)


@inlined
def draw(m: Any, purpose: int, entity: int, index: int) -> float:
    """A uniform number."""
    return uniform((m[KEY_LOW], m[KEY_HIGH]), purpose, entity, index)  # type: ignore[arg-type]


@inlined
def condition(m: Any, process: int) -> int:
    """How a process is now."""
    return int(m[m[SEGMENT_ROW] + CONDITION + process])


@inlined
def now_is(m: Any, column: int) -> int:
    """A column of the present segment."""
    return int(m[m[SEGMENT_ROW] + column])


@compiled
def next_up(m: Any, process: int) -> int:
    """The first tick from now on at which a process runs."""
    if condition(m, process) == UP:
        return int(m[NOW])
    for number in range(m[SEGMENTS_COUNT]):
        begins = m[m[SEGMENT_AT] + number]
        if begins > m[NOW] and m[m[SEGMENT_TABLE] + number * SEGMENT_COLUMNS + CONDITION + process] == UP:
            return int(begins)
    return NEVER


@inlined
def link_place(m: Any, link: int) -> int:
    """The present place in a link's row; time never goes back, so it is looked for from where it was."""
    width, cell = m[LINK_WIDTH], m[LINK_NOW] + link
    row, place = m[LINK_AT] + link * width, m[cell]
    while place + 1 < width and m[row + place + 1] <= m[NOW]:
        place += 1
        m[cell] = place
    return int(link * width + place)


@inlined
def _time(m: Any, f: Any, place: int, way: int, size: int, purpose: int, entity: int, index: int) -> int:
    row = m[LINK] + place * LINK_COLUMNS
    loss, jitter = f[LINK_LOSS + place], m[row + JITTER]
    u_jitter, u_loss = 0.5, 0.5
    if jitter != 0 or loss > 0.0:
        u_jitter, u_loss = both(m[KEY_LOW], m[KEY_HIGH], purpose, entity, index)
        if not loss > 0.0:
            u_loss = 0.5
    round_trip = m[row + LATENCY + TO] + m[row + LATENCY + FROM]
    return transfer(
        m[row + LATENCY + way],
        jitter,
        m[row + BYTE_NS + way],
        m[row + PACED_NS],
        size,
        loss,
        round_trip,
        u_jitter,
        u_loss,
    )


@compiled
def trip(m: Any, f: Any, link: int, way: int, size: int, purpose: int, entity: int, index: int) -> int:
    """When a message that is sent now arrives; NEVER if the link is cut."""
    place = link_place(m, link)
    if m[m[LINK] + place * LINK_COLUMNS + CUT + way] != 0:
        return NEVER
    return int(m[NOW]) + _time(m, f, place, way, size, purpose, entity, index)


@compiled
def delivery(m: Any, f: Any, link: int, way: int, size: int, purpose: int, entity: int, index: int) -> int:
    """When a message arrives that is sent as soon as the link is whole."""
    place, begin = link_place(m, link), m[NOW]
    while m[m[LINK] + place * LINK_COLUMNS + CUT + way] != 0:
        place += 1
        if place >= (link + 1) * m[LINK_WIDTH] or m[m[LINK_AT] + place] >= NEVER:
            return NEVER
        begin = m[m[LINK_AT] + place]
    return int(begin) + _time(m, f, place, way, size, purpose, entity, index)


@inlined
def is_whole(m: Any, link: int, way: int) -> bool:
    """Whether a link carries something that way now."""
    return bool(m[m[LINK] + link_place(m, link) * LINK_COLUMNS + CUT + way] == 0)


@inlined
def lasting(m: Any, link: int) -> int:
    """How long one exchange takes now on a link that is whole, but for jitter and loss."""
    row = m[LINK] + link_place(m, link) * LINK_COLUMNS + LATENCY
    return int(m[row + TO] + m[row + FROM])


@compiled
def given_up_at(m: Any, link: int, until: int) -> int:
    """When an attempt that is sent now learns that it has no answer: at `until`, or when the link refuses or closes it."""
    place = link_place(m, link)
    if m[m[LINK] + place * LINK_COLUMNS + REFUSING] != 0:
        return int(min(until, m[NOW] + REFUSED_US))
    for later in range(place + 1, (link + 1) * m[LINK_WIDTH]):
        closes_at = m[m[LINK_AT] + later]
        if closes_at >= until:
            break
        if m[m[LINK] + later * LINK_COLUMNS + CLOSING] != 0:
            return int(closes_at)
    return until


@compiled
def fails_on_its_way(m: Any, f: Any, link: int, is_order: bool, purpose: int, entity: int, index: int) -> bool:
    """Whether a request is answered with an error by the link itself."""
    place = link_place(m, link)
    share = f[LINK_LOSS + N_LINKS * m[LINK_WIDTH] + place]
    if share <= 0.0 or (m[m[LINK_ONLY] + place] != 0 and not is_order):
        return False
    return bool(draw(m, purpose, entity, index) < share)


@compiled
def random_time(m: Any, shape: int, mean: float, spread: float, purpose: int, entity: int, index: int) -> int:
    """A random time in ticks."""
    return ticks(drawn(shape, mean, spread, draw(m, purpose, entity, index)))
