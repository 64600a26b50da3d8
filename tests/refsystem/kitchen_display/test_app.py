"""The display over HTTP, in this process and as a process that is killed."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.access import staff_token, table_token
from refsystem.chain_access import chain_headers
from refsystem.feed_messages import batch_json
from refsystem.kitchen_display.app import PAGE, KitchenSettings, create_app
from refsystem.protocol.uplink import Batch

BY_PAGE = {"X-Requested-With": "a test"}


def body(log, from_seq, to_seq, sender_epoch=1, store="s1"):
    prev_hash = log[from_seq - 2].hash if from_seq > 1 else ""
    return batch_json(Batch(store, sender_epoch, "node-a", from_seq, prev_hash, log[from_seq - 1 : to_seq]))


@asynccontextmanager
async def display(tmp_path: Path, **settings: Any):
    app = create_app(KitchenSettings("s1", tmp_path, **settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kitchen") as client,
    ):
        yield client


def test_a_feed_is_answered_with_cursor_and_bumps_or_with_a_judgement(tmp_path, records):
    async def conversation():
        async with display(tmp_path) as client:
            log = records.log(*(records.order(name) for name in "abc"))
            asked = await client.post("/v1/feed", json=body(log, 1, 0))
            assert asked.json() == {"cursor": {"seq": 0, "hash": ""}, "bumps": [], "acts": []}
            taken = await client.post("/v1/feed", json=body(log, 1, 1, sender_epoch=2))
            assert taken.json() == {"cursor": {"seq": 1, "hash": log[0].hash}, "bumps": [], "acts": []}
            gap = await client.post("/v1/feed", json=body(log, 3, 3, sender_epoch=2))
            assert (gap.status_code, gap.json()) == (409, {"judgement": "gap", "expected_seq": 2})
            stale = await client.post("/v1/feed", json=body(log, 2, 2, sender_epoch=1))
            assert (stale.status_code, stale.json()) == (409, {"judgement": "stale-sender", "highest_epoch": 2})
            other = records.log(records.order("x"), records.order("y"))
            wrong = await client.post("/v1/feed", json=body(other, 2, 2, sender_epoch=2))
            assert (wrong.status_code, wrong.json()["judgement"], wrong.json()["seq"]) == (409, "hash-mismatch", 1)
            status = (await client.get("/v1/status")).json()
            assert status == {
                "cursor": taken.json()["cursor"],
                "highest_epoch": 2,
                "tickets": 1,
                "bumped": 0,
                "held": 0,
                "waiting": 1,
            }

    asyncio.run(conversation())


def test_a_feed_of_another_store_or_another_shape_is_a_problem(tmp_path, records):
    async def conversation():
        async with display(tmp_path) as client:
            log = records.log(records.order("a"))
            foreign = await client.post("/v1/feed", json=body(log, 1, 1, store="s2"))
            assert (foreign.status_code, foreign.json()["type"]) == (404, "urn:rushproof:problem:store-unknown")
            broken = await client.post("/v1/feed", json=body(log, 1, 1) | {"from_seq": "1"})
            assert (broken.status_code, broken.json()["type"]) == (422, "urn:rushproof:problem:order-invalid")
            assert "body.from_seq" in broken.json()["detail"]
            assert broken.headers["content-type"] == "application/problem+json"

    asyncio.run(conversation())


def test_cooks_see_a_ticket_in_both_languages_and_bump_it(tmp_path, records):
    async def conversation():
        async with display(tmp_path) as client:
            assert (await client.get("/v1/tickets")).json() == {
                "tickets": [],
                "open": 0,
                "held": [],
                "acts_waiting": 0,
                "fed_ms_ago": None,
            }
            log = records.log(records.order("a"), records.bump("a"))
            await client.post("/v1/feed", json=body(log, 1, 1))
            page = (await client.get("/v1/tickets")).json()
            (ticket,) = page["tickets"]
            assert ticket["items"] == [
                {
                    "item_id": "mapo-tofu",
                    "quantity": 2,
                    "cancelled": 0,
                    "course": 2,
                    "name": "Mapo tofu",
                    "name_zh": "麻婆豆腐",
                }
            ]
            assert page["fed_ms_ago"] >= 0
            unknown = await client.post("/v1/tickets/b/bump", headers=BY_PAGE)
            assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:rushproof:problem:ticket-unknown")
            by_other_site = await client.post("/v1/tickets/a/bump?version=1&station=kitchen")
            assert (by_other_site.status_code, by_other_site.json()["type"][-15:]) == (422, "request-invalid")
            pending = await client.post("/v1/tickets/a/bump?version=1&station=kitchen", headers=BY_PAGE)
            assert pending.json() == {"status": "pending"}
            fed = await client.post("/v1/feed", json=body(log, 2, 1))
            assert fed.json()["bumps"] == [{"order_id": "a", "version": 1, "station": "kitchen"}]
            fed = await client.post("/v1/feed", json=body(log, 2, 2))
            assert fed.json()["bumps"] == []
            assert (await client.post("/v1/tickets/a/bump", headers=BY_PAGE)).json() == {"status": "bumped"}
            (row,) = (await client.get("/v1/audit/tickets")).json()["tickets"]
            assert row["bumped_at_us"] >= row["shown_at_us"]

    asyncio.run(conversation())


def test_the_feed_is_for_the_chain_and_a_tap_is_the_kitchens(tmp_path, records, caplog):
    """Nobody on the store's Wi-Fi fences a store by a high epoch, bumps a ticket or takes a dish off the menu."""
    chain_secret, secret = b"the secret of the chain", b"the secret of this store"
    eighty_six = {"act": "eighty_six", "item_id": "mapo-tofu", "reason": "no tofu"}
    taps = [("/v1/tickets/a/bump?version=1&station=kitchen", None), ("/v1/acts", eighty_six)]

    def token(role: Any, key: bytes = secret, until_s: int = 2**40) -> dict[str, str]:
        return {"Authorization": f"Bearer {staff_token(key, 's1', 'Ma', role, until_s)}"}

    async def conversation():
        async with display(tmp_path, chain_secret=chain_secret, access_secret=secret) as client:
            log = records.log(records.order("a"))
            feed = body(log, 1, 1, sender_epoch=9)
            for headers in ({}, chain_headers(secret), token("kitchen"), token("operator", chain_secret)):
                assert (await client.post("/v1/feed", json=feed, headers=headers)).status_code == 401
            assert (await client.get("/v1/status")).json()["highest_epoch"] == 0
            known = chain_headers(chain_secret)
            assert (await client.post("/v1/feed", json=feed, headers=known)).status_code == 200
            key = {"Idempotency-Key": "018f0000-0000-7000-8000-000000000001"}
            strangers = [
                ({}, 401),
                (known, 401),
                (token("kitchen", until_s=1), 401),
                (token("kitchen", chain_secret), 401),
            ]
            table = {"Authorization": f"Bearer {table_token(secret, 's1', '4')}"}
            for headers, status in [*strangers, (table, 403), (token("waiter"), 403), (token("operator"), 403)]:
                for path, tap in taps:
                    answer = await client.post(path, json=tap, headers={**BY_PAGE, **key, **headers})
                    assert answer.status_code == status, (path, headers, answer.text)
            asked = await client.post("/v1/feed", json=body(log, 2, 1, sender_epoch=9), headers=known)
            assert (asked.json()["bumps"], asked.json()["acts"]) == ([], [])
            for path, tap in taps:
                answer = await client.post(path, json=tap, headers={**BY_PAGE, **key, **token("kitchen")})
                assert answer.json()["status"] == "pending"
            asked = await client.post("/v1/feed", json=body(log, 2, 1, sender_epoch=9), headers=known)
            assert len(asked.json()["bumps"]) == 1
            assert [act["who"] for act in asked.json()["acts"]] == ["kitchen Ma"]

    asyncio.run(conversation())
    assert "whoever reaches this port" not in caplog.text


