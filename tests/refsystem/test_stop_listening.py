"""A server that stops listening has every connection in hand that it took."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
import uvloop

from refsystem.stop_listening import stop_listening

CLIENTS = 3


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", range(4))
def test_what_was_taken_a_moment_ago_is_in_hand(make_loop: Callable[[], asyncio.AbstractEventLoop], turns: int) -> None:
    """Whenever it is asked to stop: a client is served, or its connection is refused or reset, at once."""
    begun = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        writer.transport.abort()

    async def conversation() -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        with contextlib.ExitStack() as clients:
            connected = [clients.enter_context(socket.create_connection(address, 10)) for _ in range(CLIENTS)]
            for _ in range(turns):
                await asyncio.sleep(0)
            await stop_listening(server)
            served = begun
            for client in connected:
                client.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.to_thread(client.recv, 1) == b""
        return served

    with asyncio.Runner(loop_factory=make_loop) as runner:
        served = runner.run(conversation())
    if make_loop is asyncio.new_event_loop:  # uvloop takes one after the other, and forgets nobody
        assert begun == served
        assert begun in (0, CLIENTS)
