"""Questions about an order before it is sent: far more of a dish than is usual, or what nearly everybody orders with it missing.

They never refuse anything, and a device that does not answer delays no order.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field

from refsystem.edge.driver import Driver
from refsystem.order_messages import LineItem
from refsystem.ordering.book import Book
from refsystem.ordering.order import LINES_MAX
from refsystem.ordering.order_guards import Habits, Items, learn, question

CHECKS_LEARNED_MAX = 2_000
LEARN_EVERY_S = 30.0


class Basket(BaseModel):
    """What somebody is about to order."""

    items: Annotated[list[LineItem], Field(min_length=1, max_length=LINES_MAX)]


class QuestionBody(BaseModel):
    """One question, with its evidence. `item_id` is what it is about."""

    kind: Literal["missed_item", "odd_quantity", "repeat"]
    item_id: str
    text: str
    text_zh: str


class Questions(BaseModel):
    """All questions about an order; none in a store without rules."""

    questions: list[QuestionBody]


class _Learned:
    """The habits in the store's latest orders, learned anew now and then."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._habits = Habits()
        self._learned_s = -LEARN_EVERY_S

    @property
    def habits(self) -> Habits:
        if time.monotonic() - self._learned_s >= LEARN_EVERY_S:
            self._learned_s = time.monotonic()
            self._habits = learn(_orders(self._book))
        return self._habits


def add_question_routes(app: FastAPI, driver: Driver) -> None:
    """Add `POST /v1/questions`."""
    settings = driver.settings
    learned = _Learned(driver.device.book)

    @app.post("/v1/questions", tags=["checks"], response_model=Questions)
    async def questions(body: Basket) -> Questions:
        """What about this order is worth a question. The page itself asks when the same was sent a moment ago."""
        if settings.store_rules is None:
            return Questions(questions=[])
        items = [(line.item_id, line.quantity) for line in body.items]
        found = question(items, (), learned.habits, settings.menu, settings.store_rules.guards)
        return Questions(questions=[QuestionBody(**asdict(each)) for each in found])


def _orders(book: Book) -> list[Items]:
    """What was ordered on the latest checks, by order, as far as it was not voided."""
    orders: dict[str, list[tuple[str, int]]] = {}
    for check in book.checks[-CHECKS_LEARNED_MAX:]:
        for line in check.lines:
            if line.quantity > 0:
                orders.setdefault(line.order_id, []).append((line.item_id, line.quantity))
    return list(orders.values())
