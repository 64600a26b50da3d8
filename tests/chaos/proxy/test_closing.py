"""How connections end when there is something left to send, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from chaos.proxy import connection as connections
from chaos.proxy.toxics import Bandwidth, Direction, HalfOpen, Latency, Toxic

if TYPE_CHECKING:
    from conftest import World

LEFT_BYTES = 12_000_000  # more than the kernel keeps for a socket
Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


async def left_to_send(here: World) -> socket.socket:
    """A client of a connection that has ended on both sides while `LEFT_BYTES` are still to be sent to it."""
    proxy = here.proxy
    proxy.add_toxic(Toxic("slow", "latency", "downstream", Direction.DOWNSTREAM, 1.0, Latency(latency=600_000)))
    client, server = await here.connect()
    client.shutdown(socket.SHUT_WR)
    await asyncio.get_running_loop().sock_sendall(server, bytes(LEFT_BYTES))
    server.close()
    await here.until(lambda: proxy.traffic[Direction.DOWNSTREAM].received_bytes == LEFT_BYTES, "what is left")
    slow = proxy.toxic("slow")
    assert slow is not None
    await asyncio.sleep(0.05)  # so that the server's end is known, too
    proxy.remove_toxic(slow)
    return client


async def read_to_the_end(client: socket.socket, pause_s: float = 0.0, pause_every: int = LEFT_BYTES) -> int:
    loop = asyncio.get_running_loop()
    length, next_pause = 0, pause_every
    while data := await loop.sock_recv(client, 262144):
        length += len(data)
        if length >= next_pause:
            next_pause += pause_every
            await asyncio.sleep(pause_s)  # a client that is slow
    return length


def test_a_slow_reader_is_sent_everything_however_long_it_takes(
    run: Run, world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.8)

    async def main() -> None:
        async with world() as here:
            client = await left_to_send(here)
            began_s = asyncio.get_running_loop().time()
            assert await read_to_the_end(client, 0.25, LEFT_BYTES // 8) == LEFT_BYTES
            assert asyncio.get_running_loop().time() - began_s > 1.6, "slower than the time-out"
            await here.until(lambda: here.how_closed() == ["ended"], "the connection's end")

    run(main())


def test_who_reads_nothing_is_reset_and_the_log_says_so(
    run: Run, world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.4)

    async def main() -> None:
        async with world() as here:
            client = await left_to_send(here)
            await here.until(lambda: here.how_closed() == ["unread"], "the giving up")
            with pytest.raises(ConnectionResetError):
                await read_to_the_end(client)

    run(main())


async def told_silence(here: World, stream: Direction) -> tuple[socket.socket, socket.socket]:
    """A connection that a half_open silences in one direction, the server being dialled."""
    here.proxy.add_toxic(Toxic("h", "half_open", stream.value, stream, 1.0, HalfOpen(dial=True)))
    client, server = await here.connect()
    await asyncio.get_running_loop().sock_sendall(client, b"x")
    return client, server


@pytest.mark.parametrize("stream", list(Direction))
@pytest.mark.parametrize("server_first", [False, True])
def test_a_silenced_connection_ends_as_soon_as_both_peers_are_done(
    run: Run, world: Callable[..., Any], stream: Direction, server_first: bool
) -> None:
    async def main() -> None:
        async with world() as here:
            client, server = await told_silence(here, stream)
            if stream is Direction.UPSTREAM:
                await here.until(lambda: here.proxy.traffic[stream].received_bytes == 1, "the client's byte")
            else:
                assert await asyncio.get_running_loop().sock_recv(server, 1) == b"x"
            for peer in (server, client) if server_first else (client, server):
                peer.shutdown(socket.SHUT_WR)
                await asyncio.sleep(0.05)
                assert not here.how_closed() or peer is (client if server_first else server)
            await here.until(lambda: here.how_closed() == ["ended"], "the connection's end")

    run(main())


@pytest.mark.parametrize("stream", list(Direction))
def test_a_silenced_connection_does_not_outlive_the_peer_that_was_not_told_of(
    run: Run, world: Callable[..., Any], stream: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.3)

    async def main() -> None:
        async with world() as here:
            client, server = await told_silence(here, stream)
            began_s = asyncio.get_running_loop().time()
            (client if stream is Direction.UPSTREAM else server).shutdown(socket.SHUT_WR)
            await here.until(lambda: here.how_closed() == ["ended"], "the connection's end")
            assert asyncio.get_running_loop().time() - began_s >= 0.29

    run(main())


def test_connections_that_are_gone_keep_nothing_of_a_shared_rate(run: Run, world: Callable[..., Any]) -> None:
    async def main() -> None:
        async with world() as here:
            loop = asyncio.get_running_loop()
            shared = Bandwidth(rate=10, shared=True)
            here.proxy.add_toxic(Toxic("b", "bandwidth", "upstream", Direction.UPSTREAM, 1.0, shared))
            received = here.proxy.traffic[Direction.UPSTREAM]
            gone = [await here.connect() for _ in range(40)]
            for client, _server in gone:
                await loop.sock_sendall(client, bytes(1500))
            await here.until(lambda: received.received_bytes == 40 * 1500, "what takes 6 s")
            for pair in gone:
                for sock in pair:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    sock.close()
            await here.until(lambda: len(here.how_closed()) == 40, "the resets")
            client, server = await here.connect()
            began_s = loop.time()
            await loop.sock_sendall(client, bytes(1000))
            assert await loop.sock_recv(server, 1000)
            assert 0.09 <= loop.time() - began_s < 1.0

    run(main())
