"""The cloud's database behind its pool of connections."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, delivery, lasting, now_is, random_time
from simulator.model.compiled.cloud import stored
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    CONNECT_ROUND_TRIPS,
    CONNECTION,
    CONNECTIONS,
    CONNECTIONS_OPEN,
    DB_FREE,
    DB_HEAD,
    DB_TAIL,
    FREE_CONNECTIONS,
    NOW,
    R_KIND,
    R_NEXT,
    READY,
    REQUEST_SIZE,
    REQUESTS,
    ROUND_TRIPS,
    TRANSACTION,
    TRANSACTION_SHAPE,
    TRANSACTION_SPREAD,
    TRANSACTIONS,
)
from simulator.model.compiled.server import cut_off
from simulator.model.links import CLOUD_DATABASE, FROM, TO
from simulator.model.plan import POSTGRES, SLOW
from simulator.model.vocabulary import ANSWER_BYTES, COME_BACK_US, ENTRY_BYTES, OPENED, Condition, Event

UP, E_STORED = int(Condition.UP), int(Event.STORED)


@inlined
def _round_trips(m: Any, connection: int, kind: int) -> int:
    """The exchanges of one transaction; the first of its kind on a connection is prepared, and a new connection opened."""
    ready, trips = m[m[READY] + connection], m[m[ROUND_TRIPS] + kind]
    m[m[READY] + connection] = ready | OPENED | 1 << kind
    if not (ready >> kind) & 1:
        trips += trips
    if not ready & OPENED:
        trips += m[CONNECT_ROUND_TRIPS]
    return int(trips)


@compiled
def close_connections(m: Any) -> None:
    """The connections are gone; those that are open before anybody asks are so again when the database serves."""
    for number in range(m[CONNECTIONS]):
        m[m[READY] + number] = OPENED if number < m[CONNECTIONS_OPEN] else 0


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
        more = (_round_trips(m, connection, m[m[REQUESTS] + number * REQUEST_SIZE + R_KIND]) - 1) * lasting(
            m, CLOUD_DATABASE
        )
        at(m, m[NOW] + time + there + back + more, E_STORED, connection, 0, 0)


@compiled
def want_transaction(m: Any, f: Any, number: int) -> None:
    """A request waits for a connection."""
    if condition(m, POSTGRES) != UP:
        cut_off(m, f, number, COME_BACK_US)
        return
    m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT] = -1
    if m[DB_TAIL] >= 0:
        m[m[REQUESTS] + m[DB_TAIL] * REQUEST_SIZE + R_NEXT] = number
    else:
        m[DB_HEAD] = number
    m[DB_TAIL] = number
    _start_transactions(m, f)


@compiled
def fail_queue(m: Any, f: Any) -> None:
    """The database fails all that wait for a connection."""
    number = m[DB_HEAD]
    m[DB_HEAD] = m[DB_TAIL] = -1
    while number >= 0:
        following = m[m[REQUESTS] + number * REQUEST_SIZE + R_NEXT]
        cut_off(m, f, number, COME_BACK_US)
        number = following


@compiled
def transaction_ends(m: Any, f: Any, connection: int) -> None:
    """A transaction of the database ends."""
    number = m[m[CONNECTION] + connection]
    m[m[FREE_CONNECTIONS] + m[DB_FREE]] = connection
    m[DB_FREE] += 1
    if condition(m, POSTGRES) == UP:
        stored(m, f, number)
    else:
        cut_off(m, f, number, COME_BACK_US)
    _start_transactions(m, f)
