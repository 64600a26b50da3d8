"""Requests answered in place of the server, where sockets are full, have ended, or several toxics match."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from chaos.proxy.answering import ANSWERS_DUE_MAX
from chaos.proxy.events import EventName
from chaos.proxy.schedule import Schedule
from chaos.proxy.toxics import Direction, HttpStatus, Latency, Toxic

if TYPE_CHECKING:
    from conftest import World

GET = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"
BAD = b"GET /bad HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


def answers(name: str, stream: Direction = Direction.DOWNSTREAM, schedule: Schedule | None = None, **how: Any) -> Toxic:
    return Toxic(name, "http_status", stream.value, stream, 1.0, HttpStatus(**how), schedule)


def acts(world: World) -> list[str]:
    return [str(each.toxic) for each in world.log.page() if each.event is EventName.TOXIC_ACTED]


async def receive(sock: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    async with asyncio.timeout(5):
        while len(data) < length and (part := await loop.sock_recv(sock, length - len(data))):
            data += part
    return data


async def status(client: socket.socket) -> bytes:
    """The status of an answer without a body."""
    await asyncio.get_running_loop().sock_sendall(client, BAD)
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += await receive(client, 1)
    return data[9:12]


async def settled(value: Callable[[], int]) -> int:
    """A value that has not changed for a quarter of a second."""
    seen, still = value(), 0
    while still < 10:
        await asyncio.sleep(0.025)
        still = still + 1 if value() == seen else 0
        seen = value()
    return seen


def test_a_toxic_that_comes_while_both_sockets_are_full_makes_room_for_nothing(
    run: Run, world: Callable[..., Any]
) -> None:
    async def main() -> None:
        async with world() as here:
            client, server = await here.connect()
            loop = asyncio.get_running_loop()
            floods = [asyncio.ensure_future(loop.sock_sendall(sock, bytes(60_000_000))) for sock in (client, server)]
            passed = {each: here.proxy.traffic[each] for each in Direction}
            full = {each: await settled(lambda each=each: passed[each].received_bytes) for each in Direction}
            here.proxy.add_toxic(answers("t", path="/none"))
            for each in Direction:
                held = await settled(lambda each=each: passed[each].received_bytes)
                assert held - full[each] < 1_000_000, f"{each}: it goes on reading into memory"
            read = 0
            while read < 8_000_000:  # what frees the client's direction must not free the server's
                read += len(await loop.sock_recv(client, 1_000_000))
            upstream_bytes = await settled(lambda: passed[Direction.UPSTREAM].received_bytes)
            assert upstream_bytes - full[Direction.UPSTREAM] < 1_000_000
            for flood in floods:
                flood.cancel()

    run(main())


def test_of_two_toxics_that_match_the_first_of_the_proxy_answers_however_old_the_connection_is(
    run: Run, world: Callable[..., Any]
) -> None:
    async def main() -> None:
        async with world() as here:
            old, _server = await here.connect()
            await here.until(lambda: bool(here.proxy.connections_open), "the connection")
            here.proxy.add_toxic(answers("later", status=500, schedule=Schedule(at_ms=300)))
            here.proxy.add_toxic(answers("d", status=503))
            assert await status(old) == b"503"
            await here.until(
                lambda: any(each.event is EventName.SCHEDULE_ON for each in here.log.page()), "the schedule"
            )
            new, _server = await here.connect()
            assert [await status(old), await status(new)] == [b"500", b"500"]
            here.proxy.add_toxic(answers("u", Direction.UPSTREAM, status=504))
            newest, _server = await here.connect()
            assert [await status(each) for each in (old, new, newest)] == [b"504"] * 3

    run(main())


@pytest.mark.parametrize("delay_ms", [0, 1])
@pytest.mark.parametrize("late", [False, True])
def test_behind_the_servers_end_nothing_is_answered(
    run: Run, world: Callable[..., Any], delay_ms: int, late: bool
) -> None:
    """`late`: the toxic comes when the server has ended already."""

    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        async with world() as here:
            if not late:
                here.proxy.add_toxic(answers("t", path="/bad"))
            if delay_ms:
                slow = Latency(latency=delay_ms)
                here.proxy.add_toxic(Toxic("l", "latency", "downstream", Direction.DOWNSTREAM, 1.0, slow))
            client, server = await here.connect()
            await loop.sock_sendall(client, GET)
            assert await receive(server, len(GET)) == GET
            await loop.sock_sendall(server, OK)
            server.shutdown(socket.SHUT_WR)
            assert await receive(client, len(OK) + 1) == OK
            if late:
                here.proxy.add_toxic(answers("t", path="/bad"))
            await loop.sock_sendall(client, BAD + GET)
            assert await receive(server, len(BAD + GET)) == BAD + GET
            assert "t" not in acts(here)
        assert complaints == []

    run(main())


def test_answers_behind_a_response_that_is_due_are_bounded_and_told_in_the_end(
    run: Run, world: Callable[..., Any]
) -> None:
    requests, body = 20_000, "x" * 1000

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with world() as here:
            here.proxy.add_toxic(answers("t", path="/bad", body=body))
            client, server = await here.connect()
            sending = asyncio.ensure_future(loop.sock_sendall(client, GET + BAD * requests))
            assert await receive(server, len(GET)) == GET
            read = await settled(lambda: here.proxy.traffic[Direction.UPSTREAM].received_bytes)
            assert ANSWERS_DUE_MAX * len(BAD) < read < 0.6 * requests * len(BAD), "the client is read no further"
            assert acts(here) == [], "nothing was told yet"
            await loop.sock_sendall(server, OK)
            assert await receive(client, len(OK)) == OK
            answer = HttpStatus(path="/bad", body=body).answer(to_head=False, connection=None)
            left = requests * len(answer)
            while left:
                left -= len(await loop.sock_recv(client, 4_000_000))
            await sending
            assert acts(here) == ["t"]

    run(main())
