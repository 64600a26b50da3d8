"""A party that takes payments and is asked about them: a query may not find yet what was done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from fastapi import Request

from refsystem.ordering.errors import Problem
from refsystem.partners.host_time import now_us
from refsystem.partners.partner import Partner, StoreT
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.misbehaviour import KINDS, Plan, Rule
from refsystem.problems import ProblemError
from refsystem.telemetry import Telemetry

Found = TypeVar("Found")


class PaymentDesk(Partner[StoreT, Rule], Generic[StoreT]):
    """Requests and queries by the gateway's kinds of misbehaviour."""

    def __init__(self, name: str, telemetry: Telemetry, plan: Plan) -> None:
        super().__init__(name, telemetry, plan, KINDS, problems.PAYMENTS_STUCK, problems.GATEWAY_FAILED)

    async def _look_up(
        self,
        http: Request,
        key: str,
        find: Callable[[StoreT], Found | None],
        made_at_us: Callable[[Found], int],
        unknown: Problem,
    ) -> Found:
        """What `find` finds; raises `ProblemError` if there is nothing, or if a query shall not find it yet."""

        async def work() -> Found:
            found = await self.run(find)
            if found is None or self._hidden(key, made_at_us(found)):
                raise ProblemError(unknown)
            return found

        return await self.disturbed.around(http, "query", key, work)

    def _hidden(self, key: str, made_at_us: int) -> bool:
        """Whether a query shall not find what was made then: as if it asked a copy that lags behind."""
        rule = self.misbehaviour.would_strike("unknown", "query", key, 0)
        if rule is None or now_us() - made_at_us >= rule.ms * 1000:
            return False
        return self.strikes("unknown", "query", key) is not None
