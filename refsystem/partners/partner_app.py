"""A party as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

from fastapi import APIRouter, FastAPI

from refsystem.ordering.errors import Problem
from refsystem.problems import BodyLimit, install_problem_handlers
from refsystem.telemetry import Telemetry


class Works(Protocol):
    """What begins and ends with the application."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


def partner_app(
    party: str, works: Works, telemetry: Telemetry, routers: Iterable[APIRouter], invalid: Problem, bytes_max: int
) -> FastAPI:
    """The application of `party`: bodies have `bytes_max` at most, and what is not well formed is `invalid`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await works.start()
        try:
            yield
        finally:
            await works.stop()

    app = FastAPI(title=f"Rushproof {party}", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problem_handlers(app, invalid)
    for router in routers:
        app.include_router(router)
    app.add_middleware(BodyLimit, bytes_max=bytes_max)
    telemetry.install(app)
    return app
