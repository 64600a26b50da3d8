"""The server inside an event loop: the proxies, and the HTTP API over them. `python -m chaos.proxy` runs it as a process."""

from __future__ import annotations

import asyncio
import socket

from prometheus_client import CollectorRegistry

from chaos.proxy.address import ListenAddress, bind_socket, bound_address, join_address, listen_on, resolve_listen
from chaos.proxy.api import Api
from chaos.proxy.collection import ProxyCollection
from chaos.proxy.events import EventLog
from chaos.proxy.http_server import HttpServer
from chaos.proxy.metrics import TrafficCollector, make_registry

DEFAULT_PORT = 8474


class ProxyServer:
    """The server inside the running event loop: `async with ProxyServer(seed=1) as server: ... server.url`.

    Port 0 takes a free one. Leaving closes the API, every listener and every connection. AddressError if the address is
    taken or means nothing. `proxy_metrics` and `runtime_metrics` say what `/metrics` shows; without both it is not there.
    `events` is for the caller to close.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        seed: int,
        events: EventLog | None = None,
        proxy_metrics: bool = False,
        runtime_metrics: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.proxies = ProxyCollection(seed, events)
        self._metrics: CollectorRegistry | None = None
        if proxy_metrics:
            self.proxies.traffic = TrafficCollector(self.proxies.all)
        if proxy_metrics or runtime_metrics:
            self._metrics = make_registry(self.proxies.traffic, runtime=runtime_metrics)
        self._http: HttpServer | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Where the API answers, as `host:port`."""
        return str(ListenAddress(self.host, self.port))

    async def __aenter__(self) -> ProxyServer:
        address = await resolve_listen(join_address(self.host, self.port))
        sock = listen_on(bind_socket(address), address)
        self.port = int(bound_address(sock).rpartition(":")[2])
        self._http = HttpServer(Api(self.proxies, self._metrics))
        self._serving = asyncio.create_task(self._serve(self._http, sock))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._http is not None, "the server was not entered"
        assert self._serving is not None
        self._http.should_exit = True
        self.proxies.close()
        await self._serving
        self.proxies.close()  # a request that was under way may have started one

    @staticmethod
    async def _serve(http: HttpServer, sock: socket.socket) -> None:
        try:
            await http.serve(sockets=[sock])
        finally:
            sock.close()
