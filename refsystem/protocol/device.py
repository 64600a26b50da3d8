"""A whole device as one machine: replica, admission and feeds. The asyncio driver and the virtual cluster both run this.

Every input is followed by `take_ready`; the driver then flushes, sends and answers as it says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from refsystem.ordering.book import Book
from refsystem.ordering.book_steps import PaymentRules
from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import Act
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Order
from refsystem.ordering.stock import Stock
from refsystem.ordering.store_acts import StoreAct
from refsystem.ordering.store_rules import StoreRules
from refsystem.protocol.admission import Admission, Policy
from refsystem.protocol.branch import BranchAnswer, BranchQuestion
from refsystem.protocol.break_glass import BreakGlass, GlassStatus
from refsystem.protocol.downlink import Downlink, DownlinkOrder
from refsystem.protocol.glass_replica import GlassReplica
from refsystem.protocol.log import Cursor, Log
from refsystem.protocol.messages import Message, Ready, RegisterRead, RegisterState
from refsystem.protocol.payment_calls import CashierLimits
from refsystem.protocol.payments import Cashier, CashierReady
from refsystem.protocol.replica import DurableState
from refsystem.protocol.returns import DownlinkQuestion, Returns
from refsystem.protocol.roles import Role
from refsystem.protocol.store_views import StoreViews
from refsystem.protocol.timing import DEFAULT_TIMING, Timing
from refsystem.protocol.uplink import Batch, FeedSender, StaleSender

FeedName = Literal["kitchen", "uplink"]
Bump = tuple[str, int, str]
REFUSED_ACTS_MAX = 200


@dataclass(frozen=True, slots=True)
class FeedAnswer:
    """What the receiver of a feed said: where it stands, or that a higher sender was seen, or neither (a gap).

    `bumps` and `acts` are what the kitchen asks for; `refused` what it asked for and can be no act, with the reason.
    """

    cursor: Cursor | None = None
    bumps: tuple[Bump, ...] = ()
    acts: tuple[StoreAct, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    highest_epoch: int | None = None
    mismatch: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes that a device is made of. A broken variant replaces one of them; nothing else does."""

    replica: type[GlassReplica] = GlassReplica
    log: type[Log] = Log
    admission: type[Admission] = Admission
    downlink: type[Downlink] = Downlink
    kitchen_feed: type[FeedSender] = FeedSender
    uplink_feed: type[FeedSender] = FeedSender
    cashier: type[Cashier] = Cashier
    stock: type[Stock] = Stock


