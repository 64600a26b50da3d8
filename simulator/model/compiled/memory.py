"""The memory of the compiled engine: one array of whole numbers and one of floats.

Compiled functions take the two arrays and nothing else, which keeps calls and compilation cheap. `m` begins with named cells
(the clock, counters, the plan's numbers); behind them lie tables of records, each at the place that a cell names. A record is
addressed by its first place: `lane = m[LANES] + number * LANE_SIZE`, then `m[lane + PHASE]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.model.draws import Key
from simulator.model.laws import NEVER
from simulator.model.plan import LINKS, PRIMARY, SEGMENT_COLUMNS, TWO, Plan
from simulator.model.records import COUNTERS, FIELDS
from simulator.model.timetable import (
    COLUMNS,
    DOOR,
    FIRST_EDGE,
    TAPS,
    TENDER,
    TWO_DOORS,
)  # fmt: skip
from simulator.model.vocabulary import CLOUD, LEVELS, NODES

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Numbers of the plan, by the names of its fields.
_PLAN = (
    "orders", "tables", "table_queue_max", "attempts_max", "backoff", "backoff_max", "attempt_timeout", "polls_max", "retap",
    "pay_patience", "queue_max", "waiting_max", "deadline_drop", "priority", "lifo_after", "retry_after",
    "retry_budget", "retry_burst", "flush_shape", "connections", "transaction_shape", "stations", "stages",
)  # fmt: skip
(
    ORDERS, TABLES, TABLE_QUEUE_MAX, ATTEMPTS_MAX, BACKOFF, BACKOFF_MAX, ATTEMPT_TIMEOUT, POLLS_MAX, RETAP,
    PAY_PATIENCE, QUEUE_MAX, WAITING_MAX, DEADLINE_DROP, PRIORITY_ON, LIFO_AFTER, RETRY_AFTER,
    RETRY_BUDGET, RETRY_BURST, FLUSH_SHAPE, CONNECTIONS, TRANSACTION_SHAPE, STATIONS, STAGES,
) = range(len(_PLAN))  # fmt: skip
# Counters and state.
(
    NOW, EVENTS, HASH, STATUS, KEY_LOW, KEY_HIGH, DINERS, HEAP_SIZE, HEAP_ROOM, REQUESTS_FREE, REQUESTS_ROOM, TRACED,
    SEGMENT, BUDGET_LEFT, FREE_TABLES, TABLE_HEAD, TABLE_TAIL, TABLES_WAITING,
    LOG_LAST, LOG_DONE, LOG_RECEIVED, LOG_MATCHED, LOG_GENERATION, LOG_SHIPPED, LOG_SHIP_LAST, LOG_MATCHES, LOG_MATCH_LAST,
    LOG_PRIMARY, UPLINK_HEAD, UPLINK_TAIL, UPLINK_BUSY, BATCH_BEGIN, BATCH_END, BATCHES, DOWN_LAST, LAST_TICKET,
    DB_HEAD, DB_TAIL, DB_FREE, TRANSACTIONS, LINK_WIDTH, SEGMENTS_COUNT, WORKERS_MAX, COOKS_MAX,
    LOAD,
) = range(30, 30 + 45)  # fmt: skip
# Where tables begin.
(
    HEAP_TICK, HEAP_KEY, HEAP_LOAD, TIMETABLE, ROWS, SERVERS, LANES, PEOPLE, ITEMS_STATE, REQUESTS, FREE_REQUESTS, NODES_AT,
    WORKERS, FREE_WORKERS, HELD, QUEUES, DEVICES, LOG, AT_CLOUD, TICKETS_LEFT, UPLINK, TABLE_QUEUE, CONNECTION, FREE_CONNECTIONS,
    STATION, STATION_NEXT, FREE_COOKS, LINK_AT, LINK, LINK_ONLY, SEGMENT_AT, SEGMENT_TABLE, TRACE, END,
) = range(80, 80 + 34)  # fmt: skip
HEADER = 120

# A lane: one of a diner's two devices.
(
    L_DOOR, L_NODE, L_ATTEMPTS, L_WAKES, L_ACTIVE, L_PHASE, L_KIND, L_ITEM, L_DEADLINE, L_WHICH, L_ROUND, L_HINTED, L_CODE,
    L_VALUE, L_POLLS, LANE_SIZE,
) = range(16)  # fmt: skip
# A person.
P_DECIDED, P_ASKING, P_WHICH, P_MEANT, P_PAY_DEADLINE, P_PAYMENT, P_TENDER, P_PAYMENTS, P_WAITS, PERSON_SIZE = range(10)
# An entry of the log.
I_STATE, I_FIRST, I_LAST, ITEM_SIZE = range(4)
# A request at a server.
(
    R_KIND, R_ENTITY, R_ATTEMPT, R_ITEM, R_DEADLINE, R_NODE, R_CLIENT, R_ARRIVED, R_TIME, R_NEXT, R_BEFORE, REQUEST_SIZE,
) = range(12)  # fmt: skip
# A node.
N_WAITING, N_FREE, N_HELD, N_LIFE, N_WORKERS, N_SHAPE, NODE_SIZE = range(7)
# One level of a node's queue.
Q_FIRST, Q_LAST, QUEUE_SIZE = range(3)
# A device's disk.
D_FLUSHED, D_FLUSHING, D_FLUSHES, DEVICE_SIZE = range(4)
# A station of the kitchen.
S_COOKS, S_SETUP, S_ITEM, S_SHAPE, S_BATCH, S_STAGE, S_FREE, S_FIRST, S_LAST, STATION_SIZE = range(10)

# Floats.
FLUSH, FLUSH_SPREAD, TRANSACTION, TRANSACTION_SPREAD, CONFIRM, DECLINE_SHARE = range(6)
SERVICE, SERVICE_SPREAD, COOK_SPREAD, LINK_LOSS, LINK_ERROR = 6, 40, 50, 60, 0
"""`LINK_ERROR` follows the losses, `LINK_WIDTH` a link."""
KINDS = 7
FINE, HEAP_FULL, REQUESTS_FULL, TRACE_FULL = range(4)


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is room for; a run that needs more is begun anew with twice as much."""

    heap: int
    requests: int
    trace: int


