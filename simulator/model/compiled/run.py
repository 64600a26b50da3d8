"""Runs one replication on the compiled engine."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.model.compiled.calendar import at, next_event
from simulator.model.compiled.database import transaction_ends
from simulator.model.compiled.devices import request_arrives
from simulator.model.compiled.dining import diner_arrives, leave, renege, tables_change
from simulator.model.compiled.gate import delay_ends, look, worker_freed
from simulator.model.compiled.gate_rules import begin_gates
from simulator.model.compiled.jit import compiled, entry, inlined
from simulator.model.compiled.kitchen import cooked, show_ticket
from simulator.model.compiled.log import flushed, matched, shipped
from simulator.model.compiled.memory import (
    AT_CLOUD,
    DINERS,
    EVENTS,
    FAR_FREE,
    FINE,
    FREE_REQUESTS,
    GATES,
    HASH,
    HEAP_FULL,
    I_FIRST,
    I_LAST,
    I_STATE,
    ITEM_SIZE,
    ITEMS_STATE,
    L_ACTIVE,
    L_DOOR,
    L_NODE,
    LANE_SIZE,
    LANES,
    LOAD,
    LOG,
    NEXT_ARRIVAL,
    NEXT_DINER,
    NOW,
    ORDERS,
    P_TENDER,
    PEOPLE,
    PERSON_SIZE,
    REQUESTS_FREE,
    REQUESTS_FULL,
    REQUESTS_ROOM,
    ROWS,
    SEGMENT_AT,
    SEGMENTS_COUNT,
    SLOTS,
    SLOTS_ROOM,
    STATUS,
    TABLES_AT,
    TABLES_CHANGES,
    TIMETABLE,
    TRACE_FULL,
    UNSORTED,
    Room,
    lay_out,
)  # fmt: skip
from simulator.model.compiled.payments import gateway_answers
from simulator.model.compiled.platform import accepted, cancel, expire, hear, push
from simulator.model.compiled.server import VALUE_SHIFT
from simulator.model.compiled.store import change, down, webhook, worked
from simulator.model.compiled.uplink import send_batch, up, uplinked
from simulator.model.compiled.visits import answered, wake
from simulator.model.draws import Key
from simulator.model.laws import NEVER
from simulator.model.people import AT, COLUMNS, DOOR, FIRST_EDGE, SEAT, TAPS, TENDER, TWO_DOORS
from simulator.model.plan import Plan
from simulator.model.records import ABSENT, ATTEMPTS, FIELDS, LEVEL, OUTCOME, WANTED_TABLE, WHICH, Run
from simulator.model.records import AT as ROW_AT
from simulator.model.vocabulary import ARGUMENT_BITS, ARGUMENT_MAX, CLASS_SHIFT, CLOUD, ENTITY_BITS, Code, Event

ROOM_MAX = 1 << 28
_INTEGERS, _FLOATS = ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_double)
CODE_MASK = (1 << VALUE_SHIFT) - 1
ENTITY_MASK = (1 << ENTITY_BITS) - 1
TROUBLE = int(Code.TROUBLE)
N_FIELDS = len(FIELDS)
(
    SEGMENT, FLUSHED, SHIPPED, MATCHED, WORKED, STORED, UPLINKED, COOKED, TICKET, DOWN, UP, GATEWAY, REQUEST, ANSWER, TIMEOUT,
    WAKE, DEPART, RENEGE, DELAYED, FREED, LOOK, PACED, WEBHOOK, PUSH, HEARD, ACCEPTED, EXPIRED, CANCELLED, SECTION, ARRIVAL,
) = (int(event) for event in Event)  # fmt: skip


def run_compiled(plan: Plan, timetable: npt.NDArray[np.int64], key: Key, *, traced: bool = False) -> Run:
    """One replication of one store, until nothing happens any more."""
    wishes = np.ascontiguousarray(timetable)
    room = Room(heap=1024 + len(wishes), requests=1024 + len(wishes) // 2, trace=(1 << 16) * traced)
    while True:
        memory = lay_out(plan, wishes, key, room)
        m, f = memory.m, memory.f
        _RUN(m.ctypes.data_as(_INTEGERS), f.ctypes.data_as(_FLOATS))
        if m[STATUS] == FINE:
            break
        room = _larger(room, int(m[STATUS]))
    trace = memory.trace if traced else None
    return Run(memory.rows, memory.servers, int(m[EVENTS]), int(m[HASH].astype(np.uint64)), int(m[NOW]), trace)


def _larger(room: Room, status: int) -> Room:
    assert status != UNSORTED, "diners come in the order of their arrival"
    grown = Room(
        room.heap * (2 if status == HEAP_FULL else 1),
        room.requests * (2 if status == REQUESTS_FULL else 1),
        room.trace * (4 if status == TRACE_FULL else 1),
    )
    if max(grown.heap, grown.requests, grown.trace) > ROOM_MAX:
        raise MemoryError(f"the run needs more than {ROOM_MAX} events or requests at once")
    return grown


@inlined
def _act(m: Any, f: Any, event: int, entity: int, argument: int, load: int) -> None:
    if event == WORKED:
        worked(m, f, entity, argument)
    elif event == REQUEST:
        request_arrives(m, f, entity, load)
    elif event == ANSWER:
        answered(m, f, entity, argument, load & CODE_MASK, load >> VALUE_SHIFT)
    elif event == TIMEOUT:
        if m[m[LANES] + entity * LANE_SIZE + L_ACTIVE] == argument:
            answered(m, f, entity, argument, TROUBLE, 0)
    elif event == WAKE:
        wake(m, f, entity, argument)
    elif event == ARRIVAL:
        _expect(m, entity + 1)
        diner_arrives(m, f, entity)
    elif event == FLUSHED:
        flushed(m, f, entity, argument, load)
    elif event == SHIPPED:
        shipped(m, f, entity, argument)
    elif event == MATCHED:
        matched(m, f, entity, argument)
    elif event == STORED:
        transaction_ends(m, f, entity)
    elif event == COOKED:
        cooked(m, f, entity, argument)
    elif event == TICKET:
        show_ticket(m, f, entity)
    elif event == UPLINKED:
        uplinked(m, f)
    elif event == UP:
        up(m, f, entity, argument)
    elif event == DOWN:
        down(m, f, entity, argument)
    elif event == GATEWAY:
        gateway_answers(m, f, entity, argument)
    elif event == DEPART:
        leave(m, f, entity)
    elif event == RENEGE:
        renege(m, entity)
    elif event == SEGMENT:
        change(m, f, entity)
    elif event == DELAYED:
        delay_ends(m, f, entity, argument, load)
    elif event == FREED:
        worker_freed(m, f, load)
    elif event == LOOK:
        look(m, f, entity, load)
    elif event == PACED:
        send_batch(m, f, entity)
    elif event == WEBHOOK:
        webhook(m, f, entity, argument)
    elif event == PUSH:
        push(m, f, entity, argument)
    elif event == HEARD:
        hear(m, entity, argument, load)
    elif event == ACCEPTED:
        accepted(m, entity)
    elif event == EXPIRED:
        expire(m, entity)
    elif event == CANCELLED:
        cancel(m, entity)
    elif event == SECTION:
        tables_change(m, f, entity)


@inlined
def _expect(m: Any, diner: int) -> None:
    """This diner arrives next, if there is one."""
    m[NEXT_DINER], m[NEXT_ARRIVAL] = diner, NEVER
    if diner < m[DINERS]:
        m[NEXT_ARRIVAL] = m[m[TIMETABLE] + diner * COLUMNS + AT]
        if m[NEXT_ARRIVAL] < m[NOW]:
            m[STATUS] = UNSORTED


@compiled
def begin(m: Any) -> None:
    """Fill the tables of a run."""
    diners, orders = m[DINERS], m[DINERS] if m[ORDERS] != 0 else 0
    for diner in range(diners):
        row, person, wants = m[ROWS] + diner * N_FIELDS, m[PEOPLE] + diner * PERSON_SIZE, m[TIMETABLE] + diner * COLUMNS
        for column in range(N_FIELDS):
            m[row + column] = ABSENT
        m[row + OUTCOME] = m[row + LEVEL] = m[row + WHICH] = m[row + ATTEMPTS] = 0
        m[row + ROW_AT], m[row + WANTED_TABLE] = m[wants + AT], m[wants + SEAT]
        for column in range(PERSON_SIZE):
            m[person + column] = 0
        m[person + P_TENDER] = m[wants + TENDER]
    for number in range(2 * orders):
        lane, wants = m[LANES] + number * LANE_SIZE, m[TIMETABLE] + (number >> 1) * COLUMNS
        for column in range(LANE_SIZE):
            m[lane + column] = 0
        door = m[wants + DOOR]
        if number & 1 != 0 and m[wants + TAPS] == TWO_DOORS:
            door = 1 - door
        m[lane + L_DOOR] = door
        m[lane + L_NODE] = CLOUD if door == 1 else m[wants + FIRST_EDGE]
        m[m[AT_CLOUD] + number] = 0
    for item in range(3 * orders):
        entry = m[ITEMS_STATE] + item * ITEM_SIZE
        m[entry + I_STATE], m[entry + I_FIRST], m[entry + I_LAST] = 0, -1, -1
    room = m[REQUESTS_ROOM]
    for number in range(room):
        m[m[FREE_REQUESTS] + number] = room - 1 - number
    m[REQUESTS_FREE] = room
    m[m[LOG]] = m[FAR_FREE] = -1
    for slot in range(SLOTS_ROOM):
        m[m[SLOTS] + slot] = -1
    for number in range(1, m[SEGMENTS_COUNT]):
        at(m, m[m[SEGMENT_AT] + number], SEGMENT, number, 0, 0)
    for number in range(m[TABLES_CHANGES]):
        at(m, m[m[TABLES_AT] + number], SECTION, number, 0, 0)


@compiled
def _run(m: Any, f: Any) -> None:
    begin(m)
    if m[GATES] != 0:
        begin_gates(f)
    _expect(m, 0)
    while m[STATUS] == 0:
        key = next_event(m)
        if key < 0:
            break
        _act(m, f, key >> CLASS_SHIFT, (key >> ARGUMENT_BITS) & ENTITY_MASK, key & ARGUMENT_MAX, m[LOAD])


_RUN = entry(_run)
