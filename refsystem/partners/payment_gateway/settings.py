"""What the gateway is told: where it serves, its limits, and by how much business time is squeezed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.payment_gateway.misbehaviour import WELL_BEHAVED, Plan, read_plan
from refsystem.settings import HOST, Reader, SettingsError

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gateway's contract with its merchants says. All times are business time.

    The wallet's are those of `reference/restaurant.md` (reverse after 15 s and within 7 days). `wallet_confirm_s` is how long a
    diner takes to confirm on average, 0: at once [G]; after `wallet_give_up_s` without it the wallet declines.
    """

    currency: str = "CNY"
    amount_max_minor: int = 5_000_000
    refunds_max: int = 50
    split_parties_max: int = 50
    split_share_max_percent: int = 30
    wallet_confirm_s: float = 3.0
    wallet_give_up_s: float = 60.0
    reverse_after_s: float = 15.0
    reverse_within_s: float = 7 * DAY_S
    authorization_s: float = 7 * DAY_S
    refund_within_s: float = 365 * DAY_S
    dispute_answer_s: float = 5 * DAY_S
    time_scale: float = 1.0

    def scaled_us(self, seconds: float) -> int:
        """Business seconds as microseconds of real time."""
        return int(seconds * 1_000_000 / self.time_scale)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What a gateway process needs to know. `secret` signs its callbacks."""

    data: Path
    secret: bytes
    host: str = HOST
    port: int = 8002
    limits: Limits = Limits()
    plan: Plan = WELL_BEHAVED
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> GatewaySettings:
        """Read `RUSHPROOF_GATEWAY_DATA`, `_HOST`, `_PORT`, `_SECRET_FILE`, `_READY_FILE`, `_AMOUNT_MAX_MINOR`, `_WALLET_SECONDS`,
        `_MISBEHAVIOUR` (JSON, as `PUT /v1/operator/misbehaviour` takes it) and `RUSHPROOF_TIME_SCALE`.

        Raises `SettingsError` that names the variable.
        """
        read = Reader(environment)
        read.text("RUSHPROOF_GATEWAY_SECRET_FILE")
        secret = read.secret("RUSHPROOF_GATEWAY_SECRET_FILE")
        assert secret is not None, "it is named"
        misbehaviour = environment.get("RUSHPROOF_GATEWAY_MISBEHAVIOUR")
        ready_file = environment.get("RUSHPROOF_GATEWAY_READY_FILE")
        try:
            plan = read_plan(misbehaviour) if misbehaviour else WELL_BEHAVED
        except ValueError as error:
            raise SettingsError(f"RUSHPROOF_GATEWAY_MISBEHAVIOUR: {error}") from error
        return cls(
            Path(read.text("RUSHPROOF_GATEWAY_DATA")),
            secret,
            read.text("RUSHPROOF_GATEWAY_HOST", HOST),
            read.port("RUSHPROOF_GATEWAY_PORT", "8002"),
            Limits(
                amount_max_minor=int(read.number("RUSHPROOF_GATEWAY_AMOUNT_MAX_MINOR", "5000000", 1, 10**12)),
                wallet_confirm_s=read.number("RUSHPROOF_GATEWAY_WALLET_SECONDS", "3", 0, 3600),
                time_scale=read.number("RUSHPROOF_TIME_SCALE", "1", 0.001, 100_000),
            ),
            plan,
            Path(ready_file) if ready_file else None,
        )
