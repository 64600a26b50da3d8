"""Was everybody charged what they owed: each check's total by the log, against what the gateway's own ledger moved.

Totals and payments are what F(edge)'s entries say, read by the rules of the store; that those neither make nor lose money is held
against the plain sum of all orders, voids, comps and discounts. What was taken is the gateway's word alone, but for cash.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from chaos.judge.findings import Finding
from chaos.judge.ledger import StoreLedger
from chaos.judge.reads import GatewayRead, Movement, Unreadable
from refsystem.ordering.check import Check, CheckStatus
from refsystem.ordering.payment import Payment, PaymentState, RefundState

TAKEN = {"capture": 1, "reversal": -1, "refund": -1, "dispute_lost": -1}
"""How a movement changes what was taken from a payer; splits and open disputes move it between others."""
LOSSES = frozenset({PaymentState.BAD_DEBT, PaymentState.CHARGED_BACK})
"""The check stays covered, and the store has lost the money."""
ON_TRUST = frozenset({PaymentState.STORED, PaymentState.EXPIRING})


@dataclass(frozen=True, slots=True)
class Sums:
    """The money of one store at the end, in minor units. `bad_debt` and `charged_back` are the store's losses."""

    checks: int = 0
    closed: int = 0
    cash_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    stored_minor: int = 0
    bad_debt_minor: int = 0
    charged_back_minor: int = 0
    unverified: int = 0


def mischarged(
    ledger: StoreLedger, before: GatewayRead | Unreadable | None, given_up_acts: Set[str] = frozenset()
) -> Iterator[Finding]:
    """Cases of the class, and payments that were given up; needs F(edge).

    What may still move, because the store has not settled, is not judged. `before` is the gateway's ledger in the first round of
    reads, older than F(edge): what it holds must be in the log by now, settled or not, for no payment is called before it is
    committed (P16). `given_up_acts` are acts that fell with their device.
    """
    if ledger.primary is None:
        return
    movements = _by_attempt(ledger.gateway)
    for attempt_id, moved in movements.items():
        captures = sum(movement.kind == "capture" for movement in moved)
        if captures > 1:
            yield _finding(ledger, attempt_id, f"the gateway captured {captures} times under this one id")
    if ledger.unsettled is not None:
        yield from _unknown_to_the_log(ledger, _by_attempt(before), given_up_acts)
        return
    yield from _unknown_to_the_log(ledger, movements, given_up_acts)
    for check in ledger.book.checks:
        for payment in check.payments:
            yield from _payment(ledger, check, payment, movements.get(payment.attempt_id, []))
        yield from _check(ledger, check, movements)
    yield from _conserved(ledger)


def sums(ledger: StoreLedger) -> Sums:
    """What was taken, given back and lost, by the log."""
    payments = [payment for check in ledger.book.checks for payment in check.payments]

    def total(*states: PaymentState) -> int:
        return sum(payment.amount_minor for payment in payments if payment.state in states)

    cash = sum(payment.amount_minor for payment in payments if payment.tender == "cash")
    return Sums(
        checks=len(ledger.book.checks),
        closed=sum(check.status is CheckStatus.CLOSED for check in ledger.book.checks),
        cash_minor=cash,
        captured_minor=total(PaymentState.CAPTURED) - cash,
        refunded_minor=sum(_refunded_minor(payment) for payment in payments),
        stored_minor=total(*ON_TRUST),
        bad_debt_minor=total(PaymentState.BAD_DEBT),
        charged_back_minor=total(PaymentState.CHARGED_BACK),
        unverified=sum(payment.state is PaymentState.UNVERIFIED for payment in payments),
    )


def _by_attempt(gateway: GatewayRead | Unreadable | None) -> dict[str, list[Movement]]:
    found: dict[str, list[Movement]] = {}
    for movement in gateway.movements if isinstance(gateway, GatewayRead) else ():
        found.setdefault(movement.attempt_id, []).append(movement)
    return found


def _net_minor(moved: list[Movement]) -> int:
    return sum(TAKEN.get(movement.kind, 0) * movement.amount_minor for movement in moved)


def _refunded_minor(payment: Payment) -> int:
    return sum(refund.amount_minor for refund in payment.refunds if refund.state is RefundState.DONE)


def _unknown_to_the_log(
    ledger: StoreLedger, movements: dict[str, list[Movement]], given_up_acts: Set[str]
) -> Iterator[Finding]:
    known = {payment.attempt_id for check in ledger.book.checks for payment in check.payments}
    set_aside = _given_up_payments(ledger)
    for attempt_id, moved in movements.items():
        net_minor = _net_minor(moved)
        if attempt_id in known or not net_minor:
            continue
        if attempt_id in set_aside or attempt_id in given_up_acts:
            where = set_aside.get(attempt_id, "the device that held it is gone for good")
            text = f"the gateway holds {net_minor} for a payment that was given up ({where}): a person gives it back"
            yield Finding("given_up", ledger.store, attempt_id, "gateway", text)
        else:
            yield _finding(ledger, attempt_id, f"the gateway holds {net_minor} under an id that is not in the log")


