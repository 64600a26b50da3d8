"""The order of events to come, for `calendar`: the next of them, the heap behind these, and the slots of what comes later."""

from __future__ import annotations

from typing import Any

from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    EVENT_WIDTH,
    FAR,
    FAR_COUNT,
    FAR_FREE,
    FAR_USED,
    H_KEY,
    H_LOAD,
    H_NEXT,
    H_TICK,
    HEAP,
    HEAP_FULL,
    HEAP_ROOM,
    HEAP_SIZE,
    NEAR,
    NEAR_COUNT,
    NEAR_ROOM,
    SLOT,
    SLOT_BITS,
    SLOTS,
    SLOTS_ROOM,
    STATUS,
)

KEYS, LOADS = NEAR_ROOM, 2 * NEAR_ROOM
"""Where the columns of the next events begin."""


@inlined
def _move(m: Any, source: int, target: int) -> None:
    tick, key, load = m[source + H_TICK], m[source + H_KEY], m[source + H_LOAD]
    m[target + H_TICK], m[target + H_KEY], m[target + H_LOAD] = tick, key, load


@inlined
def is_before(m: Any, h: int, tick: int, key: int) -> bool:
    """Whether the event at a place comes before this one."""
    return bool(m[h + H_TICK] < tick or (m[h + H_TICK] == tick and m[h + H_KEY] < key))


@inlined
def _settle(m: Any, heap: int, hole: int, tick: int, key: int, load: int) -> None:
    """Put an event into the heap: at this hole, or as far above it as it belongs."""
    place = hole
    while place > 0:
        above = (place - 1) >> 1
        h = heap + EVENT_WIDTH * above
        if is_before(m, h, tick, key):
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
def refill(m: Any) -> None:
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
def enter(m: Any, tick: int, key: int, load: int) -> None:
    """Put an event among the next ones, the latest of which stands first, or into the heap if that has a sooner one."""
    if m[NEAR_COUNT] == NEAR_ROOM:
        _spill(m)
    if m[HEAP_SIZE] > 0 and is_before(m, m[HEAP], tick, key):
        _into_heap(m, tick, key, load)
        return
    place, n = m[NEAR_COUNT], m[NEAR] + m[NEAR_COUNT] - 1
    m[NEAR_COUNT] = place + 1
    while place > 0 and (m[n] < tick or (m[n] == tick and m[n + KEYS] < key)):
        m[n + 1], m[n + 1 + KEYS], m[n + 1 + LOADS] = m[n], m[n + KEYS], m[n + LOADS]
        place, n = place - 1, n - 1
    _set_near(m, place, tick, key, load)


@inlined
def put_off(m: Any, slot: int, tick: int, key: int, load: int) -> None:
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
def pour(m: Any, tick: int) -> None:
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
        enter(m, m[h + H_TICK], m[h + H_KEY], m[h + H_LOAD])
        following = m[h + H_NEXT]
        m[h + H_NEXT] = m[FAR_FREE]
        m[FAR_FREE] = number
        m[FAR_COUNT] -= 1
        number = following
