"""The payment gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from refsystem.partners.payment_gateway.callbacks import CallbackSender
from refsystem.partners.payment_gateway.gateway import Gateway
from refsystem.partners.payment_gateway.merchant_routes import merchant_routes
from refsystem.partners.payment_gateway.operator_routes import audit_routes, operator_routes
from refsystem.partners.payment_gateway.problems import PAYMENT_INVALID
from refsystem.partners.payment_gateway.settings import GatewaySettings
from refsystem.problems import BodyLimit, install_problem_handlers
from refsystem.telemetry import Telemetry

BODY_BYTES_MAX = 64 * 1024


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway, with its database open; raises `OSError` or `apsw.Error` if that cannot be used."""
    telemetry = Telemetry("gateway")
    gateway = Gateway(settings, telemetry)
    callbacks = CallbackSender(gateway, telemetry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await gateway.start()
        callbacks.start()
        try:
            yield
        finally:
            await callbacks.stop()
            await gateway.stop()

    app = FastAPI(title="Rushproof payment gateway", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problem_handlers(app, PAYMENT_INVALID)
    app.include_router(merchant_routes(gateway))
    app.include_router(operator_routes(gateway))
    app.include_router(audit_routes(gateway))
    app.add_middleware(BodyLimit, bytes_max=BODY_BYTES_MAX)
    telemetry.install(app)
    return app
