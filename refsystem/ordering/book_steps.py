"""What each act does to the checks, and, here alone, whether it is allowed.

`step` applies a decided act, whoever decided it and whenever: it needs the log only, no menu and no clock, so that every
device makes the same checks of the same log. What the rules know when an act is decided is filled in by `book_derivations`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from refsystem.ordering import check_acts as acts
from refsystem.ordering.check import Check, CheckStatus, Discount
from refsystem.ordering.check_acts import Act, Content
from refsystem.ordering.errors import (
    ACT_INVALID,
    AMOUNT_OVER_DUE,
    CHECK_CLOSED,
    CHECK_HAS_PAYMENTS,
    CHECK_NOT_CLOSED,
    CHECK_NOT_COVERED,
    COUPON_USED,
    KEY_REUSED,
    PAYMENT_PENDING,
    PAYMENT_STATE,
    REFUND_TOO_LARGE,
    OrderRejected,
)
from refsystem.ordering.money import BASIS_POINTS
from refsystem.ordering.payment import NOT_FINAL, PartiesState, Payment, PaymentState, Refund, RefundState, Step, Tender

Changes = dict[str, Check]


@dataclass(frozen=True, slots=True)
class OfflineLimits:
    """How much may be taken on trust while the gateway is away: of one payment, and of all that are stored."""

    payment_minor_max: int = 50_000
    outstanding_minor_max: int = 500_000


@dataclass(frozen=True, slots=True)
class PaymentRules:
    """The store's rules for payments. `parties` get `(name, basis points)` of each sum that `split_tenders` capture."""

    offline: OfflineLimits = OfflineLimits()
    parties: tuple[tuple[str, int], ...] = ()
    split_tenders: frozenset[Tender] = frozenset({"wallet_code", "card"})

    def __post_init__(self) -> None:
        if sum(points for _, points in self.parties) > BASIS_POINTS or any(points < 1 for _, points in self.parties):
            raise ValueError(f"parties: shares are 1 basis point or more, and at most {BASIS_POINTS} together")


class Lookup(Protocol):
    """What a step may ask of the book."""

    rules: PaymentRules

    @property
    def stored_minor(self) -> int:
        """What is taken on trust and not captured yet, of all checks."""

    def check(self, check_id: str) -> Check:
        """One check; raises `OrderRejected` when there is none."""

    def check_of_payment(self, attempt_id: str) -> Check:
        """The check of a payment; raises `OrderRejected` when there is none."""

    def check_of_refund(self, refund_id: str) -> tuple[Check, Payment]:
        """The check and the payment of a refund; raises `OrderRejected` when there is none."""

    def knows_id(self, identity: str) -> bool:
        """Whether a check, payment or refund has this id."""

    def coupon_used(self, code: str) -> bool:
        """Whether a check has this coupon."""


def step(book: Lookup, act: Act, at_ms: int, seq: int) -> Changes:
    """The checks that `act`, logged at `seq`, changes; raises `OrderRejected` when the rules do not allow it."""
    changes: Changes = STEPS[type(act.content)](book, act.content, at_ms, seq)
    return changes


# --- derived fields ------------------------------------------------------------------------------------------------


# --- steps ---------------------------------------------------------------------------------------------------------


def _transfer(book: Lookup, content: acts.Transfer, at_ms: int, seq: int) -> Changes:
    check = book.check(content.check_id)
    if check.status not in (CheckStatus.OPEN, CheckStatus.CLOSING):
        raise OrderRejected(CHECK_CLOSED, f"check {check.check_id} is {check.status}")
    return {check.check_id: replace(check, table=content.table)}


def _merge(book: Lookup, content: acts.Merge, at_ms: int, seq: int) -> Changes:
    check, other = (book.check(each).must_be_paid_here() for each in (content.check_id, content.other_check_id))
    if check.check_id == other.check_id:
        raise OrderRejected(ACT_INVALID, "other_check_id must be another check than check_id")
    if other.has_money:
        raise OrderRejected(CHECK_HAS_PAYMENTS, f"check {other.check_id} has payments: merge the other way round")
    merged = replace(
        check.with_lines(other.lines),
        shares_minor=check.shares_minor + other.shares_minor,
        discounts=check.discounts + other.discounts,
    )
    emptied = replace(other, lines=(), shares_minor=0, discounts=(), merged_into=check.check_id)
    return {
        check.check_id: merged.sound().settled(),
        other.check_id: emptied.moved_to(CheckStatus.MERGED),
    }


