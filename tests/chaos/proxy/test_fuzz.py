"""Hostile clients of the API and of the data plane: no crash, no hang, and nothing stays behind when they are gone.

A server process takes all of it. After each test it answers, its open files are as many as before, and at the end its log
holds no traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.proxy import api as api_module
from chaos.proxy import http_server
from chaos.proxy.server import ProxyServer
from chaos.proxy.toxics import TOXIC_TYPES

pytestmark = pytest.mark.slow

ANSWER_S = 5.0
PATIENCE_S = 30.0
GROWTH_BYTES_MAX = 12 * 1024 * 1024
FUZZ = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FINE = {200, 201, 204, 301, 400, 404, 405, 409, 500}


@dataclass
class Victim:
    """A server process, from outside."""

    address: str
    process: psutil.Process
    http: httpx.Client

    def connect(self, address: str | None = None) -> socket.socket:
        host, _colon, port = (address or self.address).rpartition(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def answers(self) -> bool:
        return self.http.get("/version").status_code == 200

    def proxy(self, upstream: str, **fields: Any) -> str:
        body = {"name": "p", "upstream": upstream, "listen": "127.0.0.1:0", **fields}
        answer = self.http.post("/proxies", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["listen"])

    def delete_all(self) -> None:
        for name in self.http.get("/proxies").json():
            assert self.http.delete(f"/proxies/{quote(name, safe='')}").status_code == 204


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    folder = tmp_path_factory.mktemp("fuzzed")
    ready, log = folder / "ready", folder / "log"
    command = [sys.executable, "-m", "chaos.proxy", "--port", "0", "--seed", "1", "--ready-file", str(ready)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output)
    try:
        wait_for(lambda: ready.exists() or process.poll() is not None)
        address = ready.read_text().strip()
        with httpx.Client(base_url=f"http://{address}", timeout=ANSWER_S, verify=False) as http:
            yield Victim(address, psutil.Process(process.pid), http)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        text = log.read_text()
        assert "Traceback" not in text, text[-3000:]
        assert "ERROR" not in text, text[-3000:]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def victim(server: Victim) -> Iterator[Victim]:
    """The server, as it was before when the test is over."""
    assert server.answers()
    files = server.process.num_fds()
    yield server
    server.delete_all()
    assert server.answers()
    wait_for(
        lambda: server.process.num_fds() <= files, lambda: f"{server.process.num_fds()} open files, {files} before"
    )


def wait_for(condition: Callable[[], bool], told: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.01)


def vanish(sock: socket.socket) -> None:
    """Close a socket so that the peer sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# -- bodies

