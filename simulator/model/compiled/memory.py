"""The memory of the compiled engine: one array of whole numbers and one of floats.

Compiled functions take the two arrays and nothing else, which keeps calls and compilation cheap. `m` begins with named cells
(the clock, counters, the plan's numbers); behind them lie tables of records, each at the place that a cell names. A record is
addressed by its first place: `lane = m[LANES] + number * LANE_SIZE`, then `m[lane + PHASE]`. The timetable and the rows are
arrays of their own, outside of `m`; their places are counted from its beginning all the same.

What a plan alone decides is laid out once for each plan. The rest is fresh for each run (`run.begin` fills it), in memory that
each thread uses again and again, because a run of a few milliseconds would else spend a part of them on getting it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from refsystem.overload.pacing import UPLINK_PACE
from refsystem.overload.priority import PRIORITIES
from simulator.model.draws import Key
from simulator.model.laws import NEVER
from simulator.model.links import LINKS
from simulator.model.people import AT
from simulator.model.plan import PRIMARY, SEGMENT_COLUMNS, TWO, Plan
from simulator.model.records import ABSENT, COUNTERS, FIELDS
from simulator.model.vocabulary import HASH_SEED, LEVELS, NODES, OPENED, Kind

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
GATE_PRIORITIES = len(PRIORITIES)

# Numbers of the plan, by the names of its fields.
_PLAN = (
    "orders", "tables", "table_queue_max", "attempts_max", "backoff", "backoff_max", "attempt_timeout", "polls_max", "retap",
    "pay_patience", "queue_max", "waiting_max", "deadline_drop", "priority", "lifo_after", "retry_after",
    "retry_budget", "retry_burst", "flush_shape", "connections", "connections_open", "connect_round_trips",
    "transaction_shape", "stations", "stages",
    "gates", "manners", "platform", "accepts_at_cloud", "accept_within", "push_again", "slow_extra", "duration",
)  # fmt: skip
(
    ORDERS, TABLES, TABLE_QUEUE_MAX, ATTEMPTS_MAX, BACKOFF, BACKOFF_MAX, ATTEMPT_TIMEOUT, POLLS_MAX, RETAP,
    PAY_PATIENCE, QUEUE_MAX, WAITING_MAX, DEADLINE_DROP, PRIORITY_ON, LIFO_AFTER, RETRY_AFTER,
    RETRY_BUDGET, RETRY_BURST, FLUSH_SHAPE, CONNECTIONS, CONNECTIONS_OPEN, CONNECT_ROUND_TRIPS,
    TRANSACTION_SHAPE, STATIONS, STAGES,
    GATES, MANNERS, PLATFORM_ON, ACCEPTS_AT_CLOUD, ACCEPT_WITHIN, PUSH_AGAIN, SLOW_EXTRA, DURATION,
) = range(len(_PLAN))  # fmt: skip
# Counters and state.
(
    NOW, EVENTS, HASH, STATUS, KEY_LOW, KEY_HIGH, DINERS, HEAP_SIZE, HEAP_ROOM, REQUESTS_FREE, REQUESTS_ROOM, TRACED,
    SEGMENT, SEGMENT_ROW, BUDGET_LEFT, FREE_TABLES, TABLE_HEAD, TABLE_TAIL, TABLES_WAITING,
    LOG_LAST, LOG_DONE, LOG_RECEIVED, LOG_MATCHED, LOG_GENERATION, LOG_SHIPPED, LOG_SHIP_LAST, LOG_MATCHES, LOG_MATCH_LAST,
    LOG_PRIMARY, UPLINK_HEAD, UPLINK_TAIL, UPLINK_BUSY, BATCH_BEGIN, BATCH_END, BATCHES, DOWN_LAST, LAST_TICKET,
    DB_HEAD, DB_TAIL, DB_FREE, TRANSACTIONS, LINK_WIDTH, SEGMENTS_COUNT, WORKERS_MAX, COOKS_MAX,
    LOAD, LINE_FIRST, LINE_END, LINE_LAST, NEXT_ARRIVAL, NEXT_DINER, SLOT, SLOT_BITS, FAR_COUNT, FAR_FREE, FAR_USED,
    NEAR_COUNT, PACE_TOKENS, PACE_AT, TABLES_CHANGES,
) = range(len(_PLAN), len(_PLAN) + 60)  # fmt: skip
# Where tables begin: those of a plan, those of a run, and those outside.
(
    SERVERS, NODES_AT, WORKERS, FREE_WORKERS, HELD, QUEUES, DEVICES, CONNECTION, FREE_CONNECTIONS, STATION, FREE_COOKS, LINK_AT,
    LINK, LINK_ONLY, LINK_NOW, SEGMENT_AT, SEGMENT_TABLE, GATE, ROUND_TRIPS, READY, TABLES_AT, TABLES_MORE,
) = range(TABLES_CHANGES + 1, TABLES_CHANGES + 1 + 22)  # fmt: skip
(
    NEAR, HEAP, LINE, SLOTS, FAR, LANES, PEOPLE, ITEMS_STATE, REQUESTS, FREE_REQUESTS, LOG, AT_CLOUD, TICKETS_LEFT, UPLINK,
    TABLE_QUEUE, STATION_NEXT, TRACE, GATED,
) = range(TABLES_MORE + 1, TABLES_MORE + 1 + 18)  # fmt: skip
TIMETABLE, ROWS = GATED + 1, GATED + 2
HEADER = GATED + 3

# An event to come; in the line of time-outs it has no load; in a slot it has one that follows.
H_TICK, H_KEY, H_LOAD, H_NEXT, EVENT_WIDTH = range(5)
NEAR_ROOM, NEAR_WIDTH = 32, 3
"""The next events stand in order, as columns of their ticks, keys and loads; of more than these the latest half goes into the
heap."""
LINE_WIDTH = 2
LINE_ROOM = 1 << 12
"""Time-outs that may stand in line, a power of two; when it is full they go the way of all others."""
SLOTS_ROOM = 1 << 10
SLOT_EVENTS = 8
EVENTS_EACH = 40
"""Slots for what lies farther ahead, a power of two; each as long as this many events take if each diner causes so many."""
# A lane: one of a diner's two devices.
(
    L_DOOR, L_NODE, L_ATTEMPTS, L_WAKES, L_ACTIVE, L_PHASE, L_KIND, L_ITEM, L_DEADLINE, L_WHICH, L_ROUND, L_HINTED, L_CODE,
    L_VALUE, L_POLLS, L_TOKENS_AT, LANE_SIZE,
) = range(17)  # fmt: skip
# A person.
(
    P_DECIDED, P_ASKING, P_WHICH, P_MEANT, P_PAY_DEADLINE, P_PAYMENT, P_TENDER, P_PAYMENTS, P_WAITS, P_LOOKS_FROM,
    P_NEXT_TRY, P_HEARD, P_SETTLED, P_CALLED, PERSON_SIZE,
) = range(15)  # fmt: skip
# An entry of the log.
I_STATE, I_FIRST, I_LAST, ITEM_SIZE = range(4)
# A request at a server.
(
    R_KIND, R_ENTITY, R_ATTEMPT, R_ITEM, R_DEADLINE, R_NODE, R_CLIENT, R_ARRIVED, R_BEGUN, R_TIME, R_NEXT, R_BEFORE, REQUEST_SIZE,
) = range(13)  # fmt: skip
# A node.
N_WAITING, N_FREE, N_HELD, N_LIFE, N_WORKERS, N_SHAPE, NODE_SIZE = range(7)
# A gate, and after it: each priority's line, the bound on its waiting, and the least latencies.
(
    K_SERVERS, K_DECLARED, K_AT_WORK, K_UNDER_WAY, K_BEHIND, K_LIFE, K_LOOKING, K_FORGETS, K_WAITING, K_FREED_HELD, K_SAMPLES,
    K_WINDOW_ENDS, K_UNDER_WAY_MAX, K_CHANGED, K_CHANGED_LAST, K_OUTSIDE, K_OUTSIDE_LAST, K_HELD, K_HELD_LAST, K_DELAYED,
    K_FORGOTTEN, K_LINES,
) = range(22)  # fmt: skip
(
    LN_FIRST, LN_LAST, LN_WORK, LN_BOUND_ENDS, LN_BOUND_LEAST, LN_STANDING, LN_SEEN, LN_SINCE, LN_LEAST, LN_LEAST_BEFORE,
    LINE_SIZE,
) = range(11)  # fmt: skip
GATE_SIZE = K_LINES + GATE_PRIORITIES * LINE_SIZE
# A request at a gate.
G_STATE, G_LIFE, G_PRIORITY, G_ARRIVED, G_DUE, G_STARTED, G_USEFUL, G_NEXT, G_BEFORE, GATED_SIZE = range(10)
# One level of a node's queue.
Q_FIRST, Q_LAST, QUEUE_SIZE = range(3)
# A device's disk.
D_FLUSHED, D_FLUSHING, D_FLUSHES, DEVICE_SIZE = range(4)
# A station of the kitchen.
S_COOKS, S_SETUP, S_ITEM, S_SHAPE, S_BATCH, S_STAGE, S_FREE, S_FIRST, S_LAST, STATION_SIZE = range(10)

# Floats.
FLUSH, FLUSH_SPREAD, TRANSACTION, TRANSACTION_SPREAD, CONFIRM, DECLINE_SHARE = range(6)
SLOW_SHARE = 72
SERVICE, SERVICE_SPREAD, COOK_SPREAD, GATE_LIMIT, GATE_WAITS, GATE_REFUSED, LINK_LOSS, LINK_ERROR = (
    6,
    40,
    50,
    60,
    64,
    68,
    80,
    0,
)
"""`LINK_ERROR` follows the losses, `LINK_WIDTH` a link."""
KINDS = len(Kind)
FINE, HEAP_FULL, REQUESTS_FULL, TRACE_FULL, UNSORTED = range(5)


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is room for; a run that needs more is begun anew with twice as much."""

    heap: int
    requests: int
    trace: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The arrays of one run. `m` and `f` belong to the thread and are used by its next run; `rows` is this run's own."""

    m: Integers
    f: Floats
    rows: Integers

    @property
    def servers(self) -> Integers:
        """The servers' counters, copied."""
        begin = int(self.m[SERVERS])
        return self.m[begin : begin + NODES * len(COUNTERS)].reshape(NODES, -1).copy()

    @property
    def trace(self) -> Integers:
        """The (tick, key) of every event, copied."""
        begin = int(self.m[TRACE])
        return self.m[begin : begin + 2 * int(self.m[EVENTS])].reshape(-1, 2).copy()


