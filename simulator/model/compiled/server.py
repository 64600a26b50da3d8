"""Requests at servers: their pool, the queues, answers."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, now_is, random_time, trip
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.limits import request_ends
from simulator.model.compiled.memory import (
    DEADLINE_DROP,
    DURATION,
    FREE_REQUESTS,
    FREE_WORKERS,
    GATES,
    KINDS,
    LIFO_AFTER,
    N_FREE,
    N_HELD,
    N_LIFE,
    N_SHAPE,
    N_WAITING,
    N_WORKERS,
    NODE_SIZE,
    NODES_AT,
    NOW,
    PRIORITY_ON,
    Q_FIRST,
    Q_LAST,
    QUEUE_MAX,
    QUEUE_SIZE,
    QUEUES,
    R_ARRIVED,
    R_ATTEMPT,
    R_BEFORE,
    R_BEGUN,
    R_CLIENT,
    R_DEADLINE,
    R_ENTITY,
    R_ITEM,
    R_KIND,
    R_NEXT,
    R_NODE,
    R_TIME,
    REQUEST_SIZE,
    REQUESTS,
    REQUESTS_FREE,
    REQUESTS_FULL,
    RETRY_AFTER,
    SERVERS,
    SERVICE,
    SERVICE_SPREAD,
    STATUS,
    WAITING_MAX,
    WORKERS,
    WORKERS_MAX,
)
from simulator.model.compiled.platform import answer_webhook
from simulator.model.laws import NEVER
from simulator.model.links import DINER_CLOUD, DINER_EDGE, FROM
from simulator.model.plan import SLOW
from simulator.model.records import (
    ARRIVED,
    BUSY,
    BUSY_IN_LOAD,
    COUNTERS,
    DONE,
    DROPPED,
    REFUSED,
    STAYED,
    WAITED,
    WAITING_MOST,
)  # fmt: skip
from simulator.model.vocabulary import (
    ANSWER_BYTES,
    ASKED_AGAIN_US,
    CLOUD,
    COOK_BITS,
    LEVELS,
    MENU_BYTES,
    NO_REPLY,
    PRIORITY,
    Code,
    Condition,
    Event,
    Kind,
)

LIFE_MASK = (1 << COOK_BITS) - 1
VALUE_SHIFT = 8
UP, DOWN = int(Condition.UP), int(Condition.DOWN)
OK, TROUBLE, TOLD_BUSY = int(Code.OK), int(Code.TROUBLE), int(Code.BUSY)
MENU, DOWNLINK, INGEST, WEBHOOK = int(Kind.MENU), int(Kind.DOWNLINK), int(Kind.INGEST), int(Kind.WEBHOOK)
E_ANSWER, E_WORKED, E_UP, E_DOWN = int(Event.ANSWER), int(Event.WORKED), int(Event.UP), int(Event.DOWN)
N_COUNTERS = len(COUNTERS)
OF_KIND = tuple(int(level) for level in PRIORITY)


@inlined
def new_request(m: Any, kind: int, entity: int, attempt: int, item: int, deadline: int, node: int, client: int) -> int:
    """A request's number; `client`: 1 for a diner's device, 0 for an internal exchange."""
    if m[REQUESTS_FREE] == 0:
        m[STATUS] = REQUESTS_FULL
        return 0
    m[REQUESTS_FREE] -= 1
    number = m[m[FREE_REQUESTS] + m[REQUESTS_FREE]]
    r = m[REQUESTS] + number * REQUEST_SIZE
    m[r + R_KIND], m[r + R_ENTITY], m[r + R_ATTEMPT], m[r + R_ITEM] = kind, entity, attempt, item
    m[r + R_DEADLINE], m[r + R_NODE], m[r + R_CLIENT], m[r + R_NEXT], m[r + R_BEFORE] = deadline, node, client, -1, -1
    return int(number)


@inlined
def drop_request(m: Any, number: int) -> None:
    """A request's number is free again."""
    if m[STATUS] == 0:
        m[m[FREE_REQUESTS] + m[REQUESTS_FREE]] = number
        m[REQUESTS_FREE] += 1


@compiled
def answer(m: Any, f: Any, number: int, code: int, value: int) -> None:
    """Send an answer to a diner's device; the request is done with. Internal ones get none."""
    r = m[REQUESTS] + number * REQUEST_SIZE
    if m[r + R_CLIENT] == 1:
        if m[GATES] != 0:
            request_ends(m, f, number, code)
        size = MENU_BYTES if m[r + R_KIND] == MENU and code == OK else ANSWER_BYTES
        link = DINER_CLOUD if m[r + R_NODE] == CLOUD else DINER_EDGE
        entity, attempt = m[r + R_ENTITY], m[r + R_ATTEMPT]
        arrives = trip(m, f, link, FROM, size, purposes.ANSWER_TRIP, entity, attempt)
        at(m, arrives, E_ANSWER, entity, attempt, code | (value << VALUE_SHIFT))
    drop_request(m, number)


