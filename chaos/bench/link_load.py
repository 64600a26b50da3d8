"""Measures from both ends of connections what a toxic makes of them: delays of small messages, times of bulk transfers."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chaos.bench.result import BenchError
from refsystem.stop_listening import stop_listening

API_TIMEOUT_S = 10.0
TRANSFER_TIMEOUT_S = 60.0
READ_BYTES = 256 * 1024
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of one connection through a proxy."""

    client: asyncio.StreamReader
    client_writer: asyncio.StreamWriter
    server_writer: asyncio.StreamWriter

    async def delay_ms(self) -> float:
        """How long one byte takes from the server to the client."""
        began_s = time.perf_counter()
        self.server_writer.write(b"x")
        await self.client.readexactly(1)
        return (time.perf_counter() - began_s) * 1000

    async def send(self, length_bytes: int) -> None:
        """Send so much from the server, as fast as it is taken."""
        self.server_writer.write(bytes(length_bytes))
        await self.server_writer.drain()

    async def receive(self, length_bytes: int) -> float:
        """Receive so much at the client; when the last of it came."""
        left_bytes = length_bytes
        while left_bytes:
            part = await self.client.read(min(left_bytes, READ_BYTES))
            if not part:
                raise BenchError("a connection through the proxy ended in the middle of a transfer")
            left_bytes -= len(part)
        return time.perf_counter()


class Wire:
    """Makes connections through proxies of the server at `api` (host:port), each proxy with toxics of its own.

    Every proxy has another name, so that each draws for itself.
    """

    def __init__(self, api: str) -> None:
        self._api = api
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def connections(self, count: int, toxic: str, attributes: Mapping[str, Any]) -> AsyncIterator[list[Ends]]:
        """So many connections under one toxic in the downstream direction."""
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        writers: list[asyncio.StreamWriter] = []

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            accepted.put_nowait(writer)

        upstream = await asyncio.start_server(accept, LOOPBACK, 0, backlog=count)
        name = f"links-{next(self._numbers)}"
        ends: list[Ends] = []
        try:
            port = upstream.sockets[0].getsockname()[1]
            host, _colon, listen = (await self._create(name, port, toxic, attributes)).rpartition(":")
            for _ in range(count):
                reader, writer = await asyncio.open_connection(host, int(listen))
                writers.append(writer)
                ends.append(Ends(reader, writer, await accepted.get()))
            yield ends
        finally:
            await stop_listening(upstream)
            for writer in writers:
                writer.transport.abort()
            await asyncio.to_thread(self._ask, "DELETE", f"/proxies/{name}", None)

    async def _create(self, name: str, port: int, toxic: str, attributes: Mapping[str, Any]) -> str:
        proxy = {"name": name, "upstream": f"{LOOPBACK}:{port}", "listen": f"{LOOPBACK}:0"}
        made = await asyncio.to_thread(self._ask, "POST", "/proxies", proxy)
        body = {"type": toxic, "stream": "downstream", "attributes": dict(attributes)}
        await asyncio.to_thread(self._ask, "POST", f"/proxies/{name}/toxics", body)
        return str(made["listen"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self._api}{path}", content, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=API_TIMEOUT_S) as response:
            said = response.read()
        return json.loads(said) if said else None


async def delays_ms(ends: Sequence[Ends], each: int) -> list[list[float]]:
    """The delays of so many messages on each connection, one after the other; the connections side by side."""

    async def one(end: Ends) -> list[float]:
        return [await end.delay_ms() for _ in range(each)]

    return await asyncio.gather(*(one(end) for end in ends))


async def transfer_s(ends: Sequence[Ends], length_bytes: int, began_s: float | None = None) -> float:
    """How long it takes until each connection has carried so much; from now on, or from another moment."""
    began_s = time.perf_counter() if began_s is None else began_s
    async with asyncio.timeout(TRANSFER_TIMEOUT_S):
        sending = [asyncio.ensure_future(end.send(length_bytes)) for end in ends]
        last_s = max(await asyncio.gather(*(end.receive(length_bytes) for end in ends)))
        await asyncio.gather(*sending)
    return last_s - began_s
