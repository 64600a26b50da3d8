"""The explorer's world: virtual time, links that lose and delay, disks that lose what is not flushed, arbiter, receivers.

Everything is drawn from one seeded generator, so a seed replays to the same events.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from refsystem.ordering.order import Order
from refsystem.protocol import arbiter as arbiter_rule
from refsystem.protocol.device import FeedAnswer
from refsystem.protocol.log import GENESIS, Cursor, Entry
from refsystem.protocol.messages import (
    PersistOp,
    Register,
    RegisterRead,
    RegisterState,
    RegisterSwap,
    SetAside,
    StoreCommit,
    StoreEntries,
    StoreEpoch,
)
from refsystem.protocol.uplink import Accepted, Batch, Gap, HashMismatch, StaleSender, judge_batch

MS = 1_000


class Violation(Exception):
    """The protocol did what it promises not to do."""


class Clock:
    """Virtual time in microseconds, and what is to happen."""

    def __init__(self, seed: int, tracing: bool = False) -> None:
        self.random = random.Random(seed)
        self.now_us = 0
        self.goals: Counter[str] = Counter()
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._tracing = tracing

    def after(self, delay_us: int, action: Callable[..., None], *args: Any) -> None:
        """Do `action(*args)` in `delay_us`."""
        self._count += 1
        heapq.heappush(self._events, (self.now_us + max(0, delay_us), self._count, action, args))

    def run_until(self, until_us: int, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass up to `until_us`, or until `done`, which is asked every 10 ms; whether it was done."""
        asked_us = self.now_us
        while self._events and self._events[0][0] <= until_us:
            if done is not None and self._events[0][0] - asked_us >= 10 * MS:
                asked_us = self._events[0][0]
                if done():
                    return True
            self.now_us, _, action, args = heapq.heappop(self._events)
            action(*args)
        self.now_us = until_us
        return done is not None and done()

    def chance(self, share: float) -> bool:
        """True in this share of the calls."""
        return self.random.random() < share

    def between(self, low_us: int, high_us: int) -> int:
        """A whole number of microseconds, small ones being likelier than large ones."""
        return low_us + int((high_us - low_us) * self.random.random() ** 2)

    def trace(self, text: str) -> None:
        """Print what happens, when replaying."""
        if self._tracing:
            print(f"{self.now_us / MS:10.3f} ms  {text}")  # noqa: T201

    @property
    def tracing(self) -> bool:
        """Whether traces are printed: making their text costs time."""
        return self._tracing


