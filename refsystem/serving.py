"""How every process of the stack serves HTTP: uvicorn on uvloop and httptools, on a socket that we open ourselves.

The socket has SO_REUSEPORT because whoever starts the stack keeps each port reserved with a bound socket that does not
listen; so a process that is killed and started again always finds its port free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

logger = logging.getLogger(__name__)

BACKLOG = 2048
KEEP_ALIVE_S = 75
GRACEFUL_SHUTDOWN_S = 2


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket for `host` and `port` that shares the port with a reservation; it does not listen yet."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)})") from error
    return listener


def serve(app: Any, host: str, port: int, *, ready_file: Path | None = None) -> None:
    """Serve the ASGI application `app` until SIGTERM or SIGINT, then return.

    Once the socket listens, `ready_file` (if any) is written as one piece: {"pid", "host", "port"}.
    """
    listener = listening_socket(host, port)
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
    )
    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(config, ready_file).serve([listener]))


class _Server(uvicorn.Server):
    """uvicorn's server, except that the signal that ended it is not raised again: a stop asked for is a success."""

    def __init__(self, config: uvicorn.Config, ready_file: Path | None) -> None:
        super().__init__(config)
        self._ready_file = ready_file

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        yield

    def _leave(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets, "serve passes the socket"
        host, port = sockets[0].getsockname()
        logger.info("listening on %s:%d", host, port)
        if self._ready_file is not None and self.started:
            partial = self._ready_file.with_name(self._ready_file.name + ".part")
            partial.write_text(json.dumps({"pid": os.getpid(), "host": host, "port": port}), encoding="utf-8")
            partial.rename(self._ready_file)