def lay_out(plan: Plan, timetable: Integers, key: Key, room: Room) -> tuple[Integers, Floats]:
    """Both arrays, ready for the first event."""
    diners, width = len(timetable), plan.link_at.shape[1]
    orders = diners if plan.orders else 0  # who orders nothing needs no devices, entries and tickets
    workers, cooks = int(plan.workers.max()), max(1, int(plan.cooks.max()))
    sizes = {
        HEAP_TICK: room.heap, HEAP_KEY: room.heap, HEAP_LOAD: room.heap, TIMETABLE: diners * COLUMNS,
        ROWS: diners * len(FIELDS), SERVERS: NODES * len(COUNTERS), LANES: 2 * orders * LANE_SIZE, PEOPLE: diners * PERSON_SIZE,
        ITEMS_STATE: 3 * orders * ITEM_SIZE, REQUESTS: room.requests * REQUEST_SIZE, FREE_REQUESTS: room.requests,
        NODES_AT: NODES * NODE_SIZE, WORKERS: NODES * workers, FREE_WORKERS: NODES * workers, HELD: NODES * workers,
        QUEUES: NODES * LEVELS * QUEUE_SIZE, DEVICES: 2 * DEVICE_SIZE, LOG: 6 * orders + 8, AT_CLOUD: 2 * orders,
        TICKETS_LEFT: 2 * orders, UPLINK: 2 * orders + 1, TABLE_QUEUE: diners + 1, CONNECTION: plan.connections,
        FREE_CONNECTIONS: plan.connections, STATION: plan.stations * STATION_SIZE, STATION_NEXT: plan.stations * 2 * orders,
        FREE_COOKS: plan.stations * cooks, LINK_AT: plan.link_at.size, LINK: plan.link.size, LINK_ONLY: plan.link_at.size,
        SEGMENT_AT: len(plan.segment_at), SEGMENT_TABLE: plan.segment.size, TRACE: 2 * room.trace,
    }  # fmt: skip
    m = np.zeros(HEADER + sum(sizes.values()), dtype=np.int64)
    place = HEADER
    for cell, size in sizes.items():
        m[cell], place = place, place + size
    m[END] = place

    def fill(cell: int, values: Integers | list[int]) -> None:
        flat = np.asarray(values, dtype=np.int64).ravel()
        m[m[cell] : m[cell] + len(flat)] = flat

    for number, name in enumerate(_PLAN):
        m[number] = getattr(plan, name)
    m[KEY_LOW], m[KEY_HIGH], m[DINERS] = key.low, key.high, diners
    m[HEAP_ROOM], m[REQUESTS_ROOM], m[TRACED] = room.heap, room.requests, room.trace
    m[BUDGET_LEFT], m[FREE_TABLES], m[DB_HEAD], m[DB_TAIL] = plan.retry_burst, plan.tables, -1, -1
    m[LINK_WIDTH], m[SEGMENTS_COUNT], m[WORKERS_MAX], m[COOKS_MAX] = width, len(plan.segment_at), workers, cooks
    fill(TIMETABLE, timetable)
    lanes = np.zeros((orders, 2, LANE_SIZE), dtype=np.int64)
    people = np.zeros((diners, PERSON_SIZE), dtype=np.int64)
    if diners:
        people[:, P_TENDER] = timetable[:, TENDER]
    if orders:
        doors = np.stack([timetable[:, DOOR], timetable[:, DOOR] ^ (timetable[:, TAPS] == TWO_DOORS)], axis=1)
        lanes[:, :, L_DOOR] = doors
        lanes[:, :, L_NODE] = np.where(doors == 1, CLOUD, timetable[:, [FIRST_EDGE, FIRST_EDGE]])
    fill(LANES, lanes)
    fill(PEOPLE, people)
    items = np.full((3 * orders, ITEM_SIZE), -1, dtype=np.int64)
    items[:, I_STATE] = 0
    fill(ITEMS_STATE, items)
    fill(FREE_REQUESTS, list(range(room.requests - 1, -1, -1)))
    m[REQUESTS_FREE] = room.requests
    nodes = np.zeros((NODES, NODE_SIZE), dtype=np.int64)
    nodes[:, N_FREE] = nodes[:, N_WORKERS] = plan.workers
    nodes[:, N_SHAPE] = plan.service_shape
    fill(NODES_AT, nodes)
    fill(WORKERS, np.full(NODES * workers, -1, dtype=np.int64))
    free = np.zeros((NODES, workers), dtype=np.int64)
    for node in range(NODES):
        count = int(plan.workers[node])
        free[node, :count] = np.arange(count - 1, -1, -1)
    fill(FREE_WORKERS, free)
    fill(QUEUES, np.full(NODES * LEVELS * QUEUE_SIZE, -1, dtype=np.int64))
    fill(LOG, [-1])
    fill(FREE_CONNECTIONS, list(range(plan.connections - 1, -1, -1)))
    m[DB_FREE] = plan.connections
    stations = np.zeros((plan.stations, STATION_SIZE), dtype=np.int64)
    for column, values in (
        (S_COOKS, plan.cooks), (S_SETUP, plan.setup), (S_ITEM, plan.per_item), (S_SHAPE, plan.cook_shape), (S_BATCH, plan.batch),
        (S_STAGE, plan.stage), (S_FREE, plan.cooks),
    ):  # fmt: skip
        stations[:, column] = values
    stations[:, [S_FIRST, S_LAST]] = -1
    fill(STATION, stations)
    free_cooks = np.zeros((plan.stations, cooks), dtype=np.int64)
    for station in range(plan.stations):
        count = int(plan.cooks[station])
        free_cooks[station, :count] = np.arange(count - 1, -1, -1)
    fill(FREE_COOKS, free_cooks)
    fill(LINK_AT, plan.link_at)
    fill(LINK, plan.link)
    fill(LINK_ONLY, plan.link_error_orders_only)
    fill(SEGMENT_AT, plan.segment_at)
    fill(SEGMENT_TABLE, plan.segment)
    return m, _floats(plan)