def test_the_page_names_no_other_host_and_speaks_both_languages(tmp_path):
    async def conversation():
        async with display(tmp_path) as client:
            answer = await client.get("/")
            assert answer.headers["content-type"].startswith("text/html")
            assert answer.text == PAGE.read_text(encoding="utf-8")
            policy = answer.headers["content-security-policy"]
            for part in ("script-src 'self'", "connect-src 'self';", "frame-ancestors 'none'"):
                assert part in policy
            said = re.findall(r"""(?:src|href)="(web/[^"]+)\"""", answer.text)
            assert said == ["web/kitchen.css", "web/kitchen.js"]
            files = [(await client.get(f"/{name}")).raise_for_status().text for name in said]
            return answer.text, "".join(files)

    page, text = asyncio.run(conversation())
    assert not re.search(r"https?:|//[a-z]|@import", page + text)
    assert 'name="viewport"' in page
    english, chinese = re.search(r"en: \{(.*?)\n  zh: \{(.*?)\n\};", text, re.DOTALL).groups()
    keys = re.compile(r"\b(\w+):")
    assert set(keys.findall(english)) == set(keys.findall(chinese))
    assert "厨房" in chinese


def test_openapi_tells_the_problems_of_a_bump_and_the_refusals_of_a_feed(tmp_path):
    async def conversation():
        async with display(tmp_path) as client:
            paths = (await client.get("/openapi.json")).json()["paths"]
            assert {"200", "404", "409", "422", "503"} <= set(paths["/v1/feed"]["post"]["responses"])
            bump = paths["/v1/tickets/{order_id}/bump"]["post"]["responses"]
            assert "ticket-unknown" in bump["404"]["description"]
            assert "application/problem+json" in bump["404"]["content"]

    asyncio.run(conversation())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RUSHPROOF_KITCHEN_STORE": ""}, "RUSHPROOF_KITCHEN_STORE"),
        ({"RUSHPROOF_KITCHEN_PORT": "http"}, "RUSHPROOF_KITCHEN_PORT"),
        ({"RUSHPROOF_KITCHEN_SECONDS": "nan"}, "RUSHPROOF_KITCHEN_SECONDS"),
        ({"RUSHPROOF_KITCHEN_SECONDS": "soon"}, "RUSHPROOF_KITCHEN_SECONDS"),
        ({"RUSHPROOF_MENU": "/nowhere.json"}, "/nowhere.json"),
        ({"RUSHPROOF_STORE_RULES": "/no-rules.json"}, "/no-rules.json"),
        ({"RUSHPROOF_TIME_SCALE": "0"}, "RUSHPROOF_TIME_SCALE"),
    ],
)
def test_a_wrong_setting_is_named(changes, named):
    good = {"RUSHPROOF_KITCHEN_STORE": "s1", "RUSHPROOF_KITCHEN_DATA": "data", "PORT": "not ours"}
    assert KitchenSettings.from_environment(good).kitchen_s == 0
    with pytest.raises(ValueError, match=named):
        KitchenSettings.from_environment(good | changes)


