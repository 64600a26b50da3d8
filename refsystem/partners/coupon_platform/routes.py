"""The coupon platform's routes: the payment gateway's shape, for what a voucher and a member's balance can do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, model_validator

from refsystem.ordering.errors import OUTCOME_UNKNOWN, OVERLOADED
from refsystem.partners.bodies import REPLAYED_HEADER, Body, Name
from refsystem.partners.coupon_platform.desk import CouponDesk
from refsystem.partners.coupon_platform.store import Wanted
from refsystem.partners.operator_routes import After, Limit, health_routes, misbehaviour_routes, page
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.merchant_routes import Key, parse_request_id
from refsystem.partners.payment_gateway.misbehaviour import Plan
from refsystem.partners.payment_gateway.models import Amount, RefundBody, RequestReply, ReversalBody
from refsystem.problems import problem_docs

Instrument = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
FAILURES = (OVERLOADED, OUTCOME_UNKNOWN, problems.GATEWAY_FAILED, problems.PAYMENTS_STUCK)
KEYED = (problems.KEY_MISSING, problems.KEY_REUSED, problems.PAYMENT_INVALID, *FAILURES)


class SaleBody(Body):
    """A payment by a voucher or from a member's balance: exactly one of them."""

    merchant: Name
    amount_minor: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    voucher_code: Instrument | None = None
    member: Instrument | None = None

    @model_validator(mode="after")
    def _one_instrument(self) -> SaleBody:
        if (self.voucher_code is None) == (self.member is None):
            raise ValueError("send either voucher_code or member, not both and not neither")
        return self


class InstrumentReply(BaseModel):
    """What an instrument can pay now: a voucher's value for one payment, a member's balance. 0 if unknown or used."""

    known: bool
    used: bool
    value_minor: int


class IssueBody(Body):
    """What a voucher is worth, or a new member has."""

    kind: Literal["voucher", "member"]
    instrument: Instrument
    value_minor: Annotated[int, Field(ge=0, le=10**12)]


def merchant_routes(desk: CouponDesk) -> APIRouter:
    """What a store asks."""
    router = APIRouter(tags=["payment"])

    async def answered(http: Request, key: str | None, wanted: Wanted) -> Response:
        kept, repeated = await desk.perform(http, parse_request_id(key), wanted)
        return JSONResponse(asdict(kept), 200, {REPLAYED_HEADER: "true"} if repeated else None)

    @router.post("/v1/sales", response_model=RequestReply, responses=problem_docs(*KEYED, problems.AMOUNT_OVER_LIMIT))
    async def sale(http: Request, body: SaleBody, key: Key = None) -> Response:
        """Verify a voucher or take from a balance, once. The key is the payment's `attempt_id`. A decline is a final answer."""
        wanted = Wanted(
            "sale",
            parse_request_id(key),
            body.merchant,
            body.amount_minor,
            "voucher" if body.voucher_code is not None else "member",
            body.voucher_code or body.member or "",
        )
        return await answered(http, key, wanted)

    @router.post(
        "/v1/payments/{attempt_id}/reversals",
        response_model=RequestReply,
        responses=problem_docs(*KEYED, problems.PAYMENT_UNKNOWN, problems.REVERSE_TOO_LATE, problems.REVERSE_REFUSED),
    )
    async def reverse(http: Request, attempt_id: UUID, body: ReversalBody, key: Key = None) -> Response:
        """Let a payment be as if it had never been; a voucher within an hour. One that has not come yet is barred."""
        return await answered(http, key, Wanted("reverse", str(attempt_id), body.merchant))

    @router.post(
        "/v1/payments/{attempt_id}/refunds",
        response_model=RequestReply,
        responses=problem_docs(
            *KEYED,
            problems.PAYMENT_UNKNOWN,
            problems.STATE_FORBIDS,
            problems.REFUND_TOO_LARGE,
            problems.REFUND_REFUSED,
        ),
    )
    async def refund(http: Request, attempt_id: UUID, body: RefundBody, key: Key = None) -> Response:
        """Give value back: to a balance any part; a voucher whole, within an hour."""
        return await answered(http, key, Wanted("refund", str(attempt_id), amount_minor=body.amount_minor))

    @router.get("/v1/payments/{attempt_id}", responses=problem_docs(problems.PAYMENT_UNKNOWN, *FAILURES))
    async def payment(http: Request, attempt_id: UUID) -> dict[str, Any]:
        """A payment as it stands."""
        return asdict(await desk.query(http, str(attempt_id)))

    @router.get("/v1/instruments", response_model=InstrumentReply, responses=problem_docs(*FAILURES))
    async def instrument(http: Request, kind: Literal["voucher", "member"], instrument: Instrument) -> dict[str, Any]:
        """What a voucher or a member could pay with now. Nothing is held for whoever asks."""
        found = await desk.instrument(http, kind, instrument)
        used = found is not None and found.used_by is not None
        value_minor = 0 if found is None or used else found.value_minor
        return {"known": found is not None, "used": used, "value_minor": value_minor}

    return router


def operator_routes(desk: CouponDesk) -> APIRouter:
    """Issuing, misbehaviour, health, and reads for an audit."""
    router = APIRouter(tags=["operator"])
    router.include_router(misbehaviour_routes(desk.misbehaviour, Plan, problems.PAYMENT_INVALID))
    router.include_router(health_routes(lambda: desk.run(lambda store: store.answers())))

    @router.post("/v1/operator/instruments", responses=problem_docs(problems.PAYMENT_INVALID, OUTCOME_UNKNOWN))
    async def issue(body: IssueBody) -> dict[str, Any]:
        """Issue a voucher, or open a member's balance; what was issued stays as it is."""
        return asdict(await desk.run(lambda store: store.issue(body.kind, body.instrument, body.value_minor)))

    @router.get("/v1/audit/ledger", tags=["audit"], responses=problem_docs(OUTCOME_UNKNOWN))
    async def ledger(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """All value moved: captures, reversals and refunds by `attempt_id`."""
        rows = await desk.run(lambda store: store.audit_ledger(after, limit))
        return page("movements", rows, limit, "movement")

    @router.get("/v1/audit/payments", tags=["audit"], responses=problem_docs(OUTCOME_UNKNOWN))
    async def payments(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every payment as it stands."""
        rows = await desk.run(lambda store: store.audit_payments(after, limit))
        return page("payments", rows, limit, "number")

    return router
