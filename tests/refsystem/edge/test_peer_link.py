"""The link between two devices: connects again, drops what it cannot send, and closes what is not a peer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from refsystem.edge import peer_link
from refsystem.edge.peer_link import PeerLink
from refsystem.protocol.log import GENESIS, chain
from refsystem.protocol.messages import Append, PeerMessage, Rejected
from refsystem.protocol.wire import encode_frame
from refsystem.stop_listening import stop_listening


def hello(number: int) -> Rejected:
    return Rejected(number, "a-1")


async def until(condition: Callable[[], bool], what: str, patience_s: float = 10.0) -> None:
    try:
        async with asyncio.timeout(patience_s):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"waited in vain: {what}")


class Relay:
    """A TCP relay between the two ends, which the test cuts."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self.accepted = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        await stop_listening(self._server)
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(up_writer)
        if writer.transport.is_closing():  # cut while it was dialling
            up_writer.transport.abort()

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            target.close()

        await asyncio.gather(forward(reader, up_writer), forward(up_reader, writer))
        self._writers -= {writer, up_writer}


@contextlib.asynccontextmanager
async def listening(on_messages: Callable[[list[PeerMessage]], None]) -> AsyncIterator[tuple[PeerLink, int]]:
    """A device's end that listens and dials nowhere; and its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    link = PeerLink("127.0.0.1", 1, on_messages)
    await link.listen(listener)
    try:
        yield link, port
    finally:
        await link.close()


@contextlib.asynccontextmanager
async def dialling(port: int) -> AsyncIterator[PeerLink]:
    link = PeerLink("127.0.0.1", port, lambda _: None)
    task = asyncio.create_task(link.keep_connected())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await link.close()


async def send_until_heard(link: PeerLink, heard: list[PeerMessage], message: PeerMessage) -> None:
    async with asyncio.timeout(10):
        while message not in heard:
            link.send([message])
            await asyncio.sleep(0.01)


def test_messages_arrive_whole_and_in_order_whatever_their_size() -> None:
    async def conversation() -> None:
        heard: list[PeerMessage] = []
        async with listening(heard.extend) as (_, port), dialling(port) as link:
            await send_until_heard(link, heard, hello(0))
            heard.clear()
            entries = chain(1, GENESIS, ["x" * 50_000] * 20)
            sent = [hello(1), Append(1, "a-1", "b-1", 0, "", entries, 0, 0, ("a-1",)), hello(2)]
            link.send(sent)
            await until(lambda: len(heard) >= 3, "all messages")
            assert heard == sent

    asyncio.run(conversation())


def test_a_cut_connection_is_made_again() -> None:
    async def conversation() -> None:
        heard: list[PeerMessage] = []
        async with listening(heard.extend) as (_, port):
            relay = Relay(port)
            await relay.open()
            async with dialling(relay.port) as link:
                await send_until_heard(link, heard, hello(1))
                await relay.cut()
                for number in range(100):  # dropped, not kept
                    link.send([hello(1000 + number)])
                    await asyncio.sleep(0.001)
                await relay.open()
                await send_until_heard(link, heard, hello(2))
                assert relay.accepted >= 2
            await relay.cut()

    asyncio.run(conversation())


def test_what_is_sent_without_a_connection_is_dropped() -> None:
    async def conversation() -> None:
        heard: list[PeerMessage] = []
        async with listening(heard.extend) as (_, port):
            link = PeerLink("127.0.0.1", port, lambda _: None)
            for number in range(1000):
                link.send([hello(number)])
            task = asyncio.create_task(link.keep_connected())
            await send_until_heard(link, heard, hello(5000))
            assert set(heard) == {hello(5000)}
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await link.close()

    asyncio.run(conversation())


def test_a_peer_that_reads_nothing_is_disconnected_before_the_unsent_grows_without_bound() -> None:
    async def conversation() -> None:
        accepted: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            deaf.setblocking(False)
            async with dialling(deaf.getsockname()[1]) as link:
                accepted.append((await asyncio.get_running_loop().sock_accept(deaf))[0])
                await until(lambda: link._writer is not None, "a connection")
                first = link._writer
                entries = chain(1, GENESIS, ["x" * 10_000] * 50)
                message = Append(1, "a-1", "b-1", 0, "", entries, 0, 0, ("a-1",))
                largest = 0
                while link._writer is first:
                    link.send([message])
                    largest = max(largest, first.transport.get_write_buffer_size() if first else 0)
                    await asyncio.sleep(0)
                assert largest <= peer_link.UNSENT_BYTES_MAX + 2 * len(encode_frame(message))
                accepted.append((await asyncio.get_running_loop().sock_accept(deaf))[0])
        for connection in accepted:
            connection.close()

    asyncio.run(conversation())


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\0"])
def test_garbage_closes_the_connection_and_no_other(garbage: bytes) -> None:
    async def conversation() -> None:
        heard: list[PeerMessage] = []
        async with listening(heard.extend) as (_, port), dialling(port) as link:
            await send_until_heard(link, heard, hello(1))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(5):
                    assert await reader.read() == b""
            writer.close()
            first = link._writer
            link.send([hello(2)])
            await until(lambda: hello(2) in heard, "the message after the garbage")
            assert link._writer is first

    asyncio.run(conversation())


def test_a_long_silence_leads_to_a_fresh_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_link, "SILENCE_MAX_S", 0.1)

    async def conversation() -> None:
        heard: list[PeerMessage] = []
        async with listening(heard.extend) as (_, port):
            relay = Relay(port)
            await relay.open()
            async with dialling(relay.port) as link:
                await until(lambda: relay.accepted >= 3, "fresh connections while nothing is heard")
                await send_until_heard(link, heard, hello(1))
            await relay.cut()

    asyncio.run(conversation())


def test_connections_that_were_left_behind_are_bounded_and_the_one_that_speaks_stays() -> None:
    async def conversation() -> None:
        heard: list[PeerMessage] = []
        async with listening(heard.extend) as (receiver, port), dialling(port) as link:
            await send_until_heard(link, heard, hello(0))
            first = link._writer
            left: list[asyncio.StreamWriter] = []
            for number in range(1, 3 * peer_link.INCOMING_MAX):
                left.append((await asyncio.open_connection("127.0.0.1", port))[1])
                link.send([hello(number)])
                await until(lambda number=number: hello(number) in heard, "the message")  # type: ignore[misc]
            assert len(receiver._incoming) <= peer_link.INCOMING_MAX
            assert link._writer is first
            for writer in left:
                writer.close()

    asyncio.run(conversation())


def test_closing_ends_every_connection() -> None:
    async def conversation() -> None:
        async with listening(lambda _: None) as (receiver, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: bool(receiver._incoming), "the connection")
            await receiver.close()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(conversation())


def test_a_message_to_a_connection_that_was_reset_a_moment_ago_is_dropped() -> None:
    """The event loop closes the transport before whoever reads from it is told: in between, sending must not fail."""

    async def conversation() -> int:
        resets = 0

        def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

        server = await asyncio.start_server(reset, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = PeerLink("127.0.0.1", port, lambda messages: None)
        connecting = asyncio.create_task(link.keep_connected())
        async with asyncio.timeout(20):
            while resets < 3:
                writer = link._writer
                if writer is not None and writer.transport.is_closing():
                    link.send([Rejected(1, "a")])
                    resets += 1
                await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await stop_listening(server)
        return resets

    assert uvloop.run(conversation()) == 3
