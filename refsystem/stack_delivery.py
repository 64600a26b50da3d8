"""The delivery platform in the stack: its process, its two links with the cloud, and what each side is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PLATFORM_MODULE = "refsystem.partners.delivery_platform"
PROCESS = "delivery_platform"
NAME = "platform"
LINK = "partner_cloud"
"""The platform's webhooks to the cloud; `partner_cloud.back` is the cloud's way to the platform."""
BACK = "partner_cloud.back"


@dataclass(frozen=True, slots=True)
class DeliveryStackSettings:
    """The delivery platform: what it does wrong (JSON, as it takes it), and whose commit makes an order accepted."""

    misbehaviour: str = ""
    accepts: Literal["store", "cloud"] = "store"


def platform_environment(
    settings: DeliveryStackSettings, data: str, port: int, secret: str, webhook_base: str, time_scale: float
) -> Mapping[str, str]:
    """What the platform is told."""
    told = {
        "RUSHPROOF_PLATFORM_DATA": data,
        "RUSHPROOF_PLATFORM_NAME": NAME,
        "RUSHPROOF_PLATFORM_PORT": str(port),
        "RUSHPROOF_PLATFORM_SECRET_FILE": secret,
        "RUSHPROOF_PLATFORM_WEBHOOK_URL": f"{webhook_base}/v1/platforms/{NAME}/webhooks",
        "RUSHPROOF_TIME_SCALE": str(time_scale),
    }
    return told | ({"RUSHPROOF_PLATFORM_MISBEHAVIOUR": settings.misbehaviour} if settings.misbehaviour else {})


def cloud_environment(settings: DeliveryStackSettings, url: str, secret: str) -> Mapping[str, str]:
    """What the cloud is told of the platform."""
    return {
        "RUSHPROOF_PLATFORM_URL": url,
        "RUSHPROOF_PLATFORM_NAME": NAME,
        "RUSHPROOF_PLATFORM_SECRET_FILE": secret,
        "RUSHPROOF_PLATFORM_ACCEPTS": settings.accepts,
    }
