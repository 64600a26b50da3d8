"""Slow and half-open connections, and answers with a status of the proxy's own, over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from link_ends import BAD, GET, OK, answer, ends, is_dialled, receive, send_aside, silent

from chaos.proxy.collection import ProxyCollection
from chaos.proxy.decoding import ProxyInput
from chaos.proxy.toxics import Direction, HttpStatus, Toxic
from refsystem.stop_listening import stop_listening

if TYPE_CHECKING:
    from conftest import Api, Upstream


pytestmark = pytest.mark.usefixtures("embedded_only")


# -- slow_connect and half_open


def test_a_slow_connect_dials_late_and_loses_nothing(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    open_client, open_server = upstream.connect(listen)
    api.toxic("slow_connect", delay_ms=300)
    open_client.sendall(b"goes on")
    assert receive(open_server, 7) == b"goes on"
    began_s = time.monotonic()
    client = upstream.client(listen)
    client.sendall(b"hello")
    server, _peer = upstream.listener.accept()
    upstream.sockets.append(server)
    assert time.monotonic() - began_s >= 0.295
    assert receive(server, 5) == b"hello"
    client.shutdown(socket.SHUT_WR)
    assert receive(server, 1) == b""
    server.sendall(b"answer")
    assert receive(client, 6) == b"answer"


def test_a_shorter_delay_or_the_removal_lets_a_connection_go_at_once(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("slow_connect", delay_ms=60_000)
    upstream.client(listen)
    assert not is_dialled(upstream, 0.1)
    api.change("slow_connect_downstream", delay_ms=150)
    assert is_dialled(upstream, 5)
    api.change("slow_connect_downstream", delay_ms=60_000)
    upstream.client(listen)
    assert not is_dialled(upstream, 0.1)
    api.remove("slow_connect_downstream")
    assert is_dialled(upstream, 5)


def test_a_half_open_connection_is_accepted_and_never_dialled(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("half_open")
    client, other = upstream.client(listen), upstream.client(listen)
    client.sendall(b"anybody there?")
    assert not is_dialled(upstream, 0.15)
    assert silent(client, 0.05)
    other.close()
    api.remove("half_open_downstream")
    assert ends(client)
    assert upstream.connect(listen)


def test_a_half_open_server_hears_and_never_answers(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    before, server_before = upstream.connect(listen)
    api.toxic("half_open", dial=True)
    client, server = upstream.connect(listen)
    for mine, theirs in ((before, server_before), (client, server)):
        mine.sendall(b"question")
        assert receive(theirs, 8) == b"question"
        theirs.sendall(b"answer")
        theirs.shutdown(socket.SHUT_WR)
        assert silent(mine)
    client.close()
    assert ends(server)
    api.remove("half_open_downstream")
    assert ends(before)


def test_a_disabled_proxy_ends_those_who_wait_in_silence(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("half_open", stream="upstream")
    client = upstream.client(listen)
    client.sendall(b"x")
    assert silent(client, 0.1)
    api.enable(False)
    assert ends(client)


def test_toxicity_decides_which_connections_are_slow_to_open(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    body = {"type": "slow_connect", "toxicity": 0.5, "attributes": {"delay_ms": 60_000}}
    assert api.post("/proxies/p/toxics", json=body).status_code == 200
    for _ in range(12):
        upstream.client(listen)
    dialled = sum(itertools.takewhile(bool, (is_dialled(upstream, 0.3) for _ in range(12))))
    assert 1 <= dialled <= 11


# -- http_status


def test_requests_are_answered_by_path_and_the_connection_goes_on(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("http_status", path="/bad", status=503, retry_after_s=2, body="no")
    client, server, told = answer(listen, upstream, GET, BAD, GET)
    expected = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    expected += b"Content-Length: 2\r\nRetry-After: 2\r\n\r\nno"
    assert told + receive(client, len(OK + expected + OK) - len(told)) == OK + expected + OK
    api.remove("http_status_downstream")
    client.sendall(BAD)
    assert receive(server, len(BAD)) == BAD


def test_it_acts_on_open_connections_and_in_the_order_of_pipelined_requests(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    client, server, _told = answer(listen, upstream, GET)
    api.toxic("http_status", stream="upstream", path="/bad", status=500)
    client.sendall(GET + BAD + GET)
    assert receive(server, 2 * len(GET)) == 2 * GET
    assert silent(client, 0.1)
    server.sendall(OK)
    server.sendall(OK)
    refused = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
    assert receive(client, len(OK + refused + OK)) == OK + refused + OK
    client.shutdown(socket.SHUT_WR)
    assert receive(server, 1) == b""
    server.sendall(b"late")
    assert receive(client, 4) == b"late"


def test_an_update_and_a_removal_act_on_the_next_request_of_an_open_connection(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("http_status", path="/", status=500)
    client, server = upstream.connect(listen)
    client.sendall(GET)
    assert receive(client, 54).startswith(b"HTTP/1.1 500")
    api.change("http_status_downstream", status=429)
    client.sendall(GET)
    assert receive(client, 50).startswith(b"HTTP/1.1 429")
    answer = api.patch("/proxies/p/toxics/http_status_downstream", json={"toxicity": 0})
    assert answer.status_code == 200
    client.sendall(GET)
    assert receive(server, len(GET)) == GET


def test_toxicity_decides_which_connections_are_answered(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    body = {"type": "http_status", "toxicity": 0.5, "attributes": {"path": "/"}}
    assert api.post("/proxies/p/toxics", json=body).status_code == 200
    answered = []
    for _ in range(16):
        client, _server = upstream.connect(listen)
        client.sendall(GET)
        answered.append(not silent(client, 0.05))
    assert 2 <= sum(answered) <= 14


def test_an_answer_passes_the_toxics_of_both_directions(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    for stream in ("upstream", "downstream"):
        api.toxic("latency", stream=stream, latency=60)
    api.toxic("http_status", path="/bad")
    client, _server = upstream.connect(listen)
    began_s = time.monotonic()
    client.sendall(BAD)
    assert receive(client, 12) != b""
    assert time.monotonic() - began_s >= 0.118


def test_what_is_not_http_passes(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("http_status", path="/")
    client, server = upstream.connect(listen)
    data = b"\x16\x03" + os.urandom(200_000)
    sender = send_aside(client, data)
    assert receive(server, len(data)) == data
    sender.join()


def test_a_share_of_the_requests_is_answered_and_the_seed_decides_which(api: Api, upstream: Upstream) -> None:
    def told(name: str) -> list[bool]:
        listen = api.proxy(upstream.address, name)
        api.toxic("http_status", proxy=name, path="/", share=0.5)
        client, server = upstream.connect(listen)
        found = []
        for _ in range(60):
            client.sendall(GET)
            client.settimeout(5)
            server.settimeout(0.02)
            try:
                passed = receive(server, len(GET)) == GET
            except TimeoutError:
                passed = False
            if passed:
                server.sendall(OK)
            found.append(receive(client, len(OK) if passed else 54) != b"" and passed)
        api.delete(f"/proxies/{name}")
        return found

    first = told("one")
    assert 15 < sum(first) < 45
    assert told("one") == first


def test_half_a_request_goes_on_when_the_client_ends(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    api.toxic("http_status", path="/")
    client, server = upstream.connect(listen)
    client.sendall(b"GET /bad HT")
    client.shutdown(socket.SHUT_WR)
    assert receive(server, 100) == b"GET /bad HT"


def test_the_event_log_says_who_was_stalled_held_back_silenced_and_answered(api: Api, upstream: Upstream) -> None:
    api.delete("/events")
    listen = api.proxy(upstream.address)
    api.toxic("slow_connect", delay_ms=1)
    api.toxic("burst_loss", p=1, r=1, rto_ms=5)
    api.toxic("http_status", path="/bad")
    client, server, _told = answer(listen, upstream, GET, GET, BAD)
    assert receive(client, 12).startswith(b"HTTP/1.1 503")
    api.toxic("half_open", dial=True)
    server.sendall(b"unheard")
    assert silent(client)
    acts = {(event["toxic"], event["act"]) for event in api.get("/events").json() if event["event"] == "toxic_acted"}
    assert acts == {
        ("slow_connect_downstream", "connect_delayed"),
        ("burst_loss_downstream", "lost"),
        ("http_status_downstream", "answered"),
        ("half_open_downstream", "silenced"),
    }


def test_a_client_that_does_not_read_its_answers_is_read_no_further() -> None:
    requests, body = 20_000, "x" * 10_000

    async def main() -> int:
        hold = asyncio.Event()

        async def upstream(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await hold.wait()
            finally:
                writer.close()

        server = await asyncio.start_server(upstream, "127.0.0.1", 0)
        proxies = ProxyCollection(seed=1)
        proxy = await proxies.create(
            ProxyInput(name="p", listen="127.0.0.1:0", upstream=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        )
        proxy.add_toxic(
            Toxic("t", "http_status", "downstream", Direction.DOWNSTREAM, 1.0, HttpStatus(path="/", body=body))
        )
        host, _colon, port = proxy.listen.rpartition(":")
        with socket.create_connection((host, int(port))) as client:
            client.setblocking(False)
            sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(client, GET * requests))
            answered = proxy.traffic[Direction.DOWNSTREAM]
            seen_bytes, still = -1, 0
            while still < 10:  # for a quarter of a second, nothing more is answered
                await asyncio.sleep(0.025)
                still = still + 1 if answered.received_bytes == seen_bytes else 0
                seen_bytes = answered.received_bytes
            read_bytes = 0
            while read_bytes < requests * len(body):
                read_bytes += len(await asyncio.get_running_loop().sock_recv(client, 1_000_000))
            await sending
            await asyncio.get_running_loop().sock_sendall(client, GET * 2000)  # and is gone without reading
        while proxy.connections_open:  # noqa: ASYNC110 - nothing announces the end of a connection
            await asyncio.sleep(0.01)
        hold.set()
        proxies.close()
        await stop_listening(server)
        return seen_bytes

    held_bytes = asyncio.run(asyncio.wait_for(main(), 30))
    assert 0 < held_bytes < 0.1 * requests * len(body)


@pytest.mark.parametrize(
    ("kind", "given", "taken_back", "left"),
    [
        ("trace", {"slots": [10, 20], "start_ms": 5}, "start_ms", {"slots": [10, 20]}),
        ("bandwidth", {"rate": 5, "rate_bytes_s": 500}, "rate_bytes_s", {"rate": 5}),
        (
            "burst_loss",
            {"loss_percent": 5, "burst_packets": 2},
            "burst_packets",
            {"loss_percent": 5, "rto_ms": 200, "rtt_ms": 0},
        ),
        ("http_status", {"retry_after_s": 5}, "retry_after_s", {"path": "/", "share": 1, "status": 503}),
    ],
)
def test_null_takes_an_attribute_back_that_need_not_be_given(
    api: Api, upstream: Upstream, kind: str, given: dict[str, Any], taken_back: str, left: dict[str, Any]
) -> None:
    api.proxy(upstream.address)
    api.toxic(kind, **given)
    path = f"/proxies/p/toxics/{kind}_downstream"
    assert taken_back in api.patch(path, json={"attributes": {}}).json()["attributes"]
    assert api.patch(path, json={"attributes": {taken_back: None}}).json()["attributes"] == left
