"""Questions about an order before it is sent: far more of a dish than is usual, or what nearly everybody orders with it missing.

They never refuse anything, and a device that does not answer delays no order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, ValidationError

from refsystem.edge.check_routes import person_asking
from refsystem.edge.driver import Driver
from refsystem.edge.permissions import may_see_table
from refsystem.order_messages import LineItem
from refsystem.ordering.book import Book
from refsystem.ordering.errors import ORDER_INVALID, OVERLOADED, OrderRejected
from refsystem.ordering.order import LINES_MAX, TABLE_CHARACTERS_MAX
from refsystem.ordering.order_guards import Habits, Items, learn, question
from refsystem.problems import REQUEST_TOO_LARGE, problem_docs, read_json

CHECKS_LEARNED_MAX = 2_000
LEARN_EVERY_S = 30.0


class Basket(BaseModel):
    """What somebody is about to order. `table` is where, for who may see that table."""

    items: Annotated[list[LineItem], Field(min_length=1, max_length=LINES_MAX)]
    table: Annotated[str, Field(max_length=TABLE_CHARACTERS_MAX)] = ""


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

    @app.post(
        "/v1/questions",
        tags=["checks"],
        response_model=Questions,
        responses=problem_docs(ORDER_INVALID, REQUEST_TOO_LARGE, OVERLOADED),
        openapi_extra=_request(),
    )
    async def questions(request: Request) -> Questions:
        """What about this order is worth a question: also when the same was ordered at this table a moment ago, on any device.

        The token of the table, or of the staff, tells who may know that; without one the page asks of its own orders only.
        """
        body = _basket(await read_json(request))
        if settings.store_rules is None:
            return Questions(questions=[])
        items = [(line.item_id, line.quantity) for line in body.items]
        guards = settings.store_rules.guards
        seen = _may_know(driver, request.headers, body.table)
        earlier = driver.recent.at(body.table, time.monotonic(), guards.repeat_s) if seen else ()
        found = question(items, earlier, learned.habits, settings.menu, guards)
        return Questions(questions=[QuestionBody(**asdict(each)) for each in found])


def _may_know(driver: Driver, headers: Mapping[str, str], table: str) -> bool:
    """Whether who asks may know what was ordered at `table`. A token that is no good refuses no question."""
    if not table:
        return False
    try:
        may_see_table(person_asking(driver, headers), table)
    except OrderRejected:
        return False
    return True


def _basket(said: Any) -> Basket:
    try:
        return Basket.model_validate(said, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise OrderRejected(ORDER_INVALID, f"{place or 'the body'}: {first['msg']}") from None


def _request() -> dict[str, Any]:
    """What OpenAPI says of the body, which the route reads itself."""
    schema = Basket.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs")  # `LineItem` stands among the document's components, because answers have it too
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _orders(book: Book) -> list[Items]:
    """What was ordered on the latest checks, by order, as far as it was not voided."""
    orders: dict[str, list[tuple[str, int]]] = {}
    for check in book.checks[-CHECKS_LEARNED_MAX:]:
        for line in check.lines:
            if line.quantity > 0:
                orders.setdefault(line.order_id, []).append((line.item_id, line.quantity))
    return list(orders.values())
