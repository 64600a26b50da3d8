"""The HTTP API, as Toxiproxy's: a table of routes over `collection.ProxyCollection`, served by uvicorn.

Routes, status codes and bodies follow Toxiproxy after v2.12.0, so that clients in any language work. `ProxyServer` runs it
inside an event loop; `python -m chaos.proxy` runs it as a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chaos.proxy import errors
from chaos.proxy.address import ListenAddress, bind_socket, bound_address, listen_on
from chaos.proxy.collection import ProxyCollection
from chaos.proxy.decoding import (
    BODY_BYTES_MAX,
    ProxyInput,
    decode_proxies,
    decode_proxy,
    decode_toxic,
    decode_toxic_change,
)
from chaos.proxy.encoding import encode, proxy_fields, toxic_fields
from chaos.proxy.errors import ApiError
from chaos.proxy.proxy import Proxy

VERSION = "2.12.0+rushproof"
DEFAULT_PORT = 8474
KEEP_ALIVE_S = 60
SHUTDOWN_TIMEOUT_S = 2

Handler: TypeAlias = Callable[..., Awaitable[Response]]


class Api:
    """The ASGI application over one collection of proxies."""

    def __init__(self, proxies: ProxyCollection) -> None:
        self._proxies = proxies
        name = "([^/]+)"
        routes: list[tuple[str, dict[str, Handler]]] = [
            ("/proxies", {"GET": self._index, "POST": self._create}),
            (
                f"/proxies/{name}",
                {"GET": self._show, "POST": self._update, "PATCH": self._update, "DELETE": self._delete},
            ),
            (f"/proxies/{name}/toxics", {"GET": self._toxics, "POST": self._add_toxic}),
            (
                f"/proxies/{name}/toxics/{name}",
                {
                    "GET": self._toxic,
                    "POST": self._update_toxic,
                    "PATCH": self._update_toxic,
                    "DELETE": self._remove_toxic,
                },
            ),
            ("/populate", {"POST": self._populate}),
            ("/reset", {"POST": self._reset}),
            ("/version", {"GET": self._version}),
        ]
        self._routes = [(re.compile(pattern), handlers) for pattern, handlers in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        for pattern, handlers in self._routes:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            handler = handlers.get(request.method)
            if handler is None:
                return Response(status_code=405)
            if request.headers.get("user-agent", "").startswith("Mozilla/"):
                response = _plain("User agent not allowed\n", 403)
            else:
                response = await self._handle(handler, request, match.groups())
            response.headers["X-Toxiproxy-Request-Id"] = secrets.token_hex(10)
            return response
        return _plain("404 page not found\n", 404)

    async def _handle(self, handler: Handler, request: Request, names: tuple[str, ...]) -> Response:
        try:
            return await handler(await _body(request), *names)
        except ApiError as error:
            return _plain(encode({"error": error.message, "status": error.status}) + "\n", error.status)

    async def _index(self, body: bytes) -> Response:
        return _json({proxy.name: proxy_fields(proxy) for proxy in self._proxies.all()})

    async def _create(self, body: bytes) -> Response:
        return _json(proxy_fields(await self._proxies.create(decode_proxy(body, ProxyInput()))), 201)

    async def _show(self, body: bytes, name: str) -> Response:
        return _json(proxy_fields(self._proxies.get(name)))

    async def _update(self, body: bytes, name: str) -> Response:
        proxy = self._proxies.get(name)
        current = ProxyInput(proxy.name, proxy.listen, proxy.upstream, proxy.enabled)
        return _json(proxy_fields(await self._proxies.update(name, decode_proxy(body, current))))

    async def _delete(self, body: bytes, name: str) -> Response:
        self._proxies.delete(name)
        return Response(status_code=204)

    async def _toxics(self, body: bytes, name: str) -> Response:
        return _json([toxic_fields(toxic) for toxic in self._proxies.get(name).toxic_list()])

    async def _add_toxic(self, body: bytes, name: str) -> Response:
        self._proxies.get(name)
        return _json(toxic_fields(self._proxies.add_toxic(name, decode_toxic(body))))

    async def _toxic(self, body: bytes, name: str, toxic_name: str) -> Response:
        return _json(toxic_fields(self._proxies.toxic(name, toxic_name)))

    async def _update_toxic(self, body: bytes, name: str, toxic_name: str) -> Response:
        self._proxies.toxic(name, toxic_name)
        return _json(toxic_fields(self._proxies.update_toxic(name, toxic_name, decode_toxic_change(body))))

    async def _remove_toxic(self, body: bytes, name: str, toxic_name: str) -> Response:
        self._proxies.remove_toxic(name, toxic_name)
        return Response(status_code=204)

    async def _populate(self, body: bytes) -> Response:
        done: list[Proxy] = []
        answer: dict[str, Any] = {}
        status = 201
        try:
            await self._proxies.populate(decode_proxies(body), done)
        except ApiError as error:
            status = error.status
            answer = {"error": error.message, "status": error.status}
        answer["proxies"] = [proxy_fields(proxy) for proxy in done] or None
        return _json(answer, status)

    async def _reset(self, body: bytes) -> Response:
        await self._proxies.reset()
        return Response(status_code=204)

    async def _version(self, body: bytes) -> Response:
        text = json.dumps({"version": VERSION}) + "\n"
        return Response(text, headers={"Content-Type": "application/json;charset=utf-8"})


class ProxyServer:
    """The server inside the running event loop: `async with ProxyServer(seed=1) as server: ... server.url`.

    Port 0 takes a free one. Leaving closes the API, every listener and every connection. AddressError if the address is
    taken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, seed: int) -> None:
        self.host = host
        self.port = port
        self.proxies = ProxyCollection(seed)
        self._http: _Http | None = None
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
        address = ListenAddress(self.host, self.port)
        sock = listen_on(bind_socket(address), address)
        self.port = int(bound_address(sock).rpartition(":")[2])
        config = uvicorn.Config(
            Api(self.proxies),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )
        self._http = _Http(config)
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
    async def _serve(http: _Http, sock: socket.socket) -> None:
        try:
            await http.serve(sockets=[sock])
        finally:
            sock.close()


class _Http(uvicorn.Server):
    """uvicorn, leaving the process's signals to whoever runs the event loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    length_bytes = 0
    async for part in request.stream():
        length_bytes += len(part)
        if length_bytes > BODY_BYTES_MAX:
            raise errors.bad_body(f"longer than {BODY_BYTES_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def _json(value: object, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def _plain(text: str, status: int) -> Response:
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Response(text, status, headers=headers)
