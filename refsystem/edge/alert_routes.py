"""What the front of the house is told without asking: tickets that wait too long, checks that are served, stock that ends."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from refsystem.clocks import local_time
from refsystem.edge.check_routes import person_asking
from refsystem.edge.driver import Driver
from refsystem.edge.permissions import may_see_stock
from refsystem.edge.replies import raise_problem
from refsystem.ordering import errors
from refsystem.ordering.book import Book
from refsystem.ordering.check import CheckStatus
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.stock import Stock
from refsystem.ordering.stock_days import StockDays
from refsystem.problems import problem_docs

LATE_MAX = 50
SERVED_MAX = 500
LEVELS = ("out", "critical", "low")
ENDS = ("expiring", "expired")


class LateTicket(BaseModel):
    """A ticket that has waited so long that the kitchen's rules have it told to the front."""

    order_id: str
    check_id: str
    version: int
    station: str
    table: str
    channel: str
    items: list[tuple[str, int]] = Field(description="what is still to be made: item and quantity")


class StockAlerts(BaseModel):
    """Ingredients by what is wrong with them; each stands in `out`, `critical` or `low` at most once."""

    out: list[str]
    critical: list[str]
    low: list[str]
    expiring: list[str] = Field(description="a lot's last day is near: used first")
    expired: list[str] = Field(description="a lot is past its day")


class AlertsReply(BaseModel):
    """What the front is told. `served`: checks at tables, not closed, of which everything ordered was made."""

    late: list[LateTicket]
    served: list[str]
    stock: StockAlerts


def add_alert_routes(app: FastAPI, driver: Driver) -> None:
    """Add `GET /v1/alerts`."""
    problems = (errors.TOKEN_INVALID, errors.NOT_ALLOWED)
    unavailable = (errors.NOT_PRIMARY, errors.OVERLOADED, errors.NOT_CONFIRMED, errors.OUTCOME_UNKNOWN)

    @app.get(
        "/v1/alerts", tags=["kitchen"], response_model=AlertsReply, responses=problem_docs(*problems, *unavailable)
    )
    async def read_alerts(request: Request) -> Response:
        """What the front should know of the kitchen and of the stock without asking. For the staff."""
        may_see_stock(person_asking(driver, request.headers))
        reply = await driver.read_views(
            lambda views: {
                "late": late(views.kitchen),
                "served": served(driver.device.book, views.kitchen),
                "stock": stock_alerts(views.stock, local_time()),
            }
        )
        raise_problem(driver, reply)
        return JSONResponse(reply.found)


def late(kitchen: Kitchen) -> list[dict[str, Any]]:
    """The tickets that the front was told of and that still have work, the oldest first."""
    found = []
    for key, ticket in kitchen.late_tickets()[:LATE_MAX]:
        order = kitchen.order(key.order_id)
        found.append(
            {
                **key._asdict(),
                "check_id": order.check_id,
                "table": order.table,
                "channel": order.channel,
                "items": [[line.item_id, line.quantity] for line in ticket.lines if line.quantity],
            }
        )
    return found


def served(book: Book, kitchen: Kitchen) -> list[str]:
    """Checks at tables, open or being paid, whose orders are all made; the newest first."""
    found = []
    for check in reversed(book.checks):
        if not check.table or check.status not in (CheckStatus.OPEN, CheckStatus.CLOSING):
            continue
        orders = {line.order_id for line in check.lines if line.quantity or line.comped}
        if orders and all((order := kitchen.find(each)) is not None and order.is_served for each in orders):
            found.append(check.check_id)
    return found[:SERVED_MAX]


def stock_alerts(stock: Stock, now: datetime) -> dict[str, list[str]]:
    """The ingredients that somebody should look at."""
    days = StockDays.at(now, stock.rules)
    levels = {name: stock.level(name) for name in stock.items if stock.keeps(name)}
    ends = [(name, days.state(lot)) for name, lot in stock.lots_by(days.warned)]
    found = {wanted: [name for name, level in levels.items() if level == wanted] for wanted in LEVELS}
    return found | {wanted: list(dict.fromkeys(name for name, end in ends if end == wanted)) for wanted in ENDS}
