"""The platform at work: the deadlines of its orders, and its webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from refsystem.partners.delivery_platform import problems
from refsystem.partners.delivery_platform.misbehaviour import KINDS, Rule
from refsystem.partners.delivery_platform.settings import WEBHOOK_BACK_OFF_S, PlatformSettings
from refsystem.partners.delivery_platform.store import CHAIN, PlatformStore
from refsystem.partners.due_loop import DueLoop
from refsystem.partners.host_time import now_us
from refsystem.partners.outbox import DuePost, Outbox
from refsystem.partners.outbox_sender import OutboxSender, drawn_posting
from refsystem.partners.partner import Partner
from refsystem.telemetry import Telemetry

WAIT_MIN_S = 0.002

Result = TypeVar("Result")


class DeliveryPlatform(Partner[PlatformStore, Rule]):
    """One platform process' work."""

    def __init__(self, settings: PlatformSettings, telemetry: Telemetry) -> None:
        super().__init__("platform", telemetry, settings.plan, KINDS, problems.PLATFORM_STUCK, problems.PLATFORM_FAILED)
        self._settings = settings
        self._store = PlatformStore(
            settings.data,
            settings.name,
            settings.limits,
            lambda event_id: drawn_posting("webhook", event_id, self.strikes),
        )
        self._store.outbox.put_receiver(CHAIN, settings.webhook_url)
        self._time = DueLoop(self._expire, WAIT_MIN_S)
        self._webhooks = OutboxSender(
            self._on_outbox,
            self._secret,
            self._again_after_us,
            telemetry.counter("platform_webhooks_total", "Webhooks tried, by what came of it", ("result",)),
        )

    async def start(self) -> None:
        """Let time do its part from now on, and send webhooks."""
        self._time.start()
        self._webhooks.start()

    async def stop(self) -> None:
        """Finish what waits and close the database."""
        await self._webhooks.stop()
        await self._time.stop()
        await super().stop()

    async def change(self, work: Callable[[PlatformStore], Result]) -> Result:
        """As `run`, for what may make a webhook or a deadline."""
        result = await self.run(work)
        self._webhooks.wake()
        self._time.wake()
        return result

    async def _on_outbox(self, work: Callable[[Outbox], Result], /) -> Result:
        return await self.run(lambda store: work(store.outbox))

    def _secret(self, post: DuePost) -> bytes:
        wrong = self.strikes("wrong_signature", "webhook", post.event_id, post.tries + 1) is not None
        return b"not the secret of this platform" if wrong else self._settings.secret

    def _again_after_us(self, post: DuePost) -> int | None:
        if post.tries >= len(WEBHOOK_BACK_OFF_S):
            return None
        return self._settings.limits.scaled_us(WEBHOOK_BACK_OFF_S[post.tries])

    async def _expire(self) -> int | None:
        """Cancel what no store has answered in time."""
        due_us = await self.run(_expire)
        self._webhooks.wake()
        return due_us


def _expire(store: PlatformStore) -> int | None:
    store.expire_due(now_us())
    return store.next_deadline_us()