TEXTS = st.sampled_from(["", "p", "q", "t", "upstream", "Downstream", *TOXIC_TYPES])
ADDRESSES = st.sampled_from(["127.0.0.1:0", "127.0.0.1:1", "", ":", "nowhere", "[::1]:0"]) | st.text(
    "0123.:[]\x00%", max_size=12
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 2**63 - 1, 2**63, 10**400, 1e308])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | ADDRESSES | st.text(max_size=20)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ATTRIBUTE_NAMES = sorted(
    {name for kind in TOXIC_TYPES.values() for name in kind().shown()} | {"loss_percent", "slots", "dial"}
)
ATTRIBUTES = st.dictionaries(st.sampled_from(ATTRIBUTE_NAMES), ANYTHING, max_size=4)
SCHEDULES = st.dictionaries(st.sampled_from(["at_ms", "for_ms", "every_ms", "ramp_ms"]), SCALARS, max_size=4)
TOXICS = st.fixed_dictionaries(
    {},
    optional={
        "type": TEXTS,
        "name": SCALARS,
        "stream": TEXTS,
        "toxicity": SCALARS,
        "attributes": ATTRIBUTES,
        "schedule": SCHEDULES,
    },
)
PROXIES = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS | st.text(max_size=5),
        "upstream": ADDRESSES,
        "listen": ADDRESSES,
        "enabled": st.booleans() | SCALARS,
        "with_toxics": st.lists(TOXICS, max_size=3) | ANYTHING,
        "seed": SCALARS,
    },
)
VALUES = PROXIES | TOXICS | ANYTHING | st.lists(PROXIES, max_size=3)
DEEP = st.integers(1, 50_000).map(lambda depth: b"[" * depth) | st.integers(1, 20_000).map(
    lambda n: b'{"a":' * n + b"1" + b"}" * n
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64) | DEEP
METHODS = st.sampled_from(
    ["GET", "POST", "POST", "POST", "PATCH", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE"]
)
TOP_PATHS = ["/proxies", "/populate", "/reset", "/events", "/version", "/metrics"]
PATHS = st.sampled_from(
    [*TOP_PATHS, "/proxies/p", "/proxies/p", "/proxies/p/toxics", "/proxies/p/toxics", "/proxies/p/toxics/t"]
) | st.text(max_size=10).map(lambda text: "/" + quote(text, safe="/"))


@FUZZ
@given(st.lists(st.tuples(METHODS, PATHS, BODIES), min_size=1, max_size=6))
def test_any_body_is_answered(victim: Victim, requests: list[tuple[str, str, bytes]]) -> None:
    for method, path, body in requests:
        answer = victim.http.request(method, path, content=body)
        assert answer.status_code in FINE, (method, path, body, answer.text)
        if answer.status_code in (400, 409, 500):
            assert answer.json()["status"] == answer.status_code
        elif answer.status_code in (200, 201) and method != "HEAD":
            answer.json()
    assert victim.answers()


# -- HTTP

PIECES = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"/version", b"/proxies", b" HTTP/1.1", b" HTTP/1.0", b"* HTTP/1.1\r\n"),
        *(b"\r\n", b"\r\n\r\n", b"\n", b"{}", b"\x00\xff", b"Host: x\r\n", b"X: " + b"y" * 70_000 + b"\r\n"),
        *(
            b"Content-Length: 5\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: 0\r\n",
            b"Content-Length: %d\r\n" % 10**20,
        ),
        *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n"),
        *(b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n"),
        *(b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Expect: 100-continue\r\n"),
        *(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%zz HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
)


@FUZZ
@given(st.lists(PIECES | st.binary(max_size=8), max_size=14), st.sampled_from(["half", "close", "vanish", "read"]))
def test_any_bytes_are_taken(victim: Victim, pieces: list[bytes], then: str) -> None:
    with victim.connect() as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
            if then in ("half", "read"):
                sock.shutdown(socket.SHUT_WR)
            if then == "read":
                while sock.recv(65536):
                    pass
        except OSError:  # it may have hung up already
            pass
        if then == "vanish":
            vanish(sock)
    assert victim.answers()


def test_a_request_cut_anywhere_does_nothing(victim: Victim) -> None:
    body = b'{"name":"p","upstream":"127.0.0.1:1","listen":"127.0.0.1:0"}'
    whole = b"POST /proxies HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    chunked = b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for request in (whole, chunked):
        for end in range(len(request)):
            with victim.connect() as sock:
                sock.sendall(request[:end])
                if end % 3 == 0:
                    sock.shutdown(socket.SHUT_WR)
                elif end % 3 == 1:
                    vanish(sock)
    assert victim.http.get("/proxies").json() == {}


def test_a_client_that_asks_on_and_on_and_reads_nothing_is_not_listened_to(victim: Victim) -> None:
    """What one read brings is parsed and waits (about 60 MB at worst); without a bound it would be all that is sent."""
    before_bytes = victim.process.memory_info().rss
    for _ in range(2):
        with victim.connect() as sock:
            sock.settimeout(1.0)
            with pytest.raises(TimeoutError):
                ask_on_and_on(sock)
            assert victim.answers()
            vanish(sock)
    assert victim.process.memory_info().rss - before_bytes < 100 * 1024 * 1024


def ask_on_and_on(sock: socket.socket) -> None:
    for _ in range(1000):
        sock.send(b"GET /proxies HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_TIMEOUT_S", 0.2)
    monkeypatch.setattr(api_module, "BODY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(http_server, "HEAD_BYTES_MAX", 5000)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET /version HTTP/1.1\r\nHos", b""),
        (b"GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /ver", b"HTTP/1.1 200 OK"),
        (b"POST /proxies HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 9000, b"HTTP/1.1 400 Bad Request"),
    ],
    ids=["nothing", "half a head", "half a second head", "half a body", "an endless head"],
)
def test_a_client_that_never_ends_its_request_is_left(sent: bytes, answer: bytes) -> None:
    async def talk() -> tuple[bytes, bytes]:
        async with ProxyServer(seed=1) as server, asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(sent)
            received = await reader.read()
            writer.close()
            again, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"GET /version HTTP/1.1\r\nConnection: close\r\n\r\n")
            alive = await again.read()
            writer.close()
            return received, alive

    received, alive = asyncio.run(talk())
    assert received.partition(b"\r\n")[0] == answer
    assert alive.startswith(b"HTTP/1.1 200 OK")


