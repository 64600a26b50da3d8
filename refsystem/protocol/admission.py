"""Every path of a request into the log and out of it: keys are looked up first and wait for the commit (P5, P6, P15, P20).

A request is given with a number by the driver; its answer comes out as a `Reply` with that number. Nothing is answered
before its entry is committed, and "not there" only after a round trip that began after the request.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from refsystem.ordering.book import Book
from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import Act
from refsystem.ordering.errors import (
    CHECK_UNKNOWN,
    KEY_REUSED,
    NOT_CONFIRMED,
    NOT_PRIMARY,
    ORDER_INVALID,
    ORDER_UNKNOWN,
    OUTCOME_UNKNOWN,
    OVERLOADED,
    STANDBY_REQUIRED,
    OrderRejected,
    Problem,
)
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Order, check_price, is_derived
from refsystem.ordering.store_acts import StoreAct
from refsystem.protocol.downlink import Downlink, DownlinkOrder, order_record
from refsystem.protocol.log import encode_record
from refsystem.protocol.messages import Reply
from refsystem.protocol.replica import Replica
from refsystem.protocol.returns import Returns
from refsystem.protocol.roles import Role
from refsystem.protocol.store_views import StoreViews

Policy = Literal["available", "require_r2"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request whose entry is not committed yet, or whose absence is not confirmed yet.

    `checks` are those that a read of checks found, as they stood then, and `found` what another read did; None otherwise.
    """

    request_id: int
    since_us: int
    replayed: bool = False
    key_reused: bool = False
    checks: tuple[Check, ...] | None = None
    found: Any = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A read that found nothing: it waits for round trip `round` to the peer, or register read `read` if alone.

    `order_id` is the order that was asked for; empty for checks.
    """

    waiting: Waiting
    order_id: str
    round: int | None
    read: int | None


class Admission:
    """Requests waiting at one device. `policy` "require_r2" acknowledges nothing below R2."""

    def __init__(
        self,
        replica: Replica,
        downlink: Downlink,
        returns: Returns,
        menu: Menu,
        policy: Policy,
        book: Book,
        views: StoreViews,
    ) -> None:
        self._replica = replica
        self._book = book
        self._views = views
        self._returns = returns
        self._menu = menu
        self._policy = policy
        self._waiting: dict[int, list[Waiting]] = {}
        self._confirmations: deque[Confirmation] = deque()
        self._replies: list[Reply] = []
        self._count = 0
        self._fence_count = replica.fence_count
        self._downlink = downlink
        self.reads_wanted = 0
        self.reads_done = 0

    @property
    def count(self) -> int:
        """How many requests wait."""
        return self._count

    def submit(self, request_id: int, order: Order, now_us: int) -> None:
        """An order of a diner. The key comes before any other check (P6)."""

        def decide() -> dict[str, Any]:
            check_price(order, self._menu)
            if is_derived(order.check_id) and not self._book.find(order.check_id):
                raise OrderRejected(ORDER_INVALID, "check_id names a check that a split makes, and there is none")
            self._book.order_check(order.order_id, order.check_id)
            self._views.check_order(order)
            joined = self._book.check_to_join(order.table) if order.joins_table else ""
            fields = {"joined_check_id": joined} if joined else {}
            return order_record(order, "edge") | fields | self._views.order_fields(order)

        self._submit(Waiting(request_id, now_us), order.order_id, order.body_hash, decide)

    def submit_act(self, request_id: int, act: Act | StoreAct, at_ms: int, now_us: int) -> None:
        """An act of a person or of the cashier, by the wall clock `at_ms`. It goes the way of an order (P6)."""
        self._submit(Waiting(request_id, now_us), act.act_id, act.body_hash, lambda: self._decide(act, at_ms))

    def _decide(self, act: Act | StoreAct, at_ms: int) -> dict[str, Any]:
        return self._views.decide(act, at_ms) if isinstance(act, StoreAct) else self._book.decide(act, at_ms)

    def take_act(self, act: StoreAct, at_ms: int) -> str | None:
        """An act that is asked for again until it comes back through the log, or is refused: the reason why it is.

        One without room, and one of a device that is not the primary, comes again (P20).
        """
        key = self._replica.log.key(act.act_id)
        if key is not None:
            return None if key.body_hash == act.body_hash else KEY_REUSED.title
        if self._replica.role is not Role.PRIMARY or self._room() == 0:
            return None
        try:
            record = self._decide(act, at_ms)
        except OrderRejected as rejection:
            return rejection.detail
        self._replica.propose([encode_record(record)])
        return None

    def _submit(self, waiting: Waiting, identity: str, body_hash: str, decide: Callable[[], dict[str, Any]]) -> None:
        """What has this key already waits for that entry; else what is decided becomes an entry, and waits for it."""
        if not self._is_primary(waiting):
            return
        key = self._replica.log.key(identity)
        if key is not None:
            self._wait(key.seq, replace(waiting, replayed=True, key_reused=key.body_hash != body_hash))
            return
        if not self._has_room(waiting):
            return
        try:
            record = decide()
        except OrderRejected as rejection:
            self._refuse(waiting, rejection.problem, rejection.detail, rejection.item_id)
            return
        if self._policy == "require_r2" and len(self._replica.members) < 2:
            self._refuse(waiting, STANDBY_REQUIRED, "")
            return
        (entry,) = self._replica.propose([encode_record(record)])
        self._wait(entry.seq, waiting)

    def read(self, request_id: int, order_id: str, now_us: int) -> None:
        """Someone asks for an order."""
        waiting = Waiting(request_id, now_us)
        if not self._is_primary(waiting):
            return
        key = self._replica.log.order_key(order_id)
        if key is not None:
            self._wait(key.seq, waiting)
            return
        self._confirm_absence(waiting, order_id)

    def read_checks(self, request_id: int, find: Callable[[Book], tuple[Check, ...]], now_us: int) -> None:
        """Someone asks for checks: those that `find` finds now, shown when all that they rest on has committed (P5).

        `find` may raise `OrderRejected` when there is no such check; that, and that there are none, is "not there".
        """
        waiting = Waiting(request_id, now_us, checks=())
        if not self._is_primary(waiting):
            return
        checks: tuple[Check, ...] = ()
        with contextlib.suppress(OrderRejected):
            checks = find(self._book)
        if checks:
            self._wait(self._replica.log.last.seq, replace(waiting, checks=checks))
            return
        self._confirm_absence(waiting, "")

    def read_views(self, request_id: int, find: Callable[[StoreViews], Any], now_us: int) -> None:
        """Someone asks for what `find` finds now, shown when all that it rests on has committed (P5)."""
        waiting = Waiting(request_id, now_us)
        if not self._is_primary(waiting):
            return
        found, last_seq = find(self._views), self._replica.log.last.seq
        if last_seq:
            self._wait(last_seq, replace(waiting, found=found))
        else:
            self._replies.append(Reply(request_id, epoch=self._replica.epoch, found=found))

    def _confirm_absence(self, waiting: Waiting, order_id: str) -> None:
        """Let a read that found nothing wait until it is sure that nothing is there."""
        if not self._has_room(waiting):
            return
        self._count += 1
        if len(self._replica.members) == 2:
            self._confirmations.append(Confirmation(waiting, order_id, self._replica.begin_round(), None))
        else:
            self.reads_wanted += 1
            self._confirmations.append(Confirmation(waiting, order_id, None, self.reads_wanted))

    def take_downlink(self, orders: Sequence[DownlinkOrder], at_ms: int = 0) -> None:
        """Orders of the cloud, in order of their numbers. Those for which there is no room are asked for again (P20)."""
        if self._replica.role is Role.PRIMARY:
            records = self._downlink.records(orders[: self._room()], at_ms)
            self._replica.propose([encode_record(record) for record in records])

    def bump(self, order_id: str, version: int, station: str) -> None:
        """The kitchen has made a ticket; a repeat is passed over (P17), and so is one without room: it comes again (P20).

        So is one whose order is not in the log: the kitchen may still follow a branch that was left (P19).
        """
        if self._replica.role is not Role.PRIMARY or self._room() == 0:
            return
        log = self._replica.log
        if log.order_key(order_id) is None or log.bump_seq(order_id, version, station) is not None:
            return
        record = {"kind": "bump", "order_id": order_id, "version": version, "station": station}
        fields = self._views.bump_fields(order_id, version, station)
        self._replica.propose([encode_record(record | fields)])

    def settle(self, now_us: int) -> tuple[Reply, ...]:
        """Answers that can be given now: committed, confirmed absent, fenced, or out of time."""
        if self._replica.fence_count != self._fence_count:
            self._fence_count = self._replica.fence_count
            self._give_up_all()
        for seq in [seq for seq in self._waiting if self._may_answer(seq)]:
            for waiting in self._waiting.pop(seq):
                self._acknowledge(waiting, seq)
        self._settle_confirmations()
        self._expire(now_us)
        replies, self._replies = tuple(self._replies), []
        return replies

    def _may_answer(self, seq: int) -> bool:
        """P5: nothing before its commit; under `require_r2` nothing below R2."""
        if seq > self._replica.commit_seq:
            return False
        return self._policy == "available" or self._replica.level(seq) == "R2"

    def _repeat_may_answer(self, seq: int) -> bool:
        """P6: a repeated key is answered when its entry has committed, as the first request is."""
        return self._may_answer(seq)

    def _is_primary(self, waiting: Waiting) -> bool:
        if self._replica.role is not Role.PRIMARY:
            self._refuse(waiting, NOT_PRIMARY, f"this device is {self._replica.role}")
            return False
        return True

    def _has_room(self, waiting: Waiting) -> bool:
        if self._count >= self._replica.timing.waiting_max:
            self._refuse(waiting, OVERLOADED, f"{self._count} requests wait already")
            return False
        if self._room() == 0:
            self._refuse(waiting, OVERLOADED, "too much is not committed yet")
            return False
        return True

    def _room(self) -> int:
        """How many records the log may take now: what is not committed is bounded (P20)."""
        uncommitted = self._replica.log.last.seq - self._replica.commit_seq
        return max(0, self._replica.timing.uncommitted_max - uncommitted)

    def _refuse(self, waiting: Waiting, problem: Problem, detail: str, item_id: str = "") -> None:
        self._replies.append(Reply(waiting.request_id, problem, detail, item_id=item_id))

    def _wait(self, seq: int, waiting: Waiting) -> None:
        """Answer now, or when the entry is committed. A key that is known is never told that nothing was written."""
        self._count += 1
        if self._may_answer(seq) or (waiting.replayed and self._repeat_may_answer(seq)):
            self._acknowledge(waiting, seq)
            return
        if self._count > self._replica.timing.waiting_max:
            self._count -= 1
            self._refuse(waiting, OUTCOME_UNKNOWN, "too many requests wait already")
            return
        self._waiting.setdefault(seq, []).append(waiting)

    def _acknowledge(self, waiting: Waiting, seq: int) -> None:
        self._count -= 1
        if waiting.key_reused:
            self._refuse(waiting, KEY_REUSED, "the key belongs to something with other content")
            return
        level, epoch, entry = self._level(seq), self._replica.epoch, self._replica.log.entry(seq)
        if waiting.checks is not None:
            self._replies.append(Reply(waiting.request_id, None, "", level, epoch, checks=waiting.checks))
            return
        if waiting.found is not None:
            self._replies.append(Reply(waiting.request_id, None, "", level, epoch, found=waiting.found))
            return
        served = self._is_served(entry.content())
        self._replies.append(Reply(waiting.request_id, None, "", level, epoch, entry, waiting.replayed, served))

    def _is_served(self, content: dict[str, Any]) -> bool:
        """Whether the record is an order whose ticket was made."""
        return content["kind"] == "order" and self._views.is_served(content["order_id"], self._replica.commit_seq)

    def _level(self, seq: int) -> Literal["R2", "R1", "RC"]:
        return self._replica.level(seq)

    def _settle_confirmations(self) -> None:
        if self._confirmations and self._confirmations[0].round is not None and len(self._replica.members) == 1:
            self._confirm_alone()
        while self._confirmations and self._confirmed(self._confirmations[0]):
            confirmation = self._confirmations.popleft()
            self._count -= 1
            key = self._replica.log.order_key(confirmation.order_id)
            if key is not None:
                self._wait(key.seq, confirmation.waiting)
            elif self._returns.outstanding:
                self._refuse(confirmation.waiting, NOT_CONFIRMED, "the cloud may hold it, and was not heard of since")
            elif confirmation.waiting.checks is not None:
                self._refuse(confirmation.waiting, CHECK_UNKNOWN, "no such check was opened here")
            else:
                self._refuse(confirmation.waiting, ORDER_UNKNOWN, "no such order was taken here")

    def _confirm_alone(self) -> None:
        """The other member is gone: those who waited for its round trip wait for the register's instead."""
        self.reads_wanted += 1
        for index, confirmation in enumerate(self._confirmations):
            if confirmation.round is not None:
                self._confirmations[index] = replace(confirmation, round=None, read=self.reads_wanted)

    def _confirmed(self, confirmation: Confirmation) -> bool:
        if confirmation.round is not None:
            return self._replica.round_answered >= confirmation.round
        return confirmation.read is not None and self.reads_done >= confirmation.read

    def _give_up_all(self) -> None:
        """P6: a device that stops being primary answers its waiting requests 503."""
        for waitings in self._waiting.values():
            for waiting in waitings:
                self._refuse(waiting, OUTCOME_UNKNOWN, "this device stopped being the primary")
        for confirmation in self._confirmations:
            self._refuse(confirmation.waiting, NOT_CONFIRMED, "this device stopped being the primary")
        self._waiting.clear()
        self._confirmations.clear()
        self._count = 0

    def _expire(self, now_us: int) -> None:
        limit_us = now_us - self._replica.timing.request_timeout_us
        for seq, waitings in list(self._waiting.items()):
            late = [waiting for waiting in waitings if waiting.since_us <= limit_us]
            for waiting in late:
                self._count -= 1
                self._refuse(waiting, OUTCOME_UNKNOWN, "it was not committed in time")
            if late:
                rest = [waiting for waiting in waitings if waiting.since_us > limit_us]
                if rest:
                    self._waiting[seq] = rest
                else:
                    del self._waiting[seq]
        while self._confirmations and self._confirmations[0].waiting.since_us <= limit_us:
            self._count -= 1
            self._refuse(
                self._confirmations.popleft().waiting, NOT_CONFIRMED, "the other member did not answer in time"
            )
