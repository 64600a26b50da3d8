"""What a request does to a payment and to whose money it is: pure, by the tables of `states` and the limits.

`decide` answers with the payment as it is afterwards, the money moved, and what the caller is told; or raises `ProblemError`, and
nothing is done. A decline is an answer and final; a problem is a refusal, after which the same request may come again.
"""

from __future__ import annotations

from dataclasses import replace

from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.records import (
    DISPUTED,
    Decision,
    Dispute,
    Movement,
    Outcome,
    Payment,
    Situation,
    Tender,
)
from refsystem.partners.payment_gateway.requests import (
    AnswerDispute,
    Authorize,
    Capture,
    GatewayRequest,
    OpenDispute,
    Refund,
    Reverse,
    RuleDispute,
    Sale,
    Split,
    SplitReturn,
)
from refsystem.partners.payment_gateway.settings import Limits
from refsystem.partners.payment_gateway.states import (
    DISPUTE_TRANSITIONS,
    PAYMENT_TRANSITIONS,
    DisputeEvent,
    PaymentEvent,
)
from refsystem.problems import ProblemError


def decide(request: GatewayRequest, request_id: str, now: Situation, limits: Limits, now_us: int) -> Decision:
    """What `request` does in the situation `now`; raises `ProblemError`, and then it does nothing."""
    match request:
        case Authorize():
            return _authorize(request, now, limits, now_us)
        case Sale():
            return _sale(request, now, limits, now_us)
        case Capture():
            return _capture(request, _known(now.payment), limits, now_us)
        case Reverse():
            return _reverse(request, now.payment, limits, now_us)
        case Refund():
            return _refund(request, _known(now.payment), now, limits, now_us)
        case Split():
            return _split(request, _known(now.payment), now, limits)
        case SplitReturn():
            return _split_return(request, _known(now.payment), now)
        case OpenDispute():
            return _open_dispute(request, request_id, _known(now.payment), limits, now_us)
        case AnswerDispute() | RuleDispute():
            if now.dispute is None or now.payment is None:
                raise ProblemError(problems.DISPUTE_UNKNOWN)
            return close_dispute(now.payment, now.dispute, _dispute_event(request), _evidence(request))


def settle(payment: Payment) -> Decision:
    """The diner has confirmed a pending payment, or it is declined."""
    assert payment.settle_event is not None
    at_us = payment.settle_at_us
    changed = _step(payment, payment.settle_event, settle_at_us=None, settle_event=None)
    if payment.settle_event == "decline":
        outcome = Outcome("declined", payment.amount_minor, payment.decline_code)
        return Decision(changed, outcome, event="payment.declined")
    changed = replace(changed, captured_minor=payment.amount_minor, captured_at_us=at_us)
    return Decision(changed, Outcome("succeeded", payment.amount_minor), _captured(changed), "payment.captured")


def close_dispute(payment: Payment, dispute: Dispute, event: DisputeEvent, evidence: str = "") -> Decision:
    """A dispute goes on or ends: won, the money returns to the merchant; lost or accepted, it goes to the payer."""
    status = DISPUTE_TRANSITIONS.get((dispute.status, event))
    if status is None:
        raise ProblemError(problems.DISPUTE_CLOSED, f"the dispute is {dispute.status}")
    outcome = Outcome("succeeded", dispute.amount_minor)
    closed = replace(dispute, status=status, evidence=evidence or dispute.evidence)
    if status == "contested":
        return Decision(payment, outcome, event="dispute.contested", dispute=closed)
    amount = dispute.amount_minor
    if status == "won":
        movement = Movement("dispute_won", ((DISPUTED, -amount), (_merchant(payment), amount)))
        changed = _step(payment, "dispute", disputed_minor=payment.disputed_minor - amount)
    else:
        movement = Movement("dispute_lost", ((DISPUTED, -amount), (_payer(payment), amount)))
        changed = _step(payment, "dispute")
    return Decision(changed, outcome, movement, f"dispute.{status}", closed)


def expired(payment: Payment, limits: Limits, now_us: int) -> Payment:
    """The payment, expired if nobody captured it in time."""
    if payment.status == "authorized" and now_us - payment.created_at_us > limits.scaled_us(limits.authorization_s):
        return _step(payment, "expire")
    return payment


# --- taking money ---


def _authorize(request: Authorize, now: Situation, limits: Limits, now_us: int) -> Decision:
    _check_amount(request.amount_minor, request.currency, limits)
    if now.payment is not None:
        return _came_too_late(now.payment, request.merchant, request.amount_minor)
    payment = _new(request, "card", "decline" if now.declined else "authorize", now_us)
    if now.declined:
        return _declined(payment, "insufficient-funds")
    return Decision(payment, Outcome("succeeded", request.amount_minor), event="payment.authorized")


