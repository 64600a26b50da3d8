"""The gate as an ASGI layer, before a request's body is read and before any route.

What is refused is answered 503 `overloaded`, which is definite: nothing of this request was read or written. A request whose
key is in the log already is never refused: what was appended is answered (P6), and the answer is only looked up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from prometheus_client import Counter
from starlette.responses import Response

from refsystem.ordering.errors import OVERLOADED, OrderRejected
from refsystem.ordering.order import parse_key
from refsystem.overload.gate import Gate, Reason, State, Ticket
from refsystem.overload.priority import priority_of
from refsystem.overload.retry_after import retry_after_s
from refsystem.overload.settings import OverloadSettings
from refsystem.problems import problem_response

DEADLINE_HEADER = b"x-deadline-ms"
DEADLINE_MS_DIGITS_MAX = 7
LOOK_EVERY_S = 0.025

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def make_gate(settings: OverloadSettings) -> Gate:
    """The gate of a process that was told so."""
    if settings.delay is None:
        return Gate(settings.remedies)
    return Gate(settings.remedies, settings.delay.servers)


class OverloadLayer:
    """Lets governed requests through `gate`; the app behind sees only those that were started.

    `governs` says whether anything is to be held back now (a device that is not primary refuses cheaply by itself),
    `known` whether a key stands in the log. `refused` counts by reason and priority.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        *,
        gate: Gate,
        settings: OverloadSettings,
        refused: Counter,
        governs: Callable[[], bool] = lambda: True,
        known: Callable[[str], bool] = lambda _key: False,
        draw: random.Random | None = None,
    ) -> None:
        self._app, self._gate, self._settings, self._refused = app, gate, settings, refused
        self._governs, self._known = governs, known
        self._draw = draw or random.Random()
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}
        self._looking = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        priority = priority_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if priority is None or not self._governs():
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        now_us = _now_us()
        delay = self._settings.delay
        work_us = delay.of(priority) if delay is not None else 0
        ticket = self._gate.arrive(priority, now_us, _deadline_us(headers, now_us), work_us)
        self._tell_changed()
        if ticket.state is State.WAITING:
            await self._wait(ticket)
        if ticket.state is State.STARTED:
            await self._serve(ticket, work_us, scope, receive, send)
        elif self._is_known(headers):
            await self._app(scope, receive, send)
        else:
            assert ticket.reason is not None
            self._refused.labels(ticket.reason.name.lower(), priority.name.lower()).inc()
            await self._refusal(ticket.reason)(scope, receive, send)

    async def _serve(
        self, ticket: Ticket, work_us: int, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """With a declared delay the server is free after it; without, when the request is answered."""
        declared = self._settings.delay is not None
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if declared:
                ends_us = ticket.started_us + work_us
                try:
                    await asyncio.sleep(max(0, ends_us - _now_us()) / 1e6)
                finally:
                    self._free(ticket, ends_us)
            await self._app(scope, receive, noting)
        finally:
            if not declared:
                self._free(ticket, _now_us())
            self._gate.answered(ticket, _now_us(), failed=status >= 500)

    def _free(self, ticket: Ticket, free_since_us: int) -> None:
        now_us = _now_us()
        self._gate.freed(ticket, min(free_since_us, now_us), now_us)
        self._tell_changed()

    async def _wait(self, ticket: Ticket) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        self._look_later()
        try:
            await future
        except asyncio.CancelledError:
            if ticket.state is State.WAITING:
                self._gate.abandoned(ticket)
            elif ticket.state is State.STARTED:
                self._free(ticket, _now_us())
                self._gate.answered(ticket, _now_us(), failed=True)
            raise
        finally:
            self._waiting.pop(ticket, None)

    def _tell_changed(self) -> None:
        self._tell(self._gate.take_changed())

    def _tell(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            future = self._waiting.get(ticket)
            if future is not None and not future.done():
                future.set_result(None)

    def _look_later(self) -> None:
        """While somebody waits, look now and then, whether or not anything else happens."""
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._looking = False
        self._gate.tick(_now_us())
        self._tell_changed()
        if self._gate.waiting:
            self._look_later()

    def _is_known(self, headers: dict[bytes, bytes]) -> bool:
        raw = headers.get(b"idempotency-key")
        if raw is None:
            return False
        try:
            return self._known(parse_key(raw.decode("latin-1")))
        except OrderRejected:
            return False

    def _refusal(self, reason: Reason) -> Response:
        after_s = retry_after_s(self._gate.refused_share, self._draw.random())
        response = problem_response(OVERLOADED, reason.value, retry_after_s=after_s)
        if not self._settings.remedies.retry_after:
            del response.headers["Retry-After"]
        return response


def _deadline_us(headers: dict[bytes, bytes], now_us: int) -> int | None:
    """The moment until which the client waits, if it says so in milliseconds from now; anything else is passed over."""
    said = headers.get(DEADLINE_HEADER, b"")
    if not said.isdigit() or len(said) > DEADLINE_MS_DIGITS_MAX:
        return None
    return now_us + int(said) * 1000


def _now_us() -> int:
    return time.monotonic_ns() // 1000
