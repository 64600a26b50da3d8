"""What each request becomes, at a device and at the cloud; and a change of the store's condition."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, delivery, draw, is_whole, now_is, random_time
from simulator.model.compiled.gate_faults import forget, kill_gate, resume_gate
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.limits import request_ends
from simulator.model.compiled.log import (
    ABSENT,
    CLOSED,
    COMMITTED,
    DECLINED,
    append,
    close_check,
    level,
    log_conditions_change,
    send_up,
    wait,
)
from simulator.model.compiled.memory import (
    ACCEPTS_AT_CLOUD,
    AT_CLOUD,
    BATCH_BEGIN,
    BATCH_END,
    CONNECTION,
    DB_FREE,
    DB_HEAD,
    DB_TAIL,
    DECLINE_SHARE,
    DINERS,
    DOWN_LAST,
    FREE_CONNECTIONS,
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
    NOW,
    P_PAYMENT,
    P_TENDER,
    PEOPLE,
    PERSON_SIZE,
    PLATFORM_ON,
    R_ATTEMPT,
    R_CLIENT,
    R_ENTITY,
    R_ITEM,
    R_KIND,
    R_NEXT,
    R_NODE,
    REQUEST_SIZE,
    REQUESTS,
    ROWS,
    SEGMENT,
    SEGMENT_ROW,
    SEGMENT_TABLE,
    TRANSACTION,
    TRANSACTION_SHAPE,
    TRANSACTION_SPREAD,
    TRANSACTIONS,
    UPLINK,
    UPLINK_BUSY,
    WORKERS_MAX,
)
from simulator.model.compiled.platform import accept, answer_webhook, is_wanted, store_has
from simulator.model.compiled.requests import (
    answer,
    arrive,
    ask_again,
    cut_off,
    drop_request,
    finish,
    kill,
    new_request,
    start,
)
from simulator.model.plan import (
    CARD,
    CASH,
    CLOUD_DATABASE,
    CONDITION,
    EDGE_CLOUD,
    FROM,
    POSTGRES,
    PRIMARY,
    REFUSES,
    SEGMENT_COLUMNS,
    SLOW,
    TO,
    WALLET,
)
from simulator.model.records import FIELDS, SERVED_0, STORED_0
from simulator.model.vocabulary import (
    ANSWER_BYTES,
    CLOUD,
    COOK_BITS,
    ENTRY_BYTES,
    NO_PRIMARY,
    NODES,
    Code,
    Condition,
    Event,
    Kind,
    Level,
)

UP, DOWN = int(Condition.UP), int(Condition.DOWN)
OK, DONE, ELSEWHERE, FENCED = int(Code.OK), int(Code.DONE), int(Code.ELSEWHERE), int(Code.FENCED)
RC = int(Level.RC)
TROUBLE, BUSY, REFUSAL = int(Code.TROUBLE), int(Code.BUSY), int(Kind.REFUSAL)
WEBHOOK = int(Kind.WEBHOOK)
MENU, ORDER, READ, LOOK = int(Kind.MENU), int(Kind.ORDER), int(Kind.READ), int(Kind.LOOK)
DOWNLINK, INGEST = int(Kind.DOWNLINK), int(Kind.INGEST)
E_STORED, E_UPLINKED, E_DOWN = int(Event.STORED), int(Event.UPLINKED), int(Event.DOWN)
N_FIELDS = len(FIELDS)
LIFE_MASK = (1 << COOK_BITS) - 1


@inlined
def _served(m: Any, order: int) -> bool:
    return bool(m[m[ROWS] + (order >> 1) * N_FIELDS + SERVED_0 + (order & 1)] >= 0)


@compiled
def _start_transactions(m: Any, f: Any) -> None:
    while m[DB_HEAD] >= 0 and m[DB_FREE] > 0:
        number = m[DB_HEAD]
        m[DB_HEAD] = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
        if m[DB_HEAD] < 0:
            m[DB_TAIL] = -1
        m[DB_FREE] -= 1
        connection = m[m[FREE_CONNECTIONS] + m[DB_FREE]]
        m[m[CONNECTION] + connection] = number
        which = m[TRANSACTIONS]
        m[TRANSACTIONS] += 1
        time = random_time(m, m[TRANSACTION_SHAPE], f[TRANSACTION], f[TRANSACTION_SPREAD], purposes.DATABASE, which, 0)
        time = time * now_is(m, SLOW + POSTGRES) // 1000
        there = delivery(m, f, CLOUD_DATABASE, TO, ENTRY_BYTES, purposes.DATABASE, which, 1) - m[NOW]
        back = delivery(m, f, CLOUD_DATABASE, FROM, ANSWER_BYTES, purposes.DATABASE, which, 2) - m[NOW]
        at(m, m[NOW] + time + there + back, E_STORED, connection, 0, 0)


@compiled
def _want_transaction(m: Any, f: Any, number: int) -> None:
    if condition(m, POSTGRES) != UP:
        cut_off(m, f, number)
        return
    m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT] = -1
    if m[DB_TAIL] >= 0:
        m[m[REQUESTS] + m[DB_TAIL] * REQUEST_SIZE + R_NEXT] = number
    else:
        m[DB_HEAD] = number
    m[DB_TAIL] = number
    _start_transactions(m, f)


@compiled
def _fail_queue(m: Any, f: Any) -> None:
    number = m[DB_HEAD]
    m[DB_HEAD] = m[DB_TAIL] = -1
    while number >= 0:
        following = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
        cut_off(m, f, number)
        number = following


@compiled
def _store(m: Any, item: int) -> None:
    m[m[AT_CLOUD] + item] = 1
    place = m[ROWS] + (item >> 1) * N_FIELDS + STORED_0 + (item & 1)
    if m[place] < 0:
        m[place] = m[NOW]


@compiled
def _order_at_cloud(m: Any, f: Any, item: int) -> None:
    """An order is in the cloud's database, from which the downlink takes it."""
    if m[m[AT_CLOUD] + item] == 0:
        _store(m, item)
        arrives = delivery(m, f, EDGE_CLOUD, FROM, ENTRY_BYTES, purposes.DOWNLINK, item, 0)
        m[DOWN_LAST] = max(m[DOWN_LAST], arrives)
        at(m, m[DOWN_LAST], E_DOWN, item, 0, 0)


