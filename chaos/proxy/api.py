"""The HTTP API, as Toxiproxy's: a table of routes over `collection.ProxyCollection`, an ASGI application.

Routes, status codes and bodies follow Toxiproxy 2.12, so that clients in any language work. `/events` is ours.
"""

from __future__ import annotations

import asyncio
import json
import posixpath
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, quote

from prometheus_client import CollectorRegistry
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chaos.proxy import errors
from chaos.proxy.collection import ProxyCollection
from chaos.proxy.decoding import (
    BODY_BYTES_MAX,
    ProxyInput,
    decode_new_proxy,
    decode_proxies,
    decode_proxy_change,
    decode_toxic,
    decode_toxic_change,
)
from chaos.proxy.encoding import encode, proxy_fields, toxic_fields
from chaos.proxy.errors import ApiError
from chaos.proxy.metrics import CONTENT_TYPE, render
from chaos.proxy.proxy import Proxy

VERSION = "2.12.0+rushproof"
BODY_TIMEOUT_S = 15.0
EVENTS_SHOWN_MAX = 1000
NUMBER_DIGITS_MAX = 18
METRICS_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Handler: TypeAlias = Callable[..., Awaitable[Response]]


class Asked(NamedTuple):
    """A request's body, and the parameters in its URL."""

    body: bytes
    query: dict[str, str]


class Api:
    """The ASGI application over one collection of proxies; `/metrics` is there if there is something to show."""

    def __init__(self, proxies: ProxyCollection, metrics: CollectorRegistry | None = None) -> None:
        self._proxies = proxies
        self._metrics_shown = metrics
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
            ("/events", {"GET": self._events, "DELETE": self._clear_events}),
        ]
        if metrics is not None:
            routes.append(("/metrics", dict.fromkeys(METRICS_METHODS, self._metrics)))
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
        if _clean(path) != path:
            return Response(status_code=301, headers={"Location": _url(_clean(path), request.scope["query_string"])})
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
            query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
            return await handler(Asked(await _body(request), query), *names)
        except ApiError as error:
            response = _plain(encode({"error": error.message, "status": error.status}) + "\n", error.status)
            if isinstance(error, errors.UnfinishedBodyError):
                response.headers["Connection"] = "close"
            return response

    async def _index(self, asked: Asked) -> Response:
        return _json({proxy.name: proxy_fields(proxy) for proxy in self._proxies.all()})

    async def _create(self, asked: Asked) -> Response:
        return _json(proxy_fields(await self._proxies.create(decode_new_proxy(asked.body))), 201)

    async def _show(self, asked: Asked, name: str) -> Response:
        return _json(proxy_fields(self._proxies.get(name)))

    async def _update(self, asked: Asked, name: str) -> Response:
        proxy = self._proxies.get(name)
        current = ProxyInput(proxy.name, proxy.listen, proxy.upstream, proxy.enabled)
        return _json(proxy_fields(await self._proxies.update(name, decode_proxy_change(asked.body, current))))

    async def _delete(self, asked: Asked, name: str) -> Response:
        self._proxies.delete(name)
        return Response(status_code=204)

    async def _toxics(self, asked: Asked, name: str) -> Response:
        return _json([toxic_fields(toxic) for toxic in self._proxies.get(name).toxic_list()])

    async def _add_toxic(self, asked: Asked, name: str) -> Response:
        self._proxies.get(name)
        return _json(toxic_fields(await self._proxies.add_toxic(name, decode_toxic(asked.body))))

    async def _toxic(self, asked: Asked, name: str, toxic_name: str) -> Response:
        return _json(toxic_fields(self._proxies.toxic(name, toxic_name)))

    async def _update_toxic(self, asked: Asked, name: str, toxic_name: str) -> Response:
        self._proxies.toxic(name, toxic_name)
        return _json(toxic_fields(await self._proxies.update_toxic(name, toxic_name, decode_toxic_change(asked.body))))

    async def _remove_toxic(self, asked: Asked, name: str, toxic_name: str) -> Response:
        self._proxies.remove_toxic(name, toxic_name)
        return Response(status_code=204)

    async def _populate(self, asked: Asked) -> Response:
        done: list[Proxy] = []
        answer: dict[str, Any] = {}
        status = 201
        try:
            await self._proxies.populate(decode_proxies(asked.body), done)
        except ApiError as error:
            status = error.status
            answer = {"error": error.message, "status": error.status}
        answer["proxies"] = [proxy_fields(proxy) for proxy in done] or None
        return _json(answer, status)

    async def _reset(self, asked: Asked) -> Response:
        await self._proxies.reset()
        return Response(status_code=204)

    async def _version(self, asked: Asked) -> Response:
        text = json.dumps({"version": VERSION}) + "\n"
        return Response(text, headers={"Content-Type": "application/json;charset=utf-8"})

    async def _metrics(self, asked: Asked) -> Response:
        assert self._metrics_shown is not None, "the route is there only with metrics"
        return Response(render(self._metrics_shown), headers={"Content-Type": CONTENT_TYPE})

    async def _events(self, asked: Asked) -> Response:
        """The events after number `since`, oldest first, at most `limit`; a header tells how many were dropped unseen."""
        events = self._proxies.events
        since = _number(asked, "since", 0, most=10**NUMBER_DIGITS_MAX)
        limit = _number(asked, "limit", EVENTS_SHOWN_MAX, most=EVENTS_SHOWN_MAX)
        response = _json([event.fields() for event in events.page(since, limit)])
        response.headers["X-Events-Dropped"] = str(events.dropped)
        return response

    async def _clear_events(self, asked: Asked) -> Response:
        self._proxies.events.clear()
        return Response(status_code=204)


async def _body(request: Request) -> bytes:
    """The whole body; a client that never ends it is told so, and nobody waits for it."""
    parts: list[bytes] = []
    length_bytes = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                length_bytes += len(part)
                if length_bytes > BODY_BYTES_MAX:
                    raise errors.bad_body(f"longer than {BODY_BYTES_MAX} bytes")
                parts.append(part)
    except TimeoutError:
        raise errors.UnfinishedBodyError from None
    return b"".join(parts)


def _clean(path: str) -> str:
    """A path without empty, `.` and `..` elements; a trailing slash stays."""
    clean = "/" + posixpath.normpath("/" + path).lstrip("/")
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _url(path: str, query: bytes) -> str:
    escaped = quote(path, safe="/:@!$&'()*+,;=~")
    return f"{escaped}?{query.decode('latin-1')}" if query else escaped


def _number(asked: Asked, name: str, default: int, most: int) -> int:
    text = asked.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX):
        raise errors.bad_query(f"{name} must be a whole number from 0, not {text!r}")
    return min(int(text), most)


def _json(value: object, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def _plain(text: str, status: int) -> Response:
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Response(text, status, headers=headers)
