"""The cloud: what its database holds, and what follows when a transaction is done."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, condition, delivery, is_whole
from simulator.model.compiled.jit import compiled
from simulator.model.compiled.kitchen import is_served
from simulator.model.compiled.limits import request_ends
from simulator.model.compiled.memory import (
    ACCEPTS_AT_CLOUD,
    AT_CLOUD,
    BATCH_BEGIN,
    BATCH_END,
    DOWN_LAST,
    GATES,
    NOW,
    PLATFORM_ON,
    R_ATTEMPT,
    R_ENTITY,
    R_ITEM,
    R_KIND,
    REQUEST_SIZE,
    REQUESTS,
    ROWS,
    UPLINK,
)
from simulator.model.compiled.platform import accept, answer_webhook, is_wanted, store_has
from simulator.model.compiled.server import answer, drop_request
from simulator.model.links import EDGE_CLOUD, FROM, TO
from simulator.model.records import FIELDS, STORED_0
from simulator.model.vocabulary import ANSWER_BYTES, CLOUD, ENTRY_BYTES, Code, Condition, Event, Kind, Level

UP, OK, DONE, TROUBLE, RC = int(Condition.UP), int(Code.OK), int(Code.DONE), int(Code.TROUBLE), int(Level.RC)
ORDER, READ, INGEST, WEBHOOK = int(Kind.ORDER), int(Kind.READ), int(Kind.INGEST), int(Kind.WEBHOOK)
E_UPLINKED, E_DOWN = int(Event.UPLINKED), int(Event.DOWN)
N_FIELDS = len(FIELDS)


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
def stored(m: Any, f: Any, number: int) -> None:
    """The database has done its part of a request."""
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
        told = kind == READ and is_served(m, item) and is_whole(m, EDGE_CLOUD, TO)
        answer(m, f, number, DONE if told else OK, RC)
    else:
        if m[GATES] != 0:
            request_ends(m, f, number, TROUBLE)
        drop_request(m, number)
