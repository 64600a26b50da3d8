"""The gateway's routes for whoever runs it: misbehaviour, the payer's and the bank's side of disputes, reads for an audit."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners.operator_routes import After, Limit, health_routes, misbehaviour_routes, page
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.gateway import Gateway
from refsystem.partners.payment_gateway.merchant_routes import Key, answer, keyed_docs, parse_request_id
from refsystem.partners.payment_gateway.misbehaviour import Plan
from refsystem.partners.payment_gateway.models import (
    DisputeBody,
    LedgerPage,
    RequestReply,
    RulingBody,
)
from refsystem.partners.payment_gateway.requests import OpenDispute, RuleDispute
from refsystem.problems import problem_docs


def operator_routes(gateway: Gateway) -> APIRouter:
    """Misbehaviour, disputes, health."""
    router = APIRouter(tags=["operator"])
    router.include_router(misbehaviour_routes(gateway.misbehaviour, Plan, problems.PAYMENT_INVALID))
    router.include_router(health_routes(lambda: gateway.run(lambda store: store.answers())))

    @router.post(
        "/v1/operator/disputes",
        response_model=RequestReply,
        responses=keyed_docs(problems.PAYMENT_UNKNOWN, problems.STATE_FORBIDS, problems.REFUND_TOO_LARGE),
    )
    async def open_dispute(http: Request, body: DisputeBody, key: Key = None) -> Response:
        """A payer disputes a payment. The key is the dispute's id."""
        request = OpenDispute(body.attempt_id, body.amount_minor, body.reason)
        return await answer(gateway, http, "dispute", parse_request_id(key), request)

    @router.post(
        "/v1/operator/disputes/{dispute_id}/rulings",
        response_model=RequestReply,
        responses=keyed_docs(problems.DISPUTE_UNKNOWN, problems.DISPUTE_CLOSED),
    )
    async def rule_dispute(http: Request, dispute_id: UUID, body: RulingBody, key: Key = None) -> Response:
        """The bank rules a dispute."""
        request = RuleDispute(str(dispute_id), body.winner)
        return await answer(gateway, http, "dispute_ruling", parse_request_id(key), request)

    return router


def audit_routes(gateway: Gateway) -> APIRouter:
    """The gateway's own books."""
    router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=problem_docs(OUTCOME_UNKNOWN))

    @router.get("/ledger")
    async def ledger(after: After = 0, limit: Limit = 1000) -> LedgerPage:
        """All money moved: captures, reversals, refunds, splits, disputes by `attempt_id`; each one's postings sum to zero."""
        rows = await gateway.run(lambda store: store.audit_ledger(after, limit))
        return LedgerPage(**page("movements", rows, limit, "movement"))

    @router.get("/balances")
    async def balances() -> dict[str, Any]:
        """What every account has; `sum_minor` is zero."""
        found = await gateway.run(lambda store: store.balances())
        return {"balances": found, "sum_minor": sum(found.values())}

    @router.get("/payments")
    async def payments(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every payment as it stands, with the `reference` that the merchant gave it."""
        rows = await gateway.run(lambda store: store.audit_payments(after, limit))
        return page("payments", rows, limit, "number")

    @router.get("/callbacks")
    async def callbacks(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every callback, how often it was tried and how often it was taken; `due_at_us` null: nothing more is sent."""
        rows = await gateway.run(lambda store: store.audit_callbacks(after, limit))
        return page("callbacks", rows, limit, "callback")

    return router