@compiled
def _stored(m: Any, f: Any, number: int) -> None:
    r = m[REQUESTS] + number * REQUEST_SIZE
    kind, item, entity = m[r + R_KIND], m[r + R_ITEM], m[r + R_ENTITY]
    if kind == INGEST:
        for place in range(m[BATCH_BEGIN], m[BATCH_END]):
            _store(m, m[m[UPLINK] + place])
            if m[PLATFORM_ON] != 0:
                store_has(m, f, m[m[UPLINK] + place])
        back = delivery(m, f, EDGE_CLOUD, FROM, ANSWER_BYTES, purposes.UPLINKED, entity, m[r + R_ATTEMPT])
        at(m, back, E_UPLINKED, entity, 0, 0)
        drop_request(m, number)
        return
    if kind == WEBHOOK:
        if is_wanted(m, entity):
            _order_at_cloud(m, f, item)
            if m[ACCEPTS_AT_CLOUD] != 0:
                accept(m, f, entity)
        if condition(m, CLOUD) == UP:
            answer_webhook(m, f, entity, m[r + R_ATTEMPT], 1)
        drop_request(m, number)
        return
    if kind == ORDER:
        _order_at_cloud(m, f, item)
    if condition(m, CLOUD) == UP:
        told = kind == READ and _served(m, item) and is_whole(m, EDGE_CLOUD, TO)
        answer(m, f, number, DONE if told else OK, RC)
    else:
        if m[GATES] != 0:
            request_ends(m, f, number, TROUBLE)
        drop_request(m, number)


@compiled
def transaction_ends(m: Any, f: Any, connection: int) -> None:
    """A transaction of the database ends."""
    number = m[m[CONNECTION] + connection]
    m[m[FREE_CONNECTIONS] + m[DB_FREE]] = connection
    m[DB_FREE] += 1
    if condition(m, POSTGRES) == UP:
        _stored(m, f, number)
    else:
        cut_off(m, f, number)
    _start_transactions(m, f)


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
        answer(m, f, number, DONE if _served(m, item) else OK, 0)
    elif kind == LOOK:
        state = m[m[PEOPLE] + (item - 2 * m[DINERS]) * PERSON_SIZE + P_PAYMENT]
        answer(m, f, number, DONE if state == CLOSED else OK, state)
    elif now_is(m, REFUSES) != 0 and kind != DOWNLINK:
        answer(m, f, number, FENCED, 0)
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
        _want_transaction(m, f, number)
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
        _fail_queue(m, f)
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
def gateway_answers(m: Any, f: Any, diner: int, number: int) -> None:
    """The payment gateway has decided."""
    person = m[PEOPLE] + diner * PERSON_SIZE
    if draw(m, purposes.DECLINE, diner, number) < f[DECLINE_SHARE]:
        m[person + P_TENDER] = CARD if m[person + P_TENDER] == WALLET else CASH
        m[person + P_PAYMENT] = DECLINED
        m[m[ITEMS_STATE] + (2 * m[DINERS] + diner) * ITEM_SIZE + I_STATE] = ABSENT
    else:
        close_check(m, diner)


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
def up(m: Any, f: Any, batch: int, attempt: int) -> None:
    """A batch of the uplink reaches the cloud."""
    arrive(m, f, new_request(m, INGEST, batch, attempt, batch, 0, CLOUD, 0))


@compiled
def webhook(m: Any, f: Any, diner: int, number: int) -> None:
    """A platform's webhook reaches the cloud."""
    arrive(m, f, new_request(m, WEBHOOK, diner, number, 2 * diner, 0, CLOUD, 0))


@compiled
def uplinked(m: Any, f: Any) -> None:
    """The store hears that a batch is stored."""
    m[UPLINK_BUSY] = 0
    send_up(m, f)
