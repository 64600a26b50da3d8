"""The coupon platform in the stack: its process, and each device's way to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COUPON_MODULE = "refsystem.partners.coupon_platform"
PROCESS = "coupon_platform"
LINK_KIND = "partner_coupon"


@dataclass(frozen=True, slots=True)
class CouponStackSettings:
    """The coupon platform: what it does wrong (JSON, as it takes it)."""

    misbehaviour: str = ""


def coupon_link(store: str, slot: str) -> str:
    """The link from a device."""
    return f"{LINK_KIND}.{store}.{slot}"


def coupon_environment(data: str, port: int, time_scale: float, misbehaviour: str) -> Mapping[str, str]:
    """What the process is told. In a stack, vouchers and members are issued when first seen."""
    told = {
        "RUSHPROOF_COUPON_DATA": data,
        "RUSHPROOF_COUPON_PORT": str(port),
        "RUSHPROOF_COUPON_DEMO": "1",
        "RUSHPROOF_TIME_SCALE": str(time_scale),
    }
    return told | ({"RUSHPROOF_COUPON_MISBEHAVIOUR": misbehaviour} if misbehaviour else {})
