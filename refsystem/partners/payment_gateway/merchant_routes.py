"""The gateway's routes for merchants: each reads a request, has it done, and tells what became of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from refsystem.ordering.errors import OUTCOME_UNKNOWN, OVERLOADED, Problem
from refsystem.partners.bodies import REPLAYED_HEADER, Name
from refsystem.partners.host_time import now_us
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.gateway import Gateway
from refsystem.partners.payment_gateway.misbehaviour import Operation
from refsystem.partners.payment_gateway.models import (
    AuthorizationBody,
    CallbackBody,
    CaptureBody,
    DisputeAnswerBody,
    DisputeReply,
    PaymentReply,
    RefundBody,
    RequestReply,
    ReversalBody,
    SaleBody,
    SharesBody,
)
from refsystem.partners.payment_gateway.requests import (
    AnswerDispute,
    Authorize,
    Capture,
    GatewayRequest,
    Refund,
    Reverse,
    Sale,
    Split,
    SplitReturn,
)
from refsystem.partners.payment_gateway.store import Kept, payment_document
from refsystem.problems import REQUEST_INVALID, ProblemError, problem_docs

Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="the request's UUID, made by the caller; of a payment its attempt_id"),
]
FAILURES = (OVERLOADED, OUTCOME_UNKNOWN, problems.GATEWAY_FAILED, problems.PAYMENTS_STUCK)
KEYED = (problems.KEY_MISSING, problems.KEY_REUSED, problems.PAYMENT_INVALID, *FAILURES)


def merchant_routes(gateway: Gateway) -> APIRouter:
    """Everything that a merchant may ask."""
    router = APIRouter()
    router.include_router(_payment_routes(gateway))
    router.include_router(_money_back_routes(gateway))
    router.include_router(_split_routes(gateway))
    router.include_router(_query_routes(gateway))
    return router


def parse_request_id(key: str | None) -> str:
    """The UUID in an Idempotency-Key header, in canonical form; raises `ProblemError`."""
    try:
        return str(UUID((key or "").strip().strip('"')))
    except ValueError:
        raise ProblemError(problems.KEY_MISSING) from None


async def answer(
    gateway: Gateway, http: Request, operation: Operation, request_id: str, request: GatewayRequest
) -> Response:
    """Have `request` done: 200, or 202 while its outcome is pending; a repetition says so in a header."""
    kept, repeated = await gateway.perform(http, operation, request_id, request)
    status = 202 if kept.outcome.status == "pending" else 200
    return JSONResponse(request_document(kept), status, {REPLAYED_HEADER: "true"} if repeated else None)


def request_document(kept: Kept) -> dict[str, Any]:
    """What a caller is told of its request."""
    own = {"request_id": kept.request_id, "operation": kept.operation, "attempt_id": kept.attempt_id}
    return {**own, **asdict(kept.outcome), "at_us": kept.at_us}


def keyed_docs(*refusals: Problem) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI tells of a request that has a key."""
    pending = {"model": RequestReply, "description": "Done, and its outcome is pending: ask again"}
    return {**problem_docs(*KEYED, *refusals), 202: pending}


def _payment_routes(gateway: Gateway) -> APIRouter:
    router = APIRouter(tags=["payment"])

    @router.post("/v1/authorizations", response_model=RequestReply, responses=keyed_docs(problems.AMOUNT_OVER_LIMIT))
    async def authorize(http: Request, body: AuthorizationBody, key: Key = None) -> Response:
        """Hold an amount on a card. The key is the payment's `attempt_id`. A decline is a final answer."""
        attempt_id = parse_request_id(key)
        request = Authorize(attempt_id=attempt_id, **body.model_dump())
        operation: Operation = "stored_authorize" if body.stored_offline else "authorize"
        return await answer(gateway, http, operation, attempt_id, request)

    @router.post("/v1/sales", response_model=RequestReply, responses=keyed_docs(problems.AMOUNT_OVER_LIMIT))
    async def sale(http: Request, body: SaleBody, key: Key = None) -> Response:
        """Take an amount by a wallet's payment code. The key is the payment's `attempt_id`. Pending until the diner confirms."""
        attempt_id = parse_request_id(key)
        return await answer(gateway, http, "sale", attempt_id, Sale(attempt_id=attempt_id, **body.model_dump()))

    @router.post(
        "/v1/payments/{attempt_id}/captures",
        response_model=RequestReply,
        responses=keyed_docs(
            problems.PAYMENT_UNKNOWN,
            problems.STATE_FORBIDS,
            problems.ALREADY_CAPTURED,
            problems.CAPTURE_TOO_LARGE,
        ),
    )
    async def capture(http: Request, attempt_id: UUID, body: CaptureBody, key: Key = None) -> Response:
        """Take what was authorized, or less, once; the rest is released."""
        request = Capture(str(attempt_id), body.amount_minor)
        return await answer(gateway, http, "capture", parse_request_id(key), request)

    return router