@compiled
def ask_again(m: Any, number: int) -> None:
    """An internal exchange that found nobody comes again later."""
    r = m[REQUESTS] + number * REQUEST_SIZE
    event = E_UP if m[r + R_KIND] == INGEST else E_DOWN
    at(m, m[NOW] + ASKED_AGAIN_US, event, m[r + R_ENTITY], m[r + R_ATTEMPT] + 1, 0)
    drop_request(m, number)


@compiled
def cut_off(m: Any, f: Any, number: int, value: int) -> None:
    """A request was lost with its server (NO_REPLY), or the database failed it (COME_BACK_US)."""
    if m[m[REQUESTS] + number * REQUEST_SIZE + R_CLIENT] == 1:
        answer(m, f, number, TROUBLE, value)
    elif m[m[REQUESTS] + number * REQUEST_SIZE + R_KIND] == WEBHOOK:
        r = m[REQUESTS] + number * REQUEST_SIZE
        answer_webhook(m, f, m[r + R_ENTITY], m[r + R_ATTEMPT], 0)
        drop_request(m, number)
    else:
        ask_again(m, number)


@compiled
def oldest_waited(m: Any, node: int) -> int:
    """How long the oldest request of a node's queue has waited."""
    oldest = m[NOW]
    for level in range(LEVELS):
        first = m[m[QUEUES] + (node * LEVELS + level) * QUEUE_SIZE + Q_FIRST]
        if first >= 0:
            oldest = min(oldest, m[m[REQUESTS] + first * REQUEST_SIZE + R_ARRIVED])
    return int(m[NOW] - oldest)


@inlined
def _too_slow(m: Any, node: int, limit: int) -> bool:
    """Whether the oldest request of a node's queue has waited longer than a limit, if there is one."""
    return bool(limit < NEVER and oldest_waited(m, node) > limit)


@compiled
def _take(m: Any, node: int) -> int:
    """Take the request whose turn it is out of the queue."""
    newest = _too_slow(m, node, m[LIFO_AFTER])
    level = 0
    while m[m[QUEUES] + (node * LEVELS + level) * QUEUE_SIZE + Q_FIRST] < 0:
        level += 1
    queue = m[QUEUES] + (node * LEVELS + level) * QUEUE_SIZE
    m[m[NODES_AT] + node * NODE_SIZE + N_WAITING] -= 1
    if newest:
        number = m[queue + Q_LAST]
        before = m[m[REQUESTS] + number * REQUEST_SIZE + R_BEFORE]
        m[queue + Q_LAST] = before
        if before >= 0:
            m[m[REQUESTS] + before * REQUEST_SIZE + R_NEXT] = -1
        else:
            m[queue + Q_FIRST] = -1
    else:
        number = m[queue + Q_FIRST]
        following = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
        m[queue + Q_FIRST] = following
        if following >= 0:
            m[m[REQUESTS] + following * REQUEST_SIZE + R_BEFORE] = -1
        else:
            m[queue + Q_LAST] = -1
    return int(number)


@compiled
def start(m: Any, f: Any, node: int) -> None:
    """Give free workers what waits."""
    n, counters = m[NODES_AT] + node * NODE_SIZE, m[SERVERS] + node * N_COUNTERS
    while m[n + N_FREE] > 0 and m[n + N_WAITING] > 0 and condition(m, node) == UP:
        number = _take(m, node)
        r = m[REQUESTS] + number * REQUEST_SIZE
        stayed = m[NOW] - m[r + R_ARRIVED]
        if m[r + R_CLIENT] == 1 and m[DEADLINE_DROP] != 0 and m[NOW] >= m[r + R_DEADLINE]:
            m[counters + DROPPED] += 1
            m[counters + STAYED] += stayed
            if m[GATES] != 0:
                request_ends(m, f, number, TROUBLE)
            drop_request(m, number)
            continue
        m[n + N_FREE] -= 1
        worker = m[m[FREE_WORKERS] + node * m[WORKERS_MAX] + m[n + N_FREE]]
        m[m[WORKERS] + node * m[WORKERS_MAX] + worker] = number
        m[counters + WAITED] += stayed
        kind = m[r + R_KIND]
        purpose = purposes.SERVICE
        if kind == DOWNLINK:
            purpose = purposes.SERVICE_DOWNLINK
        elif kind == INGEST:
            purpose = purposes.SERVICE_INGEST
        elif kind == WEBHOOK:
            purpose = purposes.SERVICE_WEBHOOK
        mean, spread = f[SERVICE + node * KINDS + kind], f[SERVICE_SPREAD + node]
        time = random_time(m, m[n + N_SHAPE], mean, spread, purpose, m[r + R_ENTITY], m[r + R_ATTEMPT])
        m[r + R_BEGUN] = m[NOW]
        m[r + R_TIME] = time * now_is(m, SLOW + node) // 1000
        at(m, m[NOW] + m[r + R_TIME], E_WORKED, node, worker << COOK_BITS | m[n + N_LIFE], 0)


