"""The gateway at work: the thread that owns its database, and its misbehaviour around every request.

Whatever goes wrong goes wrong outside of `GatewayStore`: a request is done wholly and once, or not at all, and only what the
caller hears of it is disturbed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw
from fastapi import Request

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners.disturbed import Disturbed
from refsystem.partners.draws import draw
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.misbehaviour import Kind, Misbehaviour, Operation, Rule
from refsystem.partners.payment_gateway.requests import Authorize, GatewayRequest, Sale
from refsystem.partners.payment_gateway.rules import Payment
from refsystem.partners.payment_gateway.settings import GatewaySettings
from refsystem.partners.payment_gateway.store import GatewayStore, Kept, PayerConduct, Posting
from refsystem.problems import ProblemError
from refsystem.telemetry import Telemetry

IDLE_S = 1.0
CHANGE_WAIT_MIN_S = 0.002

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Gateway:
    """One gateway process' work. Its database is opened when it is made; all but `run`'s argument is called in the event loop."""

    def __init__(self, settings: GatewaySettings, telemetry: Telemetry) -> None:
        self.settings = settings
        self.misbehaviour = Misbehaviour(settings.plan)
        self.callbacks_wanted = asyncio.Event()
        self._time_wanted = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gateway-store")
        self._store = GatewayStore(settings.data, settings.limits, self._posting)
        self._disturbed = Disturbed(
            self.misbehaviour.next_try, self._strikes, problems.PAYMENTS_STUCK, problems.GATEWAY_FAILED
        )
        self._clock: asyncio.Task[None] | None = None
        self._struck = telemetry.counter("gateway_misbehaviour_total", "What was done wrong on request", ("kind",))
        self._done = telemetry.counter(
            "gateway_requests_total", "Requests done, not the repeated ones", ("operation", "status")
        )
        self._repeated = telemetry.counter("gateway_repeated_total", "Requests that had been done before")

    async def start(self) -> None:
        """Let time do its part from now on."""
        self._clock = asyncio.create_task(self._let_time_pass())

    async def stop(self) -> None:
        """Finish what waits and close the database."""
        if self._clock is not None:
            self._clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    async def run(self, work: Callable[[GatewayStore], Result]) -> Result:
        """Do `work` in the store's thread, behind what waits there already."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._store)
        except apsw.Error as error:
            logger.exception("the database failed")
            raise ProblemError(OUTCOME_UNKNOWN, f"the gateway's database failed ({type(error).__name__})") from error

    async def perform(
        self, http: Request, operation: Operation, request_id: str, request: GatewayRequest
    ) -> tuple[Kept, bool]:
        """Do a merchant's request under whatever misbehaviour strikes it: what became of it, and whether it is a repetition."""

        async def work() -> tuple[Kept, bool]:
            kept, repeated = await self.run(
                lambda store: store.perform(request_id, request, now_us(), lambda: self._conduct(operation, request))
            )
            if repeated:
                self._repeated.inc()
            else:
                self._done.labels(operation, kept.outcome.status).inc()
                self.callbacks_wanted.set()
                self._time_wanted.set()
            return kept, repeated

        return await self._disturbed.around(http, operation, request_id, work)

    async def query(self, http: Request, attempt_id: str) -> Payment:
        """A payment as it stands; raises `ProblemError` if there is none, or if a query shall not find it yet."""

        async def work() -> Payment:
            found = await self.run(lambda store: store.payment(attempt_id, now_us()))
            if found is None or self._hidden(attempt_id, found.created_at_us):
                raise ProblemError(problems.PAYMENT_UNKNOWN)
            return found

        return await self._disturbed.around(http, "query", attempt_id, work)

    async def query_request(self, http: Request, request_id: str) -> Kept:
        """What became of a request; raises `ProblemError` if there is none, or if a query shall not find it yet."""

        async def work() -> Kept:
            found = await self.run(lambda store: store.request(request_id))
            if found is None or self._hidden(request_id, found.at_us):
                raise ProblemError(problems.REQUEST_UNKNOWN)
            return found

        return await self._disturbed.around(http, "query", request_id, work)

    # --- misbehaviour ---

    def _strikes(self, kind: Kind, operation: str, key: str, attempt: int = 0) -> Rule | None:
        rule = self.misbehaviour.strikes(kind, operation, key, attempt)
        if rule is not None:
            self._struck.labels(kind).inc()
        return rule

    def _hidden(self, key: str, made_at_us: int) -> bool:
        """Whether a query shall not find what was made then: as if it asked a copy that lags behind."""
        rule = self.misbehaviour.would_strike("unknown", "query", key, 0)
        if rule is None or now_us() - made_at_us >= rule.ms * 1000:
            return False
        return self._strikes("unknown", "query", key) is not None

    def _posting(self, event_id: str) -> Posting:
        """How a callback is sent. Called in the store's thread."""
        twice = self._strikes("callback_twice", "callback", event_id)
        late = self._strikes("callback_late", "callback", event_id)
        held = self._strikes("callback_out_of_order", "callback", event_id)
        late_ms = max(rule.ms for rule in (late, held) if rule) if late or held else 0
        return Posting(2 if twice else 1, late_ms * 1000, held is not None and late is None)

    def _conduct(self, operation: Operation, request: GatewayRequest) -> PayerConduct:
        """What the payer of a new payment does. Called in the store's thread."""
        if not isinstance(request, Authorize | Sale):
            return PayerConduct()
        key = request.attempt_id
        declined = self._strikes("declined", operation, key) is not None
        if isinstance(request, Authorize):
            return PayerConduct(declined)
        if self._strikes("unconfirmed", operation, key) is not None:
            return PayerConduct(declined, None)
        limits = self.settings.limits
        confirm_s = limits.wallet_confirm_s * (0.5 + draw(self.misbehaviour.plan.seed, "confirm", key))
        return PayerConduct(declined, limits.scaled_us(confirm_s))

    # --- time ---

    async def _let_time_pass(self) -> None:
        """Settle what falls due: diners confirm, unanswered disputes are lost."""
        while True:
            self._time_wanted.clear()
            try:
                due_us = await self.run(_settle)
                self.callbacks_wanted.set()
            except ProblemError:
                due_us = None
            wait_s = IDLE_S if due_us is None else min(IDLE_S, (due_us - now_us()) / 1_000_000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(CHANGE_WAIT_MIN_S, wait_s)):
                    await self._time_wanted.wait()


def _settle(store: GatewayStore) -> int | None:
    store.settle_due(now_us())
    return store.next_change_us()


def now_us() -> int:
    """The host's monotonic clock."""
    return time.monotonic_ns() // 1000
