"""A delivery platform, as `processes.platform` has it."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, delivery, next_up, trip
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    ACCEPT_WITHIN,
    ACCEPTS_AT_CLOUD,
    NOW,
    P_CALLED,
    P_HEARD,
    P_NEXT_TRY,
    P_SETTLED,
    PEOPLE,
    PERSON_SIZE,
    PUSH_AGAIN,
    ROWS,
    TIMETABLE,
)
from simulator.model.links import FROM, PARTNER_CLOUD, TO
from simulator.model.people import CANCELS, COLUMNS, DOOR
from simulator.model.plan import PLATFORM
from simulator.model.platforms import ANSWER_TIMEOUT, AT_PLATFORM, TRIES
from simulator.model.records import ATTEMPTS, FIELDS, LEFT, LEVEL, OUTCOME, PLACED, TOLD
from simulator.model.vocabulary import ANSWER_BYTES, ENTRY_BYTES, Condition, Event, Level, Outcome

UP, R1, RC = int(Condition.UP), int(Level.R1), int(Level.RC)
SERVED, GONE, NOT_WANTED = int(Outcome.SERVED), int(Outcome.EXPIRED), int(Outcome.CANCELLED)
E_WEBHOOK, E_PUSH, E_HEARD = int(Event.WEBHOOK), int(Event.PUSH), int(Event.HEARD)
E_ACCEPTED, E_EXPIRED, E_CANCELLED = int(Event.ACCEPTED), int(Event.EXPIRED), int(Event.CANCELLED)
N_FIELDS = len(FIELDS)


@inlined
def _person(m: Any, diner: int) -> int:
    return int(m[PEOPLE] + diner * PERSON_SIZE)


@compiled
def push(m: Any, f: Any, diner: int, number: int) -> None:
    """The platform sends a webhook, if that is still needed."""
    person = _person(m, diner)
    if m[person + P_HEARD] != 0 or number != m[person + P_NEXT_TRY]:
        return
    if condition(m, PLATFORM) != UP:
        at(m, next_up(m, PLATFORM), E_PUSH, diner, number, 0)
        return
    m[person + P_NEXT_TRY] += 1
    m[m[ROWS] + diner * N_FIELDS + ATTEMPTS] += 1
    arrives = trip(m, f, PARTNER_CLOUD, TO, ENTRY_BYTES, purposes.WEBHOOK, diner, number)
    at(m, arrives, E_WEBHOOK, diner, number, 0)
    if number + 1 < TRIES:
        at(m, m[NOW] + ANSWER_TIMEOUT + (m[PUSH_AGAIN] << number), E_PUSH, diner, number + 1, 0)


@compiled
def place(m: Any, f: Any, diner: int) -> None:
    """Somebody orders at the platform."""
    m[m[ROWS] + diner * N_FIELDS + PLACED] = m[NOW]
    at(m, m[NOW] + m[ACCEPT_WITHIN], E_EXPIRED, diner, 0, 0)
    at(m, m[NOW] + m[m[TIMETABLE] + diner * COLUMNS + CANCELS], E_CANCELLED, diner, 0, 0)
    push(m, f, diner, 0)


@compiled
def hear(m: Any, diner: int, number: int, heard: int) -> None:
    """The platform hears what the cloud says to a webhook."""
    if heard != 0:
        m[_person(m, diner) + P_HEARD] = 1
    elif number + 1 < TRIES:
        at(m, m[NOW] + (m[PUSH_AGAIN] << number), E_PUSH, diner, number + 1, 0)


@compiled
def answer_webhook(m: Any, f: Any, diner: int, number: int, heard: int) -> None:
    """What the cloud says to a webhook."""
    arrives = trip(m, f, PARTNER_CLOUD, FROM, ANSWER_BYTES, purposes.WEBHOOK_ANSWER, diner, number)
    at(m, arrives, E_HEARD, diner, number, heard)


@inlined
def is_wanted(m: Any, diner: int) -> bool:
    """Whether an order is still wanted, as far as the platform has said."""
    return bool(m[_person(m, diner) + P_SETTLED] == 0)


@compiled
def accept(m: Any, f: Any, diner: int) -> None:
    """The cloud tells the platform, once, that the order is accepted."""
    called = _person(m, diner) + P_CALLED
    if m[called] == 0:
        m[called] = 1
        at(m, delivery(m, f, PARTNER_CLOUD, FROM, ENTRY_BYTES, purposes.ACCEPT, diner, 0), E_ACCEPTED, diner, 0, 0)


@compiled
def store_has(m: Any, f: Any, item: int) -> None:
    """The cloud has heard that the store has committed this entry."""
    diner = item >> 1
    if m[m[TIMETABLE] + diner * COLUMNS + DOOR] == AT_PLATFORM and m[ACCEPTS_AT_CLOUD] == 0:
        accept(m, f, diner)


@inlined
def _settle(m: Any, diner: int, outcome: int) -> None:
    row = m[ROWS] + diner * N_FIELDS
    m[_person(m, diner) + P_SETTLED], m[row + OUTCOME] = 1, outcome
    if m[row + LEFT] < 0:
        m[row + LEFT] = m[NOW]


@compiled
def accepted(m: Any, diner: int) -> None:
    """The platform hears that an order is accepted."""
    if condition(m, PLATFORM) != UP:
        at(m, next_up(m, PLATFORM), E_ACCEPTED, diner, 0, 0)
    elif is_wanted(m, diner):
        row = m[ROWS] + diner * N_FIELDS
        m[row + TOLD], m[row + LEVEL] = m[NOW], RC if m[ACCEPTS_AT_CLOUD] != 0 else R1
        _settle(m, diner, SERVED)


@compiled
def expire(m: Any, diner: int) -> None:
    """The deadline of an order passes."""
    if is_wanted(m, diner):
        _settle(m, diner, GONE)


@compiled
def cancel(m: Any, diner: int) -> None:
    """Whoever ordered does not want it any more."""
    if is_wanted(m, diner) or m[m[ROWS] + diner * N_FIELDS + OUTCOME] == SERVED:
        _settle(m, diner, NOT_WANTED)