class Link:
    """One direction between two places. In order within a connection; `reconnect` loses or delays what is under way."""

    def __init__(self, clock: Clock, name: str, ordered: bool = True) -> None:
        self.name = name
        self.cut = False
        self.latency_us = clock.between(200, 4 * MS)
        self.slow_us = 0
        self.lost_share = clock.random.choice((0.0, 0.0, 0.01, 0.05))
        self.repeated_share = clock.random.choice((0.0, 0.0, 0.02))
        self._clock = clock
        self._ordered = ordered
        self._free_at_us = 0
        self._connection = 0

    def send(self, deliver: Callable[..., None], *args: Any) -> None:
        """Carry a message: `deliver(*args)` at the other end, later or never."""
        if self.cut or self._clock.chance(self.lost_share):
            return
        self._carry(deliver, args)
        if self._clock.chance(self.repeated_share):
            self._clock.after(self._clock.between(MS, 500 * MS), self._arrive_late, deliver, args)

    def reconnect(self) -> None:
        """The connection breaks and is made anew."""
        self._connection += 1
        self._free_at_us = 0

    def heal(self) -> None:
        """No fault any more."""
        self.cut, self.slow_us, self.lost_share, self.repeated_share = False, 0, 0.0, 0.0

    def _carry(self, deliver: Callable[..., None], args: tuple[Any, ...]) -> None:
        now_us = self._clock.now_us
        arrive_us = now_us + self.latency_us + self._clock.between(0, self.latency_us + self.slow_us)
        if self._ordered:
            arrive_us = self._free_at_us = max(arrive_us, self._free_at_us)
        self._clock.after(arrive_us - now_us, self._arrive, self._connection, deliver, args)

    def _arrive(self, connection: int, deliver: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.cut or connection != self._connection:
            if self._clock.chance(0.5):
                self._clock.after(self._clock.between(MS, 600 * MS), self._arrive_late, deliver, args)
            return
        deliver(*args)

    def _arrive_late(self, deliver: Callable[..., None], args: tuple[Any, ...]) -> None:
        if not self.cut:
            deliver(*args)


class Disk:
    """What is flushed on one device. An empty disk is a new node."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.epoch = 0
        self.commit_seq = 0
        self.entries: list[Entry] = []
        self.set_aside: list[Entry] = []

    def apply(self, ops: tuple[PersistOp, ...]) -> None:
        """One transaction."""
        for op in ops:
            match op:
                case StoreEpoch(epoch):
                    self.epoch = epoch
                case StoreCommit(commit_seq):
                    self.commit_seq = commit_seq
                case SetAside(from_seq, _):
                    self.set_aside.extend(self.entries[from_seq - 1 :])
                    del self.entries[from_seq - 1 :]
                case StoreEntries(entries):
                    if entries[0].seq != len(self.entries) + 1:
                        raise Violation(f"{self.node_id} flushes entry {entries[0].seq} behind {len(self.entries)}")
                    self.entries.extend(entries)

    def holds(self, place: Cursor) -> bool:
        """Whether this very entry is flushed."""
        return place.seq <= len(self.entries) and self.entries[place.seq - 1].hash == place.hash


class Arbiter:
    """The register, with the history of what it was; a step that no clause names is a violation."""

    def __init__(self, clock: Clock, primary: str) -> None:
        self.register = Register(1, primary, (primary,), "set-up")
        self.history = {1: self.register}
        self.up = True
        self._clock = clock

    def receive(self, request: RegisterRead | RegisterSwap, answer: Callable[..., None]) -> None:
        """Take a request; `answer(state)` carries the answer back."""
        if not self.up:
            return
        if isinstance(request, RegisterSwap):
            new = arbiter_rule.swap(self.register, request)
            assert new is not None
            if new != self.register:
                _check_step(self.register, new)
                self._clock.trace(f"arbiter: {new}")
                self.register = self.history[new.epoch] = new
        answer(RegisterState(request.request_id, self.register))


def _check_step(old: Register, new: Register) -> None:
    """P7, P8, P9, P11 written down again, independently of the arbiter's own rule."""
    pair = {old.primary, new.primary} | set(old.members) | set(new.members)
    same = old.primary == new.primary
    steps = {
        "shrink": same and new.members == (new.primary,),
        "grow": same and len(old.members) == 1 and len(new.members) == 2 and new.members[0] == new.primary,
        "promote": not same and new.primary in old.members and new.members == (new.primary,),
        "restart": same and new.members == old.members,
    }
    if new.epoch != old.epoch + 1 or not any(steps.values()) or len(pair) > 2 or new.claim == old.claim:
        raise Violation(f"the register moved from {old} to {new}")


class Receiver:
    """A kitchen display or the cloud's ingest: judges batches, and remembers what it took (P13, P14)."""

    def __init__(self, clock: Clock, name: str, check: Callable[[str, Entry], None]) -> None:
        self.cursor = GENESIS
        self.highest_epoch = 0
        self.bumps: dict[str, bool] = {}
        self.keys: dict[str, str] = {}
        self._clock = clock
        self._name = name
        self._check = check

    def receive(self, batch: Batch, answer: Callable[..., None]) -> None:
        """Judge and store in one step, then answer."""
        judgement = judge_batch(self.cursor, self.highest_epoch, batch)
        match judgement:
            case StaleSender(highest_epoch):
                self._clock.goals["a stale sender refused"] += 1
                answer(FeedAnswer(highest_epoch=highest_epoch))
                return
            case HashMismatch(seq, detail):
                raise Violation(f"{self._name} at {seq}: {detail}")
            case Gap():
                result = FeedAnswer()
            case Accepted(entries, cursor):
                for entry in entries:
                    self._check(self._name, entry)
                    self._keep(entry)
                self.cursor = cursor
                waiting = [key for key, back in self.bumps.items() if not back][:3]
                result = FeedAnswer(cursor, tuple((key, 1, "kitchen") for key in waiting))
        self.highest_epoch = max(self.highest_epoch, batch.sender_epoch)
        answer(result)

    def _keep(self, entry: Entry) -> None:
        content = entry.content()
        if content["kind"] == "order":
            if content["order_id"] in self.keys:
                raise Violation(f"{self._name} is shown order {content['order_id']} twice")
            self.keys[content["order_id"]] = content["body_hash"]
            if self._name == "kitchen" and self._clock.chance(0.3):
                self.bumps[content["order_id"]] = False
        elif content["kind"] == "bump" and content["order_id"] in self.bumps:
            self.bumps[content["order_id"]] = True


class Cloud(Receiver):
    """Beside the ingest: orders that enter at the cloud, numbered for the store in the order in which they become visible."""

    def __init__(self, clock: Clock, check: Callable[[str, Entry], None]) -> None:
        super().__init__(clock, "cloud", check)
        self.orders: list[Order] = []

    def order(self, order: Order) -> bool:
        """The cloud's door: True if acknowledged (RC), False if the key was used for something else."""
        known = next((held.body_hash for held in self.orders if held.order_id == order.order_id), None)
        known = known or self.keys.get(order.order_id)
        if known is None:
            self.orders.append(order)
        return known is None or known == order.body_hash

    def downlink(self, after: int, answer: Callable[..., None]) -> None:
        """The orders behind number `after`."""
        answer([(number, self.orders[number - 1]) for number in range(after + 1, min(len(self.orders), after + 4) + 1)])
