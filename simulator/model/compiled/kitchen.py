"""The kitchen: tickets go to stations stage by stage; a cook makes up to a batch of them at once."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, delivery, draw, next_up
from simulator.model.compiled.dining import meal_is_ready
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    COOK_SPREAD,
    COOKS_MAX,
    DINERS,
    FREE_COOKS,
    LAST_TICKET,
    NOW,
    ROWS,
    S_BATCH,
    S_COOKS,
    S_FIRST,
    S_FREE,
    S_ITEM,
    S_LAST,
    S_SETUP,
    S_SHAPE,
    S_STAGE,
    STAGES,
    STATION,
    STATION_NEXT,
    STATION_SIZE,
    STATIONS,
    TICKETS_LEFT,
    TIMETABLE,
)
from simulator.model.laws import cooking
from simulator.model.links import EDGE_KDS, TO
from simulator.model.people import COLUMNS, ITEMS
from simulator.model.plan import KITCHEN
from simulator.model.records import FIELDS, SERVED_0, SHOWN_0
from simulator.model.vocabulary import COOK_BITS, COOK_UNLIMITED, ENTRY_BYTES, Condition, Event

N_FIELDS = len(FIELDS)

E_TICKET, E_COOKED = int(Event.TICKET), int(Event.COOKED)
UP = int(Condition.UP)
COOK_MASK = (1 << COOK_BITS) - 1


@compiled
def send_ticket(m: Any, f: Any, order: int) -> None:
    """A committed order's ticket goes to the display, in the order of the log."""
    arrives = delivery(m, f, EDGE_KDS, TO, ENTRY_BYTES, purposes.TICKET, order, 0)
    m[LAST_TICKET] = max(m[LAST_TICKET], arrives)
    at(m, m[LAST_TICKET], E_TICKET, order, 0, 0)


@inlined
def _items(m: Any, order: int, station: int) -> int:
    return int(m[m[TIMETABLE] + (order >> 1) * COLUMNS + ITEMS + station])


@compiled
def _time(m: Any, f: Any, station: int, order: int) -> int:
    s = m[STATION] + station * STATION_SIZE
    u = draw(m, purposes.COOK, order, station)
    return cooking(
        m[s + S_SETUP], m[s + S_ITEM], _items(m, order, station), m[s + S_SHAPE], f[COOK_SPREAD + station], u
    )


@compiled
def _start(m: Any, f: Any, station: int) -> None:
    s, chain = m[STATION] + station * STATION_SIZE, m[STATION_NEXT] + station * 2 * m[DINERS]
    while m[s + S_FIRST] >= 0 and m[s + S_FREE] > 0:
        first = m[s + S_FIRST]
        last, longest, count = first, 0, 0
        order = first
        while order >= 0 and count < m[s + S_BATCH]:
            longest = max(longest, _time(m, f, station, order))
            last, count = order, count + 1
            order = m[chain + order]
        m[s + S_FIRST] = order
        if order < 0:
            m[s + S_LAST] = -1
        m[chain + last] = -1
        m[s + S_FREE] -= 1
        cook = m[m[FREE_COOKS] + station * m[COOKS_MAX] + m[s + S_FREE]]
        at(m, m[NOW] + longest, E_COOKED, first, station << COOK_BITS | cook, 0)


@compiled
def _join(m: Any, f: Any, station: int, order: int) -> None:
    s, chain = m[STATION] + station * STATION_SIZE, m[STATION_NEXT] + station * 2 * m[DINERS]
    m[chain + order] = -1
    if m[s + S_COOKS] == 0:
        time = _time(m, f, station, order)
        at(m, m[NOW] + time, E_COOKED, order, station << COOK_BITS | COOK_UNLIMITED, 0)
        return
    if m[s + S_LAST] >= 0:
        m[chain + m[s + S_LAST]] = order
    else:
        m[s + S_FIRST] = order
    m[s + S_LAST] = order
    _start(m, f, station)


@compiled
def _fire(m: Any, f: Any, order: int, first_stage: int) -> None:
    for stage in range(first_stage, m[STAGES] + 1):
        count = 0
        for station in range(m[STATIONS]):
            if m[m[STATION] + station * STATION_SIZE + S_STAGE] == stage and _items(m, order, station) > 0:
                count += 1
        if count > 0:
            m[m[TICKETS_LEFT] + order] = count
            for station in range(m[STATIONS]):
                if m[m[STATION] + station * STATION_SIZE + S_STAGE] == stage and _items(m, order, station) > 0:
                    _join(m, f, station, order)
            return
    m[m[ROWS] + (order >> 1) * N_FIELDS + SERVED_0 + (order & 1)] = m[NOW]
    meal_is_ready(m, order)


@compiled
def show_ticket(m: Any, f: Any, order: int) -> None:
    """A ticket reaches the display."""
    if condition(m, KITCHEN) != UP:
        at(m, next_up(m, KITCHEN), E_TICKET, order, 0, 0)
        return
    m[m[ROWS] + (order >> 1) * N_FIELDS + SHOWN_0 + (order & 1)] = m[NOW]
    _fire(m, f, order, 1)


@compiled
def cooked(m: Any, f: Any, first: int, argument: int) -> None:
    """A cook is done with a batch."""
    station, cook = argument >> COOK_BITS, argument & COOK_MASK
    s, chain = m[STATION] + station * STATION_SIZE, m[STATION_NEXT] + station * 2 * m[DINERS]
    limited = cook != COOK_UNLIMITED
    if limited:
        m[m[FREE_COOKS] + station * m[COOKS_MAX] + m[s + S_FREE]] = cook
        m[s + S_FREE] += 1
    order = first
    while order >= 0:
        following = m[chain + order]
        m[m[TICKETS_LEFT] + order] -= 1
        if m[m[TICKETS_LEFT] + order] == 0:
            _fire(m, f, order, m[s + S_STAGE] + 1)
        order = following
    if limited:
        _start(m, f, station)


@inlined
def is_served(m: Any, order: int) -> bool:
    """Whether the kitchen has served an order."""
    return bool(m[m[ROWS] + (order >> 1) * N_FIELDS + SERVED_0 + (order & 1)] >= 0)
