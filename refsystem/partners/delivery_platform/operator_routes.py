"""The platform's routes for whoever runs it, and reads for an audit."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners.bodies import Name
from refsystem.partners.delivery_platform import problems
from refsystem.partners.delivery_platform.misbehaviour import Plan
from refsystem.partners.delivery_platform.models import StoreReply
from refsystem.partners.delivery_platform.platform import DeliveryPlatform
from refsystem.partners.host_time import now_us
from refsystem.partners.operator_routes import After, Limit, health_routes, misbehaviour_routes, page
from refsystem.problems import problem_docs


def operator_routes(platform: DeliveryPlatform) -> APIRouter:
    """Misbehaviour and health."""
    router = APIRouter(tags=["operator"])
    router.include_router(misbehaviour_routes(platform.misbehaviour, Plan, problems.PLATFORM_INVALID))
    router.include_router(health_routes(lambda: platform.run(lambda store: store.answers())))

    @router.get("/v1/status", responses=problem_docs(OUTCOME_UNKNOWN))
    async def status() -> dict[str, int]:
        """How many orders wait for their store, and how many webhooks are to be sent."""
        return await platform.run(lambda store: store.standing(now_us()))

    @router.get("/v1/stores/{store}", response_model=StoreReply, responses=problem_docs(OUTCOME_UNKNOWN))
    async def store(store: Name) -> dict[str, Any]:
        """What the chain has said of a store."""
        return await platform.run(lambda kept: kept.store(store))

    return router


def audit_routes(platform: DeliveryPlatform) -> APIRouter:
    """The platform's own list."""
    router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=problem_docs(OUTCOME_UNKNOWN))

    @router.get("/orders")
    async def orders(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every order as it stands."""
        rows = await platform.run(lambda store: store.audit_orders(after, limit))
        return page("orders", rows, limit, "number")

    @router.get("/webhooks")
    async def webhooks(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every webhook, how often it was tried and how often it was taken; `due_at_us` null: nothing more is sent."""
        rows = await platform.run(lambda store: store.audit_webhooks(after, limit))
        return page("webhooks", rows, limit, "webhook")

    return router