def _money_back_routes(gateway: Gateway) -> APIRouter:
    router = APIRouter(tags=["money back"])

    @router.post(
        "/v1/payments/{attempt_id}/reversals",
        response_model=RequestReply,
        responses=keyed_docs(
            problems.STATE_FORBIDS,
            problems.REVERSE_TOO_EARLY,
            problems.REVERSE_TOO_LATE,
            problems.REVERSE_REFUSED,
        ),
    )
    async def reverse(http: Request, attempt_id: UUID, body: ReversalBody, key: Key = None) -> Response:
        """Let a payment be as if it had never been. One that has not come yet is declined when it comes."""
        request = Reverse(str(attempt_id), body.merchant)
        return await answer(gateway, http, "reverse", parse_request_id(key), request)

    @router.post(
        "/v1/payments/{attempt_id}/refunds",
        response_model=RequestReply,
        responses=keyed_docs(
            problems.PAYMENT_UNKNOWN,
            problems.STATE_FORBIDS,
            problems.REFUND_TOO_LARGE,
            problems.REFUND_REFUSED,
            problems.SPLIT_NOT_RETURNED,
        ),
    )
    async def refund(http: Request, attempt_id: UUID, body: RefundBody, key: Key = None) -> Response:
        """Give back part of what was captured, or all. What other parties have of it must have been returned."""
        request = Refund(str(attempt_id), body.amount_minor, body.reason)
        return await answer(gateway, http, "refund", parse_request_id(key), request)

    @router.post(
        "/v1/disputes/{dispute_id}/answers",
        response_model=RequestReply,
        responses=keyed_docs(problems.DISPUTE_UNKNOWN, problems.DISPUTE_CLOSED),
    )
    async def answer_dispute(http: Request, dispute_id: UUID, body: DisputeAnswerBody, key: Key = None) -> Response:
        """Contest a dispute, or accept it. Unanswered it is lost."""
        request = AnswerDispute(str(dispute_id), body.accept, body.evidence)
        return await answer(gateway, http, "dispute_answer", parse_request_id(key), request)

    return router


def _split_routes(gateway: Gateway) -> APIRouter:
    router = APIRouter(tags=["split"])

    @router.post(
        "/v1/payments/{attempt_id}/splits",
        response_model=RequestReply,
        responses=keyed_docs(problems.PAYMENT_UNKNOWN, problems.STATE_FORBIDS, problems.SPLIT_TOO_LARGE),
    )
    async def split(http: Request, attempt_id: UUID, body: SharesBody, key: Key = None) -> Response:
        """Pass parts of what was captured on to other parties (platform, brand)."""
        request = Split(str(attempt_id), _shares(body))
        return await answer(gateway, http, "split", parse_request_id(key), request)

    @router.post(
        "/v1/payments/{attempt_id}/split-returns",
        response_model=RequestReply,
        responses=keyed_docs(problems.PAYMENT_UNKNOWN, problems.STATE_FORBIDS, problems.RETURN_TOO_LARGE),
    )
    async def split_return(http: Request, attempt_id: UUID, body: SharesBody, key: Key = None) -> Response:
        """Take parts back from other parties, as a refund may need."""
        request = SplitReturn(str(attempt_id), _shares(body))
        return await answer(gateway, http, "split_return", parse_request_id(key), request)

    return router


def _query_routes(gateway: Gateway) -> APIRouter:
    router = APIRouter(tags=["query"])

    @router.get(
        "/v1/payments/{attempt_id}",
        response_model=PaymentReply,
        responses=problem_docs(problems.PAYMENT_UNKNOWN, REQUEST_INVALID, *FAILURES),
    )
    async def query(http: Request, attempt_id: UUID) -> Response:
        """A payment as it stands. "Unknown" is not final: it may be on its way."""
        return JSONResponse(payment_document(await gateway.query(http, str(attempt_id))))

    @router.get(
        "/v1/requests/{request_id}",
        response_model=RequestReply,
        responses=problem_docs(problems.REQUEST_UNKNOWN, REQUEST_INVALID, *FAILURES),
    )
    async def query_request(http: Request, request_id: UUID) -> Response:
        """What became of a request: a capture, a refund, any other. "Unknown" is not final."""
        return JSONResponse(request_document(await gateway.query_request(http, str(request_id))))

    @router.get(
        "/v1/disputes/{dispute_id}",
        response_model=DisputeReply,
        responses=problem_docs(problems.DISPUTE_UNKNOWN, REQUEST_INVALID, *FAILURES),
    )
    async def find_dispute(dispute_id: UUID) -> Response:
        """A dispute as it stands."""
        found = await gateway.run(lambda store: store.dispute_now(str(dispute_id), now_us()))
        if found is None:
            raise ProblemError(problems.DISPUTE_UNKNOWN)
        return JSONResponse(asdict(found))

    @router.put("/v1/merchants/{merchant}/callback", responses=problem_docs(problems.PAYMENT_INVALID, *FAILURES))
    async def put_callback(merchant: Name, body: CallbackBody) -> dict[str, str]:
        """Register where the merchant wants its callbacks: from now on what changes is posted there, signed, at least once."""
        await gateway.run(lambda store: store.outbox.put_receiver(merchant, body.url))
        return {"merchant": merchant, "url": body.url}

    return router


def _shares(body: SharesBody) -> tuple[tuple[str, int], ...]:
    return tuple((share.party, share.amount_minor) for share in body.shares)