def _sale(request: Sale, now: Situation, limits: Limits, now_us: int) -> Decision:
    _check_amount(request.amount_minor, request.currency, limits)
    if now.payment is not None:
        return _came_too_late(now.payment, request.merchant, request.amount_minor)
    if now.code_used:
        return _declined(_new(request, "wallet", "decline", now_us), "payment-code-used")
    payment = _new(request, "wallet", "sale", now_us)
    if now.confirm_after_us is None:
        give_up_us = now_us + limits.scaled_us(limits.wallet_give_up_s)
        payment = replace(payment, settle_at_us=give_up_us, settle_event="decline", decline_code="not-confirmed")
    elif now.declined:
        confirm_us = now_us + now.confirm_after_us
        payment = replace(payment, settle_at_us=confirm_us, settle_event="decline", decline_code="insufficient-funds")
    else:
        payment = replace(payment, settle_at_us=now_us + now.confirm_after_us, settle_event="confirm")
    if payment.settle_at_us == now_us:
        return settle(payment)
    return Decision(payment, Outcome("pending", request.amount_minor))


def _capture(request: Capture, payment: Payment, limits: Limits, now_us: int) -> Decision:
    payment = expired(payment, limits, now_us)
    if payment.status == "captured":
        raise ProblemError(problems.ALREADY_CAPTURED)
    changed = _step(payment, "capture", captured_minor=request.amount_minor, captured_at_us=now_us)
    if request.amount_minor > payment.amount_minor:
        raise ProblemError(problems.CAPTURE_TOO_LARGE, f"{payment.amount_minor} was authorized")
    return Decision(changed, Outcome("succeeded", request.amount_minor), _captured(changed), "payment.captured")


# --- giving money back ---


def _reverse(request: Reverse, payment: Payment | None, limits: Limits, now_us: int) -> Decision:
    if payment is None:
        status = PAYMENT_TRANSITIONS[None, "reverse"]
        payment = Payment(request.attempt_id, request.merchant, "none", limits.currency, 0, status, now_us)
        return Decision(payment, Outcome("succeeded", 0))
    if payment.merchant != request.merchant:
        raise ProblemError(problems.PAYMENT_UNKNOWN)
    changed = _step(payment, "reverse", settle_at_us=None, settle_event=None)
    if payment.status in ("reversed", "declined", "expired"):
        return Decision(payment, Outcome("succeeded", 0))
    _check_reversible(payment, limits, now_us)
    movement = None
    if payment.captured_minor:
        amount = payment.captured_minor
        movement = Movement("reversal", ((_merchant(payment), -amount), (_payer(payment), amount)))
        changed = replace(changed, captured_minor=0)
    outcome = Outcome("succeeded", payment.captured_minor)
    return Decision(replace(changed, decline_code=None), outcome, movement, "payment.reversed")


def _check_reversible(payment: Payment, limits: Limits, now_us: int) -> None:
    age_us = now_us - payment.created_at_us
    if payment.tender == "wallet" and age_us < limits.scaled_us(limits.reverse_after_s):
        wait_s = (limits.scaled_us(limits.reverse_after_s) - age_us) / 1_000_000
        raise ProblemError(problems.REVERSE_TOO_EARLY, f"it may be reversed in {wait_s:.3f} s")
    if age_us > limits.scaled_us(limits.reverse_within_s):
        raise ProblemError(problems.REVERSE_TOO_LATE)
    if payment.refunded_minor or payment.split_minor or payment.disputed_minor:
        raise ProblemError(problems.REVERSE_REFUSED)


def _refund(request: Refund, payment: Payment, now: Situation, limits: Limits, now_us: int) -> Decision:
    amount = request.amount_minor
    changed = _step(payment, "refund", refunded_minor=payment.refunded_minor + amount)
    left = payment.captured_minor - payment.refunded_minor - payment.disputed_minor
    if amount > left:
        raise ProblemError(problems.REFUND_TOO_LARGE, f"{left} is left")
    if amount > payment.held_minor:
        raise ProblemError(problems.SPLIT_NOT_RETURNED, f"the merchant holds {payment.held_minor} of it")
    if now.refunds >= limits.refunds_max:
        raise ProblemError(problems.REFUND_REFUSED, f"a payment takes {limits.refunds_max} refunds at most")
    if now_us - (payment.captured_at_us or now_us) > limits.scaled_us(limits.refund_within_s):
        raise ProblemError(problems.REFUND_REFUSED, "it is too late for a refund")
    movement = Movement("refund", ((_merchant(payment), -amount), (_payer(payment), amount)))
    return Decision(changed, Outcome("succeeded", amount), movement, "refund.succeeded")


# --- parties ---


