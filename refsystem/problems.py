"""Problem documents (RFC 9457) over HTTP: how every process of the stack says no, and how its OpenAPI tells that.

The kinds of problem about orders stand in `refsystem.ordering.errors`. Here are the few that belong to HTTP itself, the
exception that carries one with its headers, and the handlers that turn every failure of a route into a document.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from refsystem.ordering.errors import ORDER_INVALID, OrderRejected, Problem

MEDIA_TYPE = "application/problem+json"
BODY_BYTES_MAX = 8 * 1024 * 1024
RETRY_AFTER_S = 1.0

REQUEST_INVALID = Problem("request-invalid", 422, "A parameter of the request is not well formed", True)
REQUEST_TOO_LARGE = Problem("request-too-large", 413, "The request's body is too large", True)
TICKET_UNKNOWN = Problem("ticket-unknown", 404, "There is no such ticket", True)
INTERNAL_ERROR = Problem("internal-error", 500, "The server failed; it is not known what was done", False)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ProblemBody(BaseModel):
    """A problem document. `definite` is true when this request certainly left no trace."""

    type: str = Field(description="the stable URI of the kind of problem")
    title: str
    status: int
    detail: str
    definite: bool
    primary_hint: str | None = Field(default=None, description="where the primary was last known to be")
    item_id: str | None = Field(
        default=None, description="the item of the menu that it is about; only if it is about one"
    )


class ProblemError(Exception):
    """A request is answered with a problem document."""

    def __init__(
        self,
        problem: Problem,
        detail: str = "",
        *,
        primary_hint: str | None = None,
        retry_after_s: float | None = None,
        item_id: str = "",
    ) -> None:
        super().__init__(detail or problem.title)
        self.problem = problem
        self.detail = detail or problem.title
        self.primary_hint = primary_hint
        self.retry_after_s = retry_after_s
        self.item_id = item_id


def problem_response(
    problem: Problem,
    detail: str,
    *,
    primary_hint: str | None = None,
    retry_after_s: float | None = None,
    item_id: str = "",
) -> Response:
    """The answer for `problem`; a 503 always says when to come back, in whole seconds rounded up."""
    headers = {}
    if problem.status == 503:
        headers["Retry-After"] = str(math.ceil(RETRY_AFTER_S if retry_after_s is None else retry_after_s))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = ProblemBody(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=detail,
        definite=problem.definite,
        primary_hint=primary_hint,
    ).model_dump(exclude={"item_id"})
    if item_id:
        body["item_id"] = item_id
    return JSONResponse(body, problem.status, headers, media_type=MEDIA_TYPE)


def problem_docs(*problems: Problem) -> dict[int | str, dict[str, Any]]:
    """What a route's `responses=` says of `problems`, one paragraph for each status."""
    docs: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        line = f"`{problem.type}`: {problem.title}."
        known = docs.get(problem.status)
        docs[problem.status] = {
            "description": f"{known['description']}\n\n{line}" if known else line,
            "content": {MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}},
        }
        if problem.status == 503:
            docs[problem.status]["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
        if problem.status == 401:
            docs[problem.status]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string", "enum": ["Bearer"]}}}
    return docs


def install_problem_handlers(app: FastAPI, invalid: Problem = ORDER_INVALID) -> None:
    """Make every refusal and failure of `app` a problem document; `invalid` is the kind for a malformed body."""

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return problem_response(
            error.problem,
            error.detail,
            primary_hint=error.primary_hint,
            retry_after_s=error.retry_after_s,
            item_id=error.item_id,
        )

    async def on_rejected(_: Request, error: Exception) -> Response:
        assert isinstance(error, OrderRejected)
        return problem_response(error.problem, error.detail, item_id=error.item_id)

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = [str(part) for part in first["loc"]]
        kind = invalid if place[:1] == ["body"] else REQUEST_INVALID
        return problem_response(kind, f"{'.'.join(place)}: {first['msg']}")

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = {"type": "about:blank", "title": str(error.detail), "status": error.status_code}
        body |= {"detail": str(error.detail), "definite": error.status_code < 500, "primary_hint": None}
        return JSONResponse(body, error.status_code, error.headers, media_type=MEDIA_TYPE)

    async def on_failure(_: Request, error: Exception) -> Response:
        return problem_response(INTERNAL_ERROR, f"{type(error).__name__} in the server; its log says more")

    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(OrderRejected, on_rejected)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_failure)


async def read_json(request: Request, bytes_max: int = 64 * 1024) -> Any:
    """The JSON in a request's body; raises `OrderRejected` if it is none, `ProblemError` if it is too long."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > bytes_max:
                raise ProblemError(REQUEST_TOO_LARGE, f"the body may have {bytes_max} bytes at most")
    except ClientDisconnect:  # in an overload they are many; nobody reads the answer
        raise ProblemError(REQUEST_INVALID, "the client hung up before its body was read") from None
    try:
        value = json.loads(raw)
        # What is no Unicode text (half of a surrogate pair) could be neither hashed nor stored.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise OrderRejected(ORDER_INVALID, f"the body is not JSON ({error})") from None
    return value


class BodyLimit:
    """Refuses a request whose body is longer than `bytes_max` (P20): by what it announces, else by reading it."""

    def __init__(self, app: Callable[..., Awaitable[None]], bytes_max: int = BODY_BYTES_MAX) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        length = headers.get(b"content-length", b"0")
        fits = length.isdigit() and int(length) <= self._bytes_max
        if fits and b"transfer-encoding" in headers:
            fits, receive = await self._read(receive)
        if fits:
            await self._app(scope, receive, send)
        else:
            refusal = problem_response(REQUEST_TOO_LARGE, f"the body may have {self._bytes_max} bytes at most")
            await refusal(scope, receive, send)

    async def _read(self, receive: Receive) -> tuple[bool, Receive]:
        """Read a body of unknown length: whether it fits, and a `receive` that gives it once more."""
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._bytes_max:
                return False, receive
        kept: list[Message] = [{**message, "body": body}] if message["type"] == "http.request" else [message]

        async def again() -> Message:
            return kept.pop() if kept else await receive()

        return True, again
