"""What each toxic does to bytes, seen from both ends of a connection through a server process."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Api, Upstream


def receive(sock: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = sock.recv(65536)
        if not part:
            break
        parts += part
    return bytes(parts)


def nothing_comes(sock: socket.socket, for_s: float) -> bool:
    sock.settimeout(for_s)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(10)
    return False


def ends(sock: socket.socket) -> bool:
    """Whether the connection is over, gracefully or not."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def send_until_blocked(sock: socket.socket) -> int:
    """How many bytes a socket takes before it takes no more for half a second."""
    sock.settimeout(0.5)
    accepted = 0
    while accepted < 100_000_000:
        try:
            accepted += sock.send(bytes(65536))
        except TimeoutError:
            return accepted
    raise AssertionError("nothing ever pushed back")


def is_refused(upstream: Upstream, listen: str) -> bool:
    try:
        upstream.client(listen)
    except ConnectionRefusedError:
        return True
    return False


def test_bytes_pass_unaltered_both_ways(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    data = os.urandom(3_000_000)
    for sender, receiver in ((client, server), (server, client)):
        thread = threading.Thread(target=sender.sendall, args=(data,))
        thread.start()
        assert receive(receiver, len(data)) == data
        thread.join()


def test_what_a_server_says_first_is_not_lost(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    for _ in range(20):
        client, server = upstream.connect(listen)
        server.sendall(b"220 ready")
        assert receive(client, 9) == b"220 ready"


def test_what_a_client_says_before_the_dial_is_not_lost(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    client = upstream.client(listen)
    client.sendall(b"hello")
    server, _peer = upstream.listener.accept()
    upstream.sockets.append(server)
    assert receive(server, 5) == b"hello"


@pytest.mark.usefixtures("embedded_only")
def test_half_close_is_honoured(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", stream="upstream", latency=20)
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert receive(server, 100) == b"question"
    server.sendall(b"answer")
    server.close()
    assert receive(client, 100) == b"answer"


def test_a_reset_by_one_peer_closes_the_other_side_after_what_was_in_flight(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", latency=300)
    server.sendall(b"last words")
    time.sleep(0.1)  # let the proxy read them: a reset takes away what is unread
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.close()
    assert receive(client, 100) == b"last words"


def test_a_client_is_closed_if_the_server_cannot_be_reached(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    upstream.listener.close()
    assert ends(upstream.client(listen))


def test_disabling_refuses_and_closes_and_enabling_takes_the_same_port_with_its_toxics(
    api: Api, upstream: Upstream
) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("latency", latency=100)
    for _ in range(3):
        client, server = upstream.connect(listen)
        api.enable(False)
        assert ends(client)
        assert ends(server)
        assert is_refused(upstream, listen)
        api.enable(True)
        shown = api.get("/proxies/p").json()
        assert (shown["listen"], len(shown["toxics"])) == (listen, 1)
    client, server = upstream.connect(listen)
    client.sendall(b"x")
    assert receive(server, 1) == b"x"


@pytest.mark.usefixtures("embedded_only")
def test_a_disabled_proxy_keeps_its_port_from_outgoing_connections_but_not_from_a_listener(
    api: Api, upstream: Upstream
) -> None:
    listen = api.proxy(upstream.address)
    port = int(listen.rpartition(":")[2])
    api.enable(False)
    with socket.socket() as outgoing, pytest.raises(OSError, match="in use"):
        outgoing.bind(("127.0.0.1", port))  # as the kernel would bind it, without SO_REUSEADDR
    with socket.create_server(("127.0.0.1", port)):
        assert api.patch("/proxies/p", json={"enabled": True}).status_code == 500
    api.enable(True)
    upstream.connect(listen)


@pytest.mark.parametrize("act", ["delete", "update"])
def test_deleting_or_moving_a_proxy_closes_its_connections(api: Api, upstream: Upstream, act: str) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    if act == "delete":
        api.delete("/proxies/p")
    else:
        api.patch("/proxies/p", json={"upstream": "127.0.0.1:1"})
    assert ends(client)
    assert ends(server)


# -- latency


def test_latency_delays_one_stream_only(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", stream="upstream", latency=600)
    started = time.monotonic()
    client.sendall(b"x")
    server.sendall(b"y")
    assert receive(client, 1) == b"y"
    assert time.monotonic() - started < 0.5
    assert receive(server, 1) == b"x"
    assert 0.6 <= time.monotonic() - started < 5


def test_latency_keeps_throughput(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", stream="upstream", latency=200)
    data = bytes(8_000_000)  # 245 chunks: one after the other they would take 49 seconds
    thread = threading.Thread(target=client.sendall, args=(data,))
    started = time.monotonic()
    thread.start()
    assert len(receive(server, len(data))) == len(data)
    thread.join()
    assert 0.2 <= time.monotonic() - started < 8


def test_latency_keeps_order_whatever_the_jitter(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", stream="upstream", latency=20, jitter=20)
    sent = b"".join(b"%04d" % number for number in range(100))
    for start in range(0, len(sent), 4):
        client.sendall(sent[start : start + 4])
        time.sleep(0.001)  # so that the chunks stay chunks
    assert receive(server, len(sent)) == sent


def test_an_update_acts_on_what_is_in_flight(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", stream="upstream", latency=3_600_000)
    client.sendall(b"x")
    assert nothing_comes(server, 0.2)
    api.change("latency_upstream", latency=1)
    assert receive(server, 1) == b"x"


def test_a_removal_flushes_what_is_in_flight(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("latency", stream="upstream", latency=3_600_000)
    client.sendall(b"x")
    assert nothing_comes(server, 0.2)
    api.remove("latency_upstream")
    assert receive(server, 1) == b"x"
    client.sendall(b"y")
    assert receive(server, 1) == b"y"


# -- bandwidth


def test_bandwidth_limits_the_rate_of_one_stream(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("bandwidth", stream="upstream", rate=200)
    started = time.monotonic()
    client.sendall(bytes(100_000))
    assert len(receive(server, 100_000)) == 100_000
    assert 0.45 <= time.monotonic() - started < 3


def test_bandwidth_zero_passes_nothing_until_it_is_raised(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("bandwidth", stream="upstream", rate=0)
    client.sendall(b"x" * 1000)
    assert nothing_comes(server, 0.2)
    api.change("bandwidth_upstream", rate=1000)
    assert receive(server, 1000) == b"x" * 1000


def test_a_narrow_link_pushes_back_on_the_sender(api: Api, upstream: Upstream) -> None:
    client, _server = upstream.connect(api.proxy(upstream.address))
    api.toxic("bandwidth", stream="upstream", rate=1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    assert send_until_blocked(client) < 20_000_000


def test_a_reader_that_stops_pushes_back_on_the_sender(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    accepted = send_until_blocked(client)
    received = 0
    while received < accepted:
        received += len(server.recv(1_000_000))
    assert received == accepted


# -- the closing toxics


def test_slow_close_delays_the_close_and_nothing_else(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("slow_close", delay=700)
    started = time.monotonic()
    server.sendall(b"x")
    server.close()
    assert receive(client, 1) == b"x"
    assert time.monotonic() - started < 0.6
    assert ends(client)
    assert 0.7 <= time.monotonic() - started < 5


def test_timeout_zero_cuts_one_way_and_its_removal_closes(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("timeout", timeout=0)
    client.sendall(b"order")
    assert receive(server, 5) == b"order"  # executed
    server.sendall(b"yes")
    assert nothing_comes(client, 0.3)  # but not acknowledged
    api.remove("timeout_downstream")
    assert ends(client)
    assert ends(server)


def test_timeout_closes_after_its_time(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    started = time.monotonic()
    api.toxic("timeout", stream="upstream", timeout=300)
    client.sendall(b"order")
    assert server.recv(10) == b""
    assert 0.3 <= time.monotonic() - started < 3
    assert ends(client)


def test_timeout_holds_for_connections_made_under_it(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("timeout", stream="upstream", timeout=0)
    client, server = upstream.connect(listen)
    client.sendall(b"order")
    assert nothing_comes(server, 0.2)
    client.close()
    assert ends(server)


def test_reset_keeps_healthy_connections_and_closes_those_under_a_timeout(api: Api, upstream: Upstream) -> None:
    slow_client, slow_server = upstream.connect(api.proxy(upstream.address, "slow"))
    cut_client, cut_server = upstream.connect(api.proxy(upstream.address, "cut"))
    api.toxic("latency", proxy="slow", latency=3_600_000)
    api.toxic("timeout", proxy="cut")
    slow_server.sendall(b"x")
    assert nothing_comes(slow_client, 0.1)
    assert api.post("/reset").status_code == 204
    assert receive(slow_client, 1) == b"x"
    assert ends(cut_client)
    assert ends(cut_server)


@pytest.mark.parametrize("timeout_ms", [0, 200])
def test_reset_peer_resets_both_legs(api: Api, upstream: Upstream, timeout_ms: int) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("reset_peer", timeout=timeout_ms)
    client, server = upstream.connect(listen)
    started = time.monotonic()
    server.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionResetError):
        server.recv(1)
    assert timeout_ms / 1000 <= time.monotonic() - started < 3


@pytest.mark.usefixtures("embedded_only")
def test_reset_peer_reaches_a_live_connection_and_can_be_called_off(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("reset_peer", timeout=3_600_000)
    server.sendall(b"x")
    assert nothing_comes(client, 0.1)
    api.remove("reset_peer_downstream")
    assert receive(client, 1) == b"x"
    api.toxic("reset_peer")
    server.sendall(b"y")
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_limit_data_closes_after_so_many_bytes_of_each_connection(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("limit_data", bytes=100)
    for _ in range(2):
        client, server = upstream.connect(listen)
        server.sendall(b"a" * 60)
        assert receive(client, 60) == b"a" * 60
        server.sendall(b"b" * 60)
        assert receive(client, 60) == b"b" * 40
        assert ends(client)
        assert ends(server)


# -- the others


def test_the_slicer_cuts_and_loses_nothing(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("slicer", average_size=100, size_variation=50, delay=5000)
    data = os.urandom(5000)
    started = time.monotonic()
    server.sendall(data)
    pieces = []
    while sum(map(len, pieces)) < len(data):
        pieces.append(client.recv(65536))
    assert b"".join(pieces) == data
    assert len(pieces) > 5
    assert 0.1 <= time.monotonic() - started < 5


@pytest.mark.usefixtures("embedded_only")
def test_a_slicer_of_size_zero_cuts_nothing(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("slicer")
    server.sendall(bytes(200_000))
    assert len(receive(client, 200_000)) == 200_000


def test_toxics_of_a_chain_act_together(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("noop")
    api.toxic("latency", latency=200)
    api.toxic("bandwidth", rate=100)
    api.toxic("slicer", average_size=1000, size_variation=10)
    api.toxic("slow_close", delay=200)
    api.toxic("limit_data", bytes=30_000)
    data = os.urandom(40_000)
    started = time.monotonic()
    server.sendall(data)
    assert receive(client, len(data)) == data[:30_000]
    assert 0.45 <= time.monotonic() - started < 4


def test_every_order_of_removal_leaves_the_stream_whole(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    toxics = [
        ("latency", {"latency": 3_600_000}),
        ("bandwidth", {"rate": 1}),
        ("slicer", {"average_size": 7, "delay": 9000}),
    ]
    data = os.urandom(3000)
    for order in itertools.permutations(range(3)):
        client, server = upstream.connect(listen)
        for kind, attributes in toxics:
            api.toxic(kind, **attributes)
        server.sendall(data)
        for index in order:
            api.remove(f"{toxics[index][0]}_downstream")
        assert receive(client, len(data)) == data


def test_toxicity_is_rolled_for_each_connection(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.post("/proxies/p/toxics", json={"type": "limit_data", "name": "half", "toxicity": 0.5})
    api.post("/proxies/p/toxics", json={"type": "timeout", "name": "never", "toxicity": 0})
    hit = 0
    for _ in range(60):
        client, server = upstream.connect(listen)
        server.sendall(b"x")
        hit += client.recv(1) == b""
    assert 10 <= hit <= 50
