"""What a process tells about itself: Prometheus metrics and a log, neither with anything about a person.

Metrics are labelled by the route's pattern, never by its path, so that their number does not grow with orders. The log
has one line for each event; bodies, notes, tables and keys of requests are not logged.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from refsystem import clocks

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Message = MutableMapping[str, Any]


class Telemetry:
    """The metrics of one process, in a registry of their own so that several can live in one interpreter."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "rushproof_requests_total",
            "Requests answered, by route and status",
            ["process", "method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "rushproof_request_seconds",
            "Time from a request to the end of its answer",
            ["process", "method", "route"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )

        wall = Gauge(
            "rushproof_wall_clock_seconds", "Seconds since 1970 as this process sees them", registry=self.registry
        )
        wall.set_function(lambda: clocks.wall_us() / 1e6)
        monotonic = Gauge("rushproof_monotonic_clock_seconds", "Its monotonic clock", registry=self.registry)
        monotonic.set_function(lambda: clocks.monotonic_us() / 1e6)

    def counter(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> Counter:
        """A further counter `rushproof_<name>` of this process."""
        return Counter(f"rushproof_{name}", documentation, labels, registry=self.registry)

    def install(self, app: FastAPI) -> None:
        """Count and time the requests of `app`, and serve `GET /metrics`."""

        async def metrics() -> Response:
            """The metrics in Prometheus' text format."""
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

        app.add_api_route("/metrics", metrics, methods=["GET"], response_class=Response, tags=["operator"])
        app.add_middleware(_Measured, telemetry=self)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one request."""
        self.requests.labels(self.process, method, route, str(status)).inc()
        self.seconds.labels(self.process, method, route).observe(seconds)


class _Measured:
    """ASGI middleware around everything else, so that an answer's last byte is in the time."""

    def __init__(self, app: Callable[..., Awaitable[None]], telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.monotonic()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "(none)")
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            self._telemetry.observe(method, route, status, time.monotonic() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _OwnClock(logging.Filter):
    """Log lines show the time as this process sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the time; every record passes."""
        record.created = clocks.wall_us() / 1e6
        record.msecs = record.created % 1 * 1000
        return True


class JsonLines(logging.Formatter):
    """One JSON object for each line: time, level, logger, text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for `record`."""
        row = {
            "at": round(record.created, 3),
            "level": record.levelname,
            "logger": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False)


def configure_logging(*, json_lines: bool = False, level: int = logging.INFO) -> None:
    """Log to standard error, as plain lines or as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines() if json_lines else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    handler.addFilter(_OwnClock())
    logging.basicConfig(level=level, handlers=[handler], force=True)