def _split(book: Lookup, content: acts.Split, at_ms: int, seq: int) -> Changes:
    check = book.check(content.check_id).must_be_paid_here()
    for new_check_id in content.new_check_ids:
        if book.knows_id(new_check_id):
            raise OrderRejected(KEY_REUSED, f"check {new_check_id} is there already")
    if content.lines:
        left, moved = check.without(content.lines)
        (new_check_id,) = content.new_check_ids
        parts = {new_check_id: Check(new_check_id, check.table, seq, split_from=check.check_id).with_lines(moved)}
    else:
        left = replace(check, shares_minor=check.shares_minor - sum(content.shares_minor))
        parts = {
            new_check_id: Check(new_check_id, check.table, seq, shares_minor=share_minor, split_from=check.check_id)
            for new_check_id, share_minor in zip(content.new_check_ids, content.shares_minor, strict=True)
        }
    return {check.check_id: left.sound().settled(), **parts}


def _void(book: Lookup, content: acts.Void, at_ms: int, seq: int) -> Changes:
    return _less(book.check(content.check_id).must_be_open(), content, voided=content.quantity, comped=0)


def _comp(book: Lookup, content: acts.Comp, at_ms: int, seq: int) -> Changes:
    return _less(book.check(content.check_id).must_be_paid_here(), content, voided=0, comped=content.quantity)


def _less(check: Check, content: acts.Void | acts.Comp, voided: int, comped: int) -> Changes:
    left, _ = check.taken(content.order_id, content.line, content.quantity)
    left = replace(left, voided=left.voided + voided, comped=left.comped + comped)
    changed = check.with_line(left).with_discount_cut(content.discount_cut_minor)
    return {check.check_id: changed.sound().settled()}


def _discount(book: Lookup, content: acts.GiveDiscount, at_ms: int, seq: int) -> Changes:
    check = book.check(content.check_id).must_be_paid_here()
    if content.code and book.coupon_used(content.code):
        raise OrderRejected(COUPON_USED, f"code {content.code!r} was used on a check already")
    discount = Discount(content.code, content.value_minor, content.reason)
    return {check.check_id: replace(check, discounts=(*check.discounts, discount)).sound().settled()}


def _pay(book: Lookup, content: acts.Pay, at_ms: int, seq: int) -> Changes:
    check = book.check(content.check_id)
    waiting = [each for each in check.payments if each.tender == content.tender and each.state in NOT_FINAL]
    if waiting:
        raise OrderRejected(PAYMENT_PENDING, f"{content.tender} payment {waiting[0].attempt_id} is {waiting[0].state}")
    check.must_be_paid_here()
    if content.amount_minor > check.due_minor:
        raise OrderRejected(AMOUNT_OVER_DUE, f"amount_minor is {content.amount_minor}, but {check.due_minor} are due")
    if book.knows_id(content.attempt_id):
        raise OrderRejected(KEY_REUSED, f"{content.attempt_id} is the id of something else already")
    payment = Payment(
        attempt_id=content.attempt_id,
        tender=content.tender,
        amount_minor=content.amount_minor,
        at_ms=at_ms,
        changed_seq=seq,
        state=PaymentState.CAPTURED if content.tender == "cash" else PaymentState.PENDING,
        instrument=content.instrument,
        given_minor=content.given_minor,
        parties=content.parties,
        parties_state="due" if content.parties else "none",
    )
    return {check.check_id: check.with_payment(payment).settled()}


def _outcome(book: Lookup, content: acts.PaymentOutcome, at_ms: int, seq: int) -> Changes:
    return _move_payment(book, content.attempt_id, content.outcome, seq, content.reference, content.detail)


def _cancel(book: Lookup, content: acts.CancelPayment, at_ms: int, seq: int) -> Changes:
    return _move_payment(book, content.attempt_id, Step.CANCEL, seq)


def _accept(book: Lookup, content: acts.AcceptPayment, at_ms: int, seq: int) -> Changes:
    return _move_payment(book, content.attempt_id, Step.ACCEPT, seq)


def _move_payment(
    book: Lookup, attempt_id: str, move: Step, seq: int, reference: str = "", detail: str = ""
) -> Changes:
    check = book.check_of_payment(attempt_id)
    payment = check.payment(attempt_id)
    if not payment.takes(move):
        raise OrderRejected(
            PAYMENT_STATE, f"{payment.tender} payment {attempt_id} is {payment.state}: it cannot be {move}"
        )
    if move is Step.CANCEL and check.status is CheckStatus.CLOSED:
        raise OrderRejected(CHECK_CLOSED, f"check {check.check_id} is closed: reopen it first")
    return {check.check_id: check.with_payment(payment.stepped(move, seq, reference, detail)).settled()}


