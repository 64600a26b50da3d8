"""The gateway at work: merchants' requests, what their payers do, callbacks, and what time brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import Request

from refsystem.partners.draws import draw
from refsystem.partners.due_loop import DueLoop
from refsystem.partners.host_time import now_us
from refsystem.partners.outbox import Outbox, Posting
from refsystem.partners.outbox_sender import OutboxSender, drawn_posting
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.callbacks import again_after_us
from refsystem.partners.payment_gateway.misbehaviour import Operation
from refsystem.partners.payment_gateway.payment_desk import PaymentDesk
from refsystem.partners.payment_gateway.records import Payment
from refsystem.partners.payment_gateway.requests import Authorize, GatewayRequest, Sale
from refsystem.partners.payment_gateway.settings import GatewaySettings
from refsystem.partners.payment_gateway.store import GatewayStore, Kept, PayerConduct
from refsystem.telemetry import Telemetry

CHANGE_WAIT_MIN_S = 0.002

Result = TypeVar("Result")


class Gateway(PaymentDesk[GatewayStore]):
    """One gateway process' work."""

    def __init__(self, settings: GatewaySettings, telemetry: Telemetry) -> None:
        super().__init__("gateway", telemetry, settings.plan)
        self._limits = settings.limits
        self._store = GatewayStore(settings.data, settings.limits, self._posting)
        self._time = DueLoop(self._settle, CHANGE_WAIT_MIN_S)
        self._callbacks = OutboxSender(
            self._on_outbox,
            lambda _: settings.secret,
            lambda post: again_after_us(post, settings.limits, self.misbehaviour.plan.seed),
            telemetry.counter("gateway_callbacks_total", "Callbacks tried, by what came of it", ("result",)),
        )
        self._done = telemetry.counter(
            "gateway_requests_total", "Requests done, not the repeated ones", ("operation", "status")
        )
        self._repeated = telemetry.counter("gateway_repeated_total", "Requests that had been done before")

    async def start(self) -> None:
        """Let time do its part from now on, and send callbacks."""
        self._time.start()
        self._callbacks.start()

    async def stop(self) -> None:
        """Finish what waits and close the database."""
        await self._callbacks.stop()
        await self._time.stop()
        await super().stop()

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
                self._callbacks.wake()
                self._time.wake()
            return kept, repeated

        return await self.disturbed.around(http, operation, request_id, work)

    async def query(self, http: Request, attempt_id: str) -> Payment:
        """A payment as it stands; raises `ProblemError` if there is none, or if a query shall not find it yet."""
        return await self._look_up(
            http,
            attempt_id,
            lambda store: store.payment(attempt_id, now_us()),
            lambda found: found.created_at_us,
            problems.PAYMENT_UNKNOWN,
        )

    async def query_request(self, http: Request, request_id: str) -> Kept:
        """What became of a request; raises `ProblemError` if there is none, or if a query shall not find it yet."""
        return await self._look_up(
            http,
            request_id,
            lambda store: store.request(request_id),
            lambda found: found.at_us,
            problems.REQUEST_UNKNOWN,
        )

    # --- in the store's thread ---

    def _posting(self, event_id: str) -> Posting:
        """How a callback is sent."""
        return drawn_posting("callback", event_id, self.strikes)

    def _conduct(self, operation: Operation, request: GatewayRequest) -> PayerConduct:
        """What the payer of a new payment does."""
        if not isinstance(request, Authorize | Sale):
            return PayerConduct()
        key = request.attempt_id
        declined = self.strikes("declined", operation, key) is not None
        if isinstance(request, Authorize):
            return PayerConduct(declined)
        if self.strikes("unconfirmed", operation, key) is not None:
            return PayerConduct(declined, None)
        confirm_s = self._limits.wallet_confirm_s * (0.5 + draw(self.misbehaviour.plan.seed, "confirm", key))
        return PayerConduct(declined, self._limits.scaled_us(confirm_s))

    # --- by itself ---

    async def _settle(self) -> int | None:
        """Settle what falls due: diners confirm, unanswered disputes are lost."""
        due_us = await self.run(_settle)
        self._callbacks.wake()
        return due_us

    async def _on_outbox(self, work: Callable[[Outbox], Result], /) -> Result:
        return await self.run(lambda store: work(store.outbox))


def _settle(store: GatewayStore) -> int | None:
    store.settle_due(now_us())
    return store.next_change_us()