@pytest.mark.slow
def test_a_display_that_is_killed_resumes_from_its_cursor_and_shows_each_ticket_once(display_process, records):
    display = display_process()
    log = records.log(*(records.order(f"o{number}") for number in range(60)))
    for kill_after in (7, 23, 41):
        cursor = display.client.get("/v1/status").json()["cursor"]
        for seq in range(cursor["seq"] + 1, kill_after + 1):
            assert display.client.post("/v1/feed", json=body(log, seq, seq)).status_code == 200
        display.process.send_signal(signal.SIGKILL)
        display.process.wait()
        display.start()
        # Nothing that was answered is gone, and the cursor tells where to go on.
        assert display.client.get("/v1/status").json()["cursor"] == {
            "seq": kill_after,
            "hash": log[kill_after - 1].hash,
        }
        assert display.client.post("/v1/feed", json=body(log, kill_after - 3, kill_after)).status_code == 200
    assert display.client.post("/v1/feed", json=body(log, 42, 60)).status_code == 200
    tickets = display.client.get("/v1/audit/tickets").json()["tickets"]
    assert [ticket["order_id"] for ticket in tickets] == [f"o{number}" for number in range(60)]
    deliveries = display.client.get("/v1/audit/deliveries").json()["deliveries"]
    assert len(deliveries) == 60 + 3 * 4
    display.process.send_signal(signal.SIGTERM)
    assert display.process.wait(timeout=10) == 0
