"""Webhooks to the chain: signed, at least once, again with back-off, seven tries in all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import httpx

from refsystem.callback_messages import SIGNATURE_HEADER, sign
from refsystem.partners.delivery_platform.platform import DeliveryPlatform, now_us
from refsystem.partners.delivery_platform.settings import WEBHOOK_BACK_OFF_S
from refsystem.partners.delivery_platform.store import DueWebhook
from refsystem.problems import ProblemError
from refsystem.telemetry import Telemetry

BACK_OFF_MIN_S = 0.05
"""No time scale makes a chain that is down be asked more often than that."""
ANSWER_TIMEOUT_S = 5.0
AT_ONCE_MAX = 16
IDLE_S = 1.0

logger = logging.getLogger(__name__)


class WebhookSender:
    """Sends what is due, some at a time."""

    def __init__(self, platform: DeliveryPlatform, telemetry: Telemetry) -> None:
        self._platform = platform
        self._task: asyncio.Task[None] | None = None
        self._sent = telemetry.counter("platform_webhooks_total", "Webhooks tried, by what came of it", ("result",))

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
                    self._platform.webhooks_wanted.clear()
                    due = await self._platform.run(lambda store: store.due_webhooks(now_us(), AT_ONCE_MAX))
                    await asyncio.gather(*(self._send(http, webhook) for webhook in due))
                    next_us = await self._platform.run(lambda store: store.next_webhook_us())
                    if next_us is not None:
                        wait_s = max(0.0, min(IDLE_S, (next_us - now_us()) / 1_000_000))
                except ProblemError:
                    logger.warning("webhooks wait for the database")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._platform.webhooks_wanted.wait()

    async def _send(self, http: httpx.AsyncClient, webhook: DueWebhook) -> None:
        body = webhook.body.encode()
        signature = sign(self._platform.settings.secret, int(time.time()), body)
        if self._platform.strikes("wrong_signature", "webhook", webhook.event_id, webhook.tries + 1) is not None:
            signature = sign(b"not the secret of this platform", int(time.time()), body)
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
        status: int | None = None
        with contextlib.suppress(httpx.HTTPError):
            answer = await http.post(self._platform.settings.webhook_url, content=body, headers=headers)
            status = answer.status_code
        if status is not None and 200 <= status < 300:
            taken = status
            await self._platform.run(lambda store: store.note_delivery(webhook.webhook, taken, now_us()))
            self._sent.labels("taken").inc()
            return
        self._sent.labels("not_taken").inc()
        due_us = self._due_again_us(webhook)
        if due_us is None:
            self._sent.labels("given_up").inc()
            logger.warning("a webhook was given up after %d tries", webhook.tries + 1)
        await self._platform.run(lambda store: store.note_failure(webhook.webhook, status, due_us))

    def _due_again_us(self, webhook: DueWebhook) -> int | None:
        if webhook.tries >= len(WEBHOOK_BACK_OFF_S):
            return None
        wait_us = self._platform.settings.limits.scaled_us(WEBHOOK_BACK_OFF_S[webhook.tries])
        return now_us() + max(int(BACK_OFF_MIN_S * 1_000_000), wait_us)
