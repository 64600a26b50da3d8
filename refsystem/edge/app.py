"""The routes of an edge device."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from refsystem.clocks import wall_us
from refsystem.edge.channels import add_channel_routes
from refsystem.edge.check_routes import add_check_routes, check_order
from refsystem.edge.driver import Driver
from refsystem.edge.operators import must_be_operator, told_record
from refsystem.edge.page_routes import add_page_routes
from refsystem.edge.replies import REPLAYED_DOC, raise_problem
from refsystem.edge.staff_routes import add_staff_routes
from refsystem.edge.store_routes import add_store_routes
from refsystem.order_messages import KeptOrder, StoreOrderContent, order_request
from refsystem.ordering.channel_rules import CHANNEL_PAUSED
from refsystem.ordering.errors import (
    CHECK_CLOSED,
    ITEM_UNKNOWN,
    KEY_MISSING,
    KEY_REUSED,
    NOT_ALLOWED,
    NOT_CONFIRMED,
    NOT_PRIMARY,
    ORDER_INVALID,
    ORDER_UNKNOWN,
    OUTCOME_UNKNOWN,
    OVERLOADED,
    PRICE_CHANGED,
    STANDBY_REQUIRED,
    TOKEN_INVALID,
)
from refsystem.ordering.kitchen_errors import ITEM_SOLD_OUT
from refsystem.ordering.order import check_pickup, parse_id, parse_key, parse_order
from refsystem.ordering.payment import PaymentState
from refsystem.overload.layer import OverloadLayer
from refsystem.problems import (
    REQUEST_INVALID,
    REQUEST_TOO_LARGE,
    BodyLimit,
    install_problem_handlers,
    problem_docs,
    read_json,
)
from refsystem.protocol.log import Cursor, Entry
from refsystem.protocol.messages import Register, Reply
from refsystem.telemetry import Telemetry

ENTRIES_MAX = 1_000
SET_ASIDE_MAX = 1_000_000


class OrderAnswer(BaseModel):
    """An acknowledged order. `level` says what it survives: R2 the loss of a device, R1 a power cut of this one."""

    order_id: str
    store: str
    level: str
    node_id: str
    epoch: int
    seq: int
    total_minor: int
    status: str


class OrderDetails(OrderAnswer, KeptOrder):
    """An order as it is kept."""


def make_app(driver: Driver) -> FastAPI:
    """The application of one device; starting it starts the driver."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await driver.start()
        try:
            yield
        finally:
            await driver.stop()

    app = FastAPI(
        title="Rushproof edge device",
        description="Takes the orders of one store. The primary answers; another device says 503 and where the primary is.",
        version="1",
        lifespan=lifespan,
    )
    install_problem_handlers(app)
    app.add_middleware(BodyLimit)
    telemetry = Telemetry("edge")
    _add_overload_layer(app, driver, telemetry)
    telemetry.install(app)
    orders_total = telemetry.counter("orders_total", "Orders acknowledged, by level", ("level",))
    _add_order_routes(app, driver, orders_total)
    add_check_routes(app, driver)
    add_store_routes(app, driver)
    add_channel_routes(app, driver.channels)
    _add_operator_routes(app, driver)
    add_staff_routes(app, driver, telemetry)
    add_page_routes(app, driver)
    return app


def _add_overload_layer(app: FastAPI, driver: Driver, telemetry: Telemetry) -> None:
    app.add_middleware(
        OverloadLayer,
        gate=driver.gate,
        settings=driver.settings.overload,
        refused=telemetry.counter("overload_refused_total", "Requests refused at the gate", ("reason", "priority")),
        governs=lambda: driver.device.is_primary,
        known=lambda key: driver.device.replica.log.key(key) is not None,
    )


def _add_order_routes(app: FastAPI, driver: Driver, orders_total: Any) -> None:
    refusals = (KEY_MISSING, KEY_REUSED, ORDER_INVALID, ITEM_UNKNOWN, PRICE_CHANGED, REQUEST_TOO_LARGE)
    on_a_check = (TOKEN_INVALID, NOT_ALLOWED, CHECK_CLOSED, ITEM_SOLD_OUT)
    unavailable = (NOT_PRIMARY, CHANNEL_PAUSED, OVERLOADED, STANDBY_REQUIRED, OUTCOME_UNKNOWN)

    @app.post(
        "/v1/orders",
        status_code=201,
        response_model=OrderAnswer,
        responses=problem_docs(*refusals, *on_a_check, *unavailable) | {201: REPLAYED_DOC},
        openapi_extra=order_request(StoreOrderContent),
    )
    async def submit_order(request: Request) -> Response:
        """Submit an order. Asking again with the same key and content never makes a second one."""
        order = parse_order(parse_key(request.headers.get("Idempotency-Key")), await read_json(request))
        check_order(driver, request.headers, order)
        if driver.device.replica.log.key(order.order_id) is None:
            check_pickup(order, wall_us() / 1_000_000)
        driver.channels.check(order)
        reply = await driver.submit(order)
        raise_problem(driver, reply)
        orders_total.labels(reply.level or "").inc()
        headers = {"Idempotency-Replayed": "true"} if reply.replayed else {}
        return JSONResponse(_order_json(driver, reply), 201, headers)

    @app.get(
        "/v1/orders/{order_id}",
        response_model=OrderDetails,
        responses=problem_docs(KEY_MISSING, ORDER_UNKNOWN, NOT_PRIMARY, NOT_CONFIRMED, OVERLOADED, OUTCOME_UNKNOWN),
    )
    async def read_order(order_id: str) -> Response:
        """An order as it is kept. 404 is told only when it is certain."""
        reply = await driver.read(parse_id(order_id))
        raise_problem(driver, reply)
        assert reply.entry is not None
        content = reply.entry.content()
        items = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in content["items"]]
        details = {
            "channel": content["channel"],
            "table": content["table"],
            "items": items,
            "note": content["note"],
            "pickup_at_s": content.get("pickup_at_s", 0),
        }
        return JSONResponse(_order_json(driver, reply) | details)


