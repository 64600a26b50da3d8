"""P16's machine: what is asked of the payment gateway for attempts that are in the log, and what comes back into the log.

The cashier reads the book, which follows the log, and acts only on payments whose last change has committed. It keeps nothing
of its own that matters: a device that takes over, or starts again, finds in the log what is not settled and asks the gateway
about it first. Every request has an id that follows from the log, so that whoever makes it again makes the same one. What the
gateway says becomes an act; the payment moves on when that act has come back committed, never before.

No clock, random number or I/O inside. Times are milliseconds of the wall clock, because they are compared with `at_ms` of acts
that another device may have taken; a clock that is wrong makes a payment wait longer or be undone sooner, never twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from refsystem.ordering.book import Book
from refsystem.ordering.check_acts import (
    SYSTEM,
    Act,
    Content,
    GiveRefund,
    PartiesOutcome,
    PaymentOutcome,
    RefundOutcome,
    derived_id,
)
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.payment import Payment, PaymentState, Refund, RefundState, RefundStep, Shares, Step
from refsystem.protocol.payment_calls import (
    KNOWN_AFTER,
    NEXT_OP,
    PARTNER_OF,
    STEP_OF,
    STEP_WHEN_IRREVERSIBLE,
    Answer,
    Call,
    CashierLimits,
    Known,
    Op,
    Partner,
    Result,
)

TEXT_MAX = 200
STUCK_TRIES = 5
ANSWERED = frozenset({Known.UNKNOWN, Known.WAITING, Known.AUTHORIZED})
"""The gateway was asked, and has not captured it."""
FINAL: dict[Result, RefundStep] = {Result.DONE: "done", Result.DECLINED: "failed"}
"""The last words about a split, a return or a refund."""


@dataclass(frozen=True, slots=True)
class CashierReady:
    """What is to be done now: `calls` at the gateway, each once; `acts` through the same door as any other act (P6)."""

    calls: tuple[Call, ...] = ()
    acts: tuple[Act, ...] = ()


AttentionCode = Literal["unverified", "refund-failed", "offline-limit", "refused", "not-settled"]


@dataclass(frozen=True, slots=True)
class Attention:
    """A payment that a person should look at, and why: `code` for programs, `why` for the log and for whoever runs the store."""

    attempt_id: str
    why: str
    code: AttentionCode


@dataclass(slots=True)
class Work:
    """What this life has done for one payment. `seen` is the payment at the last look, `tries` the vain ones since then."""

    seen: Payment
    known: Known
    due_ms: int
    tries: int = 0
    timeouts: int = 0
    call: Call | None = None
    called_ms: int = 0
    proposal: Act | None = None
    proposed_ms: int | None = None
    refused: str = ""
    store_refused: bool = False
    returned: set[str] = field(default_factory=set)


class Cashier:
    """One device's dealings with the gateway. `book` must follow that device's log.

    The driver calls `lead` whenever the role may have changed, `take_ready` after anything that may have moved the log and when
    `deadline_ms` is due, `answered` for every call, and `refused` for an act that the admission did not take.
    """

    def __init__(self, book: Book, limits: CashierLimits | None = None) -> None:
        self._book = book
        self._limits = limits or CashierLimits()
        self._term: int | None = None
        self._inherits = False
        self._works: dict[str, Work] = {}
        self._calls: dict[int, str] = {}
        self._call_count = 0
        self._silent_since_ms: dict[Partner, int] = {}
        self._last_failure_ms: dict[Partner, int] = {}
        self._lost_disputes: set[str] = set()
        self._deadline_ms: int | None = None
        self._uncommitted_seq: int | None = None
        self._looked_at: int | None = None

    def lead(self, term: int | None) -> None:
        """This device is primary at epoch `term`, or it is not (None). What an earlier term had asked counts no more."""
        if term == self._term:
            return
        self._term = term
        self._inherits = True
        self._works.clear()
        self._calls.clear()
        self._silent_since_ms.clear()
        self._deadline_ms = None
        self._looked_at = None

    @property
    def deadline_ms(self) -> int | None:
        """When `take_ready` should be called at the latest; None: when something has happened."""
        return self._deadline_ms

    @property
    def calls_under_way(self) -> int:
        """How many calls wait for their answer."""
        return len(self._calls)

    def is_away(self, now_ms: int, partner: Partner = "gateway") -> bool:
        """Whether the partner has answered nobody for `offline_after_ms`, and that was noticed lately."""
        since_ms = self._silent_since_ms.get(partner)
        if since_ms is None:
            return False
        fresh_ms = self._limits.retry_max_ms + self._limits.call_timeout_ms
        silent = now_ms - since_ms >= self._limits.offline_after_ms
        return silent and now_ms - self._last_failure_ms[partner] <= fresh_ms

    def attention(self) -> tuple[Attention, ...]:
        """Payments that wait for a person, or that the gateway does not settle."""
        found = []
        for attempt_id, work in self._works.items():
            payment = work.seen
            if payment.state is PaymentState.UNVERIFIED:
                found.append(
                    Attention(attempt_id, "a wallet code could not be verified: accept it or cancel it", "unverified")
                )
            elif any(refund.state is RefundState.FAILED for refund in payment.refunds):
                found.append(
                    Attention(attempt_id, "a refund failed: the money is still to be given back", "refund-failed")
                )
            elif work.refused:
                found.append(Attention(attempt_id, work.refused, "offline-limit" if work.store_refused else "refused"))
            elif work.tries >= STUCK_TRIES:
                found.append(
                    Attention(attempt_id, f"the gateway has not settled it in {work.tries} tries", "not-settled")
                )
        return tuple(found)

    # --- inputs ---

    def answered(self, call_id: int, answer: Answer, now_ms: int) -> None:
        """The gateway's answer to a call, or that there is none. An answer that nobody waits for any more is passed over."""
        attempt_id = self._calls.pop(call_id, None)
        work = self._works.get(attempt_id or "")
        if work is None or work.call is None:
            return
        assert work.call.call_id == call_id, "only calls that are waited for are known"
        self._looked_at = None
        call, work.call = work.call, None
        work.timeouts += answer.result is Result.NO_ANSWER
        self._note_reach(PARTNER_OF[call.tender], answer.result, work.called_ms, now_ms)
        content, returned = self._content_of(call, answer, work.seen, work.known)
        if returned:
            work.returned.add(returned)
        if content is not None:
            self._propose(work, content)
        self._pace(work, call, answer.result, now_ms, bool(content or returned))

    def refused(self, act_id: str, why: str, now_ms: int) -> None:
        """The admission did not take an act, finally (`OrderRejected`); the payment is asked about again."""
        self._looked_at = None
        for work in self._works.values():
            if work.proposal is not None and work.proposal.act_id == act_id:
                content = work.proposal.content
                work.store_refused = isinstance(content, PaymentOutcome) and content.outcome is Step.STORE
                work.refused, work.proposal, work.proposed_ms = why, None, None
                work.due_ms = max(work.due_ms, now_ms + self._limits.retry_ms)

    def hint(self, attempt_id: str, now_ms: int) -> None:
        """The gateway has called back about a payment. What it says is not believed: it is asked, now."""
        work = self._works.get(attempt_id)
        if work is not None:
            self._looked_at = None
            work.due_ms = min(work.due_ms, now_ms)

    def dispute_lost(self, attempt_id: str) -> None:
        """The gateway, asked about a dispute, says that it was lost: the money of this payment is gone."""
        self._looked_at = None
        self._lost_disputes.add(attempt_id)

    # --- outputs ---

    def take_ready(self, commit_seq: int, now_ms: int) -> CashierReady:
        """What is due, as of the log's entry `commit_seq`, which is committed. Nothing unless this device leads."""
        if self._term is None or not self._may_have_work(commit_seq, now_ms):
            return CashierReady()
        self._deadline_ms = self._uncommitted_seq = None
        self._looked_at = self._book.payments_version
        calls: list[Call] = []
        acts: list[Act] = []
        payments = self._payments()
        self._drop_settled(payments)
        for payment in payments:
            work = self._work(payment, now_ms)
            self._time_out(work, now_ms)
            if not self._is_committed(payment, commit_seq):
                self._uncommitted_seq = min(payment.changed_seq, self._uncommitted_seq or payment.changed_seq)
                continue
            if work.proposal is None:
                timely = self._timely(payment, work, now_ms)
                if timely is not None:
                    self._propose(work, timely)
            if work.proposal is not None:
                acts += self._give_out(work, now_ms)
            elif work.call is None and self._is_due(payment, work, now_ms):
                calls += self._begin(payment, work, now_ms)
        self._inherits = False
        return CashierReady(tuple(calls), tuple(acts))

    # --- what a broken variant replaces ---

    def _is_committed(self, payment: Payment, commit_seq: int) -> bool:
        """P16: nobody hears of a payment before its entry has committed."""
        return payment.changed_seq <= commit_seq

    def _gateway_id(self, payment: Payment, work: Work) -> str:
        """P16: one id for one attempt, however often it is asked about or sent again."""
        return payment.attempt_id

    def _next_op(self, payment: Payment, work: Work, now_ms: int) -> Op | None:
        """P16: after a time-out the same id is asked about; an unknown one is sent again. See `NEXT_OP`."""
        if self._is_too_old(payment, now_ms):
            return Op.QUERY
        op = NEXT_OP.get((payment.state, work.known))
        if op == "take":
            if payment.state is PaymentState.UNVERIFIED and now_ms >= payment.at_ms + self._limits.wallet_stop_ms:
                return Op.QUERY
            return Op.AUTHORIZE if payment.tender == "card" else Op.SALE
        return op

    # --- payments and their work ---

    def _may_have_work(self, commit_seq: int, now_ms: int) -> bool:
        """Whether anything has happened since the last look: it is called after every step of the device."""
        return (
            self._looked_at != self._book.payments_version
            or (self._uncommitted_seq is not None and commit_seq >= self._uncommitted_seq)
            or (self._deadline_ms is not None and now_ms >= self._deadline_ms)
        )

    def _payments(self) -> tuple[Payment, ...]:
        """Those that need the gateway. New ones and those to be undone come first, what is stored waits behind them (P20)."""
        payments = {payment.attempt_id: payment for payment in self._book.at_gateway()}
        for attempt_id in sorted(self._lost_disputes):
            try:
                payment = self._book.payment(attempt_id)
            except OrderRejected:
                self._lost_disputes.discard(attempt_id)
                continue
            if payment.takes(Step.CHARGE_BACK):
                payments.setdefault(attempt_id, payment)
        return tuple(sorted(payments.values(), key=lambda payment: payment.state is PaymentState.STORED))

    def _drop_settled(self, payments: tuple[Payment, ...]) -> None:
        kept = {payment.attempt_id for payment in payments}
        for attempt_id in [attempt_id for attempt_id in self._works if attempt_id not in kept]:
            call = self._works.pop(attempt_id).call
            if call is not None:
                self._calls.pop(call.call_id, None)

    def _work(self, payment: Payment, now_ms: int) -> Work:
        work = self._works.get(payment.attempt_id)
        if work is None:
            known = Known.DOUBT if self._inherits else Known.NOTHING_SENT
            work = self._works[payment.attempt_id] = Work(payment, known, now_ms)
        elif work.seen != payment:
            work.seen, work.due_ms, work.tries = payment, now_ms, 0
            work.proposal, work.proposed_ms, work.refused = None, None, ""
        return work

    def _time_out(self, work: Work, now_ms: int) -> None:
        if work.call is None:
            return
        late_ms = work.called_ms + work.call.timeout_ms
        if now_ms >= late_ms:
            self.answered(work.call.call_id, Answer(Result.NO_ANSWER), now_ms)
        else:
            self._wake(late_ms)

    def _is_too_old(self, payment: Payment, now_ms: int) -> bool:
        return payment.state is PaymentState.STORED and now_ms - payment.at_ms >= self._limits.stored_age_ms

    def _wake(self, at_ms: int) -> None:
        self._deadline_ms = at_ms if self._deadline_ms is None else min(self._deadline_ms, at_ms)

    # --- acts ---

    def _timely(self, payment: Payment, work: Work, now_ms: int) -> Content | None:
        """What the time, or the gateway's silence, makes of a payment; each step is logged before anything is done about it."""
        step = self._timely_step(payment, work, now_ms)
        if step is not None and payment.takes(step):
            return PaymentOutcome(payment.attempt_id, step)
        failed = any(refund.state is RefundState.FAILED for refund in payment.refunds)
        if payment.state is PaymentState.UNWANTED and payment.refundable_minor and not failed:
            return GiveRefund(payment.attempt_id, payment.refundable_minor, "captured after it was given up")
        return None

    def _timely_step(self, payment: Payment, work: Work, now_ms: int) -> Step | None:
        if payment.state is PaymentState.CAPTURED:
            return Step.CHARGE_BACK if payment.attempt_id in self._lost_disputes else None
        if payment.state in (PaymentState.PENDING, PaymentState.AUTHORIZED):
            partner = PARTNER_OF[payment.tender]
            if payment.tender == "coupon" and work.tries >= self._limits.coupon_tries_max:
                return Step.STOP
            if not work.refused and self.is_away(now_ms, partner):
                return Step.UNVERIFY if payment.tender == "wallet_code" else Step.STORE
            since_ms = self._silent_since_ms.get(partner)
            if since_ms is not None and not work.refused:
                self._wake(max(now_ms + 1, since_ms + self._limits.offline_after_ms))
        if payment.tender == "wallet_code" and payment.state is PaymentState.PENDING:
            stop_ms = payment.at_ms + self._limits.wallet_stop_ms
            if now_ms >= stop_ms:
                return Step.STOP
            self._wake(stop_ms)
        asked = work.call is None and work.known in ANSWERED
        return Step.EXPIRE if asked and self._is_too_old(payment, now_ms) else None

    def _propose(self, work: Work, content: Content) -> None:
        """Make the act, with a key that follows from what it settles: two primaries make the same one."""
        match content:
            case RefundOutcome():
                act_id = derived_id(content.refund_id, content.outcome)
            case PaymentOutcome():
                act_id = derived_id(content.attempt_id, content.outcome)
            case PartiesOutcome():
                act_id = derived_id(content.attempt_id, f"parties/{content.outcome}")
            case _:
                act_id = derived_id(work.seen.attempt_id, "refund")
        work.proposal, work.proposed_ms = Act(act_id, SYSTEM, content), None

    def _give_out(self, work: Work, now_ms: int) -> list[Act]:
        """The act that waits, if it was not given out just now: one that is lost on its way is given out again."""
        assert work.proposal is not None, "there is an act to give out"
        if work.proposed_ms is not None and now_ms < work.proposed_ms + self._limits.act_retry_ms:
            self._wake(work.proposed_ms + self._limits.act_retry_ms)
            return []
        work.proposed_ms = now_ms
        self._wake(now_ms + self._limits.act_retry_ms)
        return [work.proposal]

    # --- calls ---

    def _is_due(self, payment: Payment, work: Work, now_ms: int) -> bool:
        if len(self._calls) >= self._limits.calls_max:
            return False
        due_ms = work.due_ms
        if payment.state is PaymentState.REVERSING and payment.tender == "wallet_code":
            due_ms = max(due_ms, payment.at_ms + self._limits.reverse_after_ms)
        if now_ms < due_ms:
            self._wake(due_ms)
            return False
        return True

    def _begin(self, payment: Payment, work: Work, now_ms: int) -> list[Call]:
        call = self._money_back_call(payment, work) or self._payment_call(payment, work, now_ms)
        if call is None:
            return []
        work.call, work.called_ms = call, now_ms
        self._calls[call.call_id] = payment.attempt_id
        self._wake(now_ms + call.timeout_ms)
        return [call]

    def _payment_call(self, payment: Payment, work: Work, now_ms: int) -> Call | None:
        op = self._next_op(payment, work, now_ms)
        if op is None:
            return None
        gateway_id = self._gateway_id(payment, work)
        key = gateway_id if op in (Op.AUTHORIZE, Op.SALE, Op.QUERY) else derived_id(gateway_id, op)
        amount_minor = payment.amount_minor if op in (Op.AUTHORIZE, Op.SALE, Op.CAPTURE) else 0
        instrument = payment.instrument if op in (Op.AUTHORIZE, Op.SALE) else ""
        return self._call(op, gateway_id, key, payment, amount_minor, instrument)

    def _money_back_call(self, payment: Payment, work: Work) -> Call | None:
        """Of a captured payment: first it is split, then each refund in turn, when the parties have returned their shares.

        A refund that was under way when a dispute took the payment back is asked about to its end: it may have been done.
        """
        if payment.state not in (PaymentState.CAPTURED, PaymentState.UNWANTED, PaymentState.CHARGED_BACK):
            return None
        attempt_id = payment.attempt_id
        if payment.state is PaymentState.CAPTURED and payment.parties_state == "due":
            return self._call(Op.SPLIT, attempt_id, derived_id(attempt_id, Op.SPLIT), payment, shares=payment.parties)
        refund = _pending_refund(payment)
        if refund is None:
            return None
        may_be_split = payment.parties_state == "done" or _was_to_be_split(payment)
        if refund.returned and may_be_split and refund.refund_id not in work.returned:
            key = derived_id(refund.refund_id, Op.RETURN)
            return self._call(Op.RETURN, attempt_id, key, payment, shares=refund.returned)
        return self._call(Op.REFUND, attempt_id, refund.refund_id, payment, refund.amount_minor)

    def _call(
        self,
        op: Op,
        attempt_id: str,
        key: str,
        payment: Payment,
        amount_minor: int = 0,
        instrument: str = "",
        shares: Shares = (),
    ) -> Call:
        self._call_count += 1
        timeout_ms = self._limits.call_timeout_ms
        return Call(self._call_count, op, attempt_id, key, payment.tender, amount_minor, instrument, shares, timeout_ms)

    # --- answers ---

    def _content_of(self, call: Call, answer: Answer, payment: Payment, known: Known) -> tuple[Content | None, str]:
        """What an answer settles, if anything; and the refund for which the parties have returned their shares."""
        detail, final = answer.detail[:TEXT_MAX], FINAL.get(answer.result)
        if call.op in (Op.SPLIT, Op.RETURN, Op.REFUND):
            if final is None:
                return None, ""
            if call.op is Op.SPLIT:
                due = payment.parties_state == "due"
                return (PartiesOutcome(payment.attempt_id, final, detail) if due else None), ""
            refund = _pending_refund(payment)
            if refund is None or call.key not in (refund.refund_id, derived_id(refund.refund_id, Op.RETURN)):
                return None, ""
            if call.op is Op.RETURN and (final == "done" or _was_to_be_split(payment)):
                return None, refund.refund_id
            return RefundOutcome(refund.refund_id, final, call.op is Op.REFUND, detail), ""
        step = STEP_OF.get((payment.state, answer.result))
        if known is Known.IRREVERSIBLE and step is None:
            step = STEP_WHEN_IRREVERSIBLE.get((payment.state, answer.result))
        if step is None or not payment.takes(step):
            return None, ""
        return PaymentOutcome(payment.attempt_id, step, answer.reference[:TEXT_MAX], detail), ""

    def _note_reach(self, partner: Partner, result: Result, called_ms: int, now_ms: int) -> None:
        """Whether a partner is there. When it comes back, all that waited for it is due, in its order."""
        if result is Result.NO_ANSWER:
            self._last_failure_ms[partner] = now_ms
            self._silent_since_ms.setdefault(partner, called_ms)
            return
        if self._silent_since_ms.pop(partner, None) is not None:
            for work in self._works.values():
                if PARTNER_OF[work.seen.tender] == partner:
                    work.due_ms, work.tries, work.refused = min(work.due_ms, now_ms), 0, ""

    def _pace(self, work: Work, call: Call, result: Result, now_ms: int, has_moved: bool) -> None:
        """When to ask again, and what is known by then."""
        work.known = KNOWN_AFTER.get(result, Known.DOUBT)
        next_op = self._next_op(work.seen, work, now_ms)
        goes_on = (next_op in (Op.AUTHORIZE, Op.SALE) and call.op is Op.QUERY) or (
            next_op is Op.CAPTURE and call.op is not Op.CAPTURE
        )
        if has_moved or goes_on or result is Result.IRREVERSIBLE:
            work.due_ms = now_ms
        elif result is Result.WAITING:
            work.due_ms, work.tries = now_ms + self._limits.ask_again_ms, 0
        else:
            work.due_ms = now_ms + self._pause_ms(work)
            work.tries += 1

    def _pause_ms(self, work: Work) -> int:
        """Before the next try: doubled each time; for a coupon as its platform asks for it."""
        if work.seen.tender == "coupon" and work.seen.state is PaymentState.PENDING:
            first = work.tries < self._limits.coupon_first_tries
            return self._limits.coupon_retry_ms if first else self._limits.coupon_later_ms
        return min(self._limits.retry_ms << min(work.tries, 16), self._limits.retry_max_ms)


def _pending_refund(payment: Payment) -> Refund | None:
    return next((refund for refund in payment.refunds if refund.state is RefundState.PENDING), None)


def _was_to_be_split(payment: Payment) -> bool:
    """A dispute took it before the split's answer came: whether it was split is found by asking for the shares back."""
    return payment.state is PaymentState.CHARGED_BACK and payment.parties_state == "due"
