"""The HTTP API, request by request, as `toxiproxy-api.md` of the reference tells it."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

BAD = "bad request body: "
P = {"name": "p", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0", "enabled": False}
LATENCY = {"type": "latency", "attributes": {"latency": 5}}
SHOWN_LATENCY = {
    "attributes": {"latency": 5, "jitter": 0},
    "name": "latency_downstream",
    "type": "latency",
    "stream": "downstream",
    "toxicity": 1,
}


def send(api: httpx.Client, method: str, path: str, body: Any = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return api.request(method, path, content=content)


# what was asked before, the request, and the status and the beginning of the error told
REFUSALS: list[tuple[str, list[tuple[str, str, Any]], tuple[str, str, Any], int, str]] = [
    ("create without a body", [], ("POST", "/proxies", b""), 400, BAD + "EOF"),
    ("create with broken JSON", [], ("POST", "/proxies", b'{"name": '), 400, BAD),
    ("create with an array", [], ("POST", "/proxies", b"[]"), 400, BAD),
    ("create with a number for a name", [], ("POST", "/proxies", {**P, "name": 5}), 400, BAD),
    ("create with a text for enabled", [], ("POST", "/proxies", {**P, "enabled": "yes"}), 400, BAD),
    ("create with NaN", [], ("POST", "/proxies", b'{"name": NaN}'), 400, BAD),
    ("create from null", [], ("POST", "/proxies", b"null"), 400, "missing required field: name"),
    ("create without a name", [], ("POST", "/proxies", {"upstream": "a:1"}), 400, "missing required field: name"),
    ("create without an upstream", [], ("POST", "/proxies", {"name": "p"}), 400, "missing required field: upstream"),
    ("create twice", [("POST", "/proxies", P)], ("POST", "/proxies", P), 409, "proxy already exists"),
    ("show an unknown proxy", [], ("GET", "/proxies/p", None), 404, "proxy not found"),
    ("update an unknown proxy", [], ("POST", "/proxies/p", b"broken"), 404, "proxy not found"),
    ("delete an unknown proxy", [], ("DELETE", "/proxies/p", None), 404, "proxy not found"),
    ("update with broken JSON", [("POST", "/proxies", P)], ("PATCH", "/proxies/p", b"{"), 400, BAD),
    ("update to no address", [("POST", "/proxies", P)], ("PATCH", "/proxies/p", {"listen": "nowhere"}), 500, ""),
    ("list toxics of an unknown proxy", [], ("GET", "/proxies/p/toxics", None), 404, "proxy not found"),
    ("add to an unknown proxy", [], ("POST", "/proxies/p/toxics", b"broken"), 404, "proxy not found"),
    ("add without a body", [("POST", "/proxies", P)], ("POST", "/proxies/p/toxics", b""), 400, BAD + "EOF"),
    (
        "add with a bad stream and a bad type",
        [("POST", "/proxies", P)],
        ("POST", "/proxies/p/toxics", {"stream": "sideways", "type": "nonsense"}),
        400,
        "stream was invalid, can be either upstream or downstream",
    ),
    (
        "add with an empty stream",
        [("POST", "/proxies", P)],
        ("POST", "/proxies/p/toxics", {"stream": "", "type": "latency"}),
        400,
        "stream was invalid",
    ),
    (
        "add an unknown type with bad attributes",
        [("POST", "/proxies", P)],
        ("POST", "/proxies/p/toxics", {"type": "nonsense", "attributes": {"latency": "x"}}),
        400,
        "invalid toxic type",
    ),
    (
        "add without a type",
        [("POST", "/proxies", P)],
        ("POST", "/proxies/p/toxics", {}),
        400,
        "invalid toxic type",
    ),
    (
        "add twice, with bad attributes",
        [("POST", "/proxies", P), ("POST", "/proxies/p/toxics", LATENCY)],
        ("POST", "/proxies/p/toxics", {"type": "latency", "attributes": {"latency": "x"}}),
        409,
        "toxic already exists",
    ),
    (
        "add the same name on the other stream",
        [("POST", "/proxies", P), ("POST", "/proxies/p/toxics", {**LATENCY, "name": "t"})],
        ("POST", "/proxies/p/toxics", {"type": "noop", "name": "t", "stream": "upstream"}),
        409,
        "toxic already exists",
    ),
    *(
        (
            f"add with latency {value}",
            [("POST", "/proxies", P)],
            ("POST", "/proxies/p/toxics", b'{"type":"latency","attributes":{"latency":%s}}' % value.encode()),
            400,
            BAD,
        )
        for value in ('"5"', "1.5", "100.0", "1e3", "true", "[]", "9223372036854775808")
    ),
    (
        "add with attributes that are no object",
        [("POST", "/proxies", P)],
        ("POST", "/proxies/p/toxics", {"type": "latency", "attributes": 5}),
        400,
        BAD,
    ),
    (
        "add with a text for toxicity",
        [("POST", "/proxies", P)],
        ("POST", "/proxies/p/toxics", {"type": "latency", "toxicity": "1"}),
        400,
        BAD,
    ),
    ("show an unknown toxic", [("POST", "/proxies", P)], ("GET", "/proxies/p/toxics/t", None), 404, "toxic not found"),
    (
        "update an unknown toxic",
        [("POST", "/proxies", P)],
        ("POST", "/proxies/p/toxics/t", b""),
        404,
        "toxic not found",
    ),
    (
        "remove an unknown toxic",
        [("POST", "/proxies", P)],
        ("DELETE", "/proxies/p/toxics/t", None),
        404,
        "toxic not found",
    ),
    ("a toxic of an unknown proxy", [], ("GET", "/proxies/p/toxics/t", None), 404, "proxy not found"),
    (
        "update a toxic with bad attributes",
        [("POST", "/proxies", P), ("POST", "/proxies/p/toxics", LATENCY)],
        ("PATCH", "/proxies/p/toxics/latency_downstream", {"attributes": {"latency": 1.5}}),
        400,
        BAD,
    ),
]


@pytest.mark.parametrize(
    ("before", "request_", "status", "error"), [case[1:] for case in REFUSALS], ids=[c[0] for c in REFUSALS]
)
def test_a_refusal_says_why(
    api: httpx.Client, before: list[tuple[str, str, Any]], request_: tuple[str, str, Any], status: int, error: str
) -> None:
    for method, path, body in before:
        assert send(api, method, path, body).status_code in (200, 201)
    answer = send(api, *request_)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-toxiproxy-request-id"]
    assert answer.text.endswith("}\n")
    assert answer.json()["status"] == status
    assert answer.json()["error"].startswith(error)
    assert list(answer.json()) == ["error", "status"]


def test_a_new_proxy_is_enabled_and_shows_the_address_that_it_got(api: httpx.Client) -> None:
    answer = send(api, "POST", "/proxies", {"name": "p", "upstream": "127.0.0.1:1", "listen": "localhost:0"})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert not answer.text.endswith("\n")
    shown = answer.json()
    port = int(shown["listen"].removeprefix("127.0.0.1:"))
    assert port > 0
    assert shown == {
        "name": "p",
        "listen": f"127.0.0.1:{port}",
        "upstream": "127.0.0.1:1",
        "enabled": True,
        "Logger": {},
        "toxics": [],
    }
    assert send(api, "GET", "/proxies/p").json() == shown
    assert send(api, "GET", "/proxies").json() == {"p": shown}


def test_a_proxy_without_listen_takes_a_free_port(api: httpx.Client) -> None:
    listen = send(api, "POST", "/proxies", {"name": "p", "upstream": "127.0.0.1:1"}).json()["listen"]
    port = int(listen.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_disabled_proxy_keeps_listen_as_typed(api: httpx.Client) -> None:
    shown = send(api, "POST", "/proxies", {**P, "listen": "localhost:3310"}).json()
    assert shown["listen"] == "localhost:3310"
    assert shown["enabled"] is False


def test_keys_match_without_case_and_unknown_ones_and_trailing_data_are_ignored(api: httpx.Client) -> None:
    body = b' {"NAME":"x","Name":"p","UpStream":"127.0.0.1:1","enabled":false,"enabled":null,"colour":1}{"and more'
    answer = send(api, "POST", "/proxies", body)
    assert answer.status_code == 201
    assert answer.json()["name"] == "p"
    assert answer.json()["enabled"] is False


def test_a_proxy_as_it_is_shown_can_be_sent_back(api: httpx.Client) -> None:
    shown = send(api, "POST", "/proxies", {**P, "enabled": True}).json()
    assert send(api, "PATCH", "/proxies/p", shown).json() == shown
    assert send(api, "POST", "/populate", [shown]).json() == {"proxies": [shown]}
    assert send(api, "PATCH", "/proxies/p", {**shown, "Logger": 5}).status_code == 400


@pytest.mark.parametrize(
    ("listen", "error"),
    [
        ("nowhere", "address nowhere: missing port in address"),
        ("127.0.0.1", "address 127.0.0.1: missing port in address"),
        ("1:2:3", "address 1:2:3: too many colons in address"),
        ("127.0.0.1:99999", "address 99999: invalid port"),
        ("127.0.0.1:xyz", "lookup tcp/xyz: unknown port"),
    ],
)
def test_an_address_that_means_nothing_is_told(api: httpx.Client, listen: str, error: str) -> None:
    send(api, "POST", "/proxies", P)
    answer = send(api, "PATCH", "/proxies/p", {"listen": listen})
    assert (answer.status_code, answer.json()["error"]) == (500, error)


def test_the_content_type_of_a_request_is_not_looked_at(api: httpx.Client) -> None:
    answer = api.post("/proxies", content=json.dumps(P), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 201


def test_names_may_hold_any_character_that_fits_into_a_path(api: httpx.Client) -> None:
    name = "küche <1> & co"
    answer = send(api, "POST", "/proxies", {**P, "name": name})
    assert answer.json()["name"] == name
    assert b"\\u003c1\\u003e \\u0026" in answer.content
    assert api.get(f"/proxies/{name}").json()["name"] == name


def test_an_address_in_use_is_an_internal_error_and_makes_no_proxy(api: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        answer = send(api, "POST", "/proxies", {**P, "listen": address, "enabled": True})
    assert answer.status_code == 500
    assert answer.json() == {"error": f"listen tcp {address}: bind: address already in use", "status": 500}
    assert send(api, "GET", "/proxies").json() == {}


def test_an_update_ignores_the_name_and_restarts_only_if_something_differs(api: httpx.Client) -> None:
    before = send(api, "POST", "/proxies", {**P, "enabled": True}).json()
    send(api, "POST", "/proxies/p/toxics", LATENCY)
    same = send(api, "POST", "/proxies/p", {"name": "other", "listen": before["listen"]})
    assert same.status_code == 200
    assert same.json() == {**before, "toxics": [SHOWN_LATENCY]}
    moved = send(api, "PATCH", "/proxies/p", {"upstream": "127.0.0.1:2"}).json()
    assert moved == {**before, "upstream": "127.0.0.1:2", "toxics": [SHOWN_LATENCY]}


def test_an_update_that_cannot_bind_leaves_the_proxy_disabled(api: httpx.Client) -> None:
    send(api, "POST", "/proxies", {**P, "enabled": True})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert send(api, "PATCH", "/proxies/p", {"listen": address}).status_code == 500
    shown = send(api, "GET", "/proxies/p").json()
    assert (shown["listen"], shown["enabled"]) == (address, False)
    assert send(api, "PATCH", "/proxies/p", {"enabled": True}).json()["enabled"] is True


def test_a_deleted_proxy_is_gone_and_its_port_is_free(api: httpx.Client) -> None:
    listen = send(api, "POST", "/proxies", {**P, "enabled": True}).json()["listen"]
    answer = send(api, "DELETE", "/proxies/p")
    assert (answer.status_code, answer.content) == (204, b"")
    assert send(api, "GET", "/proxies").json() == {}
    assert send(api, "POST", "/proxies", {**P, "listen": listen, "enabled": True}).status_code == 201


DEFAULTS = {
    "bandwidth": {"rate": 0},
    "latency": {"latency": 0, "jitter": 0},
    "limit_data": {"bytes": 0},
    "noop": {},
    "reset_peer": {"timeout": 0},
    "slicer": {"average_size": 0, "size_variation": 0, "delay": 0},
    "slow_close": {"delay": 0},
    "timeout": {"timeout": 0},
}


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
def test_each_type_of_toxic_has_its_attributes(api: httpx.Client, kind: str) -> None:
    send(api, "POST", "/proxies", P)
    shown = {
        "attributes": DEFAULTS[kind],
        "name": f"{kind}_downstream",
        "type": kind,
        "stream": "downstream",
        "toxicity": 1,
    }
    assert send(api, "POST", "/proxies/p/toxics", {"type": kind}).json() == shown
    changed = {name: 7 + number for number, name in enumerate(DEFAULTS[kind])}
    shown["attributes"] = changed
    path = f"/proxies/p/toxics/{kind}_downstream"
    assert send(api, "PATCH", path, {"attributes": {name.upper(): v for name, v in changed.items()}}).json() == shown
    assert send(api, "GET", path).json() == shown


def test_a_toxic_is_added_with_200_and_named_after_type_and_stream(api: httpx.Client) -> None:
    send(api, "POST", "/proxies", P)
    answer = send(api, "POST", "/proxies/p/toxics", LATENCY)
    assert (answer.status_code, answer.json()) == (200, SHOWN_LATENCY)
    typed = send(api, "POST", "/proxies/p/toxics", {"type": "latency", "stream": "UpStream"}).json()
    assert (typed["name"], typed["stream"]) == ("latency_UpStream", "UpStream")


def test_toxics_are_listed_upstream_first_and_in_the_order_of_their_chain(api: httpx.Client) -> None:
    send(api, "POST", "/proxies", P)
    for name, stream in (("a", "downstream"), ("b", "upstream"), ("c", "downstream"), ("d", "upstream")):
        send(api, "POST", "/proxies/p/toxics", {"type": "noop", "name": name, "stream": stream})
    assert [toxic["name"] for toxic in send(api, "GET", "/proxies/p/toxics").json()] == ["b", "d", "a", "c"]
    assert send(api, "DELETE", "/proxies/p/toxics/b").status_code == 204
    assert [toxic["name"] for toxic in send(api, "GET", "/proxies/p").json()["toxics"]] == ["d", "a", "c"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_update_of_a_toxic_merges_attributes_and_cannot_change_what_it_is(api: httpx.Client, method: str) -> None:
    send(api, "POST", "/proxies", P)
    send(api, "POST", "/proxies/p/toxics", {**LATENCY, "toxicity": 0.1})
    change = {"name": "x", "type": "noop", "stream": "upstream", "attributes": {"jitter": 3, "latency": None}}
    shown = send(api, method, "/proxies/p/toxics/latency_downstream", change).json()
    assert shown == {**SHOWN_LATENCY, "attributes": {"latency": 5, "jitter": 3}, "toxicity": 0.1}
    shown = send(api, method, "/proxies/p/toxics/latency_downstream", {"toxicity": 2.5}).json()
    assert shown == {**SHOWN_LATENCY, "attributes": {"latency": 5, "jitter": 3}, "toxicity": 2.5}


def test_populate_creates_proxies_and_answers_with_them(api: httpx.Client) -> None:
    answer = send(api, "POST", "/populate", [{**P, "toxics": [LATENCY]}, {"name": "q", "upstream": "127.0.0.1:1"}])
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert [(p["name"], p["enabled"], p["toxics"]) for p in answer.json()["proxies"]] == [
        ("p", False, []),
        ("q", True, []),
    ]
    assert list(send(api, "GET", "/proxies").json()) == ["p", "q"]


def test_populate_leaves_an_equal_proxy_alone_and_replaces_another(api: httpx.Client) -> None:
    listen = send(api, "POST", "/proxies", {**P, "enabled": True}).json()["listen"]
    send(api, "POST", "/proxies", {**P, "name": "absent"})
    send(api, "POST", "/proxies/p/toxics", LATENCY)
    same = {**P, "listen": listen}
    assert send(api, "POST", "/populate", [same]).json()["proxies"][0]["toxics"] == [SHOWN_LATENCY]
    moved = send(api, "POST", "/populate", [{**same, "enabled": True, "upstream": "127.0.0.1:2"}])
    assert moved.json()["proxies"][0]["toxics"] == []
    assert moved.json()["proxies"][0]["listen"] == listen
    assert "absent" in send(api, "GET", "/proxies").json()


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"[]", 201, None),
        (b"", 400, BAD + "EOF"),
        (b"{}", 400, BAD),
        ([P, {"upstream": "a:1"}], 400, "missing required field: name at proxy 2"),
        ([P, {"name": "q"}], 400, "missing required field: upstream at proxy 2"),
    ],
)
def test_populate_validates_everything_before_it_touches_anything(
    api: httpx.Client, body: Any, status: int, error: str | None
) -> None:
    answer = send(api, "POST", "/populate", body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["proxies"] is None
    if error is not None:
        assert answer.json()["error"].startswith(error)
        assert answer.json()["status"] == status
    assert send(api, "GET", "/proxies").json() == {}


def test_populate_stops_at_a_bind_failure_and_keeps_what_it_made(api: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        body = [P, {"name": "q", "upstream": "a:1", "listen": address}, {**P, "name": "r"}]
        answer = send(api, "POST", "/populate", body)
    assert answer.status_code == 500
    assert answer.json()["error"] == f"listen tcp {address}: bind: address already in use"
    assert [proxy["name"] for proxy in answer.json()["proxies"]] == ["p"]
    assert list(send(api, "GET", "/proxies").json()) == ["p"]


def test_reset_enables_every_proxy_and_removes_every_toxic(api: httpx.Client) -> None:
    send(api, "POST", "/proxies", P)
    send(api, "POST", "/proxies/p/toxics", LATENCY)
    answer = send(api, "POST", "/reset")
    assert (answer.status_code, answer.content) == (204, b"")
    shown = send(api, "GET", "/proxies/p").json()
    assert (shown["enabled"], shown["toxics"]) == (True, [])


def test_reset_fails_if_a_proxy_cannot_be_started(api: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        send(api, "POST", "/proxies", {**P, "listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        assert send(api, "POST", "/reset").status_code == 500


def test_the_version_is_told(api: httpx.Client) -> None:
    answer = send(api, "GET", "/version")
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    version = answer.json()["version"]
    assert answer.text == f'{{"version": "{version}"}}\n'


@pytest.mark.parametrize("path", ["/", "/nothing", "/proxies/", "/proxies/p/toxics/t/more", "/metrics"])
def test_an_unknown_path_is_not_found(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "x-toxiproxy-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", "/proxies"), ("PUT", "/proxies/p"), ("GET", "/populate"), ("GET", "/reset"), ("POST", "/version")],
)
def test_another_method_is_not_allowed(api: httpx.Client, method: str, path: str) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.content) == (405, b"")


def test_a_browser_is_turned_away(api: httpx.Client) -> None:
    answer = api.post("/reset", headers={"User-Agent": "Mozilla/5.0 (X11)"})
    assert (answer.status_code, answer.text) == (403, "User agent not allowed\n")
    assert api.get("/version", headers={"User-Agent": "notMozilla/5.0"}).status_code == 200


@pytest.mark.usefixtures("embedded_only")
def test_a_negative_attribute_is_refused(api: httpx.Client) -> None:
    send(api, "POST", "/proxies", P)
    answer = send(api, "POST", "/proxies/p/toxics", {"type": "bandwidth", "attributes": {"rate": -1}})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(BAD + "rate must")
    assert send(api, "GET", "/proxies/p/toxics").json() == []


@pytest.mark.usefixtures("embedded_only")
@pytest.mark.parametrize("body", [b"x" * (1024 * 1024 + 1), b"[" * 100_000, b'{"name":%s}' % (b"9" * 5000)])
def test_a_monstrous_body_is_refused(api: httpx.Client, body: bytes) -> None:
    answer = send(api, "POST", "/proxies", body)
    assert (answer.status_code, answer.json()["error"].startswith(BAD)) == (400, True)
