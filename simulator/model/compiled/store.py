"""What each request becomes, at a device and at the cloud; and a change of the store's condition."""

from __future__ import annotations

from typing import Any

from simulator.model.compiled.calendar import condition, now_is
from simulator.model.compiled.database import close_connections, fail_queue, want_transaction
from simulator.model.compiled.gate_faults import forget, kill_gate, resume_gate
from simulator.model.compiled.jit import compiled
from simulator.model.compiled.kitchen import is_served
from simulator.model.compiled.log import append, level, log_conditions_change, wait
from simulator.model.compiled.memory import (
    DINERS,
    GATES,
    HELD,
    I_STATE,
    ITEM_SIZE,
    ITEMS_STATE,
    LOG_PRIMARY,
    N_HELD,
    N_LIFE,
    NODE_SIZE,
    NODES_AT,
    P_PAYMENT,
    PEOPLE,
    PERSON_SIZE,
    R_CLIENT,
    R_ITEM,
    R_KIND,
    R_NODE,
    REQUEST_SIZE,
    REQUESTS,
    SEGMENT,
    SEGMENT_ROW,
    SEGMENT_TABLE,
    WORKERS_MAX,
)
from simulator.model.compiled.payments import CLOSED
from simulator.model.compiled.server import answer, arrive, ask_again, drop_request, finish, kill, new_request, start
from simulator.model.compiled.uplink import send_up
from simulator.model.plan import CONDITION, POSTGRES, PRIMARY, REFUSES, SEGMENT_COLUMNS
from simulator.model.vocabulary import (
    ABSENT,
    CLOUD,
    COME_BACK_US,
    COMMITTED,
    COOK_BITS,
    NO_PRIMARY,
    NODES,
    Code,
    Condition,
    Kind,
)

UP, DOWN = int(Condition.UP), int(Condition.DOWN)
OK, DONE, ELSEWHERE, FENCED = int(Code.OK), int(Code.DONE), int(Code.ELSEWHERE), int(Code.FENCED)
BUSY, REFUSAL, MENU, READ, LOOK = int(Code.BUSY), int(Kind.REFUSAL), int(Kind.MENU), int(Kind.READ), int(Kind.LOOK)
DOWNLINK, WEBHOOK = int(Kind.DOWNLINK), int(Kind.WEBHOOK)
LIFE_MASK = (1 << COOK_BITS) - 1


@compiled
def _at_device(m: Any, f: Any, number: int) -> None:
    r = m[REQUESTS] + number * REQUEST_SIZE
    kind, item, primary = m[r + R_KIND], m[r + R_ITEM], now_is(m, PRIMARY)
    if primary != m[r + R_NODE]:
        if kind == DOWNLINK:
            ask_again(m, number)
        elif primary == NO_PRIMARY:
            answer(m, f, number, FENCED, 0)
        else:
            answer(m, f, number, ELSEWHERE, primary)
    elif kind == READ:
        answer(m, f, number, DONE if is_served(m, item) else OK, 0)
    elif kind == LOOK:
        state = m[m[PEOPLE] + (item - 2 * m[DINERS]) * PERSON_SIZE + P_PAYMENT]
        answer(m, f, number, DONE if state == CLOSED else OK, state)
    elif now_is(m, REFUSES) != 0 and kind != DOWNLINK:
        answer(m, f, number, BUSY, COME_BACK_US)
    else:
        state = m[m[ITEMS_STATE] + item * ITEM_SIZE + I_STATE]
        if state == COMMITTED:
            answer(m, f, number, OK, level(m))
            return
        if m[r + R_CLIENT] == 1:
            wait(m, item, number)
        else:
            drop_request(m, number)
        if state == ABSENT:
            append(m, f, item)


@compiled
def _work(m: Any, f: Any, number: int) -> None:
    r = m[REQUESTS] + number * REQUEST_SIZE
    if m[r + R_KIND] == MENU:
        answer(m, f, number, OK, 0)
    elif m[r + R_KIND] == REFUSAL:
        answer(m, f, number, BUSY, m[r + R_ITEM])
    elif m[r + R_NODE] == CLOUD:
        want_transaction(m, f, number)
    else:
        _at_device(m, f, number)


@compiled
def worked(m: Any, f: Any, node: int, argument: int) -> None:
    """A worker's time is over."""
    n, worker = m[NODES_AT] + node * NODE_SIZE, argument >> COOK_BITS
    if argument & LIFE_MASK != m[n + N_LIFE]:
        return
    if condition(m, node) != UP:
        m[m[HELD] + node * m[WORKERS_MAX] + m[n + N_HELD]] = worker
        m[n + N_HELD] += 1
        return
    _work(m, f, finish(m, node, worker))
    start(m, f, node)


@compiled
def change(m: Any, f: Any, number: int) -> None:
    """The store's condition changes."""
    before = m[SEGMENT]
    m[SEGMENT], m[SEGMENT_ROW] = number, m[SEGMENT_TABLE] + number * SEGMENT_COLUMNS
    was = m[SEGMENT_TABLE] + before * SEGMENT_COLUMNS + CONDITION
    for node in range(NODES):
        if condition(m, node) == DOWN and m[was + node] != DOWN:
            kill(m, f, node)
            if m[GATES] != 0:
                kill_gate(m, f, node)
    served = m[LOG_PRIMARY]
    log_conditions_change(m, f, before)
    if m[GATES] != 0 and m[LOG_PRIMARY] != served:
        forget(m, f, served)
    if condition(m, POSTGRES) != UP:
        fail_queue(m, f)
    if condition(m, POSTGRES) != UP or condition(m, CLOUD) == DOWN:
        close_connections(m)
    for node in range(NODES):
        if condition(m, node) == UP and m[was + node] != UP:
            n = m[NODES_AT] + node * NODE_SIZE
            held = m[n + N_HELD]
            m[n + N_HELD] = 0
            for place in range(held):
                _work(m, f, finish(m, node, m[m[HELD] + node * m[WORKERS_MAX] + place]))
            start(m, f, node)
            if m[GATES] != 0:
                resume_gate(m, f, node)
    send_up(m, f)


@compiled
def down(m: Any, f: Any, item: int, attempt: int) -> None:
    """An order of the cloud reaches the store."""
    primary = now_is(m, PRIMARY)
    number = new_request(m, DOWNLINK, item, attempt, item, 0, primary, 0)
    if primary == NO_PRIMARY:
        ask_again(m, number)
    else:
        arrive(m, f, number)


@compiled
def webhook(m: Any, f: Any, diner: int, number: int) -> None:
    """A platform's webhook reaches the cloud."""
    arrive(m, f, new_request(m, WEBHOOK, diner, number, 2 * diner, 0, CLOUD, 0))
