"""The delivery platform as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from refsystem.partners.delivery_platform.operator_routes import audit_routes, operator_routes
from refsystem.partners.delivery_platform.platform import DeliveryPlatform
from refsystem.partners.delivery_platform.problems import PLATFORM_INVALID
from refsystem.partners.delivery_platform.routes import chain_routes, diner_routes
from refsystem.partners.delivery_platform.settings import PlatformSettings
from refsystem.partners.delivery_platform.webhooks import WebhookSender
from refsystem.problems import BodyLimit, install_problem_handlers
from refsystem.telemetry import Telemetry

BODY_BYTES_MAX = 1024 * 1024


def create_app(settings: PlatformSettings) -> FastAPI:
    """The platform, with its database open; raises `OSError` or `apsw.Error` if that cannot be used."""
    telemetry = Telemetry("platform")
    platform = DeliveryPlatform(settings, telemetry)
    webhooks = WebhookSender(platform, telemetry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await platform.start()
        webhooks.start()
        try:
            yield
        finally:
            await webhooks.stop()
            await platform.stop()

    app = FastAPI(title="Rushproof delivery platform", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problem_handlers(app, PLATFORM_INVALID)
    for router in (
        diner_routes(platform),
        chain_routes(platform),
        operator_routes(platform),
        audit_routes(platform),
    ):
        app.include_router(router)
    app.add_middleware(BodyLimit, bytes_max=BODY_BYTES_MAX)
    telemetry.install(app)
    return app
