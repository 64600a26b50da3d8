"""The check: what its diners owe, what has been paid on it, and whether it is open, as one immutable value.

The total is the sum of its lines, plus or minus even shares that it has taken from or given to others, less discounts. Every
change returns a new check; one that the rules do not allow raises `OrderRejected` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from refsystem.ordering.errors import (
    CHECK_CLOSED,
    CHECK_PREPAID,
    LINE_UNKNOWN,
    PAYMENT_UNKNOWN,
    QUANTITY_TOO_LARGE,
    TOTAL_TOO_LOW,
    OrderRejected,
)
from refsystem.ordering.money import share_of
from refsystem.ordering.payment import Payment, PaymentState


class CheckStatus(StrEnum):
    """Where a check stands."""

    OPEN = "open"
    CLOSING = "closing"
    """What is paid and what may still come in cover it, but not all of that is final."""
    CLOSED = "closed"
    MERGED = "merged"
    """Its lines stand on another check."""


CHECK_TRANSITIONS: frozenset[tuple[CheckStatus, CheckStatus]] = frozenset(
    {
        (CheckStatus.OPEN, CheckStatus.CLOSING),
        (CheckStatus.CLOSING, CheckStatus.OPEN),
        (CheckStatus.OPEN, CheckStatus.CLOSED),
        (CheckStatus.CLOSING, CheckStatus.CLOSED),
        (CheckStatus.CLOSED, CheckStatus.OPEN),
        (CheckStatus.OPEN, CheckStatus.MERGED),
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """What is still to be paid of one line of an order: `quantity` for `amount_minor`; voided and comped ones cost nothing."""

    order_id: str
    line: int
    item_id: str
    quantity: int
    amount_minor: int
    voided: int = 0
    comped: int = 0

    def value_minor(self, quantity: int) -> int:
        """What `quantity` of it cost; exact, because all of it costs all that is left."""
        return share_of(self.amount_minor, quantity, self.quantity)

    def less(self, quantity: int) -> Line:
        """What is left without `quantity` of it."""
        return replace(
            self, quantity=self.quantity - quantity, amount_minor=self.amount_minor - self.value_minor(quantity)
        )

    def plus(self, other: Line) -> Line:
        """Both, of the same line of the same order."""
        return replace(
            self,
            quantity=self.quantity + other.quantity,
            amount_minor=self.amount_minor + other.amount_minor,
            voided=self.voided + other.voided,
            comped=self.comped + other.comped,
        )


@dataclass(frozen=True, slots=True)
class Discount:
    """Money off, by a coupon or by a person with a reason. `code` is empty without a coupon."""

    code: str
    amount_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """The bill. `shares_minor` is what even splits have added to it or taken from it; `reopened` keeps it open while covered.

    A `prepaid` one was paid at a delivery platform: nothing is due on it, and it stays open, so that it can always be voided.
    """

    check_id: str
    table: str
    opened_seq: int
    status: CheckStatus = CheckStatus.OPEN
    lines: tuple[Line, ...] = ()
    shares_minor: int = 0
    discounts: tuple[Discount, ...] = ()
    payments: tuple[Payment, ...] = ()
    merged_into: str = ""
    split_from: str = ""
    reopened: bool = False
    prepaid: bool = False

    @property
    def discount_minor(self) -> int:
        """All money off."""
        return sum(discount.amount_minor for discount in self.discounts)

    @property
    def total_minor(self) -> int:
        """What its diners owe in all."""
        return sum(line.amount_minor for line in self.lines) + self.shares_minor - self.discount_minor

    @property
    def covered_minor(self) -> int:
        """What is paid on it, net of refunds, and what undecided attempts may still bring."""
        return sum(payment.cover_minor for payment in self.payments)

    @property
    def due_minor(self) -> int:
        """What another payment may take; nothing of what is paid elsewhere."""
        return 0 if self.prepaid else max(0, self.total_minor - self.covered_minor)

    @property
    def is_settled(self) -> bool:
        """Whether no payment or refund of it is still under way."""
        return all(payment.is_settled for payment in self.payments)

    @property
    def has_money(self) -> bool:
        """Whether anything was ever taken on it, or may be."""
        return any(payment.state not in (PaymentState.DECLINED, PaymentState.REVERSED) for payment in self.payments)

    def line(self, order_id: str, number: int) -> Line:
        """One line of it; raises `OrderRejected` when there is none."""
        for line in self.lines:
            if line.order_id == order_id and line.line == number:
                return line
        raise OrderRejected(LINE_UNKNOWN, f"check {self.check_id} has no line {number} of order {order_id}")

    def payment(self, attempt_id: str) -> Payment:
        """One payment of it; raises `OrderRejected` when there is none."""
        for payment in self.payments:
            if payment.attempt_id == attempt_id:
                return payment
        raise OrderRejected(PAYMENT_UNKNOWN, f"check {self.check_id} has no payment {attempt_id}")

    def with_lines(self, lines: Iterable[Line]) -> Check:
        """With more lines; those of a line that it has are put together with it."""
        held = {(line.order_id, line.line): line for line in self.lines}
        for line in lines:
            place = (line.order_id, line.line)
            held[place] = held[place].plus(line) if place in held else line
        return replace(self, lines=tuple(held.values()))

    def taken(self, order_id: str, number: int, quantity: int) -> tuple[Line, Line]:
        """A line as it is without `quantity` of it, and that quantity; raises `OrderRejected` when there is not as much."""
        line = self.line(order_id, number)
        if quantity > line.quantity:
            raise OrderRejected(
                QUANTITY_TOO_LARGE, f"quantity is {quantity}, but {line.quantity} are left of line {number}"
            )
        taken = Line(order_id, number, line.item_id, quantity, line.value_minor(quantity))
        return line.less(quantity), taken

    def with_line(self, changed: Line) -> Check:
        """With one of its lines changed."""
        place = (changed.order_id, changed.line)
        return replace(
            self, lines=tuple(changed if (line.order_id, line.line) == place else line for line in self.lines)
        )

    def without(self, taken: Iterable[tuple[str, int, int]]) -> tuple[Check, tuple[Line, ...]]:
        """Without `(order_id, line, quantity)` each, and what was taken; a line that is used up leaves it."""
        check, moved = self, []
        for order_id, number, quantity in taken:
            left, line = check.taken(order_id, number, quantity)
            check = check.with_line(left)
            moved.append(line)
        kept = tuple(line for line in check.lines if line.quantity or line.voided or line.comped)
        return replace(check, lines=kept), tuple(moved)

    def with_discount_cut(self, cut_minor: int) -> Check:
        """With its discounts lower by `cut_minor` in all, the youngest first."""
        assert 0 <= cut_minor <= self.discount_minor, "no more can be cut than was given"
        kept = []
        for discount in reversed(self.discounts):
            cut = min(cut_minor, discount.amount_minor)
            cut_minor -= cut
            kept.append(replace(discount, amount_minor=discount.amount_minor - cut))
        return replace(self, discounts=tuple(reversed(kept)))

    def with_payment(self, changed: Payment) -> Check:
        """With one of its payments changed, or with one more."""
        if all(payment.attempt_id != changed.attempt_id for payment in self.payments):
            return replace(self, payments=(*self.payments, changed))
        kept = (changed if payment.attempt_id == changed.attempt_id else payment for payment in self.payments)
        return replace(self, payments=tuple(kept))

    def sound(self) -> Check:
        """Itself, if its total is neither negative nor below what covers it; raises `OrderRejected` otherwise."""
        least_minor = max(0, self.covered_minor)
        if self.total_minor < least_minor:
            why = (
                "less than nothing" if least_minor == 0 else f"less than the {least_minor} that cover it: refund first"
            )
            raise OrderRejected(TOTAL_TOO_LOW, f"the total of check {self.check_id} would be {self.total_minor}, {why}")
        return self

    def moved_to(self, status: CheckStatus) -> Check:
        """With another status; it must be one that `CHECK_TRANSITIONS` knows."""
        assert (self.status, status) in CHECK_TRANSITIONS, f"no way from {self.status} to {status}"
        return replace(self, status=status)

    def settled(self) -> Check:
        """With the status that its money gives it, after anything that changed its total or its payments.

        It closes by itself when what is final covers it exactly. Who reopened it keeps it open until its sums have changed.
        """
        if self.status in (CheckStatus.CLOSED, CheckStatus.MERGED):
            return self
        covered = self.covered_minor == self.total_minor and self.has_money
        if not covered:
            wanted = CheckStatus.OPEN
        elif self.is_settled:
            wanted = CheckStatus.OPEN if self.reopened else CheckStatus.CLOSED
        else:
            wanted = CheckStatus.CLOSING
        check = self if covered or not self.reopened else replace(self, reopened=False)
        return check if wanted is self.status else check.moved_to(wanted)

    def must_be_open(self) -> Check:
        """Itself, if anything may be put on it; raises `OrderRejected` otherwise."""
        if self.status is not CheckStatus.OPEN:
            why = (
                "is being paid: cancel the payment first" if self.status is CheckStatus.CLOSING else f"is {self.status}"
            )
            raise OrderRejected(CHECK_CLOSED, f"check {self.check_id} {why}")
        return self

    def must_be_paid_here(self) -> Check:
        """Itself, if it is open and its money is the store's matter; raises `OrderRejected` otherwise."""
        if self.prepaid:
            raise OrderRejected(CHECK_PREPAID, f"check {self.check_id} is paid at the platform: it can only be voided")
        return self.must_be_open()
