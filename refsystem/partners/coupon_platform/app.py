"""The coupon platform as an ASGI application."""

from __future__ import annotations

from fastapi import FastAPI

from refsystem.partners.coupon_platform.desk import CouponDesk
from refsystem.partners.coupon_platform.routes import merchant_routes, operator_routes
from refsystem.partners.coupon_platform.settings import CouponSettings
from refsystem.partners.partner_app import partner_app
from refsystem.partners.payment_gateway.problems import PAYMENT_INVALID
from refsystem.telemetry import Telemetry

BODY_BYTES_MAX = 64 * 1024


def create_app(settings: CouponSettings) -> FastAPI:
    """The platform, with its database open; raises `OSError` or `apsw.Error` if that cannot be used."""
    telemetry = Telemetry("coupon")
    desk = CouponDesk(settings, telemetry)
    return partner_app(
        "coupon platform",
        desk,
        telemetry,
        (merchant_routes(desk), operator_routes(desk)),
        PAYMENT_INVALID,
        BODY_BYTES_MAX,
    )
