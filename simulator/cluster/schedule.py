"""What is to happen in one run, drawn from a seed: stores, policy, orders, faults. A value: it can be shrunk and stored."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from refsystem.protocol.admission import Policy
from refsystem.protocol.timing import Timing
from simulator.cluster.clock import MS, drawn_us
from simulator.cluster.schedule_checks import (
    AMOUNT_MAX,
    AT_US_MAX,
    NUMBER_MAX,
    QUANTITY_MAX,
    SEED_LIMIT,
    STORES_MAX,
    OneOf,
    Rules,
    ScheduleError,
    Whole,
    build,
    built,
    check_fields,
    shown,
)
from simulator.streams import Streams

Door = Literal["edge", "cloud", "both"]
ArbiterPlace = Literal["in_store", "in_cloud"]

TIMING = Timing(
    heartbeat_us=20 * MS,
    standby_timeout_us=180 * MS,
    primary_timeout_us=140 * MS,
    register_retry_us=80 * MS,
    join_interval_us=40 * MS,
    resend_us=120 * MS,
    flush_limit_us=300 * MS,
    request_timeout_us=800 * MS,
    entries_per_append_max=4,
    entries_in_flight_max=10,
    grow_lag_max=3,
    waiting_max=20,
    uncommitted_max=40,
    known_places_max=12,
    entries_per_batch_max=2,
    entries_per_branch_answer_max=4,
)
"""Short limits, so that every one of them is reached."""

ORDERS = 100
WINDOW_US = 3_500 * MS
STRIKES_MAX = 14
MAIN_KINDS = 4

FAULT_KINDS = (
    "link cut",
    "peer cut",
    "arbiter cut",
    "wan cut",
    "peer reconnect",
    "device crash",
    "short restart",
    "store power cut",
    "device paused",
    "disk lost",
    "disk slow",
    "arbiter down",
    "arbiter slow",
    "stuck disk and slow arbiter",
    "clock step",
    "cloud restart",
    "database slow",
    "kitchen restart",
    "kitchen frozen",
    "break glass",
)
WHOLE_STORE = (
    "store power cut",
    "wan cut",
    "arbiter down",
    "cloud restart",
    "database slow",
    "kitchen restart",
    "kitchen frozen",
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: `kind` of `FAULT_KINDS`, on `store` (from 0) and device "a" or "b"; `amount` is the kind's own measure."""

    number: int
    at_us: int
    kind: str
    store: int
    target: str
    for_us: int
    amount: int = 0

    @property
    def what(self) -> str:
        """The fault without its moment."""
        where = f"store {self.store + 1}" + ("" if self.kind in WHOLE_STORE else f" device {self.target}")
        return f"{self.kind} at {where} for {self.for_us / MS:.1f} ms"

    def describe(self) -> str:
        """One line, the moment first."""
        return f"{self.at_us / MS:8.1f} ms  {self.what}"


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One person's order. `retap_us`: a second submission beside the first; `other_us`: the same key with another body."""

    number: int
    at_us: int
    store: int
    door: Door
    quantity: int
    retap_us: int | None = None
    other_us: int | None = None
    asks_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run. Draws within the run are keyed by `seed` and entity, so a strike or an order less leaves the others' alone."""

    seed: int
    stores: int
    policy: Policy
    arbiter: ArbiterPlace
    window_us: int
    strikes: tuple[Strike, ...]
    orders: tuple[PlannedOrder, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: object) -> Schedule:
        """The schedule that `to_json` gave. Raises `ScheduleError` for anything else."""
        schedule = build("the schedule", cls, raw)
        strikes = built("strikes", schedule.strikes, lambda place, strike: build(place, Strike, strike))
        orders = built("orders", schedule.orders, lambda place, order: build(place, PlannedOrder, order))
        schedule = replace(schedule, strikes=strikes, orders=orders)
        schedule.check()
        return schedule

    def check(self) -> None:
        """Raises `ScheduleError` unless it can be run."""
        check_fields("", self, SCHEDULE_RULES)
        for name, parts, part_type, rules in (
            ("strikes", self.strikes, Strike, STRIKE_RULES),
            ("orders", self.orders, PlannedOrder, ORDER_RULES),
        ):
            for index, part in enumerate(built(name, parts, lambda _, part: part)):
                if not isinstance(part, part_type):
                    raise ScheduleError(f"{name}[{index}] must be a {part_type.__name__}, not {shown(part)}")
                check_fields(f"{name}[{index}].", part, rules)
                if part.at_us >= self.window_us:
                    raise ScheduleError(
                        f"{name}[{index}].at_us is {part.at_us}, and the window ends at {self.window_us}"
                    )


