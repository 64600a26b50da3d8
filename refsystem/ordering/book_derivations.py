"""What the rules know when an act is decided: its derived fields, which its record then says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from refsystem.ordering import check_acts as acts
from refsystem.ordering.book_steps import Lookup, PaymentRules
from refsystem.ordering.check_acts import Act, Content, derived_id
from refsystem.ordering.errors import ACT_INVALID, AMOUNT_OVER_DUE, OFFLINE_LIMIT, OrderRejected
from refsystem.ordering.money import BASIS_POINTS, basis_points_of, split_evenly
from refsystem.ordering.payment import Shares, Step


def derived(book: Lookup, act: Act) -> Content:
    """The content of `act` with its derived fields; raises `OrderRejected` when they cannot be found."""
    derive = DERIVATIONS.get(type(act.content))
    content: Content = derive(book, act, act.content) if derive else act.content
    return content


def _derive_split(book: Lookup, act: Act, content: acts.Split) -> acts.Split:
    check = book.check(content.check_id).must_be_paid_here()
    if bool(content.lines) == bool(content.ways):
        raise OrderRejected(ACT_INVALID, "send either lines or ways, not both and not neither")
    if content.lines:
        return replace(content, new_check_ids=(derived_id(act.act_id, "part/1"),))
    if content.ways == 1:
        raise OrderRejected(ACT_INVALID, "ways must be a whole number from 2")
    due_minor = check.due_minor
    if due_minor < content.ways:
        raise OrderRejected(AMOUNT_OVER_DUE, f"{due_minor} are due: too little for {content.ways} shares")
    return replace(
        content,
        new_check_ids=tuple(derived_id(act.act_id, f"part/{number}") for number in range(1, content.ways)),
        shares_minor=split_evenly(due_minor, content.ways)[1:],
    )


def _derive_less(book: Lookup, act: Act, content: acts.Void | acts.Comp) -> acts.Void | acts.Comp:
    """The amount that leaves the check, and what its discounts must give way so that the total does not fall below zero."""
    check = book.check(content.check_id).must_be_open()
    _, taken = check.taken(content.order_id, content.line, content.quantity)
    over_minor = taken.amount_minor - check.total_minor
    cut_minor = min(max(0, over_minor), check.discount_minor)
    return replace(content, amount_minor=taken.amount_minor, discount_cut_minor=cut_minor)


def _derive_discount(book: Lookup, act: Act, content: acts.GiveDiscount) -> acts.GiveDiscount:
    check = book.check(content.check_id).must_be_paid_here()
    if bool(content.amount_minor) == bool(content.basis_points):
        raise OrderRejected(ACT_INVALID, "send either amount_minor or basis_points, not both and not neither")
    wanted_minor = content.amount_minor or basis_points_of(max(0, check.total_minor), content.basis_points)
    value_minor = min(wanted_minor, check.due_minor)
    if value_minor == 0:
        raise OrderRejected(AMOUNT_OVER_DUE, f"nothing is due on check {content.check_id}: a discount has no effect")
    return replace(content, value_minor=value_minor)


def _derive_pay(book: Lookup, act: Act, content: acts.Pay) -> acts.Pay:
    if content.tender == "cash":
        if content.given_minor < content.amount_minor:
            raise OrderRejected(ACT_INVALID, f"given_minor must be {content.amount_minor} or more: what the diner gave")
        change_minor = content.given_minor - content.amount_minor
        return replace(content, attempt_id=act.act_id, change_minor=change_minor)
    if content.given_minor or not content.instrument:
        raise OrderRejected(ACT_INVALID, f"a {content.tender} payment takes an instrument and no given_minor")
    return replace(content, attempt_id=act.act_id, parties=_parties(book.rules, content))


def _parties(rules: PaymentRules, content: acts.Pay) -> Shares:
    """What each party gets, rounded down; the rest is the store's."""
    if content.tender not in rules.split_tenders:
        return ()
    shares = ((party, content.amount_minor * points // BASIS_POINTS) for party, points in rules.parties)
    return tuple((party, share_minor) for party, share_minor in shares if share_minor > 0)


def _derive_refund(book: Lookup, act: Act, content: acts.GiveRefund) -> acts.GiveRefund:
    payment = book.check_of_payment(content.attempt_id).payment(content.attempt_id)
    return replace(content, refund_id=act.act_id, returned=payment.to_return(content.amount_minor))


def _derive_outcome(book: Lookup, act: Act, content: acts.PaymentOutcome) -> acts.PaymentOutcome:
    """Only the caps are looked at here: they are the store's rules now, not a law of the log."""
    if content.outcome is Step.STORE:
        _within_caps(book, content.attempt_id)
    return content


def _derive_accept(book: Lookup, act: Act, content: acts.AcceptPayment) -> acts.AcceptPayment:
    _within_caps(book, content.attempt_id)
    return content


def _within_caps(book: Lookup, attempt_id: str) -> None:
    amount_minor = book.check_of_payment(attempt_id).payment(attempt_id).amount_minor
    limits = book.rules.offline
    if amount_minor > limits.payment_minor_max:
        raise OrderRejected(OFFLINE_LIMIT, f"{amount_minor} is over the {limits.payment_minor_max} of one payment")
    if book.stored_minor + amount_minor > limits.outstanding_minor_max:
        raise OrderRejected(
            OFFLINE_LIMIT,
            f"with {amount_minor} more, {book.stored_minor + amount_minor} would be outstanding: "
            f"over {limits.outstanding_minor_max}",
        )


DERIVATIONS: dict[type[Content], Callable[..., Any]] = {
    acts.Split: _derive_split,
    acts.Void: _derive_less,
    acts.Comp: _derive_less,
    acts.GiveDiscount: _derive_discount,
    acts.Pay: _derive_pay,
    acts.GiveRefund: _derive_refund,
    acts.PaymentOutcome: _derive_outcome,
    acts.AcceptPayment: _derive_accept,
}