SOUND = Parts()


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What a device is told at its start."""

    store: str
    menu: Menu
    policy: Policy = "available"
    timing: Timing = DEFAULT_TIMING
    payment_rules: PaymentRules = field(default_factory=PaymentRules)
    cashier_limits: CashierLimits = field(default_factory=CashierLimits)
    store_rules: StoreRules | None = None


class Device:
    """One in-store device. All times are microseconds of one monotonic clock."""

    def __init__(
        self, settings: DeviceSettings, state: DurableState, incarnation: str, now_us: int, parts: Parts = SOUND
    ) -> None:
        self.settings = settings
        self.replica = parts.replica(state, incarnation, settings.timing, now_us, parts.log)
        self.book = Book(settings.menu, settings.payment_rules)
        self.replica.log.follow(self.book)
        self.cashier = parts.cashier(self.book, settings.cashier_limits)
        self.views = StoreViews(self.replica.log, settings.menu, settings.store_rules, parts.stock)
        downlink = parts.downlink(self.replica.log, settings.menu, self.book, self.views)
        self.returns = Returns(self.replica.log)
        self.admission = parts.admission(
            self.replica, downlink, self.returns, settings.menu, settings.policy, self.book, self.views
        )
        self.refused_acts: dict[str, str] = {}
        self.feeds: dict[FeedName, FeedSender] = {
            "kitchen": parts.kitchen_feed(settings.store, settings.timing.entries_per_batch_max),
            "uplink": parts.uplink_feed(settings.store, settings.timing.entries_per_batch_max),
        }
        self._confirm_prefix = f"{state.node_id}/{incarnation}/confirm/"
        self._confirm_request: tuple[str, int] | None = None
        self._confirm_due_us = now_us
        self._confirm_count = 0
        self._fence_count = 0

    @property
    def is_primary(self) -> bool:
        """Whether this device takes orders now, as far as it knows."""
        return self.replica.role is Role.PRIMARY

    def submit(self, request_id: int, order: Order, now_us: int) -> None:
        """A diner's order; see `Admission.submit`."""
        self.admission.submit(request_id, order, now_us)

    def read(self, request_id: int, order_id: str, now_us: int) -> None:
        """Someone asks for an order; see `Admission.read`."""
        self.admission.read(request_id, order_id, now_us)

    def submit_act(self, request_id: int, act: Act | StoreAct, at_ms: int, now_us: int) -> None:
        """An act on a check, a payment, in the kitchen or on the stock, by the wall clock `at_ms`; see `Admission`."""
        self.admission.submit_act(request_id, act, at_ms, now_us)

    def read_checks(self, request_id: int, find: Callable[[Book], tuple[Check, ...]], now_us: int) -> None:
        """Someone asks for checks; see `Admission.read_checks`."""
        self.admission.read_checks(request_id, find, now_us)

    def read_views(self, request_id: int, find: Callable[[StoreViews], Any], now_us: int) -> None:
        """Someone asks what the kitchen or the stock has; see `Admission.read_views`."""
        self.admission.read_views(request_id, find, now_us)

    def cashier_ready(self, now_ms: int) -> CashierReady:
        """What the cashier has to do now, by the wall clock; nothing unless primary (P16)."""
        self.cashier.lead(self.replica.epoch if self.is_primary else None)
        return self.cashier.take_ready(self.replica.commit_seq, now_ms)

    def downlink_question(self) -> DownlinkQuestion | None:
        """What to ask the cloud for its orders; None unless primary."""
        if not self.is_primary:
            return None
        cursor = self.feeds["uplink"].cursor
        followed_seq = cursor.seq if cursor is not None else 0
        return DownlinkQuestion(self.replica.epoch, self.replica.log.downlink_cursor, followed_seq)

    def downlink_answered(
        self, question: DownlinkQuestion, orders: Sequence[DownlinkOrder], last_number: int, at_ms: int = 0
    ) -> None:
        """The cloud's answer: orders behind `question.after`, and the last number that it has given."""
        self.take_downlink(orders, at_ms)
        if self.is_primary:
            self.returns.answered(question, self.replica.epoch, last_number)

    def take_downlink(self, orders: Sequence[DownlinkOrder], at_ms: int = 0) -> None:
        """Orders from the cloud; see `Admission.take_downlink`."""
        self.admission.take_downlink(orders, at_ms)

    def feed_batch(self, name: FeedName) -> Batch | None:
        """What to send on a feed now; None unless primary."""
        if not self.is_primary:
            return None
        replica = self.replica
        return self.feeds[name].next_batch(replica.log, replica.commit_seq, replica.epoch, replica.node_id)

    def feed_visible_seq(self, name: FeedName) -> int:
        """The last entry that the receiver of a feed may see now; 0 unless primary."""
        return self.feeds[name].visible_seq(self.replica.log, self.replica.commit_seq) if self.is_primary else 0

    def feed_answered(self, name: FeedName, answer: FeedAnswer, at_ms: int = 0) -> None:
        """The receiver of a feed answered the last batch. Acts of the kitchen are taken by the wall clock `at_ms` (P17).

        Those that are refused are kept in `refused_acts` until the driver has told the kitchen so: then it takes them out.
        """
        feed = self.feeds[name]
        if answer.highest_epoch is not None:
            self.replica.refused_outside(answer.highest_epoch)
        elif answer.mismatch is not None:
            feed.mismatch = answer.mismatch
        elif answer.cursor is None:
            feed.forget()
        elif self.is_primary:
            feed.answered(self.replica.log, self.replica.commit_seq, answer.cursor)
        for order_id, version, station in answer.bumps:
            self.admission.bump(order_id, version, station)
        refused = [(act.act_id, self.admission.take_act(act, at_ms)) for act in answer.acts]
        for act_id, why in (*answer.refused, *refused):
            if why is not None and len(self.refused_acts) < REFUSED_ACTS_MAX:
                self.refused_acts[act_id] = why

    def break_glass(self, word: BreakGlass, now_us: int) -> None:
        """A person names this device (P19); `glass` tells what comes of it. Raises `BreakGlassRefused`: nothing was done.

        The same word again with `without_cloud` lets a device that waits for the cloud go on without it.
        """
        self.replica.break_glass(word, now_us)

    @property
    def glass(self) -> GlassStatus:
        """How far breaking glass has come."""
        return self.replica.glass_status

    def branch_question(self) -> BranchQuestion | None:
        """What to ask the cloud now; None unless reconciling. Asked again until `branch_answered` has taken an answer."""
        return self.replica.branch_question(self.settings.store)

    def branch_answered(self, answer: BranchAnswer | StaleSender, now_us: int) -> None:
        """The cloud's answer to the last question; one to an earlier epoch's is passed over."""
        self.replica.branch_answered(answer, now_us)

    def receive(self, message: Message, now_us: int) -> None:
        """A message of the peer or the arbiter."""
        if isinstance(message, RegisterState) and message.request_id.startswith(self._confirm_prefix):
            self._on_confirm(message, now_us)
        else:
            self.replica.receive(message, now_us)

    def tick(self, now_us: int) -> None:
        """Let time pass."""
        self.replica.tick(now_us)

    def persisted(self, token: int, now_us: int) -> None:
        """Everything up to the `Ready` with this token is flushed."""
        self.replica.persisted(token, now_us)

    def deadline_us(self) -> int:
        """When `tick` should be called at the latest."""
        return self.replica.deadline_us()

    def take_ready(self, now_us: int) -> Ready:
        """All that is to be done since the last call."""
        if self.replica.fence_count != self._fence_count:
            self._fence_count = self.replica.fence_count
            for feed in self.feeds.values():
                feed.forget()
            self.returns.forget()
        ready = self.replica.take_ready()
        replies, reads = self.admission.settle(now_us), self._confirm_reads(now_us)
        return replace(ready, replies=replies, send=ready.send + reads) if replies or reads else ready

    def _confirm_reads(self, now_us: int) -> tuple[RegisterRead, ...]:
        """One register read at a time for those who wait to be told "not there" while this device is alone (P5)."""
        admission = self.admission
        if admission.reads_done >= admission.reads_wanted or not self.is_primary:
            return ()
        if now_us < self._confirm_due_us:
            return ()
        self._confirm_count += 1
        request_id = f"{self._confirm_prefix}{self._confirm_count}"
        self._confirm_request = (request_id, admission.reads_wanted)
        self._confirm_due_us = now_us + self.settings.timing.register_retry_us
        return (RegisterRead(request_id, self.replica.node_id),)

    def _on_confirm(self, message: RegisterState, now_us: int) -> None:
        if self._confirm_request is None or self._confirm_request[0] != message.request_id:
            return
        _, reads = self._confirm_request
        self._confirm_request = None
        register = message.register
        if self.is_primary and register is not None and register == self.replica.register:
            self.admission.reads_done = max(self.admission.reads_done, reads)
            self._confirm_due_us = now_us
            return
        self._confirm_due_us = now_us + self.settings.timing.heartbeat_us
        if register is not None and register.primary != self.replica.node_id:
            self.replica.refused_outside(register.epoch)
