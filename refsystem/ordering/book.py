"""The book: every check of a store, as its log says. A view like the index of keys, with no truth of its own.

It follows the log entry by entry, committed or not, and goes back with it when entries are set aside. Decisions are made on
it, so that an act sees all that was decided before it; whoever acts outside the store looks at `Payment.changed_seq` and waits
for the commit. `decide` and `apply` go through the same step (`book_steps.step`): what may be decided is what an entry does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from refsystem.ordering import book_derivations, book_steps
from refsystem.ordering.book_steps import Changes, PaymentRules
from refsystem.ordering.check import Check, CheckStatus, Line
from refsystem.ordering.check_acts import CHECK_ACTS, Act, read_act
from refsystem.ordering.errors import CHECK_UNKNOWN, ORDER_INVALID, PAYMENT_UNKNOWN, OrderRejected
from refsystem.ordering.menu import Menu
from refsystem.ordering.money import allocate
from refsystem.ordering.order import is_derived
from refsystem.ordering.payment import Payment, PaymentState

MERGES_FOLLOWED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An entry that the rules do not allow: it changed nothing, and a person must look at it."""

    seq: int
    why: str


class Book:
    """All checks of one store. `rules` are the store's own; `menu` prices orders whose record has no prices.

    Calls of the admission: `order_check` before an order is taken, `decide` before an act is; `apply` for every entry that enters
    the log, `set_aside` when entries leave it. Reads: `check`, `checks_at`, `check_of_order`, `passed_over`.
    """

    def __init__(self, menu: Menu, rules: PaymentRules | None = None) -> None:
        self.rules = rules or PaymentRules()
        self._menu = menu
        self._checks: dict[str, Check] = {}
        self._check_of: dict[str, str] = {}
        self._coupons: dict[str, str] = {}
        self._tables: dict[str, set[str]] = {}
        self._at_gateway: dict[str, str] = {}
        self._orders: dict[str, str] = {}
        self._stored_minor = 0
        self._undo: list[tuple[int, dict[str, Check | None], str]] = []
        self._passed_over: list[PassedOver] = []
        self.payments_version = 0
        """Grows whenever a payment may have changed: who looks at them need not look again before."""

    # --- reads ---

    @property
    def stored_minor(self) -> int:
        """What is taken on trust and not captured yet, of all checks."""
        return self._stored_minor

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """Entries that the rules do not allow, oldest first. There are none, unless the log was made by other rules."""
        return tuple(self._passed_over)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check, in the order of their opening."""
        return tuple(self._checks.values())

    def check(self, check_id: str) -> Check:
        """One check; raises `OrderRejected` when there is none."""
        check = self._checks.get(check_id)
        if check is None:
            raise OrderRejected(CHECK_UNKNOWN, f"there is no check {check_id}")
        return check

    def find(self, check_id: str) -> Check | None:
        """The check that stands for `check_id` now, where it was merged to; None when there is none."""
        check = self._checks.get(check_id)
        return None if check is None else self._follow(check)

    def checks_at(self, table: str) -> tuple[Check, ...]:
        """The checks of a table that are open or closing, in the order of their opening."""
        checks = (self._checks[check_id] for check_id in self._tables.get(table, ()))
        return tuple(sorted(checks, key=lambda check: (check.opened_seq, check.check_id)))

    def check_to_join(self, table: str) -> str:
        """The id of the one open check of a table that an order may be put on; empty when there is none, or more than one."""
        found = [check for check in self.checks_at(table) if not check.prepaid]
        return found[0].check_id if len(found) == 1 and found[0].status is CheckStatus.OPEN else ""

    def check_of_order(self, order_id: str) -> Check:
        """The check that an order was put on; raises `OrderRejected` when there is no such order."""
        if order_id not in self._orders:
            raise OrderRejected(CHECK_UNKNOWN, f"no check has order {order_id}")
        return self._follow(self._checks[self._orders[order_id]])

    def check_of_payment(self, attempt_id: str) -> Check:
        """The check of a payment; raises `OrderRejected` when there is none."""
        check = self._checks.get(self._check_of.get(attempt_id, ""))
        if check is None or all(payment.attempt_id != attempt_id for payment in check.payments):
            raise OrderRejected(PAYMENT_UNKNOWN, f"there is no payment {attempt_id}")
        return check

    def check_of_refund(self, refund_id: str) -> tuple[Check, Payment]:
        """The check and the payment of a refund; raises `OrderRejected` when there is none."""
        check = self._checks.get(self._check_of.get(refund_id, ""))
        for payment in check.payments if check is not None else ():
            if check is not None and any(refund.refund_id == refund_id for refund in payment.refunds):
                return check, payment
        raise OrderRejected(PAYMENT_UNKNOWN, f"there is no refund {refund_id}")

    def knows_id(self, identity: str) -> bool:
        """Whether a check, payment or refund has this id."""
        return identity in self._checks or identity in self._check_of

    def coupon_used(self, code: str) -> bool:
        """Whether a check has this coupon."""
        return code in self._coupons

    def payment(self, attempt_id: str) -> Payment:
        """One payment; raises `OrderRejected` when there is none."""
        return self.check_of_payment(attempt_id).payment(attempt_id)

    def at_gateway(self) -> tuple[Payment, ...]:
        """The payments for which something is to be done at the gateway, in the order of the log."""
        payments = (self._checks[check_id].payment(attempt_id) for attempt_id, check_id in self._at_gateway.items())
        return tuple(sorted(payments, key=lambda payment: payment.changed_seq))

    # --- decisions ---

    def order_check(self, order_id: str, check_id: str = "") -> str:
        """The id of the check that an order would stand on: `check_id`, where that was merged to, or its own.

        Raises `OrderRejected` when that check is closed, being paid or paid at a platform: an order never opens one again.
        """
        check = self._checks.get(check_id or order_id)
        return self._follow(check).must_be_paid_here().check_id if check is not None else check_id or order_id

    def decide(self, act: Act, at_ms: int) -> dict[str, Any]:
        """The record of `act` for the log, by the wall clock `at_ms`; raises `OrderRejected`, and then nothing is to be written.

        Its key must have been looked up before (P6). Nothing changes here until `apply` is given the record.
        """
        decided = Act(act.act_id, act.who, book_derivations.derived(self, act))
        book_steps.step(self, decided, at_ms, self._undo[-1][0] + 1 if self._undo else 1)
        return decided.record(at_ms)

    # --- the log's entries ---

    def apply(self, seq: int, record: dict[str, Any]) -> None:
        """Follow the entry at `seq`. Kinds that concern no check are passed by; what the rules do not allow, `passed_over`."""
        order_id = ""
        try:
            if record["kind"] == "order":
                order_id = record["order_id"]
                changes = self._order_changes(seq, record)
            elif record["kind"] == "act" and record.get("act") in CHECK_ACTS:
                changes = book_steps.step(self, read_act(record), record["at_ms"], seq)
            else:
                return
        except (OrderRejected, KeyError, TypeError, ValueError) as error:
            why = error.detail if isinstance(error, OrderRejected) else f"damaged: {error!r}"
            self._passed_over.append(PassedOver(seq, why))
            return
        self._undo.append((seq, {check_id: self._checks.get(check_id) for check_id in changes}, order_id))
        for check_id, check in changes.items():
            self._put(check_id, check)
        if order_id:
            self._orders.setdefault(order_id, next(iter(changes)))

    def set_aside(self, from_seq: int) -> None:
        """Entries from `from_seq` on have left the log: go back to what stood before them, in time for what they did alone."""
        while self._undo and self._undo[-1][0] >= from_seq:
            _, before, order_id = self._undo.pop()
            self._orders.pop(order_id, None)
            for check_id, check in before.items():
                self._put(check_id, check)
        while self._passed_over and self._passed_over[-1].seq >= from_seq:
            self._passed_over.pop()

    def _order_changes(self, seq: int, record: dict[str, Any]) -> Changes:
        """An order opens its check or adds to it. One whose check is closed stands on its own: it never opens a check again."""
        order_id = record["order_id"]
        if order_id in self._orders:
            raise OrderRejected(ORDER_INVALID, f"order {order_id} is on a check already")
        lines = order_lines(record, self._menu)
        for check_id in (record.get("check_id") or record.get("joined_check_id") or order_id, order_id):
            held = self._checks.get(check_id)
            opened = Check(check_id, record["table"], seq, prepaid=check_id == order_id and _is_prepaid(record))
            check = self._follow(held) if held is not None else opened
            if check.status is CheckStatus.OPEN and not (held is not None and check.prepaid):
                return {check.check_id: check.with_lines(lines).settled()}
        raise OrderRejected(ORDER_INVALID, f"order {order_id} has no open check")

    def _follow(self, check: Check) -> Check:
        for _ in range(MERGES_FOLLOWED_MAX):
            if check.status is not CheckStatus.MERGED:
                return check
            check = self._checks[check.merged_into]
        raise AssertionError("merges go round in a circle")

    def _put(self, check_id: str, check: Check | None) -> None:
        """Put a check, and the indexes with it; None takes it out."""
        before = self._checks.get(check_id)
        if (before.payments if before is not None else ()) != (check.payments if check is not None else ()):
            self.payments_version += 1
        if before is not None:
            self._unindex(before)
        if check is None:
            del self._checks[check_id]
            return
        self._checks[check_id] = check
        if check.status in (CheckStatus.OPEN, CheckStatus.CLOSING):
            self._tables.setdefault(check.table, set()).add(check_id)
        self._coupons.update((discount.code, check_id) for discount in check.discounts if discount.code)
        for payment in check.payments:
            self._check_of[payment.attempt_id] = check_id
            self._check_of.update((refund.refund_id, check_id) for refund in payment.refunds)
            if payment.needs_gateway:
                self._at_gateway[payment.attempt_id] = check_id
        self._stored_minor += _stored_minor(check)

    def _unindex(self, check: Check) -> None:
        at_table = self._tables.get(check.table, set())
        at_table.discard(check.check_id)
        if not at_table:
            self._tables.pop(check.table, None)
        for discount in check.discounts:
            if self._coupons.get(discount.code) == check.check_id:
                del self._coupons[discount.code]
        for payment in check.payments:
            self._check_of.pop(payment.attempt_id, None)
            self._at_gateway.pop(payment.attempt_id, None)
            for refund in payment.refunds:
                self._check_of.pop(refund.refund_id, None)
        self._stored_minor -= _stored_minor(check)


def _is_prepaid(record: dict[str, Any]) -> bool:
    """Whether an order was paid at a delivery platform: only the cloud gives orders of platforms their keys (`parse_key`)."""
    from_platform = record.get("origin") == "cloud" and record.get("channel") == "delivery"
    return from_platform and is_derived(record["order_id"])


def _stored_minor(check: Check) -> int:
    trusted = (PaymentState.STORED, PaymentState.EXPIRING)
    return sum(payment.amount_minor for payment in check.payments if payment.state in trusted)


def order_lines(record: dict[str, Any], menu: Menu) -> tuple[Line, ...]:
    """The lines of an order's record, which cost `total_minor` together, exactly.

    Prices are the record's `unit_prices_minor` if it has them; else the menu's, if they fit the total; else the total is spread
    by quantity, so that a menu that has changed since changes no total.
    """
    items: list[tuple[str, int]] = [(item_id, quantity) for item_id, quantity in record["items"]]
    total_minor: int = record["total_minor"]
    prices = record.get("unit_prices_minor") or _menu_prices((item_id for item_id, _ in items), menu)
    amounts = [price * quantity for price, (_, quantity) in zip(prices, items, strict=True)]
    if sum(amounts) != total_minor:
        amounts = list(allocate(total_minor, [quantity for _, quantity in items]))
    return tuple(
        Line(record["order_id"], number, item_id, quantity, amount)
        for number, ((item_id, quantity), amount) in enumerate(zip(items, amounts, strict=True))
    )


def _menu_prices(item_ids: Iterable[str], menu: Menu) -> list[int]:
    return [menu.by_id[item_id].price_minor if item_id in menu.by_id else 0 for item_id in item_ids]
