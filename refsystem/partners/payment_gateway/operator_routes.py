"""The gateway's routes for whoever runs it: misbehaviour, the payer's and the bank's side of disputes, reads for an audit."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.gateway import Gateway
from refsystem.partners.payment_gateway.merchant_routes import Key, answer, keyed_docs, parse_request_id
from refsystem.partners.payment_gateway.misbehaviour import WELL_BEHAVED, Plan
from refsystem.partners.payment_gateway.models import (
    DisputeBody,
    LedgerPage,
    MisbehaviourReply,
    RequestReply,
    RulingBody,
)
from refsystem.partners.payment_gateway.requests import OpenDispute, RuleDispute
from refsystem.problems import problem_docs

PAGE_MAX = 5000
NUMBER_MAX = 2**62
After = Annotated[int, Query(ge=0, le=NUMBER_MAX, description="behind this number")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


def operator_routes(gateway: Gateway) -> APIRouter:
    """Misbehaviour, disputes, health."""
    router = APIRouter(tags=["operator"])

    def told() -> MisbehaviourReply:
        return MisbehaviourReply(plan=gateway.misbehaviour.plan, struck=dict(gateway.misbehaviour.struck))

    @router.get("/v1/operator/misbehaviour")
    async def misbehaviour() -> MisbehaviourReply:
        """What is done wrong now, and how often each kind has struck."""
        return told()

    @router.put("/v1/operator/misbehaviour", responses=problem_docs(problems.PAYMENT_INVALID))
    async def put_misbehaviour(plan: Plan) -> MisbehaviourReply:
        """Do this wrong from now on, and nothing else."""
        gateway.misbehaviour.set_plan(plan)
        return told()

    @router.delete("/v1/operator/misbehaviour")
    async def behave() -> MisbehaviourReply:
        """Behave well from now on."""
        gateway.misbehaviour.set_plan(WELL_BEHAVED)
        return told()

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

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @router.get("/ready", responses=problem_docs(OUTCOME_UNKNOWN))
    async def ready() -> dict[str, str]:
        """Payments can be taken: the database answers."""
        await gateway.run(lambda store: store.answers())
        return {"status": "ready"}

    return router


def audit_routes(gateway: Gateway) -> APIRouter:
    """The gateway's own books."""
    router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=problem_docs(OUTCOME_UNKNOWN))

    @router.get("/ledger")
    async def ledger(after: After = 0, limit: Limit = 1000) -> LedgerPage:
        """All money moved: captures, reversals, refunds, splits, disputes by `attempt_id`; each one's postings sum to zero."""
        rows = await gateway.run(lambda store: store.audit_ledger(after, limit))
        return LedgerPage(movements=rows, next_after=rows[-1]["movement"] if len(rows) == limit else None)

    @router.get("/balances")
    async def balances() -> dict[str, Any]:
        """What every account has; `sum_minor` is zero."""
        found = await gateway.run(lambda store: store.balances())
        return {"balances": found, "sum_minor": sum(found.values())}

    @router.get("/payments")
    async def payments(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every payment as it stands, with the `reference` that the merchant gave it."""
        rows = await gateway.run(lambda store: store.audit_payments(after, limit))
        return {"payments": rows, "next_after": rows[-1]["number"] if len(rows) == limit else None}

    @router.get("/callbacks")
    async def callbacks(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every callback, how often it was tried and how often it was taken; `due_at_us` null: nothing more is sent."""
        rows = await gateway.run(lambda store: store.audit_callbacks(after, limit))
        return {"callbacks": rows, "next_after": rows[-1]["callback"] if len(rows) == limit else None}

    return router
