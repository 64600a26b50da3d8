"""The coupon platform as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from refsystem.partners.coupon_platform.desk import CouponDesk
from refsystem.partners.coupon_platform.routes import merchant_routes, operator_routes
from refsystem.partners.coupon_platform.settings import CouponSettings
from refsystem.partners.payment_gateway.problems import PAYMENT_INVALID
from refsystem.problems import BodyLimit, install_problem_handlers
from refsystem.telemetry import Telemetry

BODY_BYTES_MAX = 64 * 1024


def create_app(settings: CouponSettings) -> FastAPI:
    """The platform, with its database open; raises `OSError` or `apsw.Error` if that cannot be used."""
    telemetry = Telemetry("coupon")
    desk = CouponDesk(settings, telemetry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await desk.stop()

    app = FastAPI(title="Rushproof coupon platform", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problem_handlers(app, PAYMENT_INVALID)
    app.include_router(merchant_routes(desk))
    app.include_router(operator_routes(desk))
    app.add_middleware(BodyLimit, bytes_max=BODY_BYTES_MAX)
    telemetry.install(app)
    return app
