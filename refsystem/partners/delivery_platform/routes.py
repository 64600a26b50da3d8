"""The platform's routes for diners and for the chain."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import JSONResponse, Response

from refsystem.ordering.errors import OUTCOME_UNKNOWN, OVERLOADED
from refsystem.partners.bodies import REPLAYED_HEADER, Name
from refsystem.partners.delivery_platform import problems
from refsystem.partners.delivery_platform.models import (
    AnswerBody,
    ChannelBody,
    OrderReply,
    StockBody,
    StoreReply,
    WishBody,
)
from refsystem.partners.delivery_platform.platform import DeliveryPlatform
from refsystem.partners.delivery_platform.store import Wish
from refsystem.partners.host_time import now_us
from refsystem.partners.operator_routes import NUMBER_MAX, After, Limit
from refsystem.problems import ProblemError, problem_docs

Key = Annotated[str | None, Header(alias="Idempotency-Key", description="the order's UUID, made by the diner's device")]
Number = Annotated[int, Path(ge=1, le=NUMBER_MAX)]
FAILURES = (OVERLOADED, OUTCOME_UNKNOWN, problems.PLATFORM_FAILED, problems.PLATFORM_STUCK)


def diner_routes(platform: DeliveryPlatform) -> APIRouter:
    """What a diner does at the platform, which is past all misbehaviour: it is what the platform itself knows."""
    router = APIRouter(tags=["diner"])

    @router.post(
        "/v1/orders",
        status_code=201,
        response_model=OrderReply,
        responses=problem_docs(
            problems.KEY_MISSING, problems.KEY_REUSED, problems.SOLD_OUT, problems.STORE_PAUSED, OUTCOME_UNKNOWN
        ),
    )
    async def place(body: WishBody, key: Key = None) -> Response:
        """Order, and pay to the platform. The same key again gets the same order."""
        try:
            diner_key = str(UUID((key or "").strip().strip('"')))
        except ValueError:
            raise ProblemError(problems.KEY_MISSING) from None
        items = tuple((line.item_id, line.quantity) for line in body.items)
        wish = Wish(body.store, items, body.total_minor, body.note)
        placed, repeated = await platform.change(lambda store: store.place(diner_key, wish, now_us()))
        return JSONResponse(placed.document(), 201, {REPLAYED_HEADER: "true"} if repeated else None)

    @router.get(
        "/v1/orders/{number}",
        response_model=OrderReply,
        responses=problem_docs(problems.PLATFORM_ORDER_UNKNOWN, OUTCOME_UNKNOWN),
    )
    async def read(number: Number) -> Response:
        """An order as it stands."""
        placed = await platform.run(lambda store: store.order(number, now_us()))
        return JSONResponse(placed.document())

    @router.post(
        "/v1/orders/{number}/cancellation",
        response_model=OrderReply,
        responses=problem_docs(problems.PLATFORM_ORDER_UNKNOWN, OUTCOME_UNKNOWN),
    )
    async def cancel(number: Number) -> Response:
        """The diner cancels, before or after the store has taken it."""
        placed = await platform.change(lambda store: store.cancel(number, now_us()))
        return JSONResponse(placed.document())

    return router


def chain_routes(platform: DeliveryPlatform) -> APIRouter:
    """What the chain's cloud asks and says; each of these may be struck by misbehaviour."""
    router = APIRouter(tags=["chain"])

    @router.post(
        "/v1/orders/{number}/answer",
        response_model=OrderReply,
        responses=problem_docs(
            problems.PLATFORM_ORDER_UNKNOWN, problems.ORDER_CANCELLED, problems.ALREADY_DECIDED, *FAILURES
        ),
    )
    async def answer(http: Request, number: Number, body: AnswerBody) -> Response:
        """Accept or reject an order, once; the same answer again changes nothing."""

        async def work() -> Response:
            placed, repeated = await platform.change(
                lambda store: store.answer(number, body.accepted, body.store_order_id, body.reason, now_us())
            )
            return JSONResponse(placed.document(), 200, {REPLAYED_HEADER: "true"} if repeated else None)

        return await platform.disturbed.around(http, "acceptance", str(number), work)

    @router.get("/v1/changes", responses=problem_docs(*FAILURES))
    async def changes(http: Request, after: After = 0, limit: Limit = 200) -> dict[str, Any]:
        """Orders whose `version` is above `after`, as they stand: for whoever may have missed a webhook."""

        async def work() -> dict[str, Any]:
            return {"orders": await platform.run(lambda store: store.changed(after, limit))}

        return await platform.disturbed.around(http, "list", str(after), work)

    @router.put("/v1/stores/{store}/channel", response_model=StoreReply, responses=problem_docs(*FAILURES))
    async def put_channel(http: Request, store: Name, body: ChannelBody) -> dict[str, Any]:
        """Pause a store, with a reason that diners are told, or open it."""

        async def work() -> dict[str, Any]:
            await platform.run(lambda kept: kept.put_channel(store, body.paused_reason, body.version))
            return await platform.run(lambda kept: kept.store(store))

        return await platform.disturbed.around(http, "channel", f"{store}/{body.version}", work)

    @router.put("/v1/stores/{store}/stock", response_model=StoreReply, responses=problem_docs(*FAILURES))
    async def put_stock(http: Request, store: Name, body: StockBody) -> dict[str, Any]:
        """Say what is sold out in a store: it is not sold here any more."""

        async def work() -> dict[str, Any]:
            await platform.run(lambda kept: kept.put_stock(store, body.sold_out, body.version))
            return await platform.run(lambda kept: kept.store(store))

        return await platform.disturbed.around(http, "stock", f"{store}/{body.version}", work)

    return router
