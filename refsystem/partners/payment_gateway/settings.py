"""What the gateway is told: where it serves, its limits, and by how much business time is squeezed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.partner_settings import DAY_S, BusinessTime, PartnerReader
from refsystem.partners.payment_gateway.misbehaviour import WELL_BEHAVED, Plan
from refsystem.settings import HOST


@dataclass(frozen=True, slots=True)
class Limits(BusinessTime):
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


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What a gateway process needs to know. `secret` signs its callbacks."""

    data: Path
    secret: bytes
    host: str = HOST
    http_port: int = 8002
    limits: Limits = Limits()
    plan: Plan = WELL_BEHAVED
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> GatewaySettings:
        """Read `RUSHPROOF_GATEWAY_DATA`, `_HOST`, `_PORT`, `_SECRET_FILE`, `_READY_FILE`, `_AMOUNT_MAX_MINOR`, `_WALLET_SECONDS`,
        `_MISBEHAVIOUR` (JSON, as `PUT /v1/operator/misbehaviour` takes it) and `RUSHPROOF_TIME_SCALE`.

        Raises `SettingsError` that names the variable.
        """
        read = PartnerReader("RUSHPROOF_GATEWAY", environment)
        return cls(
            read.data(),
            read.signing_secret(),
            read.host(),
            read.port("RUSHPROOF_GATEWAY_PORT", "8002"),
            Limits(
                amount_max_minor=int(read.number("RUSHPROOF_GATEWAY_AMOUNT_MAX_MINOR", "5000000", 1, 10**12)),
                wallet_confirm_s=read.number("RUSHPROOF_GATEWAY_WALLET_SECONDS", "3", 0, 3600),
                time_scale=read.time_scale(),
            ),
            read.plan(Plan),
            read.ready_file(),
        )
