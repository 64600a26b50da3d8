"""What the coupon platform is told: where it serves, its limits, and by how much business time is squeezed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.partner_settings import DAY_S, BusinessTime, PartnerReader
from refsystem.partners.payment_gateway.misbehaviour import WELL_BEHAVED, Plan
from refsystem.settings import HOST


@dataclass(frozen=True, slots=True)
class Limits(BusinessTime):
    """The platform's rules, in business time: a verified voucher is given back within an hour (`reference/restaurant.md`)."""

    currency: str = "CNY"
    amount_max_minor: int = 5_000_000
    cancel_voucher_within_s: float = 3_600.0
    reverse_balance_within_s: float = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class CouponSettings:
    """What a process needs to know. `demo`: vouchers and members whose name begins with `demo-` are issued when first seen."""

    data: Path
    host: str = HOST
    http_port: int = 8005
    demo: bool = False
    limits: Limits = Limits()
    plan: Plan = WELL_BEHAVED
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CouponSettings:
        """Read `RUSHPROOF_COUPON_DATA`, `_HOST`, `_PORT`, `_DEMO`, `_READY_FILE`, `_MISBEHAVIOUR` and `RUSHPROOF_TIME_SCALE`.

        Raises `SettingsError` that names the variable.
        """
        read = PartnerReader("RUSHPROOF_COUPON", environment)
        return cls(
            read.data(),
            read.host(),
            read.port("RUSHPROOF_COUPON_PORT", "8005"),
            read.flag("RUSHPROOF_COUPON_DEMO"),
            Limits(time_scale=read.time_scale()),
            read.plan(Plan),
            read.ready_file(),
        )
