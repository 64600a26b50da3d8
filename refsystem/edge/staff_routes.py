"""What staff do on a device: break the glass when the store's only member is gone (P19), and see what was set aside (P12)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from prometheus_client import Gauge
from pydantic import BaseModel, Field

from refsystem.edge.driver import Driver
from refsystem.edge.operators import must_be_operator
from refsystem.edge.store import Recovered
from refsystem.order_messages import LineItem
from refsystem.ordering.errors import (
    BREAK_GLASS_INVALID,
    BREAK_GLASS_NOT_NEEDED,
    BREAK_GLASS_RUNNING,
    MEMBER_HEARD,
    MEMBERS_DIFFER,
    NOT_ALLOWED,
    REGISTER_NOT_READ,
    TOKEN_INVALID,
    BreakGlassRefused,
    OrderRejected,
)
from refsystem.problems import REQUEST_INVALID, REQUEST_TOO_LARGE, ProblemError, problem_docs, read_json
from refsystem.protocol.break_glass import OFF_MAX, WHO_CHARACTERS_MAX, WHY_CHARACTERS_MAX, BreakGlass, GlassStage
from refsystem.telemetry import Telemetry

NUMBER_MAX = 2**63 - 1
"""The largest number that SQLite keeps."""
RECOVERED_MAX = 1_000
DENIED = (TOKEN_INVALID, NOT_ALLOWED)


class BreakGlassBody(BaseModel):
    """A person's word: the devices `off` are off and stay off; this device is to go on."""

    off: Annotated[list[str], Field(min_length=1, max_length=OFF_MAX, description="the node_ids of all members")]
    who: Annotated[str, Field(min_length=1, max_length=WHO_CHARACTERS_MAX)]
    why: Annotated[str, Field(min_length=1, max_length=WHY_CHARACTERS_MAX)]
    without_cloud: Annotated[
        bool, Field(description="the cloud cannot be reached either; send the same again with it to go on without")
    ] = False


class GlassReply(BaseModel):
    """How far breaking the glass has come. `trouble`: what stands in the way, or why the last word was dropped."""

    stage: GlassStage
    epoch: int | None
    off: list[str]
    who: str | None
    why: str | None
    without_cloud: bool
    compared_seq: int
    trouble: str | None


class RecoveredOrder(BaseModel):
    """An order of the list of what was set aside, as it was taken, and where it stood."""

    number: int
    order_id: str
    channel: str
    table: str
    items: list[LineItem]
    total_minor: int
    note: str
    pickup_at_s: int
    epoch: int
    seq: int
    set_aside_at_epoch: int
    given_up: Annotated[bool, Field(description="it was committed in a branch that was left; its diner was told yes")]


class RecoveredPayment(BaseModel):
    """A payment of the list. Where it was given up the gateway may hold its money: somebody looks there, and gives it back."""

    number: int
    attempt_id: str
    check_id: str
    tender: str
    amount_minor: int
    who: str
    at_ms: int
    epoch: int
    seq: int
    set_aside_at_epoch: int
    given_up: Annotated[
        bool, Field(description="it was committed in a branch that was left; it may have been captured")
    ]


class RecoveredReply(BaseModel):
    """A page of the list; `next_after` is where the next one begins, null at the end."""

    node_id: str
    orders: list[RecoveredOrder]
    payments: list[RecoveredPayment]
    next_after: int | None


def add_staff_routes(app: FastAPI, driver: Driver, telemetry: Telemetry) -> None:
    """Add them. They are for managers and operators."""
    _add_break_glass(app, driver)
    _add_recovered(app, driver)
    glass, forks = (
        Gauge(f"rushproof_{name}", documentation, registry=telemetry.registry)
        for name, documentation in (
            ("break_glass_under_way", "1 while a person's word to break the glass is being followed"),
            ("forks", "Forks in this device's log: how often the glass was broken"),
        )
    )
    glass.set_function(lambda: float(driver.device.glass.stage != "none"))
    forks.set_function(lambda: float(len(driver.device.replica.log.forks)))


