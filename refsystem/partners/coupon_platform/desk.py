"""The coupon platform at work: the thread that owns its database, and its misbehaviour around every request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw
from fastapi import Request

from refsystem.ordering.errors import OUTCOME_UNKNOWN
from refsystem.partners.coupon_platform.rules import Payment
from refsystem.partners.coupon_platform.settings import CouponSettings
from refsystem.partners.coupon_platform.store import CouponStore, Kept, Wanted
from refsystem.partners.disturbed import Disturbed
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.misbehaviour import Kind, Misbehaviour, Rule
from refsystem.problems import ProblemError
from refsystem.telemetry import Telemetry

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class CouponDesk:
    """One process' work. Its database is opened when it is made."""

    def __init__(self, settings: CouponSettings, telemetry: Telemetry) -> None:
        self.settings = settings
        self.misbehaviour = Misbehaviour(settings.plan)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="coupon-store")
        self._store = CouponStore(settings.data, settings.limits, demo=settings.demo)
        self._disturbed = Disturbed(
            self.misbehaviour.next_try, self._strikes, problems.PAYMENTS_STUCK, problems.GATEWAY_FAILED
        )
        self._struck = telemetry.counter("coupon_misbehaviour_total", "What was done wrong on request", ("kind",))

    async def stop(self) -> None:
        """Finish what waits and close the database."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    async def run(self, work: Callable[[CouponStore], Result]) -> Result:
        """Do `work` in the store's thread, behind what waits there already."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._store)
        except apsw.Error as error:
            logger.exception("the database failed")
            raise ProblemError(OUTCOME_UNKNOWN, f"the platform's database failed ({type(error).__name__})") from error

    async def perform(self, http: Request, request_id: str, wanted: Wanted) -> tuple[Kept, bool]:
        """Do a merchant's request under whatever misbehaviour strikes it."""

        async def work() -> tuple[Kept, bool]:
            new = wanted.operation == "sale"
            declined = new and self._strikes("declined", "sale", wanted.attempt_id) is not None
            return await self.run(lambda store: store.perform(request_id, wanted, now_us(), declined=declined))

        return await self._disturbed.around(http, wanted.operation, request_id, work)

    async def query(self, http: Request, attempt_id: str) -> Payment:
        """A payment as it stands; raises `ProblemError` if there is none, or if a query shall not find it yet."""

        async def work() -> Payment:
            found = await self.run(lambda store: store.payment(attempt_id))
            if found is None or self._hidden(attempt_id, found.created_at_us):
                raise ProblemError(problems.PAYMENT_UNKNOWN)
            return found

        return await self._disturbed.around(http, "query", attempt_id, work)

    def _strikes(self, kind: Kind, operation: str, key: str, attempt: int = 0) -> Rule | None:
        rule = self.misbehaviour.strikes(kind, operation, key, attempt)
        if rule is not None:
            self._struck.labels(kind).inc()
        return rule

    def _hidden(self, key: str, made_at_us: int) -> bool:
        rule = self.misbehaviour.would_strike("unknown", "query", key, 0)
        if rule is None or now_us() - made_at_us >= rule.ms * 1000:
            return False
        return self._strikes("unknown", "query", key) is not None


def now_us() -> int:
    """The host's monotonic clock."""
    return time.monotonic_ns() // 1000
