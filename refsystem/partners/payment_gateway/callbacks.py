"""Callbacks to merchants: signed, at least once, again with back-off until they are taken or there were too many tries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import httpx

from refsystem.callback_messages import SIGNATURE_HEADER, sign
from refsystem.partners.draws import draw
from refsystem.partners.payment_gateway.gateway import Gateway, now_us
from refsystem.partners.payment_gateway.store import DueCallback
from refsystem.problems import ProblemError
from refsystem.telemetry import Telemetry

BACK_OFF_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10_800, 10_800, 10_800, 21_600, 21_600)
"""Business time between tries, as a wallet does it; then no more."""
BACK_OFF_MIN_S = 0.05
"""No time scale makes a merchant that is down be asked more often than that."""
JITTER_SHARE = 0.1
ANSWER_TIMEOUT_S = 5.0
AT_ONCE_MAX = 16
IDLE_S = 1.0

logger = logging.getLogger(__name__)


class CallbackSender:
    """Sends what is due, some at a time."""

    def __init__(self, gateway: Gateway, telemetry: Telemetry) -> None:
        self._gateway = gateway
        self._task: asyncio.Task[None] | None = None
        self._sent = telemetry.counter("gateway_callbacks_total", "Callbacks tried, by what came of it", ("result",))

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what was not taken stays due."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S) as http:
            while True:
                wait_s = IDLE_S
                try:
                    self._gateway.callbacks_wanted.clear()
                    due = await self._gateway.run(lambda store: store.due_callbacks(now_us(), AT_ONCE_MAX))
                    await asyncio.gather(*(self._send(http, callback) for callback in due))
                    next_us = await self._gateway.run(lambda store: store.next_callback_us())
                    if next_us is not None:
                        wait_s = max(0.0, min(IDLE_S, (next_us - now_us()) / 1_000_000))
                except ProblemError:
                    logger.warning("callbacks wait for the database")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._gateway.callbacks_wanted.wait()

    async def _send(self, http: httpx.AsyncClient, callback: DueCallback) -> None:
        body = callback.body.encode()
        signature = sign(self._gateway.settings.secret, int(time.time()), body)
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
        status: int | None = None
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, ValueError):
            status = (await http.post(callback.url, content=body, headers=headers)).status_code
        if status is not None and 200 <= status < 300:
            taken = status
            await self._gateway.run(lambda store: store.note_delivery(callback.callback, taken, now_us()))
            self._sent.labels("taken").inc()
            return
        self._sent.labels("not_taken").inc()
        due_us = self._due_again_us(callback)
        if due_us is None:
            self._sent.labels("given_up").inc()
            logger.warning("a callback was given up after %d tries", callback.tries + 1)
        await self._gateway.run(lambda store: store.note_failure(callback.callback, status, due_us))

    def _due_again_us(self, callback: DueCallback) -> int | None:
        if callback.tries >= len(BACK_OFF_S):
            return None
        wait_us = self._gateway.settings.limits.scaled_us(BACK_OFF_S[callback.tries])
        jitter = JITTER_SHARE * draw(
            self._gateway.misbehaviour.plan.seed, "back-off", callback.event_id, callback.tries
        )
        return now_us() + max(int(BACK_OFF_MIN_S * 1_000_000), int(wait_us * (1 + jitter)))