def _add_break_glass(app: FastAPI, driver: Driver) -> None:
    refusals = (BREAK_GLASS_INVALID, REQUEST_TOO_LARGE, REGISTER_NOT_READ)
    conflicts = (BREAK_GLASS_NOT_NEEDED, BREAK_GLASS_RUNNING, MEMBERS_DIFFER, MEMBER_HEARD)

    @app.post(
        "/v1/break-glass",
        tags=["staff"],
        status_code=202,
        response_model=GlassReply,
        responses=problem_docs(*refusals, *conflicts, *DENIED),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": BreakGlassBody.model_json_schema()}},
            }
        },
    )
    async def break_glass(request: Request) -> Response:
        """The store's members are off for good: this device asks for the role, compares its log with the cloud's, and goes on.

        Answered when the word is on the disk; `GET /v1/break-glass` tells how far it has come. Without the cloud's answer the
        device waits, unless `without_cloud` is said, at once or in a second request.
        """
        must_be_operator(driver, request.headers, "manager")
        try:
            await driver.break_glass(_word(await read_json(request)))
        except OrderRejected as rejection:
            raise ProblemError(BREAK_GLASS_INVALID, rejection.detail) from rejection
        except BreakGlassRefused as refusal:
            raise ProblemError(refusal.problem, refusal.detail) from refusal
        return JSONResponse(glass_json(driver), 202)

    @app.get("/v1/break-glass", tags=["staff"], response_model=GlassReply, responses=problem_docs(*DENIED))
    async def read_glass(request: Request) -> dict[str, Any]:
        """How far breaking the glass has come on this device."""
        must_be_operator(driver, request.headers, "manager")
        return glass_json(driver)


def _add_recovered(app: FastAPI, driver: Driver) -> None:
    @app.get(
        "/v1/recovered", tags=["staff"], response_model=RecoveredReply, responses=problem_docs(REQUEST_INVALID, *DENIED)
    )
    async def recovered(
        request: Request,
        after: int = Query(0, ge=0, le=NUMBER_MAX),
        limit: int = Query(RECOVERED_MAX, ge=1, le=RECOVERED_MAX),
    ) -> dict[str, Any]:
        """Orders and payments that were set aside here and are not committed since, oldest first.

        An order is entered again under its order_id; what was paid under a payment's attempt_id is given back at the gateway.
        """
        must_be_operator(driver, request.headers, "manager")
        rows = await run_in_threadpool(driver.store.recovered, after, limit)
        replica = driver.device.replica

        def is_open(identity: str) -> bool:
            key = replica.log.key(identity)
            return key is None or key.seq > replica.commit_seq

        orders = [found for row in rows if (found := _recovered_order(row)) and is_open(found["order_id"])]
        payments = [found for row in rows if (found := _recovered_payment(row)) and is_open(found["attempt_id"])]
        next_after = rows[-1].number if len(rows) == limit else None
        return {"node_id": replica.node_id, "orders": orders, "payments": payments, "next_after": next_after}


def glass_json(driver: Driver) -> dict[str, Any]:
    """How far breaking the glass has come, as `GlassReply` tells it."""
    status = driver.device.glass
    intention = status.intention
    word = None if intention is None else intention.word
    return {
        "stage": status.stage,
        "epoch": None if intention is None else intention.epoch,
        "off": [] if word is None else list(word.off),
        "who": None if word is None else word.who,
        "why": None if word is None else word.why,
        "without_cloud": word is not None and word.without_cloud,
        "compared_seq": status.compared_seq,
        "trouble": status.trouble,
    }


def _word(body: Any) -> BreakGlass:
    fields = body if isinstance(body, dict) else {}
    off, who, why = fields.get("off"), fields.get("who"), fields.get("why")
    without_cloud = fields.get("without_cloud", False)
    if not isinstance(off, list) or not all(isinstance(node_id, str) for node_id in off):
        raise BreakGlassRefused(BREAK_GLASS_INVALID, "off must be a list of node_ids")
    if not isinstance(who, str) or not isinstance(why, str) or not isinstance(without_cloud, bool):
        raise BreakGlassRefused(BREAK_GLASS_INVALID, "who and why must be texts, without_cloud true or false")
    return BreakGlass(tuple(off), who, why, without_cloud)


def _recovered_order(row: Recovered) -> dict[str, Any] | None:
    content = row.entry.content()
    if content["kind"] != "order":
        return None
    return {
        "number": row.number,
        **{name: content[name] for name in ("order_id", "channel", "table", "total_minor", "note")},
        "items": [{"item_id": item_id, "quantity": quantity} for item_id, quantity in content["items"]],
        "pickup_at_s": content.get("pickup_at_s", 0),
        "epoch": row.entry.epoch,
        "seq": row.entry.seq,
        "set_aside_at_epoch": row.at_epoch,
        "given_up": row.given_up,
    }


def _recovered_payment(row: Recovered) -> dict[str, Any] | None:
    content = row.entry.content()
    if content["kind"] != "act" or content["act"] != "pay":
        return None
    return {
        "number": row.number,
        "attempt_id": content["act_id"],
        **{name: content[name] for name in ("check_id", "tender", "amount_minor", "who", "at_ms")},
        "epoch": row.entry.epoch,
        "seq": row.entry.seq,
        "set_aside_at_epoch": row.at_epoch,
        "given_up": row.given_up,
    }
