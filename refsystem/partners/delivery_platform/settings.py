"""What the delivery platform is told: where it serves and sends webhooks, its deadlines, how business time is squeezed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.delivery_platform.misbehaviour import WELL_BEHAVED, Plan, read_plan
from refsystem.settings import HOST, Reader, SettingsError

WEBHOOK_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Business time between the tries of a webhook, of which there are seven; then no more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The platform's rules, in business time; those of `reference/restaurant.md` (accept within 11.5 min)."""

    accept_within_s: float = 690.0
    time_scale: float = 1.0

    def scaled_us(self, seconds: float) -> int:
        """Business seconds as microseconds of real time."""
        return int(seconds * 1_000_000 / self.time_scale)


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """What a platform process needs to know. `secret` signs its webhooks, which go to `webhook_url`."""

    data: Path
    secret: bytes
    webhook_url: str
    name: str = "platform"
    host: str = HOST
    port: int = 8004
    limits: Limits = Limits()
    plan: Plan = WELL_BEHAVED
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PlatformSettings:
        """Read `RUSHPROOF_PLATFORM_DATA`, `_NAME`, `_HOST`, `_PORT`, `_SECRET_FILE`, `_WEBHOOK_URL`, `_READY_FILE`,
        `_MISBEHAVIOUR` (JSON, as `PUT /v1/operator/misbehaviour` takes it) and `RUSHPROOF_TIME_SCALE`.

        Raises `SettingsError` that names the variable.
        """
        read = Reader(environment)
        read.text("RUSHPROOF_PLATFORM_SECRET_FILE")
        secret = read.secret("RUSHPROOF_PLATFORM_SECRET_FILE")
        assert secret is not None, "it is named"
        misbehaviour = environment.get("RUSHPROOF_PLATFORM_MISBEHAVIOUR")
        ready_file = environment.get("RUSHPROOF_PLATFORM_READY_FILE")
        try:
            plan = read_plan(misbehaviour) if misbehaviour else WELL_BEHAVED
        except ValueError as error:
            raise SettingsError(f"RUSHPROOF_PLATFORM_MISBEHAVIOUR: {error}") from error
        return cls(
            Path(read.text("RUSHPROOF_PLATFORM_DATA")),
            secret,
            read.url("RUSHPROOF_PLATFORM_WEBHOOK_URL"),
            read.text("RUSHPROOF_PLATFORM_NAME", "platform"),
            read.text("RUSHPROOF_PLATFORM_HOST", HOST),
            read.port("RUSHPROOF_PLATFORM_PORT", "8004"),
            Limits(time_scale=read.number("RUSHPROOF_TIME_SCALE", "1", 0.001, 100_000)),
            plan,
            Path(ready_file) if ready_file else None,
        )
