"""`python -m refsystem.arbiter`: the arbiter of one store, told by its environment (see `refsystem.settings`)."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import apsw
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from refsystem.arbiter.store import RegisterDamaged, RegisterStore
from refsystem.problems import REQUEST_INVALID, BodyLimit, ProblemError, install_problem_handlers, problem_docs
from refsystem.protocol.messages import Register, RegisterRead, RegisterState, RegisterSwap
from refsystem.protocol.wire import WireError, decode_request, encode_state
from refsystem.serving import serve
from refsystem.settings import HOST, SettingsError, arbiter_settings
from refsystem.telemetry import Telemetry, configure_logging

logger = logging.getLogger(__name__)

DISK_FAILED_EXIT_CODE = 70


class NewRegister(BaseModel):
    """The first register of a store: its first primary, alone."""

    primary: str = Field(min_length=1, max_length=100, pattern=r"^\S+$", description="its node_id")


def make_app(store: RegisterStore) -> FastAPI:
    """The arbiter's application."""
    lock = threading.Lock()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            store.close()

    app = FastAPI(title="Rushproof arbiter", version="1", lifespan=lifespan)
    install_problem_handlers(app, REQUEST_INVALID)
    app.add_middleware(BodyLimit)
    Telemetry("arbiter").install(app)

    def answer(request: RegisterRead | RegisterSwap) -> RegisterState:
        with lock, _ending_on_failure():
            register = store.swap(request) if isinstance(request, RegisterSwap) else store.read()
        if isinstance(request, RegisterSwap) and request.person and register == request.register:
            logger.warning("glass was broken: epoch %d, %s is primary", register.epoch, register.primary)
        return RegisterState(request.request_id, register)

    @app.post("/v1/register", responses=problem_docs(REQUEST_INVALID))
    async def register(request: Request) -> Response:
        """Read the register, or compare-and-set it (a `register_swap`)."""
        try:
            message = decode_request(await request.body())
        except WireError as error:
            raise ProblemError(REQUEST_INVALID, str(error)) from error
        state = await run_in_threadpool(answer, message)
        return Response(encode_state(state), media_type="application/json")

    @app.put("/v1/register", status_code=201)
    def create(new: NewRegister) -> Response:
        """Set the store up: once, by a person or whoever installs it."""
        with lock, _ending_on_failure():
            created = store.create(Register(1, new.primary, (new.primary,), "set-up"))
        return Response(status_code=201 if created else 409)

    @app.get("/health")
    def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> Response:
        """200 when there is a register."""
        with lock, _ending_on_failure():
            found = store.read()
        return JSONResponse({"register": _register_json(found)}, 200 if found else 503)

    return app


@contextlib.contextmanager
def _ending_on_failure() -> Iterator[None]:
    """A disk that fails ends this process, as it ends a device (P2).

    What a failed flush has left on the disk is known only after a restart. An arbiter that went on would tell the register
    without it, and after the restart perhaps with it: a device that settled its request by reading (P21) would be deceived.
    """
    try:
        yield
    except (apsw.Error, MemoryError):
        try:
            logger.critical("the register's disk failed; this process ends and tells nothing more", exc_info=True)
        finally:  # also when there is no memory to say why
            os._exit(DISK_FAILED_EXIT_CODE)


def _register_json(register: Register | None) -> dict[str, Any] | None:
    if register is None:
        return None
    return {
        "epoch": register.epoch,
        "primary": register.primary,
        "members": list(register.members),
        "forked_epoch": register.forked_epoch,
    }


def main() -> int:
    """Run until SIGTERM; 2 if a setting is wrong or the disk cannot be used, which one sentence tells."""
    configure_logging()
    try:
        settings = arbiter_settings()
        serve(make_app(RegisterStore(settings.data, volatile=settings.volatile)), HOST, settings.http_port)
    except (SettingsError, RegisterDamaged, OSError) as error:
        print(f"rushproof arbiter: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
