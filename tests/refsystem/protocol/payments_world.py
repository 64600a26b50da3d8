"""A model of a store with two devices, its till and a gateway that executes and loses answers; a schedule of numbers drives it.

The gateway does what it is asked once for each id, in whatever order requests arrive, and keeps to its contract: declined and
reversed are final. Requests and answers travel apart; either may be late or lost. A deposed primary goes on calling with what
it knew. What is judged is money: the gateway's own ledger against the committed log.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from refsystem.ordering.book import Book
from refsystem.ordering.book_steps import OfflineLimits, PaymentRules
from refsystem.ordering.check import Check, CheckStatus
from refsystem.ordering.check_acts import (
    AcceptPayment,
    Act,
    CancelPayment,
    Close,
    Comp,
    Content,
    GiveRefund,
    Pay,
    Reopen,
    Void,
    derived_id,
)
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.ordering.payment import TENDERS, PaymentState, RefundState, Tender
from refsystem.protocol.downlink import order_record
from refsystem.protocol.log import encode_record
from refsystem.protocol.payment_calls import Answer, Call, CashierLimits, Op, Result
from refsystem.protocol.payments import Cashier

RULES = PaymentRules(OfflineLimits(20_000, 60_000), (("platform", 600), ("brand", 300)))
LIMITS = CashierLimits(
    wallet_stop_ms=30_000, reverse_after_ms=15_000, stored_age_ms=600_000, call_timeout_ms=5_000, calls_max=6
)
REVERSE_WITHIN_MS = 150_000
HOLD_MS = 400_000


def uuid(number: int) -> str:
    return str(UUID(int=number))


@dataclass
class AtGateway:
    status: str
    amount_minor: int
    at_ms: int
    captured_minor: int = 0
    refunded_minor: int = 0
    split_minor: int = 0
    captures: int = 0


class ModelGateway:
    """What a gateway does, by the contract that the cashier relies on. `fate` says how a new payment goes."""

    def __init__(self) -> None:
        self.payments: dict[str, AtGateway] = {}
        self.answered: dict[str, Answer] = {}
        self.hidden: set[str] = set()
        self.goals: Counter[str] = Counter()

    def perform(self, call: Call, fate: str, now_ms: int) -> Answer:
        payment = self.payments.get(call.attempt_id)
        if payment is not None and payment.status == "authorized" and now_ms - payment.at_ms > HOLD_MS:
            payment.status = "declined"
        if call.op is Op.QUERY:
            if payment is None or call.attempt_id in self.hidden:
                self.hidden.discard(call.attempt_id)
                self.goals["executed, and not known yet"] += payment is not None
                return Answer(Result.UNKNOWN)
            return self._stands(payment)
        if call.op in (Op.AUTHORIZE, Op.SALE):
            return self._take(call, payment, fate, now_ms)
        if call.key not in self.answered:
            answer = self._change(call, payment, now_ms)
            if answer.result in (Result.REFUSED, Result.UNKNOWN):
                return answer
            self.answered[call.key] = answer
        else:
            self.goals["asked twice under one key"] += 1
        return self.answered[call.key]

    def confirm(self, attempt_id: str, yes: bool) -> None:
        payment = self.payments[attempt_id]
        if payment.status == "waiting":
            self._capture(payment) if yes else self._set(payment, "declined")

    def _stands(self, payment: AtGateway) -> Answer:
        return Answer(Result(payment.status), "ref")

    def _set(self, payment: AtGateway, status: str) -> None:
        payment.status = status

    def _capture(self, payment: AtGateway) -> None:
        payment.status, payment.captured_minor, payment.captures = (
            "captured",
            payment.amount_minor,
            payment.captures + 1,
        )

    def _take(self, call: Call, payment: AtGateway | None, fate: str, now_ms: int) -> Answer:
        if payment is not None:
            self.goals["sent again under the same id"] += payment.amount_minor > 0
            self.goals["came after its reversal"] += payment.amount_minor == 0
            if payment.amount_minor not in (0, call.amount_minor):
                raise AssertionError(f"other content under {call.attempt_id}")
            return self._stands(payment)
        payment = self.payments[call.attempt_id] = AtGateway("new", call.amount_minor, now_ms)
        if fate == "hidden":
            self.hidden.add(call.attempt_id)
        if fate == "declined":
            payment.status = "declined"
        elif call.op is Op.AUTHORIZE:
            payment.status = "authorized"
        elif fate == "waiting":
            payment.status = "waiting"
        else:
            self._capture(payment)
        return self._stands(payment)

    def _change(self, call: Call, payment: AtGateway | None, now_ms: int) -> Answer:
        if payment is None:
            if call.op is not Op.REVERSE:
                return Answer(Result.UNKNOWN)
            self.payments[call.attempt_id] = AtGateway("reversed", 0, now_ms)
            self.goals["reversed before it came"] += 1
            return Answer(Result.REVERSED)
        if call.op is Op.REVERSE:
            return self._reverse(payment, now_ms)
        if call.op is Op.CAPTURE:
            if payment.status != "authorized":
                return Answer(Result.REFUSED)
            self._capture(payment)
            return Answer(Result.CAPTURED, "ref")
        if call.op is Op.SPLIT:
            payment.split_minor += sum(amount for _, amount in call.shares)
            return Answer(Result.DONE)
        if call.op is Op.RETURN:
            if payment.split_minor == 0:
                return Answer(Result.DECLINED, detail="nothing was split")
            payment.split_minor -= sum(amount for _, amount in call.shares)
            assert payment.split_minor >= 0, "more returned than split"
            return Answer(Result.DONE)
        held_minor = payment.captured_minor - payment.refunded_minor - payment.split_minor
        if call.amount_minor > held_minor:
            return Answer(Result.DECLINED, detail="not held")
        payment.refunded_minor += call.amount_minor
        return Answer(Result.DONE)

    def _reverse(self, payment: AtGateway, now_ms: int) -> Answer:
        if payment.status in ("declined", "reversed"):
            return Answer(Result.REVERSED)
        if now_ms - payment.at_ms > REVERSE_WITHIN_MS:
            self.goals[f"too late to reverse: {payment.status}"] += 1
            return Answer(Result.IRREVERSIBLE)
        self.goals["reversed after its capture"] += payment.status == "captured"
        payment.status, payment.captured_minor = "reversed", 0
        return Answer(Result.REVERSED)


class ModelDevice:
    """A log, the book that follows it, and a cashier with its life's volatile knowledge."""

    def __init__(self, kind: type[Cashier], log: list[dict[str, Any]], commit_seq: int) -> None:
        self.log: list[dict[str, Any]] = []
        self.book = Book(DEMO_MENU, RULES)
        self.cashier = kind(self.book, LIMITS)
        self.commit_seq = commit_seq
        for record in log:
            self.append(record)

    def append(self, record: dict[str, Any]) -> None:
        self.log.append(record)
        self.book.apply(len(self.log), record)

    def set_aside(self, from_seq: int) -> None:
        del self.log[from_seq - 1 :]
        self.book.set_aside(from_seq)


