"""What the delivery platform is told: where it serves and sends webhooks, its deadlines, how business time is squeezed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.delivery_platform.misbehaviour import WELL_BEHAVED, Plan
from refsystem.partners.partner_settings import BusinessTime, PartnerReader
from refsystem.settings import HOST

WEBHOOK_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Business time between the tries of a webhook, of which there are seven; then no more."""


@dataclass(frozen=True, slots=True)
class Limits(BusinessTime):
    """The platform's rules, in business time; those of `reference/restaurant.md` (accept within 11.5 min)."""

    accept_within_s: float = 690.0


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """What a platform process needs to know. `secret` signs its webhooks, which go to `webhook_url`."""

    data: Path
    secret: bytes
    webhook_url: str
    name: str = "platform"
    host: str = HOST
    http_port: int = 8004
    limits: Limits = Limits()
    plan: Plan = WELL_BEHAVED
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PlatformSettings:
        """Read `RUSHPROOF_PLATFORM_DATA`, `_NAME`, `_HOST`, `_PORT`, `_SECRET_FILE`, `_WEBHOOK_URL`, `_READY_FILE`,
        `_MISBEHAVIOUR` (JSON, as `PUT /v1/operator/misbehaviour` takes it) and `RUSHPROOF_TIME_SCALE`.

        Raises `SettingsError` that names the variable.
        """
        read = PartnerReader("RUSHPROOF_PLATFORM", environment)
        return cls(
            read.data(),
            read.signing_secret(),
            read.url("RUSHPROOF_PLATFORM_WEBHOOK_URL"),
            read.text("RUSHPROOF_PLATFORM_NAME", "platform"),
            read.host(),
            read.port("RUSHPROOF_PLATFORM_PORT", "8004"),
            Limits(time_scale=read.time_scale()),
            read.plan(Plan),
            read.ready_file(),
        )
