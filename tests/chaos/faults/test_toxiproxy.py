"""The client of a Toxiproxy server: what goes wrong is one sentence."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from chaos.faults import toxiproxy
from chaos.faults.toxiproxy import ProxyServer, ToxiproxyError


def one_sentence(error: pytest.ExceptionInfo[ToxiproxyError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 300
    return text


@pytest.mark.parametrize("url", ["", "http://", "http://host:port", "http://host:99999", "ftp://host:1", "http://[::1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ToxiproxyError, match="is not the address of a Toxiproxy server; give http://HOST:PORT"):
        ProxyServer(url)


@pytest.mark.parametrize(
    ("url", "understood"),
    [
        ("127.0.0.1", "http://127.0.0.1:8474"),
        ("127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://proxy.test:9/", "http://proxy.test:9"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_an_address_may_be_short(url: str, understood: str) -> None:
    assert ProxyServer(url).url == understood


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = ProxyServer(f"http://127.0.0.1:{port}")
    with pytest.raises(ToxiproxyError) as error:
        server.create("p", "127.0.0.1:1")
    assert one_sentence(error) == f"Toxiproxy at http://127.0.0.1:{port} does not answer (ConnectionError)"


def test_a_server_that_hangs_is_given_up(bad_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toxiproxy, "TIMEOUT_S", 0.1)
    bad_server.hang_s = 0.5
    began_s = time.monotonic()
    with pytest.raises(ToxiproxyError, match=r"does not answer \(ReadTimeout\)"):
        ProxyServer(bad_server.url).version()
    assert time.monotonic() - began_s < 0.5


@pytest.mark.parametrize("status", [401, 403, 405, 429, 500, 502])
def test_a_server_that_fails_is_one_sentence_with_its_reason(bad_server: Any, status: int) -> None:
    server = ProxyServer(bad_server.url)
    server.create("p", "127.0.0.1:1")
    bad_server.status = status
    for call in (
        lambda: server.create("q", "127.0.0.1:1"),
        lambda: server.add_toxic("p", "t", "latency", "upstream", {}),
        lambda: server.toxic_names("p"),
        lambda: server.remove_toxics("p"),
        lambda: server.set_enabled("p", False),
        server.version,
    ):
        with pytest.raises(ToxiproxyError) as error:
            call()
        assert one_sentence(error) == f"Toxiproxy answered {status}: the reason"


def test_a_long_page_of_an_unknown_server_is_cut_to_a_sentence(bad_server: Any) -> None:
    server = ProxyServer(bad_server.url)
    bad_server.status, bad_server.said = 500, b"<html>\n" + b"<p>nothing here</p>\n" * 500
    with pytest.raises(ToxiproxyError) as error:
        server.version()
    assert one_sentence(error).startswith("Toxiproxy answered 500: <html> <p>nothing here</p>")


@pytest.mark.parametrize("said", [b"<html>hello</html>", b"[]", b"7", b'{"proxies":{}}'])
def test_a_server_that_is_something_else_is_told_as_such(bad_server: Any, said: bytes) -> None:
    server = ProxyServer(bad_server.url)
    bad_server.status, bad_server.said = 200, said
    with pytest.raises(ToxiproxyError) as error:
        server.create("p", "127.0.0.1:1")
    assert f"what answers at {bad_server.url} is no Toxiproxy server" in one_sentence(error)


def test_a_refusal_is_told_in_the_servers_words(proxy_url: str) -> None:
    server = ProxyServer(proxy_url)
    try:
        server.create("refusal", "127.0.0.1:1")
        with pytest.raises(ToxiproxyError) as exists:
            server.create("refusal", "127.0.0.1:1")
        assert "exists" in one_sentence(exists)
        with pytest.raises(ToxiproxyError) as invalid:
            server.add_toxic("refusal", "t", "no such toxic", "upstream", {})
        assert one_sentence(invalid).startswith(f"Toxiproxy at {server.url} refused: ")
        assert "b'" not in one_sentence(invalid)
    finally:
        server.destroy_all()


def test_only_own_proxies_are_removed_and_one_that_is_gone_does_not_keep_the_others(proxy_url: str) -> None:
    mine, foreign = ProxyServer(proxy_url), ProxyServer(proxy_url)
    foreign.create("foreign", "127.0.0.1:1")
    for name in ("first", "second", "third"):
        mine.create(name, "127.0.0.1:1")
    mine._proxies["second"].destroy()
    mine.destroy_all()
    try:
        assert set(mine._client.proxies()) & {"first", "second", "third", "foreign"} == {"foreign"}
    finally:
        foreign.destroy_all()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_not_asked(
    proxy_url: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert "version" in ProxyServer(proxy_url).version()
