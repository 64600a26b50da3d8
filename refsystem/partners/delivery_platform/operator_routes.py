"""The platform's routes for whoever runs it, and reads for an audit."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners.delivery_platform import problems
from refsystem.partners.delivery_platform.misbehaviour import WELL_BEHAVED, Plan
from refsystem.partners.delivery_platform.models import MisbehaviourReply, Name, StoreReply
from refsystem.partners.delivery_platform.platform import DeliveryPlatform, now_us
from refsystem.partners.delivery_platform.routes import After, Limit
from refsystem.problems import problem_docs


def operator_routes(platform: DeliveryPlatform) -> APIRouter:
    """Misbehaviour and health."""
    router = APIRouter(tags=["operator"])

    def told() -> MisbehaviourReply:
        plan = Plan.model_validate(platform.misbehaviour.plan.model_dump())
        return MisbehaviourReply(plan=plan, struck=dict(platform.misbehaviour.struck))

    @router.get("/v1/operator/misbehaviour")
    async def misbehaviour() -> MisbehaviourReply:
        """What is done wrong now, and how often each kind has struck."""
        return told()

    @router.put("/v1/operator/misbehaviour", responses=problem_docs(problems.PLATFORM_INVALID))
    async def put_misbehaviour(plan: Plan) -> MisbehaviourReply:
        """Do this wrong from now on, and nothing else."""
        platform.misbehaviour.set_plan(plan)
        return told()

    @router.delete("/v1/operator/misbehaviour")
    async def behave() -> MisbehaviourReply:
        """Behave well from now on."""
        platform.misbehaviour.set_plan(WELL_BEHAVED)
        return told()

    @router.get("/v1/status", responses=problem_docs(OUTCOME_UNKNOWN))
    async def status() -> dict[str, int]:
        """How many orders wait for their store, and how many webhooks are to be sent."""
        return await platform.run(lambda store: store.standing(now_us()))

    @router.get("/v1/stores/{store}", response_model=StoreReply, responses=problem_docs(OUTCOME_UNKNOWN))
    async def store(store: Name) -> dict[str, Any]:
        """What the chain has said of a store."""
        return await platform.run(lambda kept: kept.store(store))

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @router.get("/ready", responses=problem_docs(OUTCOME_UNKNOWN))
    async def ready() -> dict[str, str]:
        """Orders can be placed: the database answers."""
        await platform.run(lambda kept: kept.answers())
        return {"status": "ready"}

    return router


def audit_routes(platform: DeliveryPlatform) -> APIRouter:
    """The platform's own list."""
    router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=problem_docs(OUTCOME_UNKNOWN))

    @router.get("/orders")
    async def orders(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every order as it stands."""
        rows = await platform.run(lambda store: store.audit_orders(after, limit))
        return {"orders": rows, "next_after": rows[-1]["number"] if len(rows) == limit else None}

    @router.get("/webhooks")
    async def webhooks(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every webhook, how often it was tried and how often it was taken; `due_at_us` null: nothing more is sent."""
        rows = await platform.run(lambda store: store.audit_webhooks(after, limit))
        return {"webhooks": rows, "next_after": rows[-1]["webhook"] if len(rows) == limit else None}

    return router
