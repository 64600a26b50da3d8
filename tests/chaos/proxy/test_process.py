"""The server as a process of its own, and driven by the client library from the package index."""

from __future__ import annotations

import importlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Upstream

    Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_everything(server_process: Start, upstream: Upstream, number: signal.Signals) -> None:
    process, address = server_process("--seed", "3")
    with httpx.Client(base_url=f"http://{address}", verify=False) as api:
        body = {"name": "p", "upstream": upstream.address, "listen": "127.0.0.1:0"}
        listen = api.post("/proxies", json=body).json()["listen"]
        client, server = upstream.connect(listen)
        api.post("/proxies/p/toxics", json={"type": "latency", "attributes": {"latency": 3600000}})
        server.sendall(b"x")
        process.send_signal(number)
        assert client.recv(1) == b""
        assert server.recv(1) == b""
        _out, log = process.communicate(timeout=10)
    assert process.returncode == 0, log
    assert "seed 3" in log
    with pytest.raises(ConnectionRefusedError):
        upstream.client(listen)


def test_a_signal_ends_the_process_though_a_request_never_ends(server_process: Start) -> None:
    process, address = server_process()
    host, _colon, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(b"POST /proxies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        httpx.get(f"http://{address}/version", verify=False)
        process.terminate()
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_seed_that_was_not_given_is_drawn_and_logged(server_process: Start) -> None:
    seeds = set()
    for _ in range(2):
        process, _address = server_process()
        process.terminate()
        seeds.add(process.communicate(timeout=10)[1].partition("seed ")[2].split()[0])
    assert len(seeds) == 2


def test_a_port_in_use_ends_the_process_with_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "chaos.proxy", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert f"listen tcp 127.0.0.1:{port}: bind: address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def library(server_url: str) -> Any:
    """A client of `toxiproxy-python`; its address is global to the class."""
    toxiproxy = importlib.import_module("toxiproxy")
    client = toxiproxy.Toxiproxy()
    url = httpx.URL(server_url)
    client.update_api_consumer(url.host, url.port)
    yield client
    client.destroy_all()


def test_the_python_client_drives_proxies(library: Any, upstream: Upstream) -> None:
    assert library.running() is True
    assert b"version" in library.version()
    proxy = library.create(name="p", upstream=upstream.address)
    assert proxy.enabled is True
    client, server = upstream.connect(proxy.listen)
    with proxy.down():
        assert client.recv(1) == b""
        assert server.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            upstream.client(proxy.listen)
    client, server = upstream.connect(proxy.listen)
    client.sendall(b"x")
    assert server.recv(1) == b"x"
    assert library.get_proxy("p").listen == proxy.listen
    exceptions = importlib.import_module("toxiproxy.exceptions")
    with pytest.raises(exceptions.ProxyExists):
        library.create(name="p", upstream=upstream.address)
    assert library.populate([{"name": "q", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0"}])[0].name == "q"
    assert sorted(library.proxies()) == ["p", "q"]
    library.destroy(proxy)
    assert sorted(library.proxies()) == ["q"]


def test_the_python_client_drives_toxics(library: Any, upstream: Upstream) -> None:
    proxy = library.create(name="p", upstream=upstream.address)
    proxy.add_toxic(type="latency", attributes={"latency": 200, "jitter": 10})
    proxy.add_toxic(type="noop", name="other", stream="upstream", toxicity=0.5)
    toxics = proxy.toxics()
    assert sorted(toxics) == ["latency_downstream", "other"]
    assert toxics["latency_downstream"].attributes == {"latency": 200, "jitter": 10}
    assert (toxics["other"].stream, toxics["other"].toxicity) == ("upstream", 0.5)
    client, server = upstream.connect(proxy.listen)
    started = time.monotonic()
    server.sendall(b"x")
    assert client.recv(1) == b"x"
    assert time.monotonic() - started >= 0.19
    exceptions = importlib.import_module("toxiproxy.exceptions")
    with pytest.raises(exceptions.InvalidToxic):
        proxy.add_toxic(type="nonsense")
    with pytest.raises(exceptions.NotFound):
        proxy.destroy_toxic("nonsense")
    proxy.destroy_toxic("other")
    assert library.reset() is True
    assert proxy.toxics() == {}
