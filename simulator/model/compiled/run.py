"""Runs one replication on the compiled engine."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.model.compiled import memory
from simulator.model.compiled.calendar import at, next_event
from simulator.model.compiled.devices import diner_arrives, leave, renege, request_arrives
from simulator.model.compiled.gate import delay_ends, look, worker_freed
from simulator.model.compiled.jit import compiled, entry
from simulator.model.compiled.kitchen import cooked, show_ticket
from simulator.model.compiled.log import flushed, matched, send_batch, shipped
from simulator.model.compiled.memory import (
    DINERS,
    EVENTS,
    HASH,
    HEAP_SIZE,
    LOAD,
    NOW,
    ROWS,
    SEGMENT_AT,
    SEGMENTS_COUNT,
    STATUS,
    TIMETABLE,
    Room,
    lay_out,
    rows_of,
    servers_of,
    trace_of,
)  # fmt: skip
from simulator.model.compiled.requests import VALUE_SHIFT
from simulator.model.compiled.store import change, down, gateway_answers, transaction_ends, up, uplinked, worked
from simulator.model.compiled.visits import answered, wake
from simulator.model.draws import Key
from simulator.model.plan import Plan
from simulator.model.records import ABSENT, ATTEMPTS, FIELDS, LEVEL, OUTCOME, WHICH, Run
from simulator.model.records import AT as ROW_AT
from simulator.model.timetable import AT, COLUMNS
from simulator.model.vocabulary import ARGUMENT_BITS, ARGUMENT_MAX, CLASS_SHIFT, ENTITY_BITS, HASH_SEED, Code, Event

ROOM_MAX = 1 << 28
_INTEGERS, _FLOATS = ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_double)
CODE_MASK = (1 << VALUE_SHIFT) - 1
ENTITY_MASK = (1 << ENTITY_BITS) - 1
TROUBLE = int(Code.TROUBLE)
N_FIELDS = len(FIELDS)
(
    SEGMENT, FLUSHED, SHIPPED, MATCHED, WORKED, STORED, UPLINKED, COOKED, TICKET, DOWN, UP, GATEWAY, REQUEST, ANSWER, TIMEOUT,
    WAKE, DEPART, RENEGE, ARRIVAL, DELAYED, FREED, LOOK, PACED,
) = (int(event) for event in Event)  # fmt: skip


def run_compiled(plan: Plan, timetable: npt.NDArray[np.int64], key: Key, *, traced: bool = False) -> Run:
    """One replication of one store, until nothing happens any more."""
    assert (np.diff(timetable[:, AT]) >= 0).all(), "diners come in the order of their arrival"
    room = Room(heap=1024 + len(timetable), requests=1024 + len(timetable) // 2, trace=(1 << 16) * traced)
    while True:
        m, f = lay_out(plan, timetable, key, room)
        m[HASH] = np.uint64(HASH_SEED).astype(np.int64)
        _RUN(m.ctypes.data_as(_INTEGERS), f.ctypes.data_as(_FLOATS))
        if m[STATUS] == memory.FINE:
            break
        room = _larger(room, int(m[STATUS]))
    trace = trace_of(m) if traced else None
    return Run(rows_of(m), servers_of(m), int(m[EVENTS]), int(m[HASH].astype(np.uint64)), int(m[NOW]), trace)


def _larger(room: Room, status: int) -> Room:
    grown = Room(
        room.heap * (2 if status == memory.HEAP_FULL else 1),
        room.requests * (2 if status == memory.REQUESTS_FULL else 1),
        room.trace * (4 if status == memory.TRACE_FULL else 1),
    )
    if max(grown.heap, grown.requests, grown.trace) > ROOM_MAX:
        raise MemoryError(f"the run needs more than {ROOM_MAX} events or requests at once")
    return grown


@compiled
def _act(m: Any, f: Any, event: int, entity: int, argument: int, load: int) -> None:
    if event == WORKED:
        worked(m, f, entity, argument)
    elif event == REQUEST:
        request_arrives(m, f, entity, load)
    elif event == ANSWER:
        answered(m, f, entity, argument, load & CODE_MASK, load >> VALUE_SHIFT)
    elif event == TIMEOUT:
        answered(m, f, entity, argument, TROUBLE, 0)
    elif event == WAKE:
        wake(m, f, entity, argument)
    elif event == ARRIVAL:
        if entity + 1 < m[DINERS]:
            at(m, m[m[TIMETABLE] + (entity + 1) * COLUMNS + AT], ARRIVAL, entity + 1, 0, 0)
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


@compiled
def _run(m: Any, f: Any) -> None:
    for diner in range(m[DINERS]):
        row = m[ROWS] + diner * N_FIELDS
        for column in range(N_FIELDS):
            m[row + column] = ABSENT
        m[row + OUTCOME] = m[row + LEVEL] = m[row + WHICH] = m[row + ATTEMPTS] = 0
        m[row + ROW_AT] = m[m[TIMETABLE] + diner * COLUMNS + AT]
    for number in range(1, m[SEGMENTS_COUNT]):
        at(m, m[m[SEGMENT_AT] + number], SEGMENT, number, 0, 0)
    if m[DINERS] > 0:
        at(m, m[m[TIMETABLE] + AT], ARRIVAL, 0, 0, 0)
    while m[HEAP_SIZE] > 0 and m[STATUS] == 0:
        key = next_event(m)
        _act(m, f, key >> CLASS_SHIFT, (key >> ARGUMENT_BITS) & ENTITY_MASK, key & ARGUMENT_MAX, m[LOAD])


_RUN = entry(_run)
