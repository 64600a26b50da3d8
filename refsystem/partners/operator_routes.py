"""The routes that every party has for whoever runs it, and pages of what an audit reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import create_model

from refsystem.ordering.errors import OUTCOME_UNKNOWN, Problem
from refsystem.partners.misbehaviour import PlanBase, RuleT, Strikes
from refsystem.problems import problem_docs

NUMBER_MAX = 2**62
PAGE_MAX = 5_000
After = Annotated[int, Query(ge=0, le=NUMBER_MAX, description="behind this number")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


def page(name: str, rows: list[dict[str, Any]], limit: int, number: str) -> dict[str, Any]:
    """Up to `limit` rows as `name`. `next_after`, null at the end, is the last one's `number`: read on from there."""
    return {name: rows, "next_after": rows[-1][number] if len(rows) == limit else None}


def misbehaviour_routes(strikes: Strikes[RuleT], plan_type: type[PlanBase[RuleT]], invalid: Problem) -> APIRouter:
    """What is done wrong, as a `plan_type`; a body that is none is `invalid`."""
    router = APIRouter(prefix="/v1/operator")
    reply = create_model(
        "MisbehaviourReply",
        __doc__="What is done wrong, and how often each kind has struck since the process started.",
        plan=(plan_type, ...),
        struck=(dict[str, int], ...),
    )

    def told() -> dict[str, Any]:
        return {"plan": strikes.plan, "struck": dict(strikes.struck)}

    @router.get("/misbehaviour", response_model=reply)
    async def misbehaviour() -> dict[str, Any]:
        """What is done wrong now, and how often each kind has struck."""
        return told()

    async def put_misbehaviour(plan: PlanBase[RuleT]) -> dict[str, Any]:
        """Do this wrong from now on, and nothing else. What is wrong already stays so."""
        strikes.set_plan(plan)
        return told()

    put_misbehaviour.__annotations__["plan"] = plan_type  # what the body is read as
    router.put("/misbehaviour", response_model=reply, responses=problem_docs(invalid))(put_misbehaviour)

    @router.delete("/misbehaviour", response_model=reply)
    async def behave() -> dict[str, Any]:
        """Behave well from now on. What is wrong already stays so."""
        strikes.set_plan(plan_type())
        return told()

    return router


def health_routes(answers: Callable[[], Awaitable[bool]] | None = None) -> APIRouter:
    """Whether the process lives; and whether it is ready, if that takes a database that `answers`."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    if answers is None:
        return router

    @router.get("/ready", responses=problem_docs(OUTCOME_UNKNOWN))
    async def ready() -> dict[str, str]:
        """Requests can be done: the database answers."""
        await answers()
        return {"status": "ready"}

    return router