def _split(request: Split, payment: Payment, now: Situation, limits: Limits) -> Decision:
    total = sum(amount for _, amount in request.shares)
    changed = _step(payment, "split", split_minor=payment.split_minor + total)
    parties = {party for party, amount in (now.shares or {}).items() if amount} | {party for party, _ in request.shares}
    if len(parties) > limits.split_parties_max:
        raise ProblemError(problems.SPLIT_TOO_LARGE, f"a payment has {limits.split_parties_max} parties at most")
    most = payment.captured_minor * limits.split_share_max_percent // 100 - payment.split_minor
    if total > min(most, payment.held_minor):
        raise ProblemError(problems.SPLIT_TOO_LARGE, f"{max(0, min(most, payment.held_minor))} may be split off")
    postings = ((_merchant(payment), -total), *((_party(party), amount) for party, amount in request.shares))
    return Decision(changed, Outcome("succeeded", total), Movement("split", postings), "split.succeeded")


def _split_return(request: SplitReturn, payment: Payment, now: Situation) -> Decision:
    total = sum(amount for _, amount in request.shares)
    changed = _step(payment, "split", split_minor=payment.split_minor - total)
    for party, amount in request.shares:
        has = (now.shares or {}).get(party, 0)
        if amount > has:
            raise ProblemError(problems.RETURN_TOO_LARGE, f"{party!r} has {has} of it")
    postings = ((_merchant(payment), total), *((_party(party), -amount) for party, amount in request.shares))
    return Decision(changed, Outcome("succeeded", total), Movement("split_return", postings), "split.returned")


# --- disputes ---


def _open_dispute(request: OpenDispute, dispute_id: str, payment: Payment, limits: Limits, now_us: int) -> Decision:
    amount = request.amount_minor
    changed = _step(payment, "dispute", disputed_minor=payment.disputed_minor + amount)
    left = payment.captured_minor - payment.refunded_minor - payment.disputed_minor
    if amount > left:
        raise ProblemError(problems.REFUND_TOO_LARGE, f"{left} is left")
    answer_by_us = now_us + limits.scaled_us(limits.dispute_answer_s)
    dispute = Dispute(dispute_id, payment.attempt_id, payment.merchant, amount, request.reason, "opened", answer_by_us)
    movement = Movement("dispute_opened", ((_merchant(payment), -amount), (DISPUTED, amount)))
    return Decision(changed, Outcome("succeeded", amount), movement, "dispute.opened", dispute)


def _dispute_event(request: AnswerDispute | RuleDispute) -> DisputeEvent:
    if isinstance(request, AnswerDispute):
        return "accept" if request.accept else "contest"
    return "rule_for_merchant" if request.winner == "merchant" else "rule_for_payer"


def _evidence(request: AnswerDispute | RuleDispute) -> str:
    return request.evidence if isinstance(request, AnswerDispute) else ""


# --- parts ---


def _known(payment: Payment | None) -> Payment:
    if payment is None:
        raise ProblemError(problems.PAYMENT_UNKNOWN)
    return payment


def _step(payment: Payment, event: PaymentEvent, **changes: object) -> Payment:
    """The payment after `event`, one version on; raises `ProblemError` if its state does not allow it."""
    status = PAYMENT_TRANSITIONS.get((payment.status, event))
    if status is None:
        raise ProblemError(problems.STATE_FORBIDS, f"the payment is {payment.status}")
    return replace(payment, status=status, version=payment.version + 1, **changes)  # type: ignore[arg-type]


def _new(request: Authorize | Sale, tender: Tender, event: PaymentEvent, now_us: int) -> Payment:
    return Payment(
        request.attempt_id,
        request.merchant,
        tender,
        request.currency,
        request.amount_minor,
        PAYMENT_TRANSITIONS[None, event],
        now_us,
        request.reference,
        version=1,
    )


def _declined(payment: Payment, code: str) -> Decision:
    outcome = Outcome("declined", payment.amount_minor, code)
    return Decision(replace(payment, decline_code=code), outcome, event="payment.declined")


def _came_too_late(payment: Payment, merchant: str, amount_minor: int) -> Decision:
    """A payment whose id was reversed before it came."""
    if payment.status != "reversed" or payment.merchant != merchant:
        raise ProblemError(problems.KEY_REUSED)
    return Decision(payment, Outcome("declined", amount_minor, "reversed"))


def _check_amount(amount_minor: int, currency: str, limits: Limits) -> None:
    if currency != limits.currency:
        raise ProblemError(problems.PAYMENT_INVALID, f"currency must be {limits.currency}, not {currency!r}")
    if amount_minor > limits.amount_max_minor:
        raise ProblemError(problems.AMOUNT_OVER_LIMIT, f"the most is {limits.amount_max_minor}")


def _captured(payment: Payment) -> Movement:
    amount = payment.captured_minor
    return Movement("capture", ((_payer(payment), -amount), (_merchant(payment), amount)))


def _payer(payment: Payment) -> str:
    return f"payer:{payment.tender}"


def _merchant(payment: Payment) -> str:
    return f"merchant:{payment.merchant}"


def _party(party: str) -> str:
    return f"party:{party}"
