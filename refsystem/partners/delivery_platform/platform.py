"""The platform at work: the thread that owns its database, the deadlines of its orders, and its misbehaviour."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners.delivery_platform import problems
from refsystem.partners.delivery_platform.misbehaviour import Kind, Misbehaviour, Rule
from refsystem.partners.delivery_platform.settings import PlatformSettings
from refsystem.partners.delivery_platform.store import PlatformStore, Posting
from refsystem.partners.disturbed import Disturbed
from refsystem.problems import ProblemError
from refsystem.telemetry import Telemetry

IDLE_S = 1.0
WAIT_MIN_S = 0.002

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class DeliveryPlatform:
    """One platform process' work. Its database is opened when it is made; all but the argument of `run` is called in the loop."""

    def __init__(self, settings: PlatformSettings, telemetry: Telemetry) -> None:
        self.settings = settings
        self.misbehaviour = Misbehaviour(settings.plan)
        self.webhooks_wanted = asyncio.Event()
        self._time_wanted = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="platform-store")
        self._store = PlatformStore(settings.data, settings.name, settings.limits, self._posting)
        self.disturbed = Disturbed(
            self.misbehaviour.next_try, self.strikes, problems.PLATFORM_STUCK, problems.PLATFORM_FAILED
        )
        self._clock: asyncio.Task[None] | None = None
        self._struck = telemetry.counter("platform_misbehaviour_total", "What was done wrong on request", ("kind",))

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

    async def run(self, work: Callable[[PlatformStore], Result]) -> Result:
        """Do `work` in the store's thread, behind what waits there already."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._store)
        except apsw.Error as error:
            logger.exception("the database failed")
            raise ProblemError(OUTCOME_UNKNOWN, f"the platform's database failed ({type(error).__name__})") from error

    async def change(self, work: Callable[[PlatformStore], Result]) -> Result:
        """As `run`, for what may make a webhook or a deadline."""
        result = await self.run(work)
        self.webhooks_wanted.set()
        self._time_wanted.set()
        return result

    def strikes(self, kind: Kind, operation: str, key: str, attempt: int = 0) -> Rule | None:
        """The rule that strikes now, noted as struck; or None."""
        rule = self.misbehaviour.strikes(kind, operation, key, attempt)
        if rule is not None:
            self._struck.labels(kind).inc()
        return rule

    def _posting(self, event_id: str) -> Posting:
        """How a webhook is sent. Called in the store's thread."""
        twice = self.strikes("webhook_twice", "webhook", event_id)
        late = self.strikes("webhook_late", "webhook", event_id)
        held = self.strikes("webhook_out_of_order", "webhook", event_id)
        late_ms = max((rule.ms for rule in (late, held) if rule is not None), default=0)
        return Posting(2 if twice else 1, late_ms * 1000, held is not None and late is None)

    async def _let_time_pass(self) -> None:
        """Cancel what no store has answered in time."""
        while True:
            self._time_wanted.clear()
            try:
                due_us = await self.run(_expire)
                self.webhooks_wanted.set()
            except ProblemError:
                due_us = None
            wait_s = IDLE_S if due_us is None else min(IDLE_S, (due_us - now_us()) / 1_000_000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(WAIT_MIN_S, wait_s)):
                    await self._time_wanted.wait()


def _expire(store: PlatformStore) -> int | None:
    store.expire_due(now_us())
    return store.next_deadline_us()


def now_us() -> int:
    """The host's monotonic clock."""
    return time.monotonic_ns() // 1000
