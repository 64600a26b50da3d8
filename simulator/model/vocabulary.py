"""The model's vocabulary, which both engines share: events and their order, kinds of requests, answers, and conditions.

An event is (tick, key), and its key is made of its class, its entity and an argument. Events of one tick happen in the order of
their keys: what they *are* orders them, never when they were scheduled. So two engines that schedule the same events have the
same course, and one number, the hash of all (tick, key) in order, tells whether they do.
"""

from __future__ import annotations

from enum import IntEnum

ENTITY_BITS = 32
ARGUMENT_BITS = 24
ARGUMENT_MAX = (1 << ARGUMENT_BITS) - 1


class Event(IntEnum):
    """Classes of events, first to last within a tick. The comment: entity; argument."""

    SEGMENT = 1  # number of the segment of the store's condition; -
    FLUSHED = 2  # device; generation
    SHIPPED = 3  # sequence number in the log; generation
    MATCHED = 4  # sequence number in the log; generation
    WORKED = 5  # node; worker
    STORED = 6  # connection of the pool; -
    UPLINKED = 7  # batch; -
    COOKED = 8  # first order of the batch; station and cook
    TICKET = 9  # order; -
    DOWN = 10  # order; try
    UP = 11  # batch; try
    GATEWAY = 12  # diner; number of the payment
    REQUEST = 13  # lane; attempt
    ANSWER = 14  # lane; attempt
    TIMEOUT = 15  # lane; attempt
    WAKE = 16  # lane; number of the waking
    DEPART = 17  # diner; -
    RENEGE = 18  # diner; -
    DELAYED = 19  # lane; attempt
    FREED = 20  # lane; attempt
    LOOK = 21  # node; -
    PACED = 22  # batch; -
    WEBHOOK = 23  # diner; try
    PUSH = 24  # diner; try
    HEARD = 25  # diner; try
    ACCEPTED = 26  # diner; -
    EXPIRED = 27  # diner; -
    CANCELLED = 28  # diner; -
    SECTION = 29  # number of the change of tables; -
    ARRIVAL = 31  # diner; -


CLASS_SHIFT = ENTITY_BITS + ARGUMENT_BITS
HASH_SEED = 0xCBF29CE484222325
HASH_PRIME = 0x100000001B3
HASH_MIX = 0x9E3779B97F4A7C15


class Kind(IntEnum):
    """Kinds of requests at a server."""

    MENU = 0
    ORDER = 1
    READ = 2
    PAY = 3
    LOOK = 4
    DOWNLINK = 5
    INGEST = 6
    REFUSAL = 7  # whatever the gate refuses; what it wants is when to come back
    WEBHOOK = 8  # a delivery platform pushes an order


OPENED = 1 << len(Kind)
"""Of what a connection of the database is ready for: it is open. Below stand the kinds of request that it has prepared."""
PRIORITY = (2, 1, 2, 0, 2, 1, 1, 2, 1)
"""By kind, when the remedy `priority` is on: the smaller the sooner."""
LEVELS = 3


class Code(IntEnum):
    """What a device was told. From ELSEWHERE on it asks again: at the other place after ELSEWHERE, FENCED and no reply at all."""

    OK = 0
    DONE = 1  # yes, and the order is served, or the check closed
    ELSEWHERE = 2  # not the primary; the other device is
    FENCED = 3  # not the primary, and nobody is known to be
    TROUBLE = 4  # no answer in time, refused, reset, or a 5xx on the way
    BUSY = 5  # 503 before anything was done
    TOO_LATE = 6  # patience ended before anything could be sent


NO_REPLY, A_REPLY = 0, 1
COME_BACK_US = 1_000_000
"""What comes with TROUBLE: nothing came back, a 5xx did, or a 503 of the stack's own, which says when to ask again, in ticks from
then (`refsystem.problems.RETRY_AFTER_S`). With BUSY comes such a time, too."""
REFUSED_US = 1_000
"""How long a device takes to learn that a link refuses connections. [G]"""


class Level(IntEnum):
    """Level of an acknowledgement."""

    NONE = 0
    R1 = 1
    R2 = 2
    RC = 3


class Condition(IntEnum):
    """How a process is."""

    UP = 0
    PAUSED = 1
    DOWN = 2


class Outcome(IntEnum):
    """How a diner's visit ended."""

    INSIDE = 0
    SERVED = 1  # got an order
    BALKED = 2
    RENEGED = 3
    REFUSED = 4  # gave up; the last word was no
    UNANSWERED = 5  # gave up without a definite answer
    DINED = 6  # table only
    EXPIRED = 7  # at a delivery platform: not accepted in time
    CANCELLED = 8  # at a delivery platform, by whoever ordered


EDGE_A, EDGE_B, CLOUD = 0, 1, 2
NODES = 3
NO_PRIMARY = -1

# What a message takes, in bytes. [G]
REQUEST_BYTES = 700
ANSWER_BYTES = 500
MENU_BYTES = 8_000
ENTRY_BYTES = 900
ABSENT, PENDING, COMMITTED = range(3)
"""How an entry of the log stands."""
COOK_BITS = 12
COOK_UNLIMITED = (1 << COOK_BITS) - 1
UPLINK_BATCH_MAX = 200
ASKED_AGAIN_US = 500_000
"""An internal exchange that found nobody is tried again after this time."""


def key_of(event: int, entity: int, argument: int) -> int:
    """The key of an event."""
    return (event << CLASS_SHIFT) | (entity << ARGUMENT_BITS) | argument


def event_name(tick: int, key: int) -> str:
    """An event in words, for whoever looks at a divergence."""
    event = Event(key >> CLASS_SHIFT)
    entity = (key >> ARGUMENT_BITS) & ((1 << ENTITY_BITS) - 1)
    return f"{tick} us {event.name} entity {entity} argument {key & ARGUMENT_MAX}"