AT = Whole(0, AT_US_MAX)
AT_OR_NEVER = Whole(0, AT_US_MAX, optional=True)
STRIKE_RULES: Rules = {
    "number": Whole(0, NUMBER_MAX),
    "at_us": AT,
    "kind": OneOf(FAULT_KINDS),
    "store": Whole(0, STORES_MAX - 1),
    "target": OneOf(("a", "b")),
    "for_us": AT,
    "amount": Whole(0, AMOUNT_MAX),
}
ORDER_RULES: Rules = {
    "number": Whole(0, NUMBER_MAX),
    "at_us": AT,
    "store": Whole(0, STORES_MAX - 1),
    "door": OneOf(get_args(Door)),
    "quantity": Whole(1, QUANTITY_MAX),
    "retap_us": AT_OR_NEVER,
    "other_us": AT_OR_NEVER,
    "asks_at_us": AT_OR_NEVER,
}
SCHEDULE_RULES: Rules = {
    "seed": Whole(0, SEED_LIMIT - 1),
    "stores": Whole(1, STORES_MAX),
    "policy": OneOf(get_args(Policy)),
    "arbiter": OneOf(get_args(ArbiterPlace)),
    "window_us": AT,
}


def draw_schedule(seed: int) -> Schedule:
    """The schedule of `seed`. Each seed favours a few kinds of fault, so that they meet one another (swarm testing)."""
    generator = random.Random(Streams(seed).bits(64, "schedule"))
    stores = 2 if generator.random() < 0.1 else 1
    policy: Policy = "require_r2" if generator.random() < 0.15 else "available"
    arbiter: ArbiterPlace = "in_cloud" if generator.random() < 0.2 else "in_store"
    orders = tuple(_draw_order(generator, number, stores) for number in range(ORDERS))
    kinds = [generator.choice(FAULT_KINDS) for _ in range(MAIN_KINDS)]
    strikes = tuple(
        _draw_strike(generator, number, kinds, stores) for number in range(generator.randrange(STRIKES_MAX + 1))
    )
    return Schedule(seed, stores, policy, arbiter, WINDOW_US, strikes, orders)


def _draw_order(generator: random.Random, number: int, stores: int) -> PlannedOrder:
    at_us = generator.randrange(WINDOW_US)
    door_draw, retap, other, asks = (generator.random() for _ in range(4))
    door: Door = "cloud" if door_draw < 0.1 else "both" if door_draw < 0.25 else "edge"
    return PlannedOrder(
        number,
        at_us,
        generator.randrange(stores),
        door,
        1 + generator.randrange(3),
        drawn_us(generator, 0, 60 * MS) if retap < 0.15 else None,
        drawn_us(generator, 0, 50 * MS) if other < 0.04 and door == "edge" else None,
        generator.randrange(WINDOW_US) if asks < 0.4 else None,
    )


def _draw_strike(generator: random.Random, number: int, kinds: list[str], stores: int) -> Strike:
    kind = generator.choice(kinds if generator.random() < 0.75 else FAULT_KINDS)
    return Strike(
        number,
        generator.randrange(WINDOW_US // 2 if kind == "break glass" else WINDOW_US),
        kind,
        generator.randrange(stores),
        generator.choice("ab"),
        drawn_us(generator, 10 * MS, 700 * MS),
        generator.randrange(1_000_000),
    )
