"""What all processes share: problem documents, limits on bodies, the log."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

import httpx
import pytest
from fastapi import FastAPI

from refsystem.ordering.errors import NOT_PRIMARY
from refsystem.problems import BodyLimit, ProblemError, install_problem_handlers, problem_docs
from refsystem.serving import listening_socket
from refsystem.telemetry import JsonLines, Telemetry


def app() -> FastAPI:
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(BodyLimit, bytes_max=100)
    Telemetry("test").install(app)

    @app.get("/hint", responses=problem_docs(NOT_PRIMARY))
    async def hint():
        raise ProblemError(NOT_PRIMARY, primary_hint="http://127.0.0.1:1", retry_after_s=0.2)

    @app.get("/broken")
    async def broken():
        raise RuntimeError("secret")

    @app.post("/echo")
    async def echo(body: dict[str, int]):
        return body

    return app


def ask(method: str, path: str, **request) -> httpx.Response:
    async def main():
        transport = httpx.ASGITransport(app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **request)

    return asyncio.run(main())


def test_a_problem_carries_its_hint_and_a_whole_number_of_seconds():
    answer = ask("GET", "/hint")
    assert answer.json() == {
        "type": "urn:rushproof:problem:not-primary",
        "title": NOT_PRIMARY.title,
        "status": 503,
        "detail": NOT_PRIMARY.title,
        "definite": True,
        "primary_hint": "http://127.0.0.1:1",
    }
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "status", "definite"),
    [("GET", "/broken", 500, False), ("GET", "/nowhere", 404, True), ("DELETE", "/hint", 405, True)],
)
def test_every_failure_is_a_problem_document_and_tells_no_secret(method, path, status, definite):
    answer = ask(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["definite"] is definite
    assert "secret" not in answer.text


def test_a_body_that_is_too_long_is_refused_announced_or_not():
    async def chunks():
        for _ in range(30):
            yield b" " * 10

    assert ask("POST", "/echo", json={"n": 1}).json() == {"n": 1}
    for content in (b" " * 101, chunks()):
        answer = ask("POST", "/echo", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:rushproof:problem:request-too-large")


def test_a_log_line_is_one_json_object():
    record = logging.LogRecord("refsystem.x", logging.WARNING, "f.py", 1, "two\nlines %d", (7,), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line) | {"at": 0} == {
        "at": 0,
        "level": "WARNING",
        "logger": "refsystem.x",
        "text": "two\nlines 7",
    }


def test_a_port_is_shared_with_its_reservation_only():
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(("127.0.0.1", 0))
        port = reservation.getsockname()[1]
        with listening_socket("127.0.0.1", port) as listener:
            listener.listen()
            # The connection reaches the socket that listens, never the reservation.
            with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
                pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="cannot listen on"):
            listening_socket("127.0.0.1", taken.getsockname()[1])