def _refund(book: Lookup, content: acts.GiveRefund, at_ms: int, seq: int) -> Changes:
    check = book.check_of_payment(content.attempt_id)
    payment = check.payment(content.attempt_id)
    if payment.state not in (PaymentState.CAPTURED, PaymentState.UNWANTED):
        raise OrderRejected(PAYMENT_STATE, f"payment {payment.attempt_id} is {payment.state}: nothing to give back")
    if payment.state is PaymentState.CAPTURED:
        if check.status is CheckStatus.CLOSED:
            raise OrderRejected(CHECK_CLOSED, f"check {check.check_id} is closed: reopen it first")
        check.must_be_open()
    if content.amount_minor > payment.refundable_minor:
        raise OrderRejected(
            REFUND_TOO_LARGE,
            f"amount_minor is {content.amount_minor}, but {payment.refundable_minor} can be given back",
        )
    if book.knows_id(content.refund_id):
        raise OrderRejected(KEY_REUSED, f"{content.refund_id} is the id of something else already")
    state = RefundState.DONE if payment.tender == "cash" else RefundState.PENDING
    refund = Refund(content.refund_id, content.amount_minor, state, content.returned)
    changed = replace(payment, refunds=(*payment.refunds, refund), changed_seq=seq)
    return {check.check_id: check.with_payment(changed).settled()}


def _refund_outcome(book: Lookup, content: acts.RefundOutcome, at_ms: int, seq: int) -> Changes:
    check, payment = book.check_of_refund(content.refund_id)
    refunds = {refund.refund_id: refund for refund in payment.refunds}
    refund = refunds[content.refund_id]
    if refund.state is not RefundState.PENDING:
        raise OrderRejected(PAYMENT_STATE, f"refund {refund.refund_id} is {refund.state} already")
    refunds[content.refund_id] = refund.stepped(content.outcome, content.parties_returned)
    changed = replace(payment, refunds=tuple(refunds.values()), changed_seq=seq)
    return {check.check_id: check.with_payment(changed).settled()}


def _parties_outcome(book: Lookup, content: acts.PartiesOutcome, at_ms: int, seq: int) -> Changes:
    check = book.check_of_payment(content.attempt_id)
    payment = check.payment(content.attempt_id)
    if payment.parties_state != "due" or payment.state is not PaymentState.CAPTURED:
        raise OrderRejected(PAYMENT_STATE, f"payment {payment.attempt_id} has no sum to be split")
    state: PartiesState = "done" if content.outcome == "done" else "none"
    return {check.check_id: check.with_payment(replace(payment, parties_state=state, changed_seq=seq))}


def _close(book: Lookup, content: acts.Close, at_ms: int, seq: int) -> Changes:
    check = book.check(content.check_id).must_be_paid_here()
    if check.covered_minor != check.total_minor or not check.is_settled:
        why = f"{check.covered_minor} of {check.total_minor} are paid"
        raise OrderRejected(
            CHECK_NOT_COVERED, why if check.is_settled else why + ", and a payment or refund is under way"
        )
    return {check.check_id: replace(check, reopened=False).moved_to(CheckStatus.CLOSED)}


def _reopen(book: Lookup, content: acts.Reopen, at_ms: int, seq: int) -> Changes:
    check = book.check(content.check_id)
    if check.status is not CheckStatus.CLOSED:
        raise OrderRejected(CHECK_NOT_CLOSED, f"check {check.check_id} is {check.status}")
    return {check.check_id: replace(check, reopened=True).moved_to(CheckStatus.OPEN)}


STEPS: dict[type[Content], Callable[..., Changes]] = {
    acts.Transfer: _transfer,
    acts.Merge: _merge,
    acts.Split: _split,
    acts.Void: _void,
    acts.Comp: _comp,
    acts.GiveDiscount: _discount,
    acts.Pay: _pay,
    acts.CancelPayment: _cancel,
    acts.AcceptPayment: _accept,
    acts.GiveRefund: _refund,
    acts.Close: _close,
    acts.Reopen: _reopen,
    acts.PaymentOutcome: _outcome,
    acts.RefundOutcome: _refund_outcome,
    acts.PartiesOutcome: _parties_outcome,
}
