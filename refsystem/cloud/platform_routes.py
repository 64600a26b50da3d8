"""The cloud's routes for a delivery platform, and for the stores that must void what was cancelled there."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from refsystem.callback_messages import SIGNATURE_HEADER
from refsystem.chain_access import Guard
from refsystem.cloud.models import StoreName
from refsystem.cloud.platforms import Platforms
from refsystem.ordering.errors import OUTCOME_UNKNOWN, OVERLOADED, STORAGE_UNAVAILABLE, TOKEN_INVALID, Problem
from refsystem.problems import REQUEST_INVALID, REQUEST_TOO_LARGE, ProblemError, problem_docs

WEBHOOK_BYTES_MAX = 256 * 1024
SIGNATURE_INVALID = Problem("signature-invalid", 401, "The request is not signed by the platform", True)
PLATFORM_UNKNOWN = Problem("platform-unknown", 404, "The chain does not serve this platform", True)
FAILURES = (STORAGE_UNAVAILABLE, OVERLOADED, OUTCOME_UNKNOWN)


def platform_routes(platforms: Platforms | None, guard: Guard) -> APIRouter:
    """Without a platform, nobody is known and nothing was cancelled."""
    router = APIRouter(tags=["platform"])

    @router.post(
        "/v1/platforms/{platform}/webhooks",
        status_code=204,
        responses=problem_docs(SIGNATURE_INVALID, PLATFORM_UNKNOWN, REQUEST_INVALID, REQUEST_TOO_LARGE, *FAILURES),
    )
    async def webhook(platform: StoreName, request: Request) -> Response:
        """An order was placed or cancelled at the platform. 204 only when that is stored; the same again changes nothing."""
        if platforms is None or platform != platforms.name:
            raise ProblemError(PLATFORM_UNKNOWN, f"there is no platform {platform!r}")
        body = await request.body()
        if len(body) > WEBHOOK_BYTES_MAX:
            raise ProblemError(REQUEST_TOO_LARGE, f"a webhook may have {WEBHOOK_BYTES_MAX} bytes at most")
        try:
            await platforms.webhook(request.headers.get(SIGNATURE_HEADER, ""), body)
        except PermissionError as error:
            raise ProblemError(SIGNATURE_INVALID, str(error)) from error
        except ValueError as error:
            raise ProblemError(REQUEST_INVALID, str(error)) from error
        return Response(status_code=204)

    @router.get(
        "/v1/stores/{store}/cancellations",
        tags=["store"],
        dependencies=[Depends(guard)],
        responses=problem_docs(TOKEN_INVALID, *FAILURES),
    )
    async def cancellations(store: StoreName) -> dict[str, Any]:
        """Orders of platforms that were cancelled there and are not voided in the store."""
        return {"orders": [] if platforms is None else await platforms.cancellations(store)}

    @router.get(
        "/v1/platforms/{platform}/status", tags=["operator"], responses=problem_docs(PLATFORM_UNKNOWN, *FAILURES)
    )
    async def status(platform: StoreName) -> dict[str, int]:
        """How many orders the platform is still to be told about."""
        if platforms is None or platform != platforms.name:
            raise ProblemError(PLATFORM_UNKNOWN, f"there is no platform {platform!r}")
        return {"untold": await platforms.open_count()}

    return router
