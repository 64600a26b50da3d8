"""The coupon platform at work."""

from __future__ import annotations

from fastapi import Request

from refsystem.partners.coupon_platform.rules import Instrument, Kind, Payment
from refsystem.partners.coupon_platform.settings import CouponSettings
from refsystem.partners.coupon_platform.store import CouponStore, Kept, Wanted
from refsystem.partners.host_time import now_us
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.payment_desk import PaymentDesk
from refsystem.telemetry import Telemetry


class CouponDesk(PaymentDesk[CouponStore]):
    """One process' work."""

    def __init__(self, settings: CouponSettings, telemetry: Telemetry) -> None:
        super().__init__("coupon", telemetry, settings.plan)
        self._store = CouponStore(settings.data, settings.limits, demo=settings.demo)

    async def perform(self, http: Request, request_id: str, wanted: Wanted) -> tuple[Kept, bool]:
        """Do a merchant's request under whatever misbehaviour strikes it."""

        async def work() -> tuple[Kept, bool]:
            new = wanted.operation == "sale"
            declined = new and self.strikes("declined", "sale", wanted.attempt_id) is not None
            return await self.run(lambda store: store.perform(request_id, wanted, now_us(), declined=declined))

        return await self.disturbed.around(http, wanted.operation, request_id, work)

    async def instrument(self, http: Request, kind: Kind, instrument: str) -> Instrument | None:
        """A voucher or a member as it stands, None if there is none of that kind."""

        async def work() -> Instrument | None:
            return await self.run(lambda store: store.worth(kind, instrument))

        return await self.disturbed.around(http, "query", instrument, work)

    async def query(self, http: Request, attempt_id: str) -> Payment:
        """A payment as it stands; raises `ProblemError` if there is none, or if a query shall not find it yet."""
        return await self._look_up(
            http,
            attempt_id,
            lambda store: store.payment(attempt_id),
            lambda found: found.created_at_us,
            problems.PAYMENT_UNKNOWN,
        )
