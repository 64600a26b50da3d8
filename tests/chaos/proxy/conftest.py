"""A server process and sockets on both sides of a proxy.

The tests that use `api` speak to a process from outside and read nothing of ours. They run twice: against our server, and,
as slow tests, against the original, which is built once by `go install` and kept in a cache folder. Where there is no `go`,
or the build fails, those are skipped. With `RUSHPROOF_TEST_TOXIPROXY_URL` set, all run against that server instead. Tests that
ask for `embedded_only` say something of ours alone.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import uvloop

from chaos.bench import proxy_servers
from chaos.proxy.address import resolve_listen
from chaos.proxy.events import EventLog, EventName
from chaos.proxy.proxy import Proxy
from refsystem.stop_listening import stop_listening

sys.path.insert(0, str(Path(__file__).parent))

PATIENCE_S = 10.0
BUILD_TIMEOUT_S = 240.0  # below the time-out of a test
SERVERS = ("embedded", pytest.param("original", marks=pytest.mark.slow))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server_url" not in metafunc.fixturenames:
        return
    if os.environ.get("RUSHPROOF_TEST_TOXIPROXY_URL"):
        servers: tuple[Any, ...] = ("other",)
    else:
        servers = SERVERS[:1] if "embedded_only" in metafunc.fixturenames else SERVERS
    metafunc.parametrize("server_url", servers, indirect=True, scope="session")


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


def build_original(folder: Path) -> Path:
    """The original's server, built by the first worker that needs it; skips, with the reason, where it cannot be had."""
    failed = folder / "toxiproxy-why-not"
    with (folder / "toxiproxy-lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not failed.exists():
            patch.setattr(proxy_servers, "INSTALL_TIMEOUT_S", BUILD_TIMEOUT_S)
            binary, why_not = proxy_servers.install_shopify()
            if binary is not None:
                return binary
            failed.write_text(why_not, encoding="utf-8")
        pytest.skip(failed.read_text(encoding="utf-8"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def start_original(binary: Path, log: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    """A process of the original, and its host:port."""
    address = f"127.0.0.1:{free_port()}"
    host, _colon, port = address.rpartition(":")
    with log.open("wb") as output:
        command = [str(binary), "-host", host, "-port", port, *arguments]
        process = subprocess.Popen(command, stdout=output, stderr=output)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"http://{address}/version", verify=False).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, "the original to answer")
    return process, address


@pytest.fixture(scope="session")
def original_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp()  # of this worker; the parent is shared by all workers of this run
    return build_original(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture(scope="session")
def original_url(original_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, address = start_original(original_binary, tmp_path_factory.mktemp("original") / "log")
    yield f"http://{address}"
    process.terminate()
    process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="session")
def embedded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, address = start_server(tmp_path_factory.mktemp("toxiproxy"), "--seed", "1")
    yield f"http://{address}"
    process.terminate()
    _out, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log
    assert "Traceback" not in log, log
    assert "ERROR" not in log, log


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    if request.param == "other":
        return os.environ["RUSHPROOF_TEST_TOXIPROXY_URL"]
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def embedded_only() -> None:
    if os.environ.get("RUSHPROOF_TEST_TOXIPROXY_URL"):
        pytest.skip("says something about the embedded server only")


@pytest.fixture
def api(server_url: str) -> Iterator[Api]:
    with Api(base_url=server_url, timeout=PATIENCE_S, verify=False) as client:
        yield client
        for name in client.get("/proxies").json():
            client.delete(f"/proxies/{quote(name, safe='')}")


class Echoing:
    """A proxy in the test's own event loop, before a server that echoes; its event log is `log`."""

    def __init__(self, proxy: Proxy, log: EventLog) -> None:
        self.proxy = proxy
        self.log = log

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _colon, port = self.proxy.listen.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():  # noqa: ASYNC110 - counters announce nothing
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"waited in vain: {what}") from None


@asynccontextmanager
async def _echoing(seed: int = 1) -> AsyncIterator[Echoing]:
    upstream = await asyncio.start_server(_echo, "127.0.0.1", 0)
    host, port = upstream.sockets[0].getsockname()
    log = EventLog()
    proxy = Proxy("p", "127.0.0.1:0", f"{host}:{port}", seed, log)
    proxy.start(await resolve_listen(proxy.listen))
    world = Echoing(proxy, log)
    try:
        yield world
    finally:
        proxy.close()
        await stop_listening(upstream)
        await world.until(lambda: proxy.connections_open == 0, "the connections' end")


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # what tests do to connections on purpose
    except asyncio.CancelledError:
        writer.transport.abort()  # the test is over: nobody reads what was not sent yet
        raise
    finally:
        writer.close()


@pytest.fixture
def echoing() -> Callable[..., AbstractAsyncContextManager[Echoing]]:
    """Makes a proxy before an echo server; takes the seed."""
    return _echoing


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_it(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(main, 3 * PATIENCE_S))

    return run_it


class World:
    """A proxy, the listener behind it, and what a test opens."""

    def __init__(self) -> None:
        self.log = EventLog()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.proxy = Proxy("p", "127.0.0.1:0", "{}:{}".format(*self.listener.getsockname()), 1, self.log)
        self.sockets: list[socket.socket] = [self.listener]

    async def connect(self) -> tuple[socket.socket, socket.socket]:
        """The client's and the server's end; the client keeps little that it has not read."""
        loop = asyncio.get_running_loop()
        host, _colon, port = self.proxy.listen.rpartition(":")
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.setblocking(False)
        self.sockets.append(client)
        await loop.sock_connect(client, (host, int(port)))
        server, _peer = await loop.sock_accept(self.listener)
        self.sockets.append(server)
        server.setblocking(False)
        return client, server

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():  # noqa: ASYNC110 - counters announce nothing
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"waited in vain: {what}") from None

    def how_closed(self) -> list[str]:
        return [each.details["how"] for each in self.log.page() if each.event is EventName.CONNECTION_CLOSED]


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    here = World()
    here.proxy.start(await resolve_listen(here.proxy.listen))
    try:
        yield here
    finally:
        here.proxy.close()
        for sock in here.sockets:
            sock.close()
        await here.until(lambda: here.proxy.connections_open == 0, "the connections' end")


@pytest.fixture
def world() -> Callable[..., AbstractAsyncContextManager[World]]:
    """Makes a proxy in the test's own event loop, both ends of whose connections the test holds."""
    return _world


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def embedded_process(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
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


@pytest.fixture
def server_process(embedded_process: Callable[..., Any]) -> Callable[..., Any]:
    return embedded_process


@pytest.fixture
def original_process(
    original_binary: Path, tmp_path: Path
) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], str]]]:
    """Starts further processes of the original, which end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[bytes], str]:
        process, address = start_original(original_binary, tmp_path / f"original-{len(started)}.log", *arguments)
        started.append(process)
        return process, address

    yield start
    for process in started:
        process.kill()
        process.communicate()
