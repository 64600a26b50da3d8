"""Events to come, the hash of those that were, links, and draws.

Events to come stand in several places. Arrivals are read from the timetable one by one. Time-outs mostly come in the order in
which they are set, and stand in line. The next of all others stand in order, which for a few is sooner done than a heap; what is
too many is in a binary heap. What comes later lies in slots of time, without order, until its slot is reached.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.model.compiled.drawing import both
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    EVENT_WIDTH,
    EVENTS,
    FAR,
    FAR_COUNT,
    FAR_FREE,
    FAR_USED,
    H_KEY,
    H_LOAD,
    H_NEXT,
    H_TICK,
    HASH,
    HEAP,
    HEAP_FULL,
    HEAP_ROOM,
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
    NEAR_ROOM,
    NEXT_ARRIVAL,
    NEXT_DINER,
    NOW,
    SEGMENT_AT,
    SEGMENT_ROW,
    SEGMENT_TABLE,
    SEGMENTS_COUNT,
    SLOT,
    SLOT_BITS,
    SLOTS,
    SLOTS_ROOM,
    STATUS,
    TRACE,
    TRACE_FULL,
    TRACED,
)
from simulator.model.draws import uniform
from simulator.model.laws import NEVER, drawn, ticks, transfer
from simulator.model.plan import BYTE_NS, CONDITION, CUT, JITTER, LATENCY, LINK_COLUMNS, LINKS, SEGMENT_COLUMNS
from simulator.model.vocabulary import ARGUMENT_BITS, CLASS_SHIFT, HASH_MIX, HASH_PRIME, Condition, Event

UP = int(Condition.UP)
N_LINKS = len(LINKS)
KEYS, LOADS = NEAR_ROOM, 2 * NEAR_ROOM
NEAR_FEW = 16
"""As long as fewer events stand in order, nothing is put off."""
E_ARRIVAL, E_TIMEOUT = int(Event.ARRIVAL), int(Event.TIMEOUT)
assert max(Event) == Event.ARRIVAL, "an arrival comes after everything else of its tick"


@inlined
def _move(m: Any, source: int, target: int) -> None:
    tick, key, load = m[source + H_TICK], m[source + H_KEY], m[source + H_LOAD]
    m[target + H_TICK], m[target + H_KEY], m[target + H_LOAD] = tick, key, load


@inlined
def _is_before(m: Any, h: int, tick: int, key: int) -> bool:
    """Whether the event at a place comes before this one."""
    return bool(m[h + H_TICK] < tick or (m[h + H_TICK] == tick and m[h + H_KEY] < key))


@inlined
def _settle(m: Any, heap: int, hole: int, tick: int, key: int, load: int) -> None:
    """Put an event into the heap: at this hole, or as far above it as it belongs."""
    place = hole
    while place > 0:
        above = (place - 1) >> 1
        h = heap + EVENT_WIDTH * above
        if _is_before(m, h, tick, key):
            break
        _move(m, h, heap + EVENT_WIDTH * place)
        place = above
    h = heap + EVENT_WIDTH * place
    m[h + H_TICK], m[h + H_KEY], m[h + H_LOAD] = tick, key, load


@inlined
def _set_near(m: Any, place: int, tick: int, key: int, load: int) -> None:
    n = m[NEAR] + place
    m[n], m[n + KEYS], m[n + LOADS] = tick, key, load


@compiled
def _into_heap(m: Any, tick: int, key: int, load: int) -> None:
    size = m[HEAP_SIZE]
    if size >= m[HEAP_ROOM]:
        m[STATUS] = HEAP_FULL
        return
    m[HEAP_SIZE] = size + 1
    _settle(m, m[HEAP], size, tick, key, load)


@compiled
def _refill(m: Any) -> None:
    """The first event of the heap is the next: the hole goes down to the last row, where the last event fills it."""
    heap, size = m[HEAP], m[HEAP_SIZE] - 1
    _set_near(m, 0, m[heap + H_TICK], m[heap + H_KEY], m[heap + H_LOAD])
    m[NEAR_COUNT], m[HEAP_SIZE] = 1, size
    place, below = 0, 1
    while below + 1 < size:
        h = heap + EVENT_WIDTH * below
        tick, other_tick = m[h + H_TICK], m[h + EVENT_WIDTH + H_TICK]
        # Worked out, not branched upon: which of two is sooner cannot be foreseen.
        other = (other_tick < tick) | ((other_tick == tick) & (m[h + EVENT_WIDTH + H_KEY] < m[h + H_KEY]))
        below += int(other)
        _move(m, heap + EVENT_WIDTH * below, heap + EVENT_WIDTH * place)
        place, below = below, 2 * below + 1
    if below < size:
        _move(m, heap + EVENT_WIDTH * below, heap + EVENT_WIDTH * place)
        place = below
    last = heap + EVENT_WIDTH * size
    _settle(m, heap, place, m[last + H_TICK], m[last + H_KEY], m[last + H_LOAD])


@compiled
def _spill(m: Any) -> None:
    """The latest half of the next events goes into the heap."""
    near, half = m[NEAR], NEAR_ROOM // 2
    for place in range(half):
        _into_heap(m, m[near + place], m[near + KEYS + place], m[near + LOADS + place])
    for place in range(half, NEAR_ROOM):
        _set_near(m, place - half, m[near + place], m[near + KEYS + place], m[near + LOADS + place])
    m[NEAR_COUNT] = NEAR_ROOM - half


@inlined
def _enter(m: Any, tick: int, key: int, load: int) -> None:
    """Put an event among the next ones, the latest of which stands first, or into the heap if that has a sooner one."""
    if m[NEAR_COUNT] == NEAR_ROOM:
        _spill(m)
    if m[HEAP_SIZE] > 0 and _is_before(m, m[HEAP], tick, key):
        _into_heap(m, tick, key, load)
        return
    place, n = m[NEAR_COUNT], m[NEAR] + m[NEAR_COUNT] - 1
    m[NEAR_COUNT] = place + 1
    while place > 0 and (m[n] < tick or (m[n] == tick and m[n + KEYS] < key)):
        m[n + 1], m[n + 1 + KEYS], m[n + 1 + LOADS] = m[n], m[n + KEYS], m[n + LOADS]
        place, n = place - 1, n - 1
    _set_near(m, place, tick, key, load)


@inlined
def _put_off(m: Any, slot: int, tick: int, key: int, load: int) -> None:
    """Put an event into a slot."""
    number = m[FAR_FREE]
    if number >= 0:
        m[FAR_FREE] = m[m[FAR] + EVENT_WIDTH * number + H_NEXT]
    else:
        number = m[FAR_USED]
        if number >= m[HEAP_ROOM]:
            m[STATUS] = HEAP_FULL
            return
        m[FAR_USED] = number + 1
    h, first = m[FAR] + EVENT_WIDTH * number, m[SLOTS] + (slot & (SLOTS_ROOM - 1))
    m[h + H_TICK], m[h + H_KEY], m[h + H_LOAD], m[h + H_NEXT] = tick, key, load, m[first]
    m[first] = number
    m[FAR_COUNT] += 1


@compiled
def _pour(m: Any, tick: int) -> None:
    """Reach the first slot that holds something, or the slot of this tick; what is in it is put off no longer."""
    slot, last = m[SLOT], tick >> m[SLOT_BITS]
    number = -1
    while number < 0 and slot < last and m[FAR_COUNT] > 0:
        slot += 1
        number = m[m[SLOTS] + (slot & (SLOTS_ROOM - 1))]
    m[m[SLOTS] + (slot & (SLOTS_ROOM - 1))] = -1
    m[SLOT] = last if m[FAR_COUNT] == 0 else slot
    while number >= 0:
        h = m[FAR] + EVENT_WIDTH * number
        _enter(m, m[h + H_TICK], m[h + H_KEY], m[h + H_LOAD])
        following = m[h + H_NEXT]
        m[h + H_NEXT] = m[FAR_FREE]
        m[FAR_FREE] = number
        m[FAR_COUNT] -= 1
        number = following


@compiled
def at(m: Any, tick: int, event: int, entity: int, argument: int, load: int) -> None:
    """An event will happen at this tick, unless that is never."""
    if tick >= NEVER:
        return
    key = (event << CLASS_SHIFT) | (entity << ARGUMENT_BITS) | argument
    slot = tick >> m[SLOT_BITS]
    if m[SLOT] < slot < m[SLOT] + SLOTS_ROOM and m[NEAR_COUNT] + m[HEAP_SIZE] >= NEAR_FEW:
        _put_off(m, slot, tick, key, load)
    else:
        _enter(m, tick, key, load)


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
            _refill(m)
        source, tick, key = 0, NEVER, 0
        n = m[NEAR] + m[NEAR_COUNT] - 1
        if m[NEAR_COUNT] > 0:
            source, tick, key = 1, m[n], m[n + KEYS]
        if m[LINE_FIRST] < m[LINE_END]:
            place = m[LINE] + LINE_WIDTH * (m[LINE_FIRST] & (LINE_ROOM - 1))
            if _is_before(m, place, tick, key):
                source, tick, key = 2, m[place + H_TICK], m[place + H_KEY]
        if m[NEXT_ARRIVAL] < tick:
            source, tick = 3, m[NEXT_ARRIVAL]
            key = (E_ARRIVAL << CLASS_SHIFT) | (m[NEXT_DINER] << ARGUMENT_BITS)
        if tick >> m[SLOT_BITS] <= m[SLOT] or m[STATUS] != 0:
            break
        if m[FAR_COUNT] == 0:
            m[SLOT] = tick >> m[SLOT_BITS]
            break
        _pour(m, tick)
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
    return transfer(m[row + LATENCY + way], jitter, m[row + BYTE_NS + way], size, loss, u_jitter, u_loss)


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
