"""A store without a cloud, every link of it behind an embedded proxy, and Toxiproxy servers that behave badly."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from chaos.embedded_proxy import EmbeddedProxy
from chaos.faults.networks import Links
from chaos.faults.toxiproxy import ProxyServer
from refsystem.ordering.menu import DEMO_MENU
from refsystem.stack import Stack, StackSettings, StoreSettings


class Store(Stack):
    """Devices, arbiter and kitchen display of one store, run by the stack's own means; nobody answers for the cloud."""

    def start_without_cloud(self) -> None:
        self._python = {process.name: process for process in self._make_processes() if process.name != "cloud"}
        for process in self._python.values():
            process.start()

        async def ready() -> None:
            await asyncio.gather(*(process.wait_ready() for process in self._python.values()))

        asyncio.run(ready())
        node_id = httpx.get(f"{self.url('s1.edge_a')}/v1/status", trust_env=False).json()["node_id"]
        answer = httpx.put(f"{self.url('s1.arbiter')}/v1/register", json={"primary": node_id}, trust_env=False)
        assert answer.status_code == 201

    def status(self, process: str) -> dict[str, Any] | None:
        try:
            answer = httpx.get(f"{self.url(process)}/v1/status", trust_env=False, timeout=1)
        except httpx.HTTPError:
            return None
        status: dict[str, Any] = answer.json()
        return status

    def members(self) -> int:
        found = [self.status(f"s1.edge_{slot}") for slot in "ab"]
        return max((len(status["members"]) for status in found if status is not None), default=0)

    def heal(self) -> None:
        """Everything runs and the store has two members."""
        started = []
        for process in self._python.values():
            process.resume()
            if process.pid is None:
                process.start()
                started.append(process)
        for process in started:
            asyncio.run(process.wait_ready())
        wait_until(lambda: self.members() == 2, "two members")


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.03)


@pytest.fixture(scope="package")
def proxy_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    embedded = EmbeddedProxy(tmp_path_factory.mktemp("proxy"), 1)
    try:
        embedded.start()
        yield embedded.url
    finally:
        embedded.stop()


@pytest.fixture(scope="package")
def started(tmp_path_factory: pytest.TempPathFactory, proxy_url: str) -> Iterator[tuple[Store, Links]]:
    folder = tmp_path_factory.mktemp("store")
    (folder / "menu.json").write_text(DEMO_MENU.to_json(), encoding="utf-8")
    settings = StackSettings(
        folder,
        (StoreSettings("s1"),),
        folder / "menu.json",
        database_url="postgresql://u@127.0.0.1:1/x",
        volatile=True,
        controlled=True,
    )
    store, server = Store(settings), ProxyServer(proxy_url)
    try:
        store.reserve()
        links = Links(server, store, "test-")
        links.create()
        store.start_without_cloud()
        wait_until(lambda: store.members() == 2, "two members")
        yield store, links
    finally:
        store.stop()
        server.destroy_all()


@pytest.fixture
def store(started: tuple[Store, Links]) -> Iterator[Store]:
    """The running store, whole again after each test."""
    started[0].heal()
    yield started[0]
    started[0].heal()


@pytest.fixture
def links(started: tuple[Store, Links], proxy_url: str) -> Iterator[Links]:
    """Its links, without any fault after each test; the client is shared by the whole process, so it is pointed anew."""
    ProxyServer(proxy_url)
    yield started[1]
    ProxyServer(proxy_url)
    for link in started[0].links():
        for holder in started[1].condition(link).shares:
            started[1].end(holder)


class BadServer:
    """Says that it is a Toxiproxy server and does nothing: lists toxics that it does not have, or none, or fails."""

    def __init__(self, upstreams: dict[str, int] | None = None) -> None:
        self.status: int | None = None
        self.said = b"the reason"
        self.lists = True
        self.hang_s = 0.0
        self.toxics: dict[str, list[dict[str, Any]]] = {}
        self.proxies: dict[str, dict[str, Any]] = {}
        bad = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                time.sleep(bad.hang_s)
                status, content = bad.answer(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = _answer

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        if self.status is not None:
            return self.status, self.said
        _, _, name, *rest = [*path.split("/"), ""]
        if path == "/version":
            return 200, b'{"version":"0"}'
        if path == "/proxies" and method == "GET":
            return 200, json.dumps(self.proxies).encode()
        if path == "/proxies":
            # It "listens" where the upstream is: traffic passes untouched.
            made = {"name": body["name"], "upstream": body["upstream"], "listen": body["upstream"], "enabled": True}
            self.proxies[body["name"]] = made
            return 201, json.dumps(made).encode()
        if rest and rest[0] == "toxics":
            listed = self.toxics.setdefault(name, [])
            if method == "POST" and self.lists:
                listed.append(body)
            if method == "DELETE":
                listed.clear()
            return 200, json.dumps(body if method == "POST" else listed).encode()
        return 200, json.dumps(self.proxies.get(name, {})).encode()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def bad_server() -> Iterator[BadServer]:
    made = BadServer()
    yield made
    made.stop()
