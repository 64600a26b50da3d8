"""What the kitchen and the stock of a store say, over HTTP. Acts on them come by `/v1/acts`, like those on checks."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from refsystem.clocks import local_time
from refsystem.edge.check_routes import person_asking
from refsystem.edge.driver import Driver
from refsystem.edge.operators import must_be_operator
from refsystem.edge.permissions import may_see_stock
from refsystem.edge.replies import raise_problem
from refsystem.ordering import errors
from refsystem.ordering.order import parse_id
from refsystem.problems import ProblemError, problem_docs
from refsystem.protocol.log import Cursor
from refsystem.protocol.store_views import StoreViews
from refsystem.store_messages import (
    KitchenOrderReply,
    MenuReply,
    StockReply,
    availability,
    kitchen_order_json,
    menu_fields,
    stock_json,
)

UNAVAILABLE = (errors.NOT_PRIMARY, errors.OVERLOADED, errors.OUTCOME_UNKNOWN)


def add_store_routes(app: FastAPI, driver: Driver) -> None:
    """Add them."""
    _add_menu(app, driver)
    _add_stock(app, driver)
    _add_kitchen(app, driver)


def _add_menu(app: FastAPI, driver: Driver) -> None:
    fixed = json.dumps(menu_fields(driver.settings.menu), ensure_ascii=False)[:-1]
    seen: tuple[Cursor, bytes] | None = None

    @app.get("/v1/menu", response_model=MenuReply, responses=problem_docs(errors.OVERLOADED))
    async def read_menu() -> Response:
        """What can be ordered, at what price, and what seems to be sold out now.

        `sold_out` and `portions` are a hint, on any device whatever its role: they also count what is not committed yet, and may
        be late. What holds is the answer to an order.
        """
        nonlocal seen
        last = driver.device.replica.log.last
        if seen is None or seen[0] != last:
            now = json.dumps(availability(driver.device.views.kitchen, driver.device.views.stock), ensure_ascii=False)
            seen = last, f"{fixed}, {now[1:]}".encode()
        return Response(seen[1], media_type="application/json")


def _add_stock(app: FastAPI, driver: Driver) -> None:
    def shown(views: StoreViews) -> dict[str, Any]:
        last_seq = driver.device.replica.log.last.seq
        return stock_json(driver.settings.store, views.stock, last_seq, local_time())

    @app.get(
        "/v1/stock",
        tags=["stock"],
        response_model=StockReply,
        responses=problem_docs(errors.TOKEN_INVALID, errors.NOT_ALLOWED, *UNAVAILABLE),
    )
    async def read_stock(request: Request) -> Response:
        """What there is of every ingredient, and what may be promised of it. For the staff."""
        may_see_stock(person_asking(driver, request.headers))
        reply = await driver.read_views(shown)
        raise_problem(driver, reply)
        return JSONResponse(reply.found)

    @app.get("/v1/audit/stock", tags=["operator"], responses=problem_docs(errors.TOKEN_INVALID, errors.NOT_ALLOWED))
    async def audit_stock(request: Request) -> dict[str, Any]:
        """The same for operators, by this device's own log, whatever its role."""
        must_be_operator(driver, request.headers)
        return shown(driver.device.views)


def _add_kitchen(app: FastAPI, driver: Driver) -> None:
    @app.get(
        "/v1/kitchen/orders/{order_id}",
        tags=["kitchen"],
        response_model=KitchenOrderReply,
        responses=problem_docs(errors.KEY_MISSING, errors.ORDER_UNKNOWN, errors.NOT_CONFIRMED, *UNAVAILABLE),
    )
    async def read_kitchen_order(order_id: str) -> Response:
        """How far an order has come in the kitchen. 404 is told only when it is certain."""
        wanted = parse_id(order_id)
        raise_problem(driver, await driver.read(wanted))
        reply = await driver.read_views(lambda views: views.kitchen.find(wanted) or ())
        raise_problem(driver, reply)
        if not reply.found:  # its record is one that the kitchen's rules passed over
            raise ProblemError(errors.ORDER_UNKNOWN, "the kitchen has no such order")
        return JSONResponse(kitchen_order_json(reply.found, reply.found.is_served))