def _floats(plan: Plan) -> Floats:
    lossy = LINK_LOSS + plan.link_loss.size
    f = np.zeros(lossy + plan.link_error.size)
    f[FLUSH], f[FLUSH_SPREAD] = plan.flush, plan.flush_spread
    f[TRANSACTION], f[TRANSACTION_SPREAD] = plan.transaction, plan.transaction_spread
    f[CONFIRM], f[DECLINE_SHARE] = plan.confirm, plan.decline_share
    f[SERVICE : SERVICE + plan.service.size] = plan.service.ravel()
    f[SERVICE_SPREAD : SERVICE_SPREAD + NODES] = plan.service_spread
    f[COOK_SPREAD : COOK_SPREAD + plan.stations] = plan.cook_spread
    f[LINK_LOSS:lossy] = plan.link_loss.ravel()
    f[lossy:] = plan.link_error.ravel()
    return f


def rows_of(m: Integers) -> Integers:
    """The diners' rows."""
    return m[m[ROWS] : m[ROWS] + m[DINERS] * len(FIELDS)].reshape(-1, len(FIELDS)).copy()


def servers_of(m: Integers) -> Integers:
    """The servers' counters."""
    return m[m[SERVERS] : m[SERVERS] + NODES * len(COUNTERS)].reshape(NODES, -1).copy()


def trace_of(m: Integers) -> Integers:
    """The (tick, key) of every event."""
    return m[m[TRACE] : m[TRACE] + 2 * m[EVENTS]].reshape(-1, 2).copy()


assert len(LINKS) == 7
assert (PRIMARY, TWO) == (0, 1)
assert SEGMENT_COLUMNS == 17
assert NEVER > 0
