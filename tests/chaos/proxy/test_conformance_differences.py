"""Where our server differs from the original on purpose: each difference is asserted on both sides.

`test_NAME` here is the row NAME of the table in the proxy's README; a test holds the two together.
"""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Api, Upstream

    Start = Callable[..., tuple[subprocess.Popen[Any], str]]

P = {"name": "p", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0", "enabled": False}
README = Path(__file__).parents[3] / "chaos" / "proxy" / "README.md"


@pytest.fixture
def ours(request: pytest.FixtureRequest) -> bool:
    """Whether the server of this test is ours; one of somebody else's choice says nothing about differences."""
    kind = request.node.callspec.params.get("server_url") or request.node.callspec.params["start"]
    if kind == "other":
        pytest.skip("differences are between our server and the original")
    return bool(kind == "embedded")


@pytest.fixture(params=["embedded", pytest.param("original", marks=pytest.mark.slow)])
def start(request: pytest.FixtureRequest) -> Start:
    """Starts a server process of its own for the test."""
    starter: Start = request.getfixturevalue(f"{request.param}_process")
    return starter


def arrives(sock: socket.socket, within_s: float) -> bytes | None:
    """What arrives on a socket within a time: bytes, b"" at its end, None if nothing does."""
    readable, _writable, _exceptional = select.select([sock], [], [], within_s)
    return sock.recv(65536) if readable else None


def test_the_readme_tells_every_difference() -> None:
    section = (
        README.read_text(encoding="utf-8").partition("## Where it differs from the original")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| `([a-z_]+)` \|", section, flags=re.MULTILINE)
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_") and "readme" not in name]
    assert sorted(rows) == sorted(tests)


# -- the API


def test_version(api: Api, ours: bool) -> None:
    assert api.get("/version").json()["version"].endswith("+rushproof") is ours


def test_negative_attributes(api: Api, ours: bool) -> None:
    api.post("/proxies", json=P)
    answer = api.post("/proxies/p/toxics", json={"type": "latency", "attributes": {"latency": -1}})
    assert answer.status_code == (400 if ours else 200)


def test_failed_update(api: Api, ours: bool) -> None:
    api.post("/proxies", json=P)
    api.post("/proxies/p/toxics", json={"type": "latency", "name": "t"})
    change = b'{"attributes":{"latency":7,"jitter":"x"}}'
    assert api.patch("/proxies/p/toxics/t", content=change).status_code == 400
    assert api.get("/proxies/p/toxics/t").json()["attributes"]["latency"] == (0 if ours else 7)


def test_words_of_errors(api: Api, ours: bool) -> None:
    error = api.post("/proxies", content=b'{"name" 5}').json()["error"]
    assert error.startswith("bad request body: ")
    assert ("invalid character" in error) is not ours


def test_size_of_bodies(api: Api, ours: bool) -> None:
    large = api.post("/proxies", content=json.dumps({"padding": "x" * 1_200_000, **P}))
    assert large.status_code == (400 if ours else 201)
    deep = b'{"a":%s,' % (b"[" * 5000 + b"]" * 5000) + json.dumps(P | {"name": "q"}).encode()[1:]
    assert api.post("/proxies", content=deep).status_code == (400 if ours else 201)


def test_extensions(api: Api, ours: bool) -> None:
    body = {**P, "seed": 7, "with_toxics": [{"type": "noop", "schedule": {"at_ms": 1000}}]}
    shown = api.post("/proxies", json=body).json()
    assert (shown.get("seed"), len(shown["toxics"])) == ((7, 1) if ours else (None, 0))
    assert api.get("/events").status_code == (200 if ours else 404)
    assert api.post("/proxies/p/toxics", json={"type": "half_open", "name": "new"}).status_code == (
        200 if ours else 400
    )


def test_half_closed_requests(api: Api, ours: bool) -> None:
    """A client that has sent its request says that it sends no more, while the name `localhost` is looked up."""
    body = json.dumps({**P, "listen": "localhost:0", "enabled": True}).encode()
    statuses = set()
    for _ in range(30):
        with socket.create_connection((api.base_url.host, api.base_url.port or 80), timeout=10) as sock:
            sock.sendall(b"POST /proxies HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            sock.shutdown(socket.SHUT_WR)
            statuses.add(int(sock.makefile("rb").readline().split()[1]))
        api.delete("/proxies/p")
    assert (statuses == {201}) is ours
    assert ours or 503 in statuses


def test_reserved_port(api: Api, upstream: Upstream, ours: bool) -> None:
    host, _colon, port = api.proxy(upstream.address).rpartition(":")
    api.enable(False)
    with socket.socket() as sock:
        try:
            sock.bind((host, int(port)))
            taken = False
        except OSError:
            taken = True
    assert taken is ours


# -- the data plane


def test_half_close(api: Api, upstream: Upstream, ours: bool) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    client.sendall(b"asked")
    client.shutdown(socket.SHUT_WR)
    received = b""
    while (part := server.recv(100)) != b"":
        received += part
    assert received == b"asked"
    time.sleep(0.05)  # the original closes the other direction in a thread of its own
    try:
        server.sendall(b"answered")
        answer = client.recv(100)
    except ConnectionError:
        answer = b""
    assert answer == (b"answered" if ours else b"")


def test_seed(start: Start, ours: bool) -> None:
    """Which of 32 connections a toxicity of one half hits, in two processes with the same seed."""

    def hits() -> list[bool]:
        _process, address = start("-seed", "5")
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            upstream = f"127.0.0.1:{listener.getsockname()[1]}"
            listen = httpx.post(
                f"http://{address}/proxies",
                json={"name": "p", "upstream": upstream, "listen": "127.0.0.1:0"},
                verify=False,
            ).json()["listen"]
            toxic = {"type": "limit_data", "stream": "upstream", "toxicity": 0.5, "attributes": {"bytes": 0}}
            httpx.post(f"http://{address}/proxies/p/toxics", json=toxic, verify=False)
            host, _colon, port = listen.rpartition(":")
            found = []
            for _ in range(32):
                with socket.create_connection((host, int(port)), timeout=10) as client:
                    server, _peer = listener.accept()
                    with server:
                        server.settimeout(10)
                        client.sendall(b"x")
                        found.append(server.recv(1) == b"")
            return found

    first, second = hits(), hits()
    assert 0 < sum(first) < 32
    assert (first == second) is ours


def test_roll_at_an_update(api: Api, upstream: Upstream, ours: bool) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    toxic = {"type": "timeout", "name": "t", "stream": "upstream", "toxicity": 0.5}
    api.post("/proxies/p/toxics", json=toxic)
    passed = []
    for _ in range(16):
        api.change("t", timeout=0)
        client.sendall(b"x")
        passed.append(arrives(server, 0.05) == b"x")
    assert (len(set(passed)) == 1) is ours


def test_timeout_from_its_start(api: Api, upstream: Upstream, ours: bool) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("timeout", "upstream", timeout=250)
    for _ in range(8):
        time.sleep(0.05)
        try:
            client.sendall(b"x")
        except ConnectionError:
            break
    assert (arrives(server, 0) == b"") is ours


def test_removal_of_a_timeout(api: Api, upstream: Upstream, ours: bool) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.post("/proxies/p/toxics", json={"type": "timeout", "name": "t", "toxicity": 0})
    server.sendall(b"x")
    assert client.recv(1) == b"x"
    api.remove("t")
    assert arrives(client, 0.3) == (None if ours else b"")


def test_reset_of_live_connections(api: Api, upstream: Upstream, ours: bool) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("reset_peer", timeout=1)
    server.sendall(b"x")
    if ours:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    else:
        assert client.recv(1) == b""


def test_update_and_what_is_in_flight(api: Api, upstream: Upstream, ours: bool) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", latency=3_600_000)
    server.sendall(b"x")
    assert arrives(client, 0.1) is None
    api.change("latency_downstream", latency=7_200_000)
    assert arrives(client, 0.2) == (None if ours else b"x")


def test_slicer_of_size_zero(start: Start, upstream: Upstream, ours: bool) -> None:
    process, address = start()
    if not ours:  # its recursion takes a gigabyte of stack before it dies of it: less will do
        resource.prlimit(process.pid, resource.RLIMIT_AS, (2**31, 2**31))
    with httpx.Client(base_url=f"http://{address}", verify=False) as http:
        listen = http.post("/proxies", json={**P, "upstream": upstream.address, "enabled": True}).json()["listen"]
        http.post("/proxies/p/toxics", json={"type": "slicer"})
    client, server = upstream.connect(listen)
    server.sendall(b"12345")
    if ours:
        assert client.recv(10) == b"12345"
    else:
        process.wait(timeout=30)
        assert process.returncode != 0


def test_dials_side_by_side(start: Start, ours: bool) -> None:
    """A host that does not answer is dialled; meanwhile a proxy is deleted."""
    _process, address = start()
    with socket.socket() as silent, httpx.Client(base_url=f"http://{address}", verify=False, timeout=2) as http:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:  # they fill the queue of who is never accepted: the next is left to wait
            sock.setblocking(False)
            sock.connect_ex(silent.getsockname())
        upstream = f"127.0.0.1:{silent.getsockname()[1]}"
        listen = http.post("/proxies", json={**P, "upstream": upstream, "enabled": True}).json()["listen"]
        host, _colon, port = listen.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10):
            time.sleep(0.2)
            if ours:
                assert http.delete("/proxies/p").status_code == 204
            else:
                with pytest.raises(httpx.ReadTimeout):
                    http.delete("/proxies/p")
        for sock in waiting:
            sock.close()


# -- the process


@pytest.mark.parametrize("content", [None, b'[{"name":"p"}]'], ids=["missing", "incomplete"])
def test_bad_config(start: Start, ours: bool, tmp_path: Path, content: bytes | None) -> None:
    config = tmp_path / "proxies.json"
    if content is not None:
        config.write_bytes(content)
    if ours:
        with pytest.raises(AssertionError, match=f"config {config}: "):
            start("-config", str(config))
    else:
        _process, address = start("-config", str(config))
        assert httpx.get(f"http://{address}/proxies", verify=False).json() == {}


def test_counters_move_at_once(start: Start, upstream: Upstream, ours: bool) -> None:
    _process, address = start("-proxy-metrics", "-runtime-metrics")
    with httpx.Client(base_url=f"http://{address}", verify=False) as http:
        listen = http.post("/proxies", json={**P, "upstream": upstream.address, "enabled": True}).json()["listen"]
        client, server = upstream.connect(listen)
        client.sendall(b"12345")
        assert server.recv(9) == b"12345"
        shown = http.get("/metrics").text
    assert bool(re.search(r"^toxiproxy_proxy_sent_bytes_total\{.*\} 5\.0$", shown, flags=re.MULTILINE)) is ours
    assert ("python_info" in shown, "go_goroutines" in shown) == (ours, not ours)
