"""Bytes are sent over a link all the time while faults come and go on a real proxy: what is cut stays cut."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest

from chaos.faults.held_proxy import Share, weakness
from chaos.faults.networks import Direction, Links, cut
from chaos.faults.toxics import Toxic
from chaos.faults.toxiproxy import ProxyServer
from refsystem.stack_settings import Link
from refsystem.stop_listening import stop_listening
from simulator.network import symmetric

SENDERS = 8
ROUNDS = 5
PATIENCE_S = 0.15


class Network:
    """Stands for the stack: one link to a server of the test's."""

    def __init__(self, port: int) -> None:
        self.link = Link("edge_kds.s1.a", "edge_kds", "s1", "s1.edge_a", "s1.kitchen", port)
        self.dialled = ("", 0)

    def links(self) -> list[Link]:
        return [self.link]

    def route(self, _: str, host: str, port: int) -> None:
        self.dialled = (host, port)


class Traffic:
    """Clients that connect, ask and wait a moment for the answer, over and over."""

    def __init__(self) -> None:
        self.asked = self.heard = self.answered = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._talks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._talks.append(asyncio.create_task(self.serve(reader, writer)))

    async def stop(self) -> None:
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(100):
                self.heard += 1
                writer.write(b"answer")
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def ask_for_ever(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.asked += 1
            with socket.socket() as client:
                client.setblocking(False)
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await loop.sock_connect(client, (host, port))
                        await loop.sock_sendall(client, b"question")
                        got = await loop.sock_recv(client, 100)
                        self.answered += bool(got)  # others have counted while this one waited
                except (OSError, TimeoutError):
                    await asyncio.sleep(0.001)


@pytest.mark.parametrize("direction", ["to", "from", "both"])
def test_a_cut_does_not_leak_while_other_faults_come_and_go(proxy_url: str, direction: Direction) -> None:
    traffic = Traffic()

    async def conversation() -> None:
        upstream = await asyncio.start_server(traffic.accept, "127.0.0.1", 0)
        network = Network(upstream.sockets[0].getsockname()[1])
        server = ProxyServer(proxy_url)
        links = Links(server, cast(Any, network), f"leak-{direction}-")
        await asyncio.to_thread(links.create)
        links.set_standing("edge_kds", symmetric("standing", 1, 0, None, "this test"))
        senders = [asyncio.create_task(traffic.ask_for_ever(*network.dialled)) for _ in range(SENDERS)]
        try:
            await _until(lambda: traffic.answered > 20)
            await _hold(links, "cut", cut(network.link, direction))
            await asyncio.sleep(0.1)  # what was on its way
            heard, answered, asked = traffic.heard, traffic.answered, traffic.asked
            for _ in range(ROUNDS):
                await _hold(links, "weak", weakness(symmetric("weak", 5, 0, None, "this test")))
                await _hold(links, "errors", Share((Toxic("http_status", "downstream", {"path": "/"}),)))
                await asyncio.to_thread(links.end, "weak")
                await _hold(links, "other cut", cut(network.link, "both"))
                await asyncio.to_thread(links.end, "errors")
                await asyncio.to_thread(links.end, "other cut")
            await _until(lambda: traffic.asked > asked + 60)
            leaked = traffic.heard - heard if direction != "from" else traffic.answered - answered
            assert leaked == 0, f"{leaked} of {traffic.asked - asked} passed"
            assert traffic.answered == answered
            await asyncio.to_thread(links.end, "cut")
            await _until(lambda: traffic.answered > answered + 20)
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
            await stop_listening(upstream)
            await asyncio.to_thread(server.destroy_all)
            await traffic.stop()

    async def _hold(links: Links, holder: str, share: Share) -> None:
        await asyncio.to_thread(links.begin, holder, links.matching("edge_kds", "s1"), lambda link: share)

    asyncio.run(conversation())


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("waited in vain")
