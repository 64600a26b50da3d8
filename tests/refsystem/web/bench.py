"""The pages themselves, in a real browser, before a store that a test plays: what is asked for, and what is answered to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from refsystem.ordering.menu_formats import HOTPOT
from refsystem.web.pages import PAGES, STATIC, Pages

Answer = tuple[int, dict[str, Any]]
PREFIX = "rushproof.s1."


class Bench:
    """A device that serves the pages and answers each request as `answers` says, by method and path; 503 else.

    `retry_after` in an answer goes out as its header.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[dict[str, Any]], Answer]] = {}
        self.asked: list[dict[str, Any]] = []
        bench = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bench._answer(self)

            def do_POST(self) -> None:
                bench._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._pages = Pages("s1", HOTPOT, "", ("5", "7"))

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sent(self, path: str) -> list[dict[str, Any]]:
        """The requests that changed something, by their path."""
        return [each for each in self.asked if each["method"] == "POST" and each["path"] == path]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if path.removeprefix("/") in PAGES:
            return _write(handler, 200, "text/html; charset=utf-8", self._pages.render(path[1:], "en").encode())
        if path.startswith("/web/"):
            kind = "text/css" if path.endswith(".css") else "text/javascript"
            return _write(handler, 200, kind, (STATIC / path.removeprefix("/web/")).read_bytes())
        said: dict[str, Any] = {
            "method": handler.command,
            "path": path,
            "key": handler.headers.get("Idempotency-Key", ""),
            "token": handler.headers.get("Authorization", "").removeprefix("Bearer "),
            "body": json.loads(body) if body else None,
        }
        self.asked.append(said)
        answer = self.answers.get(f"{handler.command} {path}", lambda _: (503, {"type": "x:away"}))
        status, told = answer(said)
        retry_after = told.pop("retry_after", None)
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return _write(handler, status, "application/json", json.dumps(told).encode(), headers)


def problem(kind: str) -> dict[str, Any]:
    """The body of a refusal that is certain."""
    return {"type": f"urn:rushproof:problem:{kind}", "title": kind, "detail": f"it is {kind}", "definite": True}


def taken(said: dict[str, Any]) -> Answer:
    """An order or an act is taken."""
    body = said["body"]
    if "act" in body:
        return 201, {"act_id": said["key"], "act": body["act"], "who": "x", "result": {"change_minor": 0}}
    return 201, {"order_id": said["key"], "total_minor": body["total_minor"], "status": "committed"}


def check(check_id: str, table: str, due_minor: int, **changes: Any) -> dict[str, Any]:
    """A check as the store tells it."""
    found = {"check_id": check_id, "table": table, "status": "open", "lines": [], "discounts": [], "payments": []}
    amounts = {"shares_minor": 0, "discount_minor": 0, "total_minor": due_minor, "due_minor": due_minor}
    return {**found, **amounts, **changes}


def _write(
    handler: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the page has stopped waiting
