"""What our API has beyond Toxiproxy's: toxics and a seed with a new proxy, schedules, events, metrics that survive a move."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Api, Upstream

    Start = Callable[..., tuple[subprocess.Popen[str], str]]

pytestmark = pytest.mark.usefixtures("embedded_only")

P = {"name": "p", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0", "enabled": False}
LATENCY = {"type": "latency", "attributes": {"latency": 5}}
NAMES = ["name", "listen", "upstream", "enabled", "Logger", "toxics"]


# -- with_toxics


def test_the_first_connection_of_a_proxy_meets_the_toxics_it_came_with(api: Api, upstream: Upstream) -> None:
    toxics = [{"type": "limit_data", "attributes": {"bytes": 3}}, {"type": "noop", "stream": "upstream", "name": "n"}]
    client, server = upstream.connect(api.proxy(upstream.address, with_toxics=toxics))
    server.sendall(b"12345")
    assert client.recv(10) == b"123"
    assert client.recv(10) == b""
    shown = api.get("/proxies/p").json()
    assert [toxic["name"] for toxic in shown["toxics"]] == ["n", "limit_data_downstream"]
    assert list(shown) == NAMES


REFUSED = [
    ([{"type": "noop"}, {"type": "nonsense"}], 400, "invalid toxic type at {}toxic 2"),
    ([{"type": "noop", "stream": ""}], 400, "stream was invalid, can be either upstream or downstream at {}toxic 1"),
    ([{"type": "noop"}, {"type": "noop"}], 409, "toxic already exists at {}toxic 2"),
    ([{"type": "latency", "attributes": {"latency": -1}}], 400, "bad request body: "),
    ([{"type": "noop", "schedule": {"at_ms": -1}}], 400, "bad request body: schedule: at_ms"),
    ([{"type": "noop", "schedule": 5}], 400, "bad request body: schedule: "),
    ({"type": "noop"}, 400, "bad request body: json: cannot unmarshal object into Go struct field Proxy.with_toxics"),
    (["noop"], 400, "bad request body: "),
]


@pytest.mark.parametrize(
    ("toxics", "status", "error"), REFUSED, ids=[f"{case[2][:40]}-{i}" for i, case in enumerate(REFUSED)]
)
def test_a_toxic_that_does_not_fit_makes_no_proxy(
    api: Api, upstream: Upstream, toxics: Any, status: int, error: str
) -> None:
    answer = api.post("/proxies", json={**P, "enabled": True, "with_toxics": toxics})
    assert (answer.status_code, answer.json()["error"].startswith(error.format(""))) == (status, True), answer.text
    good = {**P, "name": "good", "with_toxics": [LATENCY]}
    answer = api.post("/populate", json=[good, {**P, "with_toxics": toxics}])
    assert (answer.status_code, answer.json()["proxies"]) == (status, None)
    assert answer.json()["error"].startswith(error.format("proxy 2, ")), answer.text
    assert api.get("/proxies").json() == {}


def test_populate_gives_toxics_to_new_and_replaced_proxies_only(api: Api) -> None:
    first = api.post("/populate", json=[{**P, "enabled": True, "with_toxics": [LATENCY]}]).json()["proxies"][0]
    assert [toxic["name"] for toxic in first["toxics"]] == ["latency_downstream"]
    same = {**P, "listen": first["listen"], "with_toxics": [{"type": "noop"}]}
    left_alone = api.post("/populate", json=[same]).json()["proxies"][0]
    assert left_alone == first
    replaced = api.post("/populate", json=[{**same, "upstream": "127.0.0.1:2"}]).json()["proxies"][0]
    assert [toxic["name"] for toxic in replaced["toxics"]] == ["noop_downstream"]
    assert api.patch("/proxies/p", json={"with_toxics": "not looked at", "seed": "nor this"}).status_code == 200


# -- seed


def test_a_seed_is_shown_only_where_it_was_set(api: Api) -> None:
    assert api.post("/proxies", json={**P, "seed": -7}).json()["seed"] == -7
    assert (
        api.post("/populate", json=[{**P, "name": "q", "seed": 8}, {**P, "name": "r"}]).json()["proxies"][0]["seed"]
        == 8
    )
    shown = api.get("/proxies").json()
    assert {name: proxy.get("seed") for name, proxy in shown.items()} == {"p": -7, "q": 8, "r": None}
    assert "seed" not in shown["r"]
    assert api.patch("/proxies/p", json={**shown["p"], "seed": 9}).json()["seed"] == -7
    for bad in ("7", 1.5, True, 2**63, []):
        assert api.post("/proxies", json={**P, "name": "s", "seed": bad}).status_code == 400


def test_the_seed_of_a_proxy_decides_its_draws_whatever_the_servers(server_process: Start, upstream: Upstream) -> None:
    def hits(address: str, seed: int) -> list[bool]:
        toxic = {"type": "limit_data", "stream": "upstream", "toxicity": 0.5}
        body = {**P, "upstream": upstream.address, "enabled": True, "seed": seed, "with_toxics": [toxic]}
        listen = httpx.post(f"http://{address}/proxies", json=body, verify=False).json()["listen"]
        found = []
        for _ in range(24):
            client, server = upstream.connect(listen)
            client.sendall(b"x")
            found.append(server.recv(1) == b"")
        httpx.delete(f"http://{address}/proxies/p", verify=False)
        return found

    (_one, one), (_other, other) = server_process("--seed", "1"), server_process("--seed", "2")
    assert hits(one, 42) == hits(other, 42)
    assert hits(one, 42) != hits(one, 43)


# -- schedule


def test_a_schedule_is_shown_kept_changed_and_taken_away(api: Api) -> None:
    api.post("/proxies", json=P)
    schedule = {"at_ms": 3_600_000, "for_ms": 500}
    shown = api.post("/proxies/p/toxics", json={**LATENCY, "name": "t", "schedule": schedule}).json()
    assert shown["schedule"] == schedule
    path = "/proxies/p/toxics/t"
    assert api.patch(path, json={"attributes": {"latency": 6}}).json()["schedule"] == schedule
    assert api.patch(path, json={"SCHEDULE": {"AT_MS": 7_200_000}}).json()["schedule"] == {"at_ms": 7_200_000}
    assert api.get(path).json()["schedule"] == {"at_ms": 7_200_000}
    assert api.patch(path, json={"schedule": {"at": 1}}).status_code == 400
    assert "schedule" not in api.patch(path, json={"schedule": None}).json()
    assert "schedule" not in api.get("/proxies/p").json()["toxics"][0]


def test_a_toxic_that_waits_for_its_time_does_nothing(api: Api, upstream: Upstream) -> None:
    waiting = {"type": "timeout", "name": "t", "schedule": {"at_ms": 3_600_000}}
    client, server = upstream.connect(api.proxy(upstream.address, with_toxics=[waiting]))
    server.sendall(b"x")
    assert client.recv(1) == b"x"
    api.patch("/proxies/p/toxics/t", json={"schedule": None})
    server.sendall(b"y")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1)


# -- events


def test_events_are_read_in_pages_and_forgotten(server_process: Start, upstream: Upstream, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    process, address = server_process("--seed", "1", "--events", str(file))
    with httpx.Client(base_url=f"http://{address}", verify=False) as http:
        body = {**P, "upstream": upstream.address, "enabled": True, "with_toxics": [LATENCY]}
        listen = http.post("/proxies", json=body).json()["listen"]
        client, server = upstream.connect(listen)
        client.close()
        assert server.recv(1) == b""
        server.close()
        events: list[dict[str, Any]] = []
        deadline = time.monotonic() + 10
        while "connection_closed" not in [event["event"] for event in events]:
            assert time.monotonic() < deadline, events
            events = http.get("/events").json()
        numbers = [event["number"] for event in events]
        assert numbers == list(range(1, len(events) + 1))
        assert http.get("/events", params={"since": 2, "limit": 2}).json() == events[2:4]
        assert http.get("/events?since=1000000").json() == []
        assert http.get("/events", params={"limit": 0}).json() == []
        assert http.get("/events").headers["x-events-dropped"] == "0"
        assert {"proxy_enabled", "toxic_added", "connection_accepted", "toxic_applied"} <= {e["event"] for e in events}
        assert {event["proxy"] for event in events} == {"p"}
        assert http.delete("/events").status_code == 204
        assert http.get("/events").json() == []
        http.patch("/proxies/p", json={"enabled": False})
        later = http.get("/events").json()
        assert [event["number"] for event in later] == [numbers[-1] + 1]
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=10)
    assert [json.loads(line) for line in file.read_text().splitlines()][: len(events) + 1] == events + later


@pytest.mark.parametrize("query", ["since=-1", "since=x", "limit=1.5", "since=%C2%B2", "limit=" + "9" * 30])
def test_a_page_of_events_that_is_no_number_is_refused(api: Api, query: str) -> None:
    answer = api.get(f"/events?{query}")
    name = query.partition("=")[0]
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"bad query: {name} must be a whole number from 0, not ")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "HEAD"])
def test_events_take_no_other_method(api: Api, method: str) -> None:
    assert api.request(method, "/events").status_code == 405


# -- metrics


def test_counters_do_not_fall_when_a_proxy_moves_or_goes(server_process: Start, upstream: Upstream) -> None:
    _process, address = server_process("--proxy-metrics")
    with httpx.Client(base_url=f"http://{address}", verify=False) as http:

        def received() -> dict[str, float]:
            lines = http.get("/metrics").text.splitlines()
            kept = [
                line.rpartition(" ") for line in lines if "received_bytes_total{" in line and 'direction="up' in line
            ]
            return {name.partition('upstream="')[2].rstrip('"}'): float(value) for name, _space, value in kept}

        listen = http.post("/proxies", json={**P, "upstream": upstream.address, "enabled": True}).json()["listen"]
        client, server = upstream.connect(listen)
        client.sendall(b"12345")
        assert server.recv(9) == b"12345"
        assert received() == {upstream.address: 5.0}
        http.patch("/proxies/p", json={"upstream": "127.0.0.1:2"})
        assert received() == {upstream.address: 5.0, "127.0.0.1:2": 0.0}
        http.patch("/proxies/p", json={"upstream": upstream.address})
        client, server = upstream.connect(listen)
        client.sendall(b"678")
        assert server.recv(9) == b"678"
        assert received()[upstream.address] == 8.0
        http.delete("/proxies/p")
        assert received() == {upstream.address: 8.0}
