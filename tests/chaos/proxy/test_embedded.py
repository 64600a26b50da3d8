"""The server inside an event loop: seeds, counters, and that nothing is left open."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import httpx
import pytest
import uvloop

from chaos.proxy.address import AddressError
from chaos.proxy.draws import draws_for
from chaos.proxy.link import Link
from chaos.proxy.proxy import Proxy
from chaos.proxy.server import ProxyServer
from chaos.proxy.toxics import Bandwidth, Direction, Latency, LimitData, Timeout, Toxic
from refsystem.stop_listening import stop_listening

PATIENCE_S = 10.0
Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_it(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(main, 2 * PATIENCE_S))

    return run_it


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"bye")
    except ConnectionError:
        pass  # what these tests do to connections on purpose
    except asyncio.CancelledError:
        writer.transport.abort()  # the test is over: nobody reads what was not sent yet
        raise
    finally:
        writer.close()


@asynccontextmanager
async def world(seed: int = 1) -> AsyncIterator[tuple[ProxyServer, httpx.AsyncClient, Proxy]]:
    """An echo server, and a proxy "p" before it; uvloop hangs if a test fails and leaves a server open."""
    upstream = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = upstream.sockets[0].getsockname()
    try:
        async with (
            ProxyServer(seed=seed) as server,
            httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, verify=False) as api,
        ):
            body = {"name": "p", "upstream": f"{host}:{port}", "listen": "127.0.0.1:0"}
            assert (await api.post("/proxies", json=body)).status_code == 201
            yield server, api, server.proxies.get("p")
    finally:
        await stop_listening(upstream)


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _colon, port = proxy.listen.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - files and counters announce nothing
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def toxic(attributes: Any, kind: str, direction: Direction = Direction.DOWNSTREAM, toxicity: float = 1.0) -> Toxic:
    return Toxic(f"{kind}_{direction.value}", kind, direction.value, direction, toxicity, attributes)


def test_bytes_and_connections_are_counted(run: Run) -> None:
    async def main() -> None:
        async with world() as (_server, _api, proxy):
            for _ in range(3):
                reader, writer = await connect(proxy)
                writer.write(b"x" * 1000)
                assert await reader.readexactly(1000) == b"x" * 1000
                writer.write_eof()
                assert await reader.read() == b"bye"
                writer.close()
            assert proxy.connections_accepted == 3
            assert proxy.traffic[Direction.UPSTREAM].received_bytes == 3000
            assert proxy.traffic[Direction.DOWNSTREAM].sent_bytes == 3009
            proxy.add_toxic(toxic(Timeout(), "timeout"))
            reader, writer = await connect(proxy)
            writer.write(b"x" * 1000)
            await until(lambda: proxy.traffic[Direction.DOWNSTREAM].received_bytes == 4009, "the echo")
            assert proxy.traffic[Direction.DOWNSTREAM].sent_bytes == 3009
            writer.close()
            await until(lambda: proxy.connections_open == 0, "the connection's end")

    run(main())


def test_two_hundred_connections_leave_no_task_and_no_socket(run: Run) -> None:
    async def main() -> None:
        async with world() as (_server, _api, proxy):
            tasks_before, files_before = len(asyncio.all_tasks()), open_files()
            proxy.add_toxic(toxic(Latency(latency=30, jitter=30), "latency"))
            proxy.add_toxic(toxic(Latency(latency=5), "latency", Direction.UPSTREAM, toxicity=0.5))
            pairs = [await connect(proxy) for _ in range(200)]
            assert await asyncio.gather(*(use(*pair, number) for number, pair in enumerate(pairs))) == [None] * 200
            await until(lambda: proxy.connections_open == 0, "every connection's end")
            await until(lambda: open_files() <= files_before, "every socket's close")
            await until(lambda: len(asyncio.all_tasks()) <= tasks_before, "every task's end")
            assert proxy.connections_accepted == 200

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"x" * 5000)
        if number % 4 == 0:  # dropped with an answer under way
            writer.transport.abort()
        elif number % 4 == 1:  # reset
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        else:
            assert await reader.readexactly(5000) == b"x" * 5000
            if number % 4 == 2:  # half-closed, the rest awaited
                writer.write_eof()
                assert await reader.read() == b"bye"
            writer.close()

    run(main())


def test_leaving_the_server_closes_everything(run: Run) -> None:
    async def main() -> None:
        tasks_before = len(asyncio.all_tasks())
        async with world():
            pass  # the event loop opens a file or two of its own
        await until(lambda: len(asyncio.all_tasks()) == tasks_before, "every task's end")
        files_before = open_files()
        async with world() as (_server, _api, proxy):
            proxy.add_toxic(toxic(Latency(latency=3_600_000), "latency"))
            proxy.add_toxic(toxic(Timeout(), "timeout", Direction.UPSTREAM))
            pairs = [await connect(proxy) for _ in range(20)]
            for _reader, writer in pairs:
                writer.write(b"x")
            await until(lambda: proxy.traffic[Direction.UPSTREAM].received_bytes == 20, "the bytes")
        for reader, writer in pairs:
            assert await reader.read() == b""
            writer.close()
        await until(lambda: open_files() <= files_before, "every socket's close")
        await until(lambda: len(asyncio.all_tasks()) == tasks_before, "every task's end")

    run(main())


def test_a_closed_connection_leaves_no_timer_that_keeps_it_alive(run: Run) -> None:
    async def main() -> None:
        async with world() as (_server, api, proxy):
            proxy.add_toxic(toxic(Latency(latency=3_600_000), "latency"))
            _reader, writer = await connect(proxy)
            writer.write(b"x")
            await until(lambda: proxy.traffic[Direction.DOWNSTREAM].received_bytes == 1, "the echo")
            await api.patch("/proxies/p", json={"enabled": False})
            await until(lambda: proxy.connections_open == 0, "the connection's end")
            await until(lambda: links_alive() == 0, "the links' end")
            writer.close()

    def links_alive() -> int:
        gc.collect()
        return sum(isinstance(thing, Link) for thing in gc.get_objects())

    run(main())


def test_a_chain_that_waits_for_a_full_stage_does_not_spin(run: Run) -> None:
    async def main() -> None:
        async with world() as (_server, _api, proxy):
            proxy.add_toxic(toxic(Latency(latency=1), "latency", Direction.UPSTREAM))
            proxy.add_toxic(toxic(Bandwidth(rate=1), "bandwidth", Direction.UPSTREAM))
            _reader, writer = await connect(proxy)
            writer.write(bytes(1_000_000))
            await until(lambda: proxy.traffic[Direction.UPSTREAM].sent_bytes >= 100, "the first piece")
            busy_s = time.process_time()
            await asyncio.sleep(0.5)
            assert time.process_time() - busy_s < 0.25
            writer.transport.abort()

    run(main())


def test_a_proxy_on_every_interface_stays_there_when_it_is_enabled_again(run: Run) -> None:
    async def main() -> None:
        async with world() as (server, api, proxy):
            await api.post("/proxies", json={"name": "any", "upstream": proxy.upstream})
            for enabled in (False, True):
                await api.patch("/proxies/any", json={"enabled": enabled})
            port = server.proxies.get("any").listen.rpartition(":")[2]
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()

    run(main())


def test_a_disable_ends_connections_that_are_being_dialled(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as stuck:
            address = stuck.getsockname()
            fillers = [socket.socket() for _ in range(8)]
            for filler in fillers:  # a full backlog: further dials get no answer
                filler.setblocking(False)
                filler.connect_ex(address)
            async with world() as (server, api, _proxy):
                body = {"name": "stuck", "upstream": f"{address[0]}:{address[1]}", "listen": "127.0.0.1:0"}
                await api.post("/proxies", json=body)
                proxy = server.proxies.get("stuck")
                reader, writer = await connect(proxy)
                await until(lambda: proxy.connections_open == 1, "the dial")
                await api.patch("/proxies/stuck", json={"enabled": False})
                assert await reader.read() == b""
                writer.close()
                await until(lambda: proxy.connections_open == 0, "the dial's end")
            for filler in fillers:
                filler.close()

    run(main())


def test_slow_dials_do_not_hold_up_others(run: Run) -> None:
    async def main() -> None:
        async with world() as (_server, _api, proxy):
            started = asyncio.get_running_loop().time()
            pairs = await asyncio.gather(*(connect(proxy) for _ in range(50)))
            for reader, writer in pairs:
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                writer.close()
            assert asyncio.get_running_loop().time() - started < 5

    run(main())


async def hits(seed: int, together: bool) -> list[int]:
    """Which of 40 connections a toxic of toxicity 0.5 hits; `together`: with the work in another order."""
    async with world(seed) as (_server, _api, proxy):
        proxy.add_toxic(toxic(LimitData(bytes=0), "limit_data", toxicity=0.5))
        pairs = [await connect(proxy) for _ in range(40)]
        await until(lambda: proxy.connections_accepted == 40, "all connections")

        async def is_hit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(b"x")
            hit = await reader.read(1) == b""
            writer.close()
            return hit

        if together:
            found = await asyncio.gather(*(is_hit(*pair) for pair in reversed(pairs)))
            found.reverse()
        else:
            found = [await is_hit(*pair) for pair in pairs]
        return [number for number, hit in enumerate(found) if hit]


def test_the_same_seed_hits_the_same_connections_whatever_the_order_of_work(run: Run) -> None:
    first = run(hits(seed=1, together=False))
    assert 5 < len(first) < 35
    assert first == run(hits(seed=1, together=True))
    assert first != run(hits(seed=2, together=False))


def test_draws_are_keyed_by_everything_that_they_are_about() -> None:
    key: dict[str, Any] = {"seed": 1, "proxy": "p", "connection": 1, "direction": Direction.UPSTREAM, "toxic": "t"}
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 2},
        {"proxy": "q"},
        {"connection": 2},
        {"direction": Direction.DOWNSTREAM},
        {"toxic": "u"},
    ]
    assert draws_for(**key).random() == draws_for(**key).random()
    assert len({draws_for(**{**key, **change}).random() for change in changes}) == len(changes)


def test_a_roll_stays_the_same_when_a_toxic_is_updated(run: Run) -> None:
    async def main() -> None:
        async with world() as (_server, api, proxy):
            proxy.add_toxic(toxic(Latency(latency=3_600_000), "latency", toxicity=0.5))
            pairs = [await connect(proxy) for _ in range(20)]
            hit_before = [
                draws_for(1, "p", n, Direction.DOWNSTREAM, "latency_downstream").random() < 0.5 for n in range(1, 21)
            ]
            for _ in range(5):
                await api.patch("/proxies/p/toxics/latency_downstream", json={"attributes": {"jitter": 1}})
            free = [pair for pair, hit in zip(pairs, hit_before, strict=True) if not hit]
            held = [pair for pair, hit in zip(pairs, hit_before, strict=True) if hit]
            for _reader, writer in pairs:
                writer.write(b"x")
            for reader, _writer in free:
                assert await reader.readexactly(1) == b"x"
            await until(lambda: proxy.traffic[Direction.DOWNSTREAM].received_bytes == 20, "the echoes")
            assert proxy.traffic[Direction.DOWNSTREAM].sent_bytes == len(free)
            await api.patch("/proxies/p/toxics/latency_downstream", json={"toxicity": 0})
            for reader, _writer in held:
                assert await reader.readexactly(1) == b"x"
            await api.patch("/proxies/p/toxics/latency_downstream", json={"toxicity": 1, "attributes": {"latency": 1}})
            for reader, writer in pairs:
                writer.write(b"y")
                assert await reader.readexactly(1) == b"y"
                writer.close()

    run(main())


def test_an_address_in_use_is_told_to_who_starts_the_server(run: Run) -> None:
    async def main() -> None:
        async with ProxyServer(seed=1) as server:
            with pytest.raises(AddressError, match="address already in use"):
                await ProxyServer(port=server.port, seed=1).__aenter__()

    run(main())
