"""The dining room: who needs a table waits for one, or goes away; a table is kept until the meal is eaten."""

from __future__ import annotations

from typing import Any

from simulator.model.compiled.calendar import at
from simulator.model.compiled.devices import begin_ask
from simulator.model.compiled.jit import compiled
from simulator.model.compiled.memory import (
    ATTEMPT_TIMEOUT,
    FREE_TABLES,
    NOW,
    ORDERS,
    P_MEANT,
    P_WAITS,
    PEOPLE,
    PERSON_SIZE,
    ROWS,
    TABLE_HEAD,
    TABLE_QUEUE,
    TABLE_QUEUE_MAX,
    TABLE_TAIL,
    TABLES_MORE,
    TABLES_WAITING,
    TIMETABLE,
)  # fmt: skip
from simulator.model.compiled.platform import place
from simulator.model.people import BALKS, COLUMNS, DINING, DOOR, SEAT, SEAT_PATIENCE, THINK
from simulator.model.platforms import AT_PLATFORM
from simulator.model.records import FIELDS, LEFT, OUTCOME, SEATED, SERVED_0, TOLD, WHICH
from simulator.model.vocabulary import Event, Kind, Outcome

MENU = int(Kind.MENU)
E_DEPART, E_RENEGE = int(Event.DEPART), int(Event.RENEGE)
N_FIELDS = len(FIELDS)
BALKED, RENEGED, DINED = int(Outcome.BALKED), int(Outcome.RENEGED), int(Outcome.DINED)


@compiled
def _go(m: Any, diner: int, outcome: int) -> None:
    row = m[ROWS] + diner * N_FIELDS
    m[row + OUTCOME], m[row + LEFT] = outcome, m[NOW]


@compiled
def _come_in(m: Any, f: Any, diner: int) -> None:
    row, wants = m[ROWS] + diner * N_FIELDS, m[TIMETABLE] + diner * COLUMNS
    m[row + SEATED] = m[NOW]
    if m[ORDERS] == 0:
        m[row + OUTCOME] = DINED
        at(m, m[NOW] + m[wants + DINING], E_DEPART, diner, 0, 0)
        return
    m[m[PEOPLE] + diner * PERSON_SIZE + P_MEANT] = m[NOW] + m[wants + THINK]
    begin_ask(m, f, 2 * diner, MENU, 0, m[NOW] + max(m[wants + THINK], m[ATTEMPT_TIMEOUT]), -1)


@compiled
def diner_arrives(m: Any, f: Any, diner: int) -> None:
    """Somebody comes."""
    wants = m[TIMETABLE] + diner * COLUMNS
    if m[wants + DOOR] == AT_PLATFORM:
        place(m, f, diner)
    elif m[wants + SEAT] == 0:
        _come_in(m, f, diner)
    elif m[FREE_TABLES] > 0 and m[TABLES_WAITING] == 0:
        m[FREE_TABLES] -= 1
        _come_in(m, f, diner)
    elif m[wants + BALKS] != 0 or m[TABLES_WAITING] >= m[TABLE_QUEUE_MAX]:
        _go(m, diner, BALKED)
    else:
        m[m[TABLE_QUEUE] + m[TABLE_TAIL]] = diner
        m[TABLE_TAIL] += 1
        m[m[PEOPLE] + diner * PERSON_SIZE + P_WAITS] = 1
        m[TABLES_WAITING] += 1
        at(m, m[NOW] + m[wants + SEAT_PATIENCE], E_RENEGE, diner, 0, 0)


@compiled
def renege(m: Any, diner: int) -> None:
    """The patience with waiting for a table ends."""
    waits = m[PEOPLE] + diner * PERSON_SIZE + P_WAITS
    if m[waits] != 0:
        m[waits] = 0
        m[TABLES_WAITING] -= 1
        _go(m, diner, RENEGED)


@compiled
def _are_free(m: Any, f: Any, more: int) -> None:
    """So many tables more are free; there are fewer than 0 while people sit in a section that has closed."""
    m[FREE_TABLES] += more
    while m[FREE_TABLES] > 0 and m[TABLE_HEAD] < m[TABLE_TAIL]:
        following = m[m[TABLE_QUEUE] + m[TABLE_HEAD]]
        m[TABLE_HEAD] += 1
        waits = m[PEOPLE] + following * PERSON_SIZE + P_WAITS
        if m[waits] != 0:
            m[waits] = 0
            m[TABLES_WAITING] -= 1
            m[FREE_TABLES] -= 1
            _come_in(m, f, following)


@compiled
def tables_change(m: Any, f: Any, number: int) -> None:
    """A section of tables opens or closes."""
    _are_free(m, f, m[m[TABLES_MORE] + number])


@compiled
def leave(m: Any, f: Any, diner: int) -> None:
    """Somebody goes home."""
    m[m[ROWS] + diner * N_FIELDS + LEFT] = m[NOW]
    if m[m[TIMETABLE] + diner * COLUMNS + SEAT] != 0:
        _are_free(m, f, 1)


@compiled
def meal_is_ready(m: Any, order: int) -> None:
    """An order is on the table, or was told yes after that."""
    diner = order >> 1
    row, wants = m[ROWS] + diner * N_FIELDS, m[TIMETABLE] + diner * COLUMNS
    if m[wants + SEAT] != 0 and m[row + TOLD] >= 0 and m[row + WHICH] == order & 1 and m[row + LEFT] < 0:
        at(m, m[NOW] + m[wants + DINING], E_DEPART, diner, 0, 0)


@compiled
def meal_may_be_there(m: Any, diner: int) -> None:
    """Somebody was told yes; the meal may be there already."""
    row = m[ROWS] + diner * N_FIELDS
    if m[row + SERVED_0 + m[row + WHICH]] >= 0:
        meal_is_ready(m, 2 * diner + m[row + WHICH])