# -- the data plane


class Crowd:
    """A server behind a proxy that takes whoever comes, says a word, and leaves in one of three ways."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        number = 0
        while True:
            try:
                sock, _peer = self._listener.accept()
            except OSError:
                return
            number += 1
            with contextlib.suppress(ConnectionError):
                sock.send(b"welcome")
            if number % 3 == 0:
                vanish(sock)
            else:
                sock.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_S)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    server = Crowd()
    yield server
    server.close()


def come_and_go(victim: Victim, listen: str, count: int) -> None:
    """Open connections and leave them in every way there is, some hundred open at a time."""
    held: list[socket.socket] = []
    for number in range(count):
        sock = victim.connect(listen)
        try:
            if number % 2:
                sock.sendall(b"x" * (number % 5000))
            if number % 5 == 0:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        if number % 3 == 0:
            vanish(sock)
        elif number % 3 == 1:
            sock.close()
        else:
            held.append(sock)
        if len(held) > 200:
            for sock in held:
                sock.close()
            held.clear()
            assert victim.answers()
    for sock in held:
        sock.close()


TOXICS_OF_ALL_KINDS: list[dict[str, Any]] = [
    {"type": "latency", "attributes": {"latency": 60_000}},
    {"type": "bandwidth", "attributes": {"rate": 1}},
    {"type": "bandwidth", "attributes": {"rate": 0}},
    {"type": "slow_close", "attributes": {"delay": 60_000}},
    {"type": "timeout"},
    {"type": "reset_peer", "attributes": {"timeout": 60_000}},
    {"type": "slicer", "attributes": {"average_size": 1, "delay": 1_000_000}},
    {"type": "limit_data", "attributes": {"bytes": 100}},
    {"type": "noop"},
    {"type": "burst_loss", "attributes": {"loss_percent": 99, "rto_ms": 60_000}},
    {"type": "trace", "attributes": {"slots": [60_000]}},
    {"type": "slow_connect", "attributes": {"delay_ms": 60_000}},
    {"type": "half_open"},
    {"type": "half_open", "attributes": {"dial": True}},
    {"type": "http_status"},
]


def test_every_toxic_is_among_them() -> None:
    assert {str(toxic["type"]) for toxic in TOXICS_OF_ALL_KINDS} == set(TOXIC_TYPES)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@pytest.mark.parametrize("toxic", TOXICS_OF_ALL_KINDS, ids=[str(toxic["type"]) for toxic in TOXICS_OF_ALL_KINDS])
def test_what_a_toxic_holds_goes_with_the_proxy(
    victim: Victim, crowd: Crowd, toxic: dict[str, Any], stream: str
) -> None:
    listen = victim.proxy(crowd.address, with_toxics=[{**toxic, "stream": stream}])
    come_and_go(victim, listen, 40)
    stuck = [victim.connect(listen) for _ in range(10)]
    for sock in stuck:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.send(b"x" * 1_000_000)
    assert victim.answers()
    victim.delete_all()
    for sock in stuck:
        sock.close()


def test_a_server_that_is_not_there_holds_nobody_up(victim: Victim) -> None:
    listen = victim.proxy(f"127.0.0.1:{free_port()}")
    come_and_go(victim, listen, 300)


def test_proxies_that_come_and_go_leave_nothing(victim: Victim, crowd: Crowd) -> None:
    def round_() -> None:
        for _ in range(30):
            listen = victim.proxy(crowd.address, with_toxics=[{"type": "latency", "attributes": {"latency": 60_000}}])
            come_and_go(victim, listen, 5)
            victim.http.patch("/proxies/p", json={"enabled": False})
            victim.http.post("/reset")
            victim.delete_all()

    round_()
    before_bytes = victim.process.memory_info().rss
    round_()
    assert victim.process.memory_info().rss - before_bytes < GROWTH_BYTES_MAX


def test_ten_thousand_connections_leave_nothing(victim: Victim, crowd: Crowd) -> None:
    listen = victim.proxy(crowd.address, with_toxics=[{"type": "latency", "attributes": {"latency": 1}}])
    come_and_go(victim, listen, 5_500)  # the bounded event log is full by now
    wait_for(lambda: int(victim.http.get("/events", params={"limit": 0}).headers["x-events-dropped"]) > 0)
    before_bytes = victim.process.memory_info().rss
    come_and_go(victim, listen, 4_500)
    assert victim.process.memory_info().rss - before_bytes < GROWTH_BYTES_MAX


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
