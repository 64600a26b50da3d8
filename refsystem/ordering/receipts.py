"""Receipts: one each time a check closes, with the check as it was then. A view of the log beside the book."""

from __future__ import annotations

from typing import Any

from refsystem.ordering.book import Book
from refsystem.ordering.check import Check, CheckStatus
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import Menu
from refsystem.ordering.payment import COVERS
from refsystem.ordering.slip import Receipt, ReceiptLine, receipt_key
from refsystem.ordering.slip_contents import order_number


class Receipts:
    """Follows the log behind the book, which has applied an entry before this is told of it."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._closed: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._changes: list[tuple[int, str]] = []
        self._checks: dict[int, Check] = {}

    def key(self, seq: int, record: dict[str, Any]) -> str | None:
        """The key of the receipt that the entry at `seq` makes: it has closed a check."""
        check = self._check_of(record) if record["kind"] == "act" else None
        if check is None or (check.status is CheckStatus.CLOSED) == (check.check_id in self._closed):
            return None
        self._changes.append((seq, check.check_id))
        if check.status is not CheckStatus.CLOSED:
            self._closed.remove(check.check_id)
            return None
        self._closed.add(check.check_id)
        self._numbers[check.check_id] = number = self._numbers.get(check.check_id, 0) + 1
        self._checks[seq] = check
        return receipt_key(check.check_id, number)

    def left_out(self, from_seq: int) -> None:
        """The entries from `from_seq` on were taken out."""
        while self._changes and self._changes[-1][0] >= from_seq:
            seq, check_id = self._changes.pop()
            self._closed ^= {check_id}
            if self._checks.pop(seq, None) is not None:
                self._numbers[check_id] -= 1

    def content(self, seq: int, store: str, menu: Menu, at: str) -> Receipt:
        """The receipt that the entry at `seq` makes; `at` is a text."""
        check = self._checks[seq]
        lines = []
        for line in check.lines:
            item = menu.by_id.get(line.item_id)
            name = (item.name_zh or item.name) if item is not None else line.item_id
            note = f"免费 comped: {line.comped}" if line.comped else ""
            lines.append(ReceiptLine(name, line.quantity + line.comped, line.amount_minor, note))
        adjustments = [(discount.reason or discount.code, -discount.amount_minor) for discount in check.discounts]
        if check.shares_minor:
            adjustments.append(("分摊 Shared", check.shares_minor))
        paid = [payment for payment in check.payments if payment.state in COVERS]
        payments = tuple((payment.tender, payment.amount_minor) for payment in paid)
        change_minor = sum(payment.given_minor - payment.amount_minor for payment in paid if payment.given_minor)
        number = order_number(check.check_id)
        return Receipt(
            store, number, check.table, at, tuple(lines), check.total_minor, tuple(adjustments), payments, change_minor
        )

    def _check_of(self, record: dict[str, Any]) -> Check | None:
        """The check that an act was on; None where the book knows of none."""
        try:
            if isinstance(record.get("attempt_id"), str) and record["act"] != "pay":
                return self._book.check_of_payment(record["attempt_id"])
            if isinstance(record.get("check_id"), str):
                return self._book.find(record["check_id"])
        except OrderRejected:
            return None
        return None