class _Thread(threading.local):
    """What a thread keeps from run to run."""

    plan: Plan | None = None
    start: Integers
    floats: Floats
    arena: Integers = np.empty(0, dtype=np.int64)


_THREAD = _Thread()
KEPT_MAX = 1 << 23
"""A larger memory than this many numbers (64 MB) is not kept."""


def lay_out(plan: Plan, timetable: Integers, key: Key, room: Room) -> Memory:
    """All arrays, the plan's tables filled; the timetable must be C-contiguous and outlive the run."""
    if _THREAD.plan is not plan:
        _THREAD.start, _THREAD.floats = _of_plan(plan)
        _THREAD.plan = plan
    start, diners = _THREAD.start, len(timetable)
    orders = diners if plan.orders else 0  # who orders nothing needs no devices, entries and tickets
    sizes = {
        NEAR: NEAR_WIDTH * NEAR_ROOM, HEAP: room.heap * EVENT_WIDTH, LINE: LINE_ROOM * LINE_WIDTH if orders else 0,
        SLOTS: SLOTS_ROOM, FAR: room.heap * EVENT_WIDTH, LANES: 2 * orders * LANE_SIZE, PEOPLE: diners * PERSON_SIZE,
        ITEMS_STATE: 3 * orders * ITEM_SIZE, REQUESTS: room.requests * REQUEST_SIZE, FREE_REQUESTS: room.requests,
        LOG: 6 * orders + 8, AT_CLOUD: 2 * orders, TICKETS_LEFT: 2 * orders, UPLINK: 2 * orders + 1, TABLE_QUEUE: diners + 1,
        STATION_NEXT: plan.stations * 2 * orders, TRACE: 2 * room.trace, GATED: room.requests * GATED_SIZE if plan.gates else 0,
    }  # fmt: skip
    places = list(accumulate(sizes.values(), initial=len(start)))
    m = _arena(places[-1])
    m[: len(start)] = start
    m[NEAR : NEAR + len(sizes)] = places[:-1]
    rows = np.empty((diners, len(FIELDS)), dtype=np.int64)
    m[TIMETABLE], m[ROWS] = _outside(m, timetable), _outside(m, rows)
    m[KEY_LOW], m[KEY_HIGH], m[DINERS] = key.low, key.high, diners
    m[SLOT_BITS] = (int(timetable[-1, AT]) * SLOT_EVENTS // (EVENTS_EACH * diners) if diners else 1).bit_length()
    m[HEAP_ROOM], m[REQUESTS_ROOM], m[TRACED] = room.heap, room.requests, room.trace
    return Memory(m, _THREAD.floats, rows)


def _arena(size: int) -> Integers:
    """The thread's memory, at least this large."""
    arena = _THREAD.arena
    if size > len(arena):
        arena = np.empty(size + size // 4, dtype=np.int64)
        if len(arena) <= KEPT_MAX:
            _THREAD.arena = arena
    return arena


def _outside(m: Integers, array: Integers) -> int:
    """The place of another array's beginning, counted from that of `m`."""
    distance, rest = divmod(array.ctypes.data - m.ctypes.data, m.itemsize)
    assert rest == 0
    assert array.flags.c_contiguous
    return distance


def _of_plan(plan: Plan) -> tuple[Integers, Floats]:
    """How both arrays begin, whoever comes."""
    width, workers, cooks = plan.link_at.shape[1], int(plan.workers.max()), max(1, int(plan.cooks.max()))
    nodes = np.zeros((NODES, NODE_SIZE), dtype=np.int64)
    nodes[:, N_FREE] = nodes[:, N_WORKERS] = plan.workers
    nodes[:, N_SHAPE] = plan.service_shape
    stations = np.zeros((plan.stations, STATION_SIZE), dtype=np.int64)
    for column, values in (
        (S_COOKS, plan.cooks), (S_SETUP, plan.setup), (S_ITEM, plan.per_item), (S_SHAPE, plan.cook_shape), (S_BATCH, plan.batch),
        (S_STAGE, plan.stage), (S_FREE, plan.cooks),
    ):  # fmt: skip
        stations[:, column] = values
    stations[:, [S_FIRST, S_LAST]] = -1
    tables: dict[int, Any] = {
        SERVERS: np.zeros(NODES * len(COUNTERS)), NODES_AT: nodes, WORKERS: np.full(NODES * workers, -1),
        FREE_WORKERS: _stacks(plan.workers, workers), HELD: np.zeros(NODES * workers),
        QUEUES: np.full(NODES * LEVELS * QUEUE_SIZE, -1), DEVICES: np.zeros(2 * DEVICE_SIZE),
        CONNECTION: np.zeros(plan.connections), FREE_CONNECTIONS: np.arange(plan.connections - 1, -1, -1),
        STATION: stations, FREE_COOKS: _stacks(plan.cooks, cooks), LINK_AT: plan.link_at, LINK: plan.link,
        LINK_ONLY: plan.link_error_orders_only, LINK_NOW: np.zeros(len(LINKS)), SEGMENT_AT: plan.segment_at,
        SEGMENT_TABLE: plan.segment, GATE: _gates(plan) if plan.gates else np.zeros(0),
        ROUND_TRIPS: plan.round_trips, READY: np.where(np.arange(plan.connections) < plan.connections_open, OPENED, 0),
        TABLES_AT: plan.tables_at, TABLES_MORE: plan.tables_more,
    }  # fmt: skip
    flat = [np.asarray(each, dtype=np.int64).ravel() for each in tables.values()]
    m = np.concatenate([np.zeros(HEADER, dtype=np.int64), *flat])
    m[SERVERS : SERVERS + len(tables)] = list(accumulate((len(each) for each in flat[:-1]), initial=HEADER))
    for number, name in enumerate(_PLAN):
        m[number] = getattr(plan, name)
    m[BUDGET_LEFT], m[FREE_TABLES], m[DB_HEAD], m[DB_TAIL] = plan.retry_burst, plan.tables, -1, -1
    m[TABLES_CHANGES] = len(plan.tables_at)
    m[PACE_TOKENS], m[PACE_AT] = UPLINK_PACE.burst * 1_000_000, ABSENT
    m[DB_FREE], m[LINK_WIDTH], m[SEGMENTS_COUNT], m[WORKERS_MAX], m[COOKS_MAX] = (
        plan.connections, width, len(plan.segment_at), workers, cooks
    )  # fmt: skip
    m[HASH], m[SEGMENT_ROW] = np.uint64(HASH_SEED).astype(np.int64), m[SEGMENT_TABLE]
    return m, _floats(plan)


def _stacks(counts: Integers, width: int) -> Integers:
    """A row for each count: the free numbers below it, the first on top."""
    stacks = np.zeros((len(counts), width), dtype=np.int64)
    for row, count in zip(stacks, counts.tolist(), strict=True):
        row[:count] = np.arange(count - 1, -1, -1)
    return stacks


def _gates(plan: Plan) -> Integers:
    gates = np.zeros((NODES, GATE_SIZE), dtype=np.int64)
    gates[:, K_SERVERS], gates[:, K_DECLARED] = plan.gate_servers, plan.gate_declared
    gates[:, [K_CHANGED, K_CHANGED_LAST, K_OUTSIDE, K_OUTSIDE_LAST, K_HELD, K_HELD_LAST, K_DELAYED]] = -1
    lines = gates[:, K_LINES:].reshape(NODES, GATE_PRIORITIES, LINE_SIZE)
    lines[:, :, [LN_FIRST, LN_LAST]] = -1
    lines[:, :, LN_WORK] = plan.gate_work
    return gates


def _floats(plan: Plan) -> Floats:
    lossy = LINK_LOSS + plan.link_loss.size
    f = np.zeros(lossy + plan.link_error.size)
    f[FLUSH], f[FLUSH_SPREAD] = plan.flush, plan.flush_spread
    f[TRANSACTION], f[TRANSACTION_SPREAD] = plan.transaction, plan.transaction_spread
    f[CONFIRM], f[DECLINE_SHARE], f[SLOW_SHARE] = plan.confirm, plan.decline_share, plan.slow_share
    f[SERVICE : SERVICE + plan.service.size] = plan.service.ravel()
    f[SERVICE_SPREAD : SERVICE_SPREAD + NODES] = plan.service_spread
    f[COOK_SPREAD : COOK_SPREAD + plan.stations] = plan.cook_spread
    f[LINK_LOSS:lossy] = plan.link_loss.ravel()
    f[lossy:] = plan.link_error.ravel()
    return f


assert len(LINKS) == 8
assert (PRIMARY, TWO) == (0, 1)
assert SEGMENT_COLUMNS == 19
assert NEVER > 0
assert len(_PLAN) <= NOW, "the plan's numbers stand before the counters"
