"""The cloud's routes for stores and audits: each asks for the chain's secret, and without it writes nothing."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from refsystem.access import staff_token
from refsystem.chain_access import chain_headers
from refsystem.cloud.app import CloudSettings, create_app
from refsystem.feed_messages import batch_json
from refsystem.protocol.log import GENESIS, chain, encode_record
from refsystem.protocol.uplink import Batch

SECRET = b"0123456789abcdef-of-the-chain"
PAY = {"kind": "act", "act_id": "a", "act": "pay", "who": "Li", "at_ms": 1, "instrument": "card-4242"}
LOG = chain(7, GENESIS, [encode_record(PAY)])
UPLINK = batch_json(Batch("s1", 7, "stranger", 1, "", LOG))
BRANCH = {"store": "s1", "sender_epoch": 7, "sender_node_id": "stranger", "known": []}
ROUTES = [
    ("PUT", "/v1/stores/s2", {"name": "a store nobody opened"}),
    ("POST", "/v1/stores/s1/uplink", UPLINK),
    ("POST", "/v1/stores/s1/branch", BRANCH),
    ("GET", "/v1/stores/s1/downlink", None),
    ("GET", "/v1/stores/s1/cancellations", None),
    *(("GET", f"/v1/audit/{name}?store=s1", None) for name in ("stock", "orders", "checks", "entries")),
    *(("GET", f"/v1/audit/{name}?store=s1", None) for name in ("forked-entries", "alarms")),
]
STRANGERS = [
    {},
    {"Authorization": f"Bearer {SECRET.decode()}x"},
    {"Authorization": "Bearer "},
    {"Authorization": f"Basic {SECRET.decode()}"},
    {"Authorization": f"Bearer {staff_token(SECRET, 's1', 'Li', 'operator', 2**40)}"},
    {"Authorization": "Bearer gehört-niemandem".encode("latin-1")},
]


def test_every_route_of_stores_and_audits_asks_for_the_secret_and_writes_nothing_without_it(database_url, make_cloud):
    async def conversation():
        app = create_app(CloudSettings(database_url, chain_secret=SECRET))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://cloud", timeout=20) as client,
        ):
            await make_cloud(client).ready()
            known = chain_headers(SECRET)
            assert (await client.put("/v1/stores/s1", json={"name": "s1"}, headers=known)).status_code == 200
            before = (await client.get("/v1/stores/s1/status")).json()
            for method, path, body in ROUTES:
                for headers in STRANGERS:
                    answer = await client.request(method, path, json=body, headers=headers)
                    assert answer.status_code == 401, (method, path, headers, answer.text)
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    assert SECRET.decode() not in answer.text
            assert (await client.get("/v1/stores/s1/status")).json() == before
            assert (await client.get("/v1/stores/s2/status")).status_code == 404
            for method, path, body in reversed(ROUTES):  # what raises the epoch comes after its uplink
                answer = await client.request(method, path, json=body, headers=known)
                assert answer.status_code == 200, (method, path, answer.text)
            assert (await client.get("/v1/stores/s1/status")).json()["highest_epoch"] == 7
            (entry,) = (await client.get("/v1/audit/entries?store=s1", headers=known)).json()["entries"]
            assert entry["record"]["instrument"] == "card-4242"
            paths = (await client.get("/openapi.json")).json()["paths"]
            guarded = {
                path for path, methods in paths.items() if any("401" in each["responses"] for each in methods.values())
            }
            templates = {
                path.partition("?")[0].replace("/s1", "/{store}").replace("/s2", "/{store}") for _, path, _ in ROUTES
            }
            assert guarded == templates | {"/v1/platforms/{platform}/webhooks", "/v1/orders"}, (
                "every route that asks was asked here"
            )
            asking = ("/v1/stores/{store}", "/v1/audit/")
            assert {path for path in paths if path.startswith(asking)} - guarded == {"/v1/stores/{store}/status"}

    asyncio.run(conversation())


def test_without_a_secret_the_routes_are_open_and_say_so_and_tell_no_instrument(with_cloud, caplog):
    async def conversation(cloud):
        assert (await cloud.client.post("/v1/stores/s1/uplink", json=UPLINK)).status_code == 200
        (entry,) = (await cloud.get("/v1/audit/entries", store="s1"))["entries"]
        assert entry["record"] == PAY | {"instrument": entry["record"]["instrument"]}
        assert entry["record"]["instrument"].startswith("sha256:")

    with_cloud(conversation)
    assert (
        "no RUSHPROOF_CHAIN_SECRET_FILE is set: whoever reaches this port may use the routes of stores and audits"
        in caplog.text
    )


@pytest.mark.parametrize(
    "content", ["with a space in it 0123", "zwei Zeilen\nsind es hier", "kurz", "gehört-niemandem-hier"]
)
def test_a_secret_that_no_header_can_carry_is_named(tmp_path, content):
    path = tmp_path / "secret"
    path.write_text(content, encoding="utf-8")
    environment = {"RUSHPROOF_DATABASE_URL": "postgresql://h/d", "RUSHPROOF_CHAIN_SECRET_FILE": str(path)}
    with pytest.raises(ValueError, match="RUSHPROOF_CHAIN_SECRET_FILE"):
        CloudSettings.from_environment(environment)
    path.write_bytes(SECRET + b"\n")
    assert CloudSettings.from_environment(environment).chain_secret == SECRET
