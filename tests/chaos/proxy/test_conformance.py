"""What Go's `encoding/json`, `net/http` and router do to a request, and the flags: the same on both servers.

Together with `test_api.py` and `test_data_plane.py` this is the conformance suite; where the servers differ on purpose is in
`test_conformance_differences.py`.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Api, Upstream

    StartAny = Callable[..., tuple[subprocess.Popen[Any], str]]

P = b'{"name":"p","upstream":"127.0.0.1:1","listen":"127.0.0.1:0","enabled":false}'
T = b'{"type":"latency","name":"t","attributes":{"latency":1,"jitter":2}}'


# -- bodies, as Go decodes them

CREATED_TOXICS: list[tuple[str, bytes, dict[str, Any] | None]] = [
    ("objects merge", b'"attributes":{"latency":5},"attributes":{"jitter":3}', {"latency": 5, "jitter": 3}),
    ("the later value wins", b'"attributes":{"latency":5,"LATENCY":7}', {"latency": 7, "jitter": 0}),
    (
        "null changes nothing",
        b'"attributes":{"latency":5,"latency":null},"attributes":null',
        {"latency": 5, "jitter": 0},
    ),
    ("an earlier wrong type is not forgiven", b'"attributes":{"latency":"x","latency":7}', None),
    ("nothing is decoded into null", b'"attributes":null,"attributes":{"latency":5}', None),
    ("a minus sign before zero", b'"attributes":{"latency":-0}', {"latency": 0, "jitter": 0}),
    ("unknown attributes", b'"attributes":{"colour":{"latency":9},"jitter":1}', {"latency": 0, "jitter": 1}),
]


@pytest.mark.parametrize(
    ("fields", "attributes"), [case[1:] for case in CREATED_TOXICS], ids=[case[0] for case in CREATED_TOXICS]
)
def test_keys_that_come_twice_in_a_new_toxic(api: Api, fields: bytes, attributes: dict[str, Any] | None) -> None:
    api.post("/proxies", content=P)
    answer = api.post("/proxies/p/toxics", content=b'{"type":"latency",%s}' % fields)
    if attributes is None:
        assert (answer.status_code, answer.json()["error"][:18]) == (400, "bad request body: ")
    else:
        assert (answer.status_code, answer.json()["attributes"]) == (200, attributes)


UPDATED_TOXICS: list[tuple[str, bytes, dict[str, Any]]] = [
    ("objects merge", b'"attributes":{"latency":5},"attributes":{"jitter":3}', {"latency": 5, "jitter": 3}),
    ("after null, nothing is decoded", b'"attributes":null,"attributes":{"latency":5}', {"latency": 1, "jitter": 2}),
    ("after null, not even a wrong type", b'"attributes":null,"attributes":"x"', {"latency": 1, "jitter": 2}),
    ("what came before null stays", b'"attributes":{"latency":5},"attributes":null', {"latency": 5, "jitter": 2}),
]


@pytest.mark.parametrize(
    ("fields", "attributes"), [case[1:] for case in UPDATED_TOXICS], ids=[case[0] for case in UPDATED_TOXICS]
)
def test_keys_that_come_twice_in_an_update(api: Api, fields: bytes, attributes: dict[str, Any]) -> None:
    api.post("/proxies", content=P)
    api.post("/proxies/p/toxics", content=T)
    answer = api.patch("/proxies/p/toxics/t", content=b"{%s}" % fields)
    assert (answer.status_code, answer.json()["attributes"]) == (200, attributes)


def test_keys_that_come_twice_in_a_proxy(api: Api) -> None:
    body = b'{"name":"x","upstream":"127.0.0.1:1","Name":"p","enabled":false,"enabled":null,"logger":{},"Logger":null}'
    assert api.post("/proxies", content=body).json()["enabled"] is False
    twice = b'[{"name":"q","upstream":"127.0.0.1:1","listen":"127.0.0.1:0","enabled":false,"enabled":null}]'
    assert api.post("/populate", content=twice).json()["proxies"][0]["enabled"] is True
    assert api.post("/proxies", content=b'{"name":5,"name":"r","upstream":"a:1"}').status_code == 400


def test_letters_that_fold_to_ascii_match_keys(api: Api) -> None:
    api.post("/proxies", content=P)
    body = '{"type":"noop","\u017ftream":"upstream","to\u212a":1,"toxicity":0.5}'.encode()
    shown = api.post("/proxies/p/toxics", content=body).json()
    assert (shown["name"], shown["stream"]) == ("noop_upstream", "upstream")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"\\ud800", "\ufffd"),
        (b"a\\udc00\\ud83d\\ude00", "a\ufffd\U0001f600"),
        (b"\xe2\x82", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\\u0001\\u2028<&>", "\x01\u2028<&>"),
    ],
    ids=["lone surrogate", "surrogates", "cut UTF-8", "surrogate in UTF-8", "special characters"],
)
def test_text_that_is_not_unicode_is_replaced(api: Api, written: bytes, read: str) -> None:
    answer = api.post("/proxies", content=P.replace(b'"p"', b'"%s"' % written))
    assert (answer.status_code, answer.json()["name"]) == (201, read)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + P,
        b'{"name":"p",}',
        b"{'name':'p'}",
        b'{"name":"p\n"}',
        b'{"a":01}',
        b'{"a":.5}',
        b'{"a":NaN}',
        b'"',
    ],
)
def test_what_is_no_json_is_refused(api: Api, body: bytes) -> None:
    answer = api.post("/proxies", content=body)
    assert (answer.status_code, answer.json()["error"][:18]) == (400, "bad request body: ")


def test_what_is_not_known_may_be_anything(api: Api) -> None:
    odd = b'"a":%s,"b":1e400,"c":%s' % (b"[" * 200 + b"]" * 200, b"9" * 5000)
    answer = api.post("/proxies", content=P.replace(b"{", b"{" + odd + b",", 1) + b"\x00 and more")
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("written", "shown"),
    [("0.1", 0.1), ("123456789", 123456790), ("16777217", 16777216), ("1e-7", 1e-7), ("-0.5", -0.5), ("3e38", 3e38)],
)
def test_toxicity_is_a_number_of_single_precision(api: Api, written: str, shown: float) -> None:
    api.post("/proxies", content=P)
    answer = api.post("/proxies/p/toxics", content=b'{"type":"noop","toxicity":%s}' % written.encode())
    assert (answer.status_code, answer.json()["toxicity"]) == (200, shown)
    assert api.patch("/proxies/p/toxics/noop_downstream", content=b'{"toxicity":1e39}').status_code == 400


# -- addresses


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1:99999", "127.0.0.1:%s" % ("9" * 5000), "[::1"])
def test_an_address_is_looked_at_when_it_is_bound(api: Api, listen: str) -> None:
    disabled = {"name": "p", "upstream": "a:1", "listen": listen, "enabled": False}
    assert api.post("/proxies", json=disabled).json()["listen"] == listen
    assert api.post("/populate", json=[{**disabled, "name": "q"}]).status_code == 201
    for answer in (
        api.post("/proxies", json={**disabled, "name": "r", "enabled": True}),
        api.post("/populate", json=[{**disabled, "name": "r", "enabled": True}]),
        api.post("/reset"),
    ):
        assert answer.status_code == 500
        assert answer.json()["error"].startswith("listen tcp: address ")
    again = api.post("/populate", json=[disabled])
    assert again.status_code == 500
    assert again.json()["error"].startswith("address ")


@pytest.mark.parametrize("name", ["a\0b", "a" * 70, "a b", ".", "[a"])
def test_a_name_that_cannot_be_looked_up_is_told(api: Api, name: str) -> None:
    answer = api.post("/proxies", json={"name": "p", "upstream": "a:1", "listen": f"{name}:80"})
    assert (answer.status_code, answer.json()["error"][:12]) == (500, "listen tcp: ")


# -- HTTP


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("//proxies", "/proxies"),
        ("/proxies/p/../q", "/proxies/q"),
        ("/./version/", "/version/"),
        ("/proxies//p?x=%20&y", "/proxies/p?x=%20&y"),
        ("/proxies/a%20b/./c", "/proxies/a%20b/c"),
        ("/..", "/"),
    ],
)
def test_a_path_that_is_not_clean_is_redirected(api: Api, asked: str, location: str) -> None:
    status, headers, body = raw(api, f"GET {asked} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (status, headers["location"], body) == (301, location, b"")


@pytest.mark.parametrize("path", ["/proxies/küche".encode(), b"/proxies/k%C3%BCche", b"/proxies/k%c3%bcche?x"])
def test_a_name_in_a_path_may_be_raw_or_escaped(api: Api, path: bytes) -> None:
    api.post("/proxies", content=P.replace(b'"p"', '"küche"'.encode()))
    with connection(api) as sock:
        for _ in range(2):
            sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            status, _headers, body = read_answer(sock)
            assert (status, json.loads(body)["name"]) == (200, "küche")


def test_a_body_may_come_in_chunks_and_be_waited_for(api: Api) -> None:
    head = b"POST /proxies HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    with connection(api) as sock:
        sock.sendall(head)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"5\r\n" + P[:5] + b"\r\n")
        sock.sendall(b"%x\r\n" % (len(P) - 5) + P[5:] + b"\r\n0\r\n\r\n")
        status, _headers, body = read_answer(sock)
    assert (status, json.loads(body)["name"]) == (201, "p")


def test_pipelined_requests_are_answered_in_order(api: Api) -> None:
    api.post("/proxies", content=P)
    with connection(api) as sock:
        asked = [b"/proxies/p", b"/proxies/none", b"/nothing", b"/proxies/p/toxics"]
        sock.sendall(b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in asked))
        stream = sock.makefile("rb")
        assert [read_answer_from(stream)[0] for _ in asked] == [200, 404, 404, 200]


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x00\xff\r\n\r\n"]
)
def test_what_is_no_http_request_is_refused_or_dropped(api: Api, request_: bytes) -> None:
    with connection(api) as sock:
        sock.sendall(request_)
        answer = sock.makefile("rb").read()
    assert answer == b"" or re.match(rb"HTTP/1\.. (400|505) ", answer)
    assert api.get("/version").status_code == 200


# -- flags


@pytest.fixture(params=["embedded", pytest.param("original", marks=pytest.mark.slow)])
def start_with(request: pytest.FixtureRequest) -> StartAny:
    start: StartAny = request.getfixturevalue(f"{request.param}_process")
    return start


def test_a_config_names_the_proxies_to_start_with(start_with: StartAny, tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_bytes(b"[" + P + b',{"name":"q","upstream":"127.0.0.1:1","listen":"127.0.0.1:0"}]')
    _process, address = start_with("-config", str(config))
    proxies = httpx.get(f"http://{address}/proxies", verify=False).json()
    assert {name: proxy["enabled"] for name, proxy in proxies.items()} == {"p": False, "q": True}


@pytest.mark.parametrize(
    "flags", [("-proxy-metrics",), ("-runtime-metrics=true",), ("--proxy-metrics", "-runtime-metrics")]
)
def test_metrics_show_what_was_asked_for(start_with: StartAny, upstream: Upstream, flags: tuple[str, ...]) -> None:
    _process, address = start_with("-seed=7", *flags)
    with httpx.Client(base_url=f"http://{address}", verify=False) as http:
        body = {"name": "p", "upstream": upstream.address, "listen": "127.0.0.1:0"}
        listen = http.post("/proxies", json=body).json()["listen"]
        client, server = upstream.connect(listen)
        client.sendall(b"12345")
        assert server.recv(9) == b"12345"
        server.close()
        assert client.recv(1) == b""
        client.close()
        http.delete("/proxies/p")
        answer = http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4; charset=utf-8")
        assert answer.headers["x-toxiproxy-request-id"]
        assert http.get("/metrics", headers={"User-Agent": "Mozilla/5.0"}).status_code == 403
    samples = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in answer.text.splitlines() if line[0] != "#"
    }
    labels = f'direction="upstream",listener="{listen}",proxy="p",upstream="{upstream.address}"'
    for kind in ("received", "sent"):
        counted = {sorted_labels(name): value for name, value in samples.items() if f"proxy_{kind}_bytes_total" in name}
        expected = 5.0 if any("proxy-metrics" in flag for flag in flags) else None
        assert counted.get(f"toxiproxy_proxy_{kind}_bytes_total{{{labels}}}") == expected
    assert ("process_resident_memory_bytes" in samples) is any("runtime" in flag for flag in flags)


def sorted_labels(series: str) -> str:
    name, _brace, labels = series.rstrip("}").partition("{")
    return f"{name}{{{','.join(sorted(labels.split(',')))}}}"


# -- sockets by hand


def connection(api: Api) -> socket.socket:
    return socket.create_connection((api.base_url.host, api.base_url.port or 80), timeout=10)


def raw(api: Api, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with connection(api) as sock:
        sock.sendall(request)
        return read_answer(sock)


def read_answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    return read_answer_from(sock.makefile("rb"))


def read_answer_from(stream: Any) -> tuple[int, dict[str, str], bytes]:
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":
        name, _colon, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return status, headers, stream.read(int(headers.get("content-length", "0")))
