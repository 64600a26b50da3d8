"""The toxics that the original does not have, over real sockets through a server process."""

from __future__ import annotations

import gzip
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from link_ends import ends, receive, send_aside, silent

if TYPE_CHECKING:
    from conftest import Api, Upstream

pytestmark = pytest.mark.usefixtures("embedded_only")

RECORDINGS = Path(os.environ.get("RUSHPROOF_TEST_RECORDINGS", "/nonexistent"))


# -- attributes over the API


@pytest.mark.parametrize(
    ("kind", "attributes", "says"),
    [
        (
            "burst_loss",
            {"loss_percent": "5"},
            "cannot unmarshal string into Go struct field loss_percent of type float64",
        ),
        ("burst_loss", {"rto_ms": 1.5}, "of type int64"),
        ("burst_loss", {"loss_percent": 5, "p": 0.1}, "give either loss_percent"),
        ("bandwidth", {"shared": 1}, "cannot unmarshal number into Go struct field shared of type bool"),
        ("half_open", {"dial": "no"}, "of type bool"),
        ("http_status", {"path": 5}, "of type string"),
        ("http_status", {"status": 700}, "status must lie between 200 and 599"),
        ("trace", {}, "a trace needs path"),
        ("trace", {"slots": [1, "2"]}, "cannot unmarshal array into Go struct field slots of type []int64"),
        ("trace", {"slots": [2, 1]}, "its times must rise"),
        ("trace", {"path": "/no/such/file"}, "/no/such/file cannot be read: No such file or directory"),
        ("slow_connect", {"delay_ms": -1}, "delay_ms must lie between 0 and 3600000"),
    ],
)
def test_attributes_that_do_not_fit_are_refused_in_one_sentence(
    api: Api, upstream: Upstream, kind: str, attributes: dict[str, Any], says: str
) -> None:
    api.proxy(upstream.address)
    refused = api.post("/proxies/p/toxics", json={"type": kind, "attributes": attributes})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("bad request body: ")
    assert says in refused.json()["error"]
    assert api.get("/proxies/p/toxics").json() == []


def test_attributes_are_shown_as_they_were_given_and_merged(api: Api, upstream: Upstream) -> None:
    api.proxy(upstream.address)
    api.toxic("burst_loss", loss_percent=2.5, burst_packets=3)
    api.change("burst_loss_downstream", rto_ms=300)
    shown = api.get("/proxies/p/toxics/burst_loss_downstream").json()["attributes"]
    assert shown == {"loss_percent": 2.5, "burst_packets": 3, "rto_ms": 300, "rtt_ms": 0}
    api.change("burst_loss_downstream", **{"P": 0.1, "1-H": 0.5})
    shown = api.get("/proxies/p/toxics/burst_loss_downstream").json()["attributes"]
    assert shown == {"p": 0.1, "1-h": 0.5, "rto_ms": 300, "rtt_ms": 0}
    api.toxic("trace", stream="upstream", slots=[1, 2, 5])
    assert api.get("/proxies/p/toxics/trace_upstream").json()["attributes"] == {"slots": [1, 2, 5]}
    api.toxic("bandwidth", rate=5)
    assert api.get("/proxies/p/toxics/bandwidth_downstream").json()["attributes"] == {"rate": 5}
    api.change("bandwidth_downstream", shared=True)
    assert api.get("/proxies/p/toxics/bandwidth_downstream").json()["attributes"] == {"rate": 5, "shared": True}


# -- burst_loss and trace


def test_losses_stall_a_message_and_lose_none(api: Api, upstream: Upstream) -> None:
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("burst_loss", p=1, r=1, rto_ms=60)  # every second packet of the chain is lost
    waits_ms = []
    for _ in range(12):
        began_s = time.monotonic()
        server.sendall(b"x")
        assert receive(client, 1) == b"x"
        waits_ms.append((time.monotonic() - began_s) * 1000)
    assert sum(wait >= 59 for wait in waits_ms) >= 11
    api.remove("burst_loss_downstream")
    data = os.urandom(300_000)
    api.toxic("burst_loss", loss_percent=20, burst_packets=1.5, rto_ms=2)
    sender = send_aside(server, data)
    assert receive(client, len(data)) == data
    sender.join()
    server.shutdown(socket.SHUT_WR)
    assert ends(client)
    client.sendall(b"still there")
    assert receive(server, 11) == b"still there"


def test_a_recording_is_replayed(api: Api, upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "slots.gz"
    path.write_bytes(gzip.compress(b"".join(b"%d\n" % ms for ms in range(10, 201, 10))))
    client, server = upstream.connect(api.proxy(upstream.address))
    api.toxic("trace", path=str(path), start_ms=0)
    began_s = time.monotonic()
    data = os.urandom(60_000)  # 40 slots of 10 ms
    sender = send_aside(server, data)
    assert receive(client, len(data)) == data
    sender.join()
    assert 0.38 <= time.monotonic() - began_s < 0.8
    api.change("trace_downstream", slots=[60_000])
    server.sendall(b"stuck")
    assert silent(client)
    api.remove("trace_downstream")
    assert receive(client, 5) == b"stuck"


@pytest.mark.skipif(
    not RECORDINGS.is_dir(),
    reason="RUSHPROOF_TEST_RECORDINGS names no folder with recordings (NAME.up.gz, NAME.down.gz)",
)
def test_published_recordings_can_be_replayed(api: Api, upstream: Upstream) -> None:
    found = sorted([*RECORDINGS.glob("*.up*"), *RECORDINGS.glob("*.down*")])
    assert found, f"no recordings in {RECORDINGS}"
    api.proxy(upstream.address)
    for number, path in enumerate(found):
        body = {"type": "trace", "name": f"t{number}", "attributes": {"path": str(path)}}
        assert api.post("/proxies/p/toxics", json=body).status_code == 200, path


# -- shared bandwidth


def test_a_shared_rate_is_one_budget_of_all_connections_and_of_new_ones(api: Api, upstream: Upstream) -> None:
    listen = api.proxy(upstream.address)
    pairs = [upstream.connect(listen) for _ in range(2)]
    api.toxic("bandwidth", rate=200, shared=True)
    pairs += [upstream.connect(listen) for _ in range(2)]
    began_s = time.monotonic()
    senders = [send_aside(server, bytes(25_000)) for _client, server in pairs]
    assert [len(receive(client, 25_000)) for client, _server in pairs] == [25_000] * 4
    took_s = time.monotonic() - began_s
    for sender in senders:
        sender.join()
    assert 0.49 <= took_s < 1.0
    api.change("bandwidth_downstream", shared=False)
    began_s = time.monotonic()
    senders = [send_aside(server, bytes(25_000)) for _client, server in pairs]
    assert [len(receive(client, 25_000)) for client, _server in pairs] == [25_000] * 4
    for sender in senders:
        sender.join()
    assert time.monotonic() - began_s < 0.45
