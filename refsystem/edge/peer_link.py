"""The link between the two devices of a store: framed messages over TCP, one connection for each direction.

A message that cannot be sent is dropped, for the protocol asks again; nothing here waits without a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import cast

from refsystem.protocol.messages import PeerMessage
from refsystem.protocol.wire import FrameReader, WireError, encode_frame
from refsystem.stop_listening import stop_listening

logger = logging.getLogger(__name__)

UNSENT_BYTES_MAX = 4 * 1024 * 1024
RECONNECT_FIRST_S = 0.05
RECONNECT_MAX_S = 0.5
CONNECT_TIMEOUT_S = 2.0
SILENCE_MAX_S = 3.0
INCOMING_MAX = 16


class Incoming(asyncio.Protocol):
    """One connection from the peer; whatever arrives in one piece is handed on in one piece.

    A peer that lost the network leaves connections behind that never end. `open_connections` has them with the one that was
    silent for longest first; beyond `INCOMING_MAX` that one is closed.
    """

    def __init__(
        self, on_messages: Callable[[list[PeerMessage]], None], open_connections: dict[Incoming, None]
    ) -> None:
        self._on_messages = on_messages
        self._open_connections = open_connections
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport so that it can be closed."""
        self._transport = cast(asyncio.Transport, transport)
        self._open_connections[self] = None
        if len(self._open_connections) > INCOMING_MAX:
            next(iter(self._open_connections)).close()

    def data_received(self, data: bytes) -> None:
        """Cut into messages; a peer that sends anything else is disconnected."""
        try:
            messages = self._reader.feed(data)
        except WireError as error:
            logger.warning("the peer's connection is closed: %s", error)
            self.close()
            return
        if messages:
            self._open_connections.pop(self, None)
            self._open_connections[self] = None
            self._on_messages(messages)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._open_connections.pop(self, None)

    def close(self) -> None:
        """End the connection at once."""
        self._open_connections.pop(self, None)
        if self._transport is not None:
            self._transport.abort()


class PeerLink:
    """Sends to the peer at `(host, port)`, listens on `listener`, and connects again when a connection is lost."""

    def __init__(self, host: str, port: int, on_messages: Callable[[list[PeerMessage]], None]) -> None:
        self._host = host
        self._port = port
        self._on_messages = on_messages
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._incoming: dict[Incoming, None] = {}
        self._heard_at_s = 0.0

    async def listen(self, listener: socket.socket) -> None:
        """Take connections of the peer."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Incoming(self._heard, self._incoming), sock=listener)

    async def keep_connected(self) -> None:
        """Hold a connection to the peer until cancelled."""
        delay_s = RECONNECT_FIRST_S
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    reader, writer = await asyncio.open_connection(self._host, self._port)
            except (OSError, TimeoutError):
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RECONNECT_MAX_S)
                continue
            started_s = asyncio.get_running_loop().time()
            await self._hold(reader, writer)
            if asyncio.get_running_loop().time() - started_s > RECONNECT_MAX_S:
                delay_s = RECONNECT_FIRST_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RECONNECT_MAX_S)

    def send(self, messages: list[PeerMessage]) -> None:
        """Send now or drop: a connection that is down, or whose unsent bytes reach the limit, takes nothing.

        The loop closes a transport that was reset before `_hold` hears of it, and uvloop then refuses to write.
        """
        writer = self._writer
        if writer is None or not messages or writer.transport.is_closing():
            return
        if writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            writer.transport.abort()
            return
        writer.write(b"".join(map(encode_frame, messages)))

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            await stop_listening(self._server)
        for connection in list(self._incoming):
            connection.close()
        if self._writer is not None:
            self._writer.transport.abort()

    def _heard(self, messages: list[PeerMessage]) -> None:
        self._heard_at_s = asyncio.get_running_loop().time()
        self._on_messages(messages)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the connection ends, or the peer has been silent for so long that a fresh one is worth trying."""
        self._writer = writer
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            while loop.time() - max(self._heard_at_s, started_s) < SILENCE_MAX_S:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SILENCE_MAX_S):
                        if not await reader.read(1024):
                            return
        except OSError as error:
            logger.info("the connection to the peer ended: %s", error)
        finally:
            self._writer = None
            writer.transport.abort()
