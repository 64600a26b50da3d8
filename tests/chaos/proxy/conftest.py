"""A server process and sockets on both sides of a proxy.

The tests that use `api` speak to a process from outside and read nothing of ours; with `RUSHPROOF_TEST_TOXIPROXY_URL` set they
run against that server instead (Shopify's, say), except where they ask for `embedded_only`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

PATIENCE_S = 10.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


class Upstream:
    """The server behind a proxy: a listener whose connections the test accepts by hand."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE_S)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.sockets: list[socket.socket] = []

    def connect(self, listen: str) -> tuple[socket.socket, socket.socket]:
        """The client's and the server's end of a new connection through the proxy at `listen`."""
        client = self.client(listen)
        server, _peer = self.listener.accept()
        server.settimeout(PATIENCE_S)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(server)
        return client, server

    def client(self, listen: str) -> socket.socket:
        host, _colon, port = listen.rpartition(":")
        client = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(client)
        return client

    def close(self) -> None:
        for sock in [*self.sockets, self.listener]:
            sock.close()


class Api(httpx.Client):
    """The API of one server, with the few calls that most tests make."""

    def proxy(self, upstream: str, name: str = "p", **fields: Any) -> str:
        """Create a proxy; its listen address."""
        body = {"name": name, "upstream": upstream, "listen": "127.0.0.1:0", **fields}
        answer = self.post("/proxies", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["listen"])

    def toxic(self, kind: str, stream: str = "downstream", proxy: str = "p", **attributes: int) -> None:
        answer = self.post(f"/proxies/{proxy}/toxics", json={"type": kind, "stream": stream, "attributes": attributes})
        assert answer.status_code == 200, answer.text

    def change(self, toxic: str, proxy: str = "p", **attributes: int) -> None:
        answer = self.patch(f"/proxies/{proxy}/toxics/{toxic}", json={"attributes": attributes})
        assert answer.status_code == 200, answer.text

    def remove(self, toxic: str, proxy: str = "p") -> None:
        assert self.delete(f"/proxies/{proxy}/toxics/{toxic}").status_code == 204

    def enable(self, enabled: bool, proxy: str = "p") -> None:
        assert self.patch(f"/proxies/{proxy}", json={"enabled": enabled}).status_code == 200


def start_server(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A server process and the host:port that it wrote to its ready file."""
    ready = folder / "ready"
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "chaos.proxy",
        "--port",
        "0",
        "--ready-file",
        str(ready),
        *arguments,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: ready.exists() or process.poll() is not None, "the ready file")
    assert process.poll() is None, process.communicate()[1]
    return process, ready.read_text().strip()


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = os.environ.get("RUSHPROOF_TEST_TOXIPROXY_URL")
    if url:
        yield url
        return
    process, address = start_server(tmp_path_factory.mktemp("toxiproxy"), "--seed", "1")
    yield f"http://{address}"
    process.terminate()
    _out, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log
    assert "Traceback" not in log, log
    assert "ERROR" not in log, log


@pytest.fixture
def embedded_only() -> None:
    if os.environ.get("RUSHPROOF_TEST_TOXIPROXY_URL"):
        pytest.skip("says something about the embedded server only")


@pytest.fixture
def api(server_url: str) -> Iterator[Api]:
    with Api(base_url=server_url, timeout=PATIENCE_S, verify=False) as client:
        yield client
        for name in client.get("/proxies").json():
            client.delete(f"/proxies/{name}")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts further server processes, which end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        process, address = start_server(folder, *arguments)
        started.append(process)
        return process, address

    yield start
    for process in started:
        process.kill()
        process.communicate()
