"""uvicorn, made to treat its clients as Go's `net/http` treats them, because that is what Toxiproxy's clients met so far.

A request must be complete within a time, and its head within a size; a client that half-closes its socket after the request
still gets its answer; a path may hold raw UTF-8. Everything else is uvicorn's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

REQUEST_TIMEOUT_S = 15.0
KEEP_ALIVE_S = 60
HEAD_BYTES_MAX = 1024 * 1024
SHUTDOWN_TIMEOUT_S = 2


class HttpServer(uvicorn.Server):
    """uvicorn over one ASGI application, leaving the process's signals to whoever runs the event loop."""

    def __init__(self, application: Any) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=HttpProtocol,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class PipelineFlow(FlowControl):
    """Reads no more requests while earlier ones wait for their turn.

    uvicorn resumes reading at each answer, so that a client who asks on and on and reads nothing would fill the memory.
    """

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        """Resume reading, unless requests are waiting."""
        if not self._protocol.pipeline:
            super().resume_reading()


class HttpProtocol(HttpToolsProtocol):
    """One connection of the API."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._answered: RequestResponseCycle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; its first request must come in time."""
        super().connection_made(transport)
        self.flow = PipelineFlow(self)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: nothing more is written, also not by a request that others were waiting behind."""
        self._head_is_there()
        self.pipeline.clear()
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head of a request has grown too long."""
        if not data.isascii() and self._is_between_requests():
            data = _with_escaped_path(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.send_400_response("")
                return
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more; True keeps the socket open for the answers that it still waits for."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body or self.transport.is_closing():
            return False
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_is_there()
        super().on_headers_complete()
        if not self.pipeline:
            self._answered = self.cycle

    def on_response_complete(self) -> None:
        """A request was answered; the next one that waits has its turn."""
        if self.pipeline:
            self._answered = self.pipeline[-1][0]
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request, as Go words it, and close."""
        super().send_400_response("400 Bad Request")

    def _is_between_requests(self) -> bool:
        if self._head_timer is not None:
            return self._head_bytes == 0
        return self.cycle is None or not self.cycle.more_body

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.close)

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _with_escaped_path(data: bytes) -> bytes:
    """A request whose first line holds no bytes beyond ASCII, which curl sends as they are typed."""
    line, newline, rest = data.partition(b"\n")
    return b"".join(b"%%%02X" % byte if byte > 127 else bytes([byte]) for byte in line) + newline + rest
