"""Events to come (a binary heap by tick and key), the hash of those that were, links, and draws."""

from __future__ import annotations

from typing import Any

import numpy as np

import simulator.model.compiled.drawing  # noqa: F401 -- tells numba of the laws and draws
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    EVENTS,
    HASH,
    HEAP_FULL,
    HEAP_KEY,
    HEAP_LOAD,
    HEAP_ROOM,
    HEAP_SIZE,
    HEAP_TICK,
    KEY_HIGH,
    KEY_LOW,
    LINK,
    LINK_AT,
    LINK_LOSS,
    LINK_ONLY,
    LINK_WIDTH,
    LOAD,
    NOW,
    SEGMENT,
    SEGMENT_AT,
    SEGMENT_TABLE,
    SEGMENTS_COUNT,
    STATUS,
    TRACE,
    TRACE_FULL,
    TRACED,
)
from simulator.model.draws import uniform
from simulator.model.laws import NEVER, drawn, ticks, transfer
from simulator.model.plan import BYTE_NS, CONDITION, CUT, JITTER, LATENCY, LINK_COLUMNS, LINKS, SEGMENT_COLUMNS
from simulator.model.vocabulary import ARGUMENT_BITS, CLASS_SHIFT, HASH_MIX, HASH_PRIME, Condition

UP = int(Condition.UP)
N_LINKS = len(LINKS)


@compiled
def at(m: Any, tick: int, event: int, entity: int, argument: int, load: int) -> None:
    """An event will happen at this tick, unless that is never."""
    if tick >= NEVER:
        return
    size = m[HEAP_SIZE]
    if size >= m[HEAP_ROOM]:
        m[STATUS] = HEAP_FULL
        return
    ticks, keys, loads = m[HEAP_TICK], m[HEAP_KEY], m[HEAP_LOAD]
    key = (event << CLASS_SHIFT) | (entity << ARGUMENT_BITS) | argument
    place = size
    while place > 0:
        above = (place - 1) >> 1
        its_tick = m[ticks + above]
        if its_tick < tick or (its_tick == tick and m[keys + above] <= key):
            break
        m[ticks + place], m[keys + place], m[loads + place] = its_tick, m[keys + above], m[loads + above]
        place = above
    m[ticks + place], m[keys + place], m[loads + place] = tick, key, load
    m[HEAP_SIZE] = size + 1


@compiled
def next_event(m: Any) -> int:
    """Take the first event; returns its key. The clock is set to its tick, LOAD to its load, and it is counted."""
    ticks, keys, loads = m[HEAP_TICK], m[HEAP_KEY], m[HEAP_LOAD]
    tick, key, load = m[ticks], m[keys], m[loads]
    size = m[HEAP_SIZE] - 1
    m[HEAP_SIZE] = size
    if size > 0:
        last_tick, last_key, last_load = m[ticks + size], m[keys + size], m[loads + size]
        place = 0
        while True:
            below = 2 * place + 1
            if below >= size:
                break
            other = below + 1
            if other < size and (
                m[ticks + other] < m[ticks + below]
                or (m[ticks + other] == m[ticks + below] and m[keys + other] < m[keys + below])
            ):
                below = other
            its_tick = m[ticks + below]
            if last_tick < its_tick or (last_tick == its_tick and last_key <= m[keys + below]):
                break
            m[ticks + place], m[keys + place], m[loads + place] = its_tick, m[keys + below], m[loads + below]
            place = below
        m[ticks + place], m[keys + place], m[loads + place] = last_tick, last_key, last_load
    m[NOW], m[LOAD] = tick, load
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
    return int(m[m[SEGMENT_TABLE] + m[SEGMENT] * SEGMENT_COLUMNS + CONDITION + process])


@inlined
def now_is(m: Any, column: int) -> int:
    """A column of the present segment."""
    return int(m[m[SEGMENT_TABLE] + m[SEGMENT] * SEGMENT_COLUMNS + column])


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
    """The present place in a link's row."""
    width = m[LINK_WIDTH]
    row = m[LINK_AT] + link * width
    place = width - 1
    while m[row + place] > m[NOW]:
        place -= 1
    return int(link * width + place)


@compiled
def _time(m: Any, f: Any, place: int, way: int, size: int, purpose: int, entity: int, index: int) -> int:
    row = m[LINK] + place * LINK_COLUMNS
    loss = f[LINK_LOSS + place]
    u_jitter = draw(m, purpose, entity, 2 * index) if m[row + JITTER] != 0 else 0.5
    u_loss = draw(m, purpose, entity, 2 * index + 1) if loss > 0.0 else 0.5
    return transfer(m[row + LATENCY + way], m[row + JITTER], m[row + BYTE_NS + way], size, loss, u_jitter, u_loss)


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
