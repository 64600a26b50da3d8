"""A book with a till: what a person does, decided and applied at once, each act under a key of its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from refsystem.ordering.book import Book
from refsystem.ordering.book_steps import OfflineLimits, PaymentRules
from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import Act, Content, PaymentOutcome, RefundOutcome, parse_act
from refsystem.ordering.errors import OrderRejected, Problem
from refsystem.ordering.menu import DEMO_MENU, Menu
from refsystem.ordering.payment import RefundStep, Step
from refsystem.platform_messages import platform_order_id

RULES = PaymentRules(OfflineLimits(50_000, 100_000), (("platform", 600), ("brand", 300)))
AT_MS = 1_700_000_000_000


def uuid(number: int) -> str:
    return str(UUID(int=number))


def order(
    order_id: str, items: dict[str, int], table: str = "4", check_id: str = "", menu: Menu = DEMO_MENU
) -> dict[str, Any]:
    """The record of an order of `items` (quantity by id) at the menu's prices."""
    record = {
        "kind": "order",
        "order_id": order_id,
        "table": table,
        "items": [list(item) for item in items.items()],
        "total_minor": menu.total_minor(items.items()),
    }
    return record | ({"check_id": check_id} if check_id else {})


def platform_order(number: int, items: dict[str, int]) -> dict[str, Any]:
    """The record of an order that is paid at a delivery platform."""
    order_id = platform_order_id("p", number)
    return order(order_id, items, f"p {number}") | {"channel": "delivery", "origin": "cloud"}


class Till:
    """`log` holds the records as they were applied."""

    def __init__(self, rules: PaymentRules = RULES) -> None:
        self.book = Book(DEMO_MENU, rules)
        self.log: list[dict[str, Any]] = []
        self.count = 0

    def new_id(self) -> str:
        self.count += 1
        return uuid(self.count)

    def append(self, record: dict[str, Any]) -> None:
        self.log.append(record)
        self.book.apply(len(self.log), record)

    def order(self, items: dict[str, int], check_id: str = "", table: str = "4") -> str:
        """Take an order; returns the check's id."""
        order_id = self.new_id()
        check_id = self.book.order_check(order_id, check_id)
        self.append(order(order_id, items, table, check_id))
        return check_id

    def do(self, content: Content) -> str:
        """Decide and apply an act; returns its key."""
        act = Act(self.new_id(), "Li", content)
        self.append(self.book.decide(act, AT_MS))
        return act.act_id

    def say(self, **body: Any) -> dict[str, Any]:
        """The same from a request's body; returns the record."""
        record = self.book.decide(parse_act(self.new_id(), "Li", body), AT_MS)
        self.append(record)
        return record

    def refuses(self, problem: Problem, content: Content) -> str:
        """`content` is refused with `problem`, and nothing has changed; returns what the person is told."""
        before = self.book.checks
        with pytest.raises(OrderRejected) as rejection:
            self.do(content)
        assert rejection.value.problem is problem
        assert self.book.checks == before
        return rejection.value.detail

    def step(self, attempt_id: str, step: Step) -> None:
        self.do(PaymentOutcome(attempt_id, step))

    def refund_ends(self, refund_id: str, outcome: RefundStep) -> None:
        self.do(RefundOutcome(refund_id, outcome))

    def check(self, check_id: str) -> Check:
        return self.book.check(check_id)