class World:
    """Two devices, one of them the primary; the other holds a prefix of its log, or was deposed and does not know it."""

    def __init__(self, kind: type[Cashier] = Cashier) -> None:
        self.kind = kind
        self.now_ms = 1_000_000
        self.term = 1
        self.primary = ModelDevice(kind, [], 0)
        self.other = ModelDevice(kind, [], 0)
        self.other_is_zombie = False
        self.primary.cashier.lead(self.term)
        self.gateway = ModelGateway()
        self.truth = Book(DEMO_MENU, RULES)
        self.truth_seq = 0
        self.requests: list[tuple[ModelDevice, Call]] = []
        self.answers: list[tuple[ModelDevice, int, Answer]] = []
        self.ids = 0
        self.asked: list[Act] = []
        self.goals: Counter[str] = Counter()

    # --- the store ---

    def new_id(self) -> str:
        self.ids += 1
        return uuid(self.ids)

    def do(self, content: Content, act_id: str = "") -> str:
        """A person's act at the primary; "" when it was refused."""
        act = Act(act_id or self.new_id(), "Li", content)
        self.asked.append(act)
        try:
            self._log_act(self.primary, act)
        except OrderRejected as rejection:
            self.goals[f"refused: {rejection.problem.slug}"] += 1
            return ""
        return act.act_id

    def order(self, lines: tuple[tuple[str, int], ...], check_id: str = "") -> str:
        total_minor = DEMO_MENU.total_minor(lines)
        order_id = self.new_id()
        record = order_record(Order(order_id, "qr", "4", lines, total_minor), "edge")
        try:
            record["check_id"] = self.primary.book.order_check(order_id, check_id)
        except OrderRejected as rejection:
            self.goals[f"refused: {rejection.problem.slug}"] += 1
            return ""
        self.primary.append(record)
        return order_id

    def _log_act(self, device: ModelDevice, act: Act) -> None:
        if any(record.get("act_id") == act.act_id for record in device.log):
            self.goals["an act came twice"] += 1
            return
        device.append(device.book.decide(act, self.now_ms))

    def commit(self, upto: int) -> None:
        """The primary's entries up to `upto` are on every member."""
        if not self.other_is_zombie:
            for record in self.primary.log[len(self.other.log) : upto]:
                self.other.append(record)
            self.other.commit_seq = max(self.other.commit_seq, min(upto, self.primary.commit_seq))
        self.primary.commit_seq = max(self.primary.commit_seq, upto)
        for record in self.primary.log[self.truth_seq : self.primary.commit_seq]:
            self.truth_seq += 1
            self.truth.apply(self.truth_seq, record)

    def fail_over(self, tail: int) -> None:
        """The standby, with `tail` of what was not committed, takes over and commits all that it holds; the old one goes on."""
        if self.other_is_zombie:
            return
        committed = self.primary.commit_seq
        for record in self.primary.log[len(self.other.log) : committed + tail]:
            self.other.append(record)
        self.goals["a tail lost in a failover"] += len(self.other.log) < len(self.primary.log)
        self.primary, self.other = self.other, self.primary
        self.other_is_zombie = True
        self.goals["a failover with payments under way"] += bool(self.primary.book.at_gateway())
        self._take_over()
        self.commit(len(self.primary.log))

    def join(self) -> None:
        """The deposed device learns of it and takes the primary's log; what it has beyond is set aside."""
        if not self.other_is_zombie:
            return
        self.other.cashier.lead(None)
        shared = 0
        while (
            shared < min(len(self.other.log), len(self.primary.log))
            and self.other.log[shared] == self.primary.log[shared]
        ):
            shared += 1
        self.other.set_aside(shared + 1)
        for record in self.primary.log[shared:]:
            self.other.append(record)
        self.other.commit_seq = self.primary.commit_seq
        self.other_is_zombie = False

    def restart(self, tail: int) -> None:
        """The primary's process ends and comes back with its log: what was not flushed is gone."""
        kept = self.primary.log[: max(self.primary.commit_seq + tail, len(self.other.log) * (not self.other_is_zombie))]
        self.primary = ModelDevice(self.kind, kept, self.primary.commit_seq)
        self._take_over()

    def _take_over(self) -> None:
        self.term += 1
        self.primary.cashier.lead(self.term)

    def turn(self) -> None:
        """Each device's driver does what its cashier says."""
        for device in (self.primary, self.other):
            if device is self.other and not self.other_is_zombie:
                continue
            ready = device.cashier.take_ready(device.commit_seq, self.now_ms)
            self.requests += [(device, call) for call in ready.calls]
            for act in ready.acts:
                assert encode_record(act.record(0))
                try:
                    self._log_act(device, act)
                except OrderRejected as rejection:
                    device.cashier.refused(act.act_id, rejection.detail, self.now_ms)
                    self.goals[f"a machine's act refused: {rejection.problem.slug}"] += 1

    # --- the network ---

    def deliver(self, index: int, fate: str) -> None:
        """A request arrives; its answer sets out."""
        device, call = self.requests.pop(index)
        late = device is self.other and self.other_is_zombie
        self.goals["a deposed primary's call was executed"] += late
        answer = self.gateway.perform(call, fate, self.now_ms)
        self.answers.append((device, call.call_id, answer))

    def answer(self, index: int, lost: bool) -> None:
        device, call_id, answer = self.answers.pop(index)
        self.goals["an answer lost after it was executed"] += lost and answer.result is Result.CAPTURED
        device.cashier.answered(call_id, Answer(Result.NO_ANSWER) if lost else answer, self.now_ms)

    def lose_request(self, index: int) -> None:
        device, call = self.requests.pop(index)
        device.cashier.answered(call.call_id, Answer(Result.NO_ANSWER), self.now_ms)

    # --- schedules ---

    def play(self, action: str, number: int) -> None:
        """One step of a schedule; `number` draws what it needs."""
        draw = random.Random(number)
        getattr(self, f"_play_{action}")(draw)
        self.turn()
        self.watch()

    def _pick_check(self, draw: random.Random) -> Check | None:
        checks = self.primary.book.checks
        return draw.choice(checks) if checks else None

    def _play_order(self, draw: random.Random) -> None:
        lines = tuple((draw.choice(DEMO_MENU.items).item_id, draw.randint(1, 3)) for _ in range(draw.randint(1, 3)))
        check = self._pick_check(draw)
        self.order(lines, check.check_id if check and draw.random() < 0.3 else "")

    def _play_pay(self, draw: random.Random) -> None:
        check = self._pick_check(draw)
        if check is None or check.due_minor == 0:
            return
        tender: Tender = draw.choice(TENDERS)
        amount_minor = check.due_minor if draw.random() < 0.6 else draw.randint(1, check.due_minor)
        given_minor = amount_minor + draw.choice((0, 500)) if tender == "cash" else 0
        self.do(Pay(check.check_id, tender, amount_minor, given_minor, "" if tender == "cash" else "token"))

    def _play_staff(self, draw: random.Random) -> None:
        """Somebody gives a payment up, or takes an unverified one on trust."""
        payments = [payment for payment in self.primary.book.at_gateway() if not payment.refunds]
        if payments:
            payment = draw.choice(payments)
            kind = AcceptPayment if payment.state is PaymentState.UNVERIFIED and draw.random() < 0.5 else CancelPayment
            self.do(kind(payment.attempt_id, "the diner has left"))

    def _play_give_back(self, draw: random.Random) -> None:
        """A closed check is opened again, something on it is free, and the money goes back."""
        check = self._pick_check(draw)
        if check is None:
            return
        if check.status is CheckStatus.CLOSED:
            self.do(Reopen(check.check_id, "cold soup"))
            check = self.primary.book.check(check.check_id)
        payments = [payment for payment in check.payments if payment.refundable_minor]
        lines = [line for line in check.lines if line.quantity]
        if check.status is CheckStatus.OPEN and payments and lines:
            line, payment = draw.choice(lines), draw.choice(payments)
            amount_minor = min(line.value_minor(1), payment.refundable_minor)
            if amount_minor and self.do(GiveRefund(payment.attempt_id, amount_minor, "cold soup")):
                free = Comp if draw.random() < 0.5 else Void
                self.do(free(check.check_id, line.order_id, line.line, 1, "cold soup"))
        elif check.status is CheckStatus.OPEN:
            self.do(Close(check.check_id))

    def _play_again(self, draw: random.Random) -> None:
        """A till that had no answer asks again under the same key; the first time may have been lost with its primary."""
        if self.asked:
            act = draw.choice(self.asked[-4:])
            known = any(record.get("act_id") == act.act_id for record in self.primary.log)
            self.goals["an act that was lost is asked for again"] += not known and bool(
                self.do(act.content, act.act_id)
            )
            if known:
                self.do(act.content, act.act_id)

    def _play_commit(self, draw: random.Random) -> None:
        self.commit(draw.randint(self.primary.commit_seq, len(self.primary.log)))

    def _play_commit_all(self, draw: random.Random) -> None:
        self.commit(len(self.primary.log))

    def _play_deliver(self, draw: random.Random) -> None:
        if self.requests:
            fate = draw.choice(("taken", "taken", "taken", "waiting", "waiting", "declined", "hidden"))
            self.deliver(draw.randrange(len(self.requests)), fate)

    def _play_answer(self, draw: random.Random) -> None:
        if self.answers:
            self.answer(draw.randrange(len(self.answers)), lost=False)

    def _play_lose(self, draw: random.Random) -> None:
        if self.answers and draw.random() < 0.7:
            self.answer(draw.randrange(len(self.answers)), lost=True)
        elif self.requests:
            self.lose_request(draw.randrange(len(self.requests)))

    def _play_forget(self, draw: random.Random) -> None:
        """An answer never comes, and no error tells so: the cashier's own time-out must."""
        if self.answers:
            self.answers.pop(draw.randrange(len(self.answers)))

    def _play_confirm(self, draw: random.Random) -> None:
        if self.gateway.payments:
            self.gateway.confirm(draw.choice(list(self.gateway.payments)), draw.random() < 0.8)

    def _play_wait(self, draw: random.Random) -> None:
        self.now_ms += draw.choice((200, 1_000, 5_000, 16_000, 40_000))

    def _play_long_wait(self, draw: random.Random) -> None:
        self.now_ms += draw.choice((200_000, 700_000))

    def _play_silence(self, draw: random.Random) -> None:
        """Nothing is answered for a while: enough for what is stored, or not verified."""
        for _ in range(6):
            while self.requests:
                self.lose_request(0)
            self.now_ms += 2_000
            self.commit(len(self.primary.log))
            self.turn()

    def _play_fail_over(self, draw: random.Random) -> None:
        self.fail_over(draw.choice((0, 0, 1, 2)))

    def _play_join(self, draw: random.Random) -> None:
        self.join()

    def _play_restart(self, draw: random.Random) -> None:
        self.restart(draw.choice((0, 0, 1)))

    # --- judging ---

    def watch(self) -> None:
        """What holds at every moment: a check that the log calls closed has its money, whatever is still on its way."""
        for check in self.truth.checks:
            assert check.total_minor >= 0
            trusted = any(p.state in (PaymentState.STORED, PaymentState.EXPIRING) for p in check.payments)
            if check.status is CheckStatus.CLOSED and not trusted:
                assert self.net_minor(check) == check.total_minor, f"mischarged at close: {check}"

    def net_minor(self, check: Check) -> int:
        """What the store has for a check: cash, the gateway's ledger, and what it has lost by trust."""
        net_minor = 0
        for payment in check.payments:
            if payment.tender == "cash" or payment.state is PaymentState.BAD_DEBT:
                net_minor += payment.cover_minor
            else:
                held = self.gateway.payments.get(payment.attempt_id)
                net_minor += held.captured_minor - held.refunded_minor if held else 0
        return net_minor

    def heal(self) -> None:
        """Everything works again: what is on its way arrives, what is undecided is decided, and nothing is left to do."""
        self.join()
        while self.requests or self.answers:
            if self.requests:
                self.deliver(0, "taken")
            else:
                self.answer(0, lost=False)
            self.turn()
            self.watch()
        for _ in range(200):
            self.commit(len(self.primary.log))
            self.turn()
            if not (self.requests or self.primary.book.at_gateway()):
                break
            while self.requests:
                self.deliver(0, "taken")
            while self.answers:
                self.answer(0, lost=False)
            for attempt_id in self.gateway.payments:
                self.gateway.confirm(attempt_id, True)
            for payment in self.primary.book.at_gateway():
                if payment.state is PaymentState.UNVERIFIED:
                    self.do(CancelPayment(payment.attempt_id, "end of the day"))
            self.now_ms += 1_000
            self.watch()
        self.commit(len(self.primary.log))

    def judge(self) -> None:
        """After `heal`: nothing is under way, and the gateway's ledger is the book's."""
        assert self.primary.book.at_gateway() == (), "something is never settled"
        assert self.primary.book.passed_over == ()
        known = {payment.attempt_id for check in self.truth.checks for payment in check.payments}
        for attempt_id, held in self.gateway.payments.items():
            assert held.captures <= 1, f"{attempt_id} was captured twice"
            assert attempt_id in known or held.captured_minor == held.refunded_minor, (
                f"charged, and not in the log: {held}"
            )
        for check in self.truth.checks:
            assert self.net_minor(check) == check.covered_minor, f"mischarged: {check}"
            self._judge_payments(check)
        self.watch()
        self.goals.update(f"step {record['outcome']}" for record in self.primary.log if "outcome" in record)
        self.goals.update(f"act {record['act']}" for record in self.primary.log if record["kind"] == "act")

    def _judge_payments(self, check: Check) -> None:
        taken = (PaymentState.CAPTURED, PaymentState.UNWANTED)
        for payment in check.payments:
            self.goals[f"{payment.tender} {payment.state}"] += 1
            held = self.gateway.payments.get(payment.attempt_id)
            if payment.tender == "cash":
                assert held is None
                continue
            assert held is not None, f"settled without the gateway: {payment}"
            assert (held.captured_minor > 0) == (payment.state in taken), f"{payment} is {held}"
            done = sum(r.amount_minor for r in payment.refunds if r.state is RefundState.DONE)
            assert held.refunded_minor == done
            self.goals["refunds done"] += done > 0
            if payment.state is PaymentState.CAPTURED and payment.parties_state == "done":
                shares = sum(amount for _, amount in payment.parties)
                back = sum(amount for refund in payment.refunds for _, amount in refund.returned)
                assert held.split_minor == shares - back, f"{payment} is {held}"
                self.goals["parties returned theirs"] += back > 0


WEIGHTS = {
    "order": 4,
    "pay": 10,
    "commit": 5,
    "commit_all": 16,
    "deliver": 18,
    "answer": 14,
    "lose": 4,
    "forget": 1,
    "confirm": 5,
    "wait": 10,
    "long_wait": 1,
    "silence": 1,
    "staff": 3,
    "give_back": 5,
    "again": 5,
    "fail_over": 4,
    "join": 3,
    "restart": 2,
}
ACTIONS = tuple(action for action, weight in WEIGHTS.items() for _ in range(weight))
Schedule = list[tuple[str, int]]


def schedule_of(seed: int, steps: int) -> Schedule:
    draw = random.Random(seed)
    return [("order", seed), *((draw.choice(ACTIONS), draw.randrange(2**32)) for _ in range(steps))]


def run(schedule: Schedule, kind: type[Cashier] = Cashier) -> World:
    """Play a schedule, heal, judge; raises `AssertionError` when money is wrong."""
    world = World(kind)
    for action, number in schedule:
        world.play(action, number)
    world.heal()
    world.judge()
    return world


__all__ = ["ACTIONS", "LIMITS", "RULES", "World", "derived_id", "run", "schedule_of", "uuid"]