@compiled
def arrive(m: Any, f: Any, number: int) -> None:
    """A request arrives at its node."""
    r = m[REQUESTS] + number * REQUEST_SIZE
    node = m[r + R_NODE]
    if condition(m, node) == DOWN:
        cut_off(m, f, number, NO_REPLY)
        return
    n, counters = m[NODES_AT] + node * NODE_SIZE, m[SERVERS] + node * N_COUNTERS
    m[counters + ARRIVED] += 1
    m[r + R_ARRIVED] = m[NOW]
    if m[r + R_CLIENT] == 1 and (m[n + N_WAITING] >= m[QUEUE_MAX] or _too_slow(m, node, m[WAITING_MAX])):
        m[counters + REFUSED] += 1
        answer(m, f, number, TOLD_BUSY, m[RETRY_AFTER])
        return
    level = OF_KIND[m[r + R_KIND]] if m[PRIORITY_ON] != 0 else 0
    queue = m[QUEUES] + (node * LEVELS + level) * QUEUE_SIZE
    last = m[queue + Q_LAST]
    m[r + R_NEXT], m[r + R_BEFORE] = -1, last
    if last >= 0:
        m[m[REQUESTS] + last * REQUEST_SIZE + R_NEXT] = number
    else:
        m[queue + Q_FIRST] = number
    m[queue + Q_LAST] = number
    m[n + N_WAITING] += 1
    m[counters + WAITING_MOST] = max(m[counters + WAITING_MOST], m[n + N_WAITING])
    start(m, f, node)


@compiled
def _lose(m: Any, f: Any, counters: int, number: int) -> None:
    m[counters + DROPPED] += 1
    m[counters + STAYED] += m[NOW] - m[m[REQUESTS] + number * REQUEST_SIZE + R_ARRIVED]
    cut_off(m, f, number, NO_REPLY)


@compiled
def kill(m: Any, f: Any, node: int) -> None:
    """The process is gone: whoever was inside is cut off."""
    n, counters = m[NODES_AT] + node * NODE_SIZE, m[SERVERS] + node * N_COUNTERS
    workers, base = m[n + N_WORKERS], node * m[WORKERS_MAX]
    for worker in range(workers):
        number = m[m[WORKERS] + base + worker]
        m[m[WORKERS] + base + worker] = -1
        m[m[FREE_WORKERS] + base + worker] = workers - 1 - worker
        if number >= 0:
            _lose(m, f, counters, number)
    for level in range(LEVELS):
        queue = m[QUEUES] + (node * LEVELS + level) * QUEUE_SIZE
        number = m[queue + Q_FIRST]
        m[queue + Q_FIRST] = m[queue + Q_LAST] = -1
        while number >= 0:
            following = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
            _lose(m, f, counters, number)
            number = following
    m[n + N_WAITING], m[n + N_FREE], m[n + N_HELD] = 0, workers, 0
    m[n + N_LIFE] = (m[n + N_LIFE] + 1) & LIFE_MASK


@compiled
def finish(m: Any, node: int, worker: int) -> int:
    """A worker is done; returns what it did."""
    n, counters = m[NODES_AT] + node * NODE_SIZE, m[SERVERS] + node * N_COUNTERS
    place = m[WORKERS] + node * m[WORKERS_MAX] + worker
    number = m[place]
    m[place] = -1
    m[m[FREE_WORKERS] + node * m[WORKERS_MAX] + m[n + N_FREE]] = worker
    m[n + N_FREE] += 1
    r = m[REQUESTS] + number * REQUEST_SIZE
    m[counters + DONE] += 1
    m[counters + STAYED] += m[NOW] - m[r + R_ARRIVED]
    m[counters + BUSY] += m[r + R_TIME]
    m[counters + BUSY_IN_LOAD] += min(m[r + R_TIME], max(0, m[DURATION] - m[r + R_BEGUN]))
    return int(number)
