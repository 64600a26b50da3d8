"""What the coupon platform is told: where it serves, its limits, and by how much business time is squeezed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.payment_gateway.misbehaviour import WELL_BEHAVED, Plan, read_plan
from refsystem.settings import HOST, Reader, SettingsError

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The platform's rules, in business time: a verified voucher is given back within an hour (`reference/restaurant.md`)."""

    currency: str = "CNY"
    amount_max_minor: int = 5_000_000
    cancel_voucher_within_s: float = 3_600.0
    reverse_balance_within_s: float = 7 * DAY_S
    time_scale: float = 1.0

    def scaled_us(self, seconds: float) -> int:
        """Business seconds as microseconds of real time."""
        return int(seconds * 1_000_000 / self.time_scale)


@dataclass(frozen=True, slots=True)
class CouponSettings:
    """What a process needs to know. `demo`: vouchers and members whose name begins with `demo-` are issued when first seen."""

    data: Path
    host: str = HOST
    port: int = 8005
    demo: bool = False
    limits: Limits = Limits()
    plan: Plan = WELL_BEHAVED
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CouponSettings:
        """Read `RUSHPROOF_COUPON_DATA`, `_HOST`, `_PORT`, `_DEMO`, `_READY_FILE`, `_MISBEHAVIOUR` and `RUSHPROOF_TIME_SCALE`.

        Raises `SettingsError` that names the variable.
        """
        read = Reader(environment)
        misbehaviour, ready_file = (
            environment.get("RUSHPROOF_COUPON_MISBEHAVIOUR"),
            environment.get("RUSHPROOF_COUPON_READY_FILE"),
        )
        try:
            plan = read_plan(misbehaviour) if misbehaviour else WELL_BEHAVED
        except ValueError as error:
            raise SettingsError(f"RUSHPROOF_COUPON_MISBEHAVIOUR: {error}") from error
        return cls(
            Path(read.text("RUSHPROOF_COUPON_DATA")),
            read.text("RUSHPROOF_COUPON_HOST", HOST),
            read.port("RUSHPROOF_COUPON_PORT", "8005"),
            read.flag("RUSHPROOF_COUPON_DEMO"),
            Limits(time_scale=read.number("RUSHPROOF_TIME_SCALE", "1", 0.001, 100_000)),
            plan,
            Path(ready_file) if ready_file else None,
        )
