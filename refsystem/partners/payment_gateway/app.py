"""The payment gateway as an ASGI application."""

from __future__ import annotations

from fastapi import FastAPI

from refsystem.partners.partner_app import partner_app
from refsystem.partners.payment_gateway.gateway import Gateway
from refsystem.partners.payment_gateway.merchant_routes import merchant_routes
from refsystem.partners.payment_gateway.operator_routes import audit_routes, operator_routes
from refsystem.partners.payment_gateway.problems import PAYMENT_INVALID
from refsystem.partners.payment_gateway.settings import GatewaySettings
from refsystem.telemetry import Telemetry

BODY_BYTES_MAX = 64 * 1024


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway, with its database open; raises `OSError` or `apsw.Error` if that cannot be used."""
    telemetry = Telemetry("gateway")
    gateway = Gateway(settings, telemetry)
    return partner_app(
        "payment gateway",
        gateway,
        telemetry,
        (merchant_routes(gateway), operator_routes(gateway), audit_routes(gateway)),
        PAYMENT_INVALID,
        BODY_BYTES_MAX,
    )
