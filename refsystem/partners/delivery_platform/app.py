"""The delivery platform as an ASGI application."""

from __future__ import annotations

from fastapi import FastAPI

from refsystem.partners.delivery_platform.operator_routes import audit_routes, operator_routes
from refsystem.partners.delivery_platform.platform import DeliveryPlatform
from refsystem.partners.delivery_platform.problems import PLATFORM_INVALID
from refsystem.partners.delivery_platform.routes import chain_routes, diner_routes
from refsystem.partners.delivery_platform.settings import PlatformSettings
from refsystem.partners.partner_app import partner_app
from refsystem.telemetry import Telemetry

BODY_BYTES_MAX = 1024 * 1024


def create_app(settings: PlatformSettings) -> FastAPI:
    """The platform, with its database open; raises `OSError` or `apsw.Error` if that cannot be used."""
    telemetry = Telemetry("platform")
    platform = DeliveryPlatform(settings, telemetry)
    return partner_app(
        "delivery platform",
        platform,
        telemetry,
        (diner_routes(platform), chain_routes(platform), operator_routes(platform), audit_routes(platform)),
        PLATFORM_INVALID,
        BODY_BYTES_MAX,
    )