def _given_up_payments(ledger: StoreLedger) -> dict[str, str]:
    """Payments that a fork left behind, and where: a device set them aside as committed, and F(edge) has the fork (P19).

    The word of a device alone excuses nothing: without a fork that `faults.jsonl` confirms, such money is mischarged.
    """
    return {
        str(entry.record.get("act_id")): f"{slot} set it aside, entry {entry.seq} of epoch {entry.epoch}"
        for slot, device in ledger.devices.items()
        for entry in device.set_aside
        if entry.given_up and entry.record.get("act") == "pay" and ledger.left_behind(entry.seq, entry.epoch)
    }


def _payment(ledger: StoreLedger, check: Check, payment: Payment, moved: list[Movement]) -> Iterator[Finding]:
    """What the log says of one payment, against the ledger."""
    if ledger.gateway is None or payment.tender == "cash":
        return
    charged_back = payment.state is PaymentState.CHARGED_BACK
    taken = charged_back or payment.state in (PaymentState.CAPTURED, PaymentState.UNWANTED)
    expected_minor = payment.amount_minor - _refunded_minor(payment) if taken else 0
    lost_minor = sum(movement.amount_minor for movement in moved if movement.kind == "dispute_lost")
    if charged_back:
        expected_minor -= lost_minor  # whatever part of the payment the dispute took
        if not lost_minor:
            text = f"payment {payment.attempt_id} is charged back in the log; the gateway knows of no dispute that was lost"
            yield _finding(ledger, check.check_id, text)
            return
    net_minor = _net_minor(moved)
    if net_minor != expected_minor:
        text = (
            f"payment {payment.attempt_id} of {payment.amount_minor} is {payment.state} in the log, which makes "
            f"{expected_minor}; the gateway has taken {net_minor}"
        )
        yield _finding(ledger, check.check_id, text)


def _check(ledger: StoreLedger, check: Check, movements: dict[str, list[Movement]]) -> Iterator[Finding]:
    """A closed check is covered exactly, and no check by more than it owes.

    A refund that failed because a dispute had taken the money was not owed any more: its payer has it.
    """
    taken_minor = sum(_cover_minor(ledger, payment, movements) for payment in check.payments)
    disputed_minor = sum(_back_by_dispute_minor(payment) for payment in check.payments)
    exact = check.status is CheckStatus.CLOSED
    if taken_minor - disputed_minor > check.total_minor or (exact and taken_minor != check.total_minor):
        text = f"the check is {check.status} with a total of {check.total_minor}; {taken_minor} were taken for it"
        yield _finding(ledger, check.check_id, text)


def _back_by_dispute_minor(payment: Payment) -> int:
    if payment.state is not PaymentState.CHARGED_BACK:
        return 0
    failed = sum(refund.amount_minor for refund in payment.refunds if refund.state is RefundState.FAILED)
    return min(failed, payment.amount_minor - _refunded_minor(payment))


def _cover_minor(ledger: StoreLedger, payment: Payment, movements: dict[str, list[Movement]]) -> int:
    """What a payment covers: the gateway's word, cash by the log, losses and what is stored on trust."""
    if payment.state in LOSSES | ON_TRUST:
        return payment.amount_minor - _refunded_minor(payment)
    if payment.tender == "cash" or ledger.gateway is None:
        return payment.cover_minor if payment.state is PaymentState.CAPTURED else 0
    return _net_minor(movements.get(payment.attempt_id, []))


def _conserved(ledger: StoreLedger) -> Iterator[Finding]:
    """All checks together owe what was ordered, less what was voided, comped and discounted: no rule makes or loses money."""
    for passed in ledger.book.passed_over:
        yield _finding(
            ledger, f"entry {passed.seq}", f"the store's rules do not allow entry {passed.seq}: {passed.why}"
        )
    ordered = sum(int(entries[0].record["total_minor"]) for entries in ledger.order_entries.values())
    less = 0
    for entries in ledger.acts.values():
        record = entries[0].record
        match record.get("act"):
            case "void" | "comp":
                less += int(record["amount_minor"]) - int(record["discount_cut_minor"])
            case "discount":
                less += int(record["value_minor"])
    owed = sum(check.total_minor for check in ledger.book.checks if check.status is not CheckStatus.MERGED)
    if owed != ordered - less:
        text = f"all checks owe {owed}; {ordered} were ordered, less {less} voided, comped and discounted"
        yield _finding(ledger, "all checks", text)


def _finding(ledger: StoreLedger, subject: str, evidence: str) -> Finding:
    return Finding("mischarged", ledger.store, subject, "gateway", evidence)
