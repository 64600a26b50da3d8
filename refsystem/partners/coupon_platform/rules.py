"""What a request does to a voucher or a balance: pure. A decline is an answer and final; a problem leaves no trace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from refsystem.partners.coupon_platform.settings import Limits
from refsystem.partners.payment_gateway import problems
from refsystem.problems import ProblemError

Kind = Literal["voucher", "member"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A voucher worth `value_minor`, good for one payment; or a member whose balance that is."""

    instrument: str
    kind: Kind
    value_minor: int
    used_by: str | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment by one instrument. It is verified and taken at once, or declined."""

    attempt_id: str
    merchant: str
    instrument: str
    amount_minor: int
    status: Literal["captured", "declined", "reversed"]
    decline_code: str | None
    refunded_minor: int
    created_at_us: int


def sale(wanted: Payment, kind: Kind, found: Instrument | None) -> Payment:
    """The payment that `wanted` becomes, by the instrument that was found under its name."""
    code = None
    if found is None or found.kind != kind:
        code = f"{kind}-unknown"
    elif kind == "voucher" and found.used_by is not None:
        code = "voucher-used"
    elif found.value_minor < wanted.amount_minor:
        code = "insufficient-value"
    return replace(wanted, status="declined", decline_code=code) if code else wanted


def reversed_(payment: Payment, found: Instrument | None, limits: Limits, now_us: int) -> Payment:
    """The payment as if it had never been; raises `ProblemError` when it is too late for that, or something went back already."""
    if payment.status != "captured":
        return payment
    if payment.refunded_minor:
        raise ProblemError(problems.REVERSE_REFUSED)
    if now_us - payment.created_at_us > _window_us(found, limits):
        raise ProblemError(problems.REVERSE_TOO_LATE)
    return replace(payment, status="reversed")


def refunded(payment: Payment, found: Instrument | None, amount_minor: int, limits: Limits, now_us: int) -> Payment:
    """The payment with part of it given back. A voucher goes back whole, within its hour; raises `ProblemError`."""
    if payment.status != "captured":
        raise ProblemError(problems.STATE_FORBIDS, f"the payment is {payment.status}")
    if amount_minor > payment.amount_minor - payment.refunded_minor:
        raise ProblemError(problems.REFUND_TOO_LARGE)
    if found is not None and found.kind == "voucher":
        whole = amount_minor == payment.amount_minor
        if not whole or now_us - payment.created_at_us > _window_us(found, limits):
            raise ProblemError(problems.REFUND_REFUSED, "a voucher is given back whole, within an hour")
    return replace(payment, refunded_minor=payment.refunded_minor + amount_minor)


def _window_us(found: Instrument | None, limits: Limits) -> int:
    is_voucher = found is not None and found.kind == "voucher"
    return limits.scaled_us(limits.cancel_voucher_within_s if is_voucher else limits.reverse_balance_within_s)