def _add_operator_routes(app: FastAPI, driver: Driver) -> None:
    @app.get("/health", tags=["operator"])
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/ready", tags=["operator"], responses={503: {"description": "It takes no orders now."}})
    async def ready() -> Response:
        """200 when this device takes orders now."""
        replica = driver.device.replica
        members_min = 2 if driver.settings.policy == "require_r2" else 1
        takes_orders = driver.device.is_primary and len(replica.members) >= members_min
        told = {"role": replica.role, "break_glass": driver.device.glass.stage}
        return JSONResponse(told, 200 if takes_orders else 503)

    @app.get("/v1/status", tags=["operator"])
    async def status() -> dict[str, Any]:
        """Where this device stands."""
        return device_status(driver)

    denied = (TOKEN_INVALID, NOT_ALLOWED)

    @app.get("/v1/audit/entries", tags=["operator"], responses=problem_docs(REQUEST_INVALID, *denied))
    async def entries(
        request: Request, from_seq: int = Query(1, ge=1), limit: int = Query(ENTRIES_MAX, ge=1, le=ENTRIES_MAX)
    ) -> dict[str, Any]:
        """Committed entries from `from_seq` on, ascending. For operators: payments are in it, with what paid them."""
        must_be_operator(driver, request.headers)
        replica = driver.device.replica
        found = replica.log.slice(from_seq, replica.commit_seq, limit) if from_seq <= replica.commit_seq else ()
        return {"node_id": replica.node_id, "entries": [_entry_json(driver, entry) for entry in found]}

    @app.get("/v1/audit/set-aside", tags=["operator"], responses=problem_docs(*denied))
    def set_aside(request: Request) -> dict[str, Any]:
        """All that was set aside here, and which of it had been committed (P19); `/v1/recovered` is the staff's list."""
        must_be_operator(driver, request.headers)
        rows = driver.store.recovered(0, SET_ASIDE_MAX)
        entries = [
            {**_entry_json(driver, row.entry), "at_epoch": row.at_epoch, "given_up": row.given_up} for row in rows
        ]
        return {"node_id": driver.device.replica.node_id, "entries": entries}


def device_status(driver: Driver) -> dict[str, Any]:
    """Where a device stands, as `GET /v1/status` tells it."""
    replica = driver.device.replica
    feeds, glass = driver.device.feeds, driver.device.glass
    return {
        "store": driver.settings.store,
        "slot": driver.settings.slot,
        "node_id": replica.node_id,
        "role": replica.role,
        "epoch": replica.epoch,
        "members": list(replica.members),
        "register": _register_json(replica.register),
        "commit_seq": replica.commit_seq,
        "commit_hash": replica.log.cursor(replica.commit_seq).hash,
        "last_seq": replica.log.last.seq,
        "last_hash": replica.log.last.hash,
        "downlink_cursor": replica.log.downlink_cursor,
        "uplink_cursor": _cursor_json(feeds["uplink"].cursor),
        "kitchen_cursor": _cursor_json(feeds["kitchen"].cursor),
        "waiting": driver.device.admission.count + driver.gate.waiting,
        "payments_under_way": _payments_under_way(driver),
        "payments_need_a_person": len(driver.device.cashier.attention()),
        "entries_passed_over": len(driver.device.book.passed_over),
        "stock_entries_passed_over": driver.device.views.passed_over,
        "rights_frozen": driver.device.views.stock.fork_epoch != 0 and driver.device.views.stock.keeps_any,
        "slips_waiting": driver.printer.waiting,
        "printer_alarm": driver.printer.trouble,
        "break_glass": {"stage": glass.stage, "compared_seq": glass.compared_seq, "trouble": glass.trouble},
        "orders_may_return": driver.device.returns.outstanding,
        "forks": [{"from_seq": fork.from_seq, "seq": fork.seq, "epoch": fork.epoch} for fork in replica.log.forks],
        "flush_us_max": driver.journal.flush_us_max,
        "alarm": replica.alarm or feeds["uplink"].mismatch or feeds["kitchen"].mismatch,
    }


def _payments_under_way(driver: Driver) -> int:
    """Payments that the cashier goes on with; an unverified one waits for the staff."""
    return sum(payment.state is not PaymentState.UNVERIFIED for payment in driver.device.book.at_gateway())


def _register_json(register: Register | None) -> dict[str, Any] | None:
    """The register as this device last read it: whom a person must confirm to be off before they break the glass (P19)."""
    if register is None:
        return None
    return {"epoch": register.epoch, "primary": register.primary, "members": list(register.members)}


def _order_json(driver: Driver, reply: Reply) -> dict[str, Any]:
    assert reply.entry is not None
    content = reply.entry.content()
    return {
        "order_id": content["order_id"],
        "store": driver.settings.store,
        "level": reply.level,
        "node_id": driver.device.replica.node_id,
        "epoch": reply.epoch,
        "seq": reply.entry.seq,
        "total_minor": content["total_minor"],
        "status": "served" if reply.served else "committed",
    }


def _entry_json(driver: Driver, entry: Entry) -> dict[str, Any]:
    record = told_record(driver, entry.content())
    return {"seq": entry.seq, "epoch": entry.epoch, "hash": entry.hash, "record": record}


def _cursor_json(cursor: Cursor | None) -> dict[str, Any] | None:
    return None if cursor is None else {"seq": cursor.seq, "hash": cursor.hash}
