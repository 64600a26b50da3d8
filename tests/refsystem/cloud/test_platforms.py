"""A delivery platform's orders in the cloud: at least once and in any order, each is one order; what was cancelled is voided."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from refsystem.callback_messages import SIGNATURE_HEADER, sign
from refsystem.cloud.app import CloudSettings, create_app
from refsystem.cloud.platform_settings import PlatformSettings, read_platform
from refsystem.ordering.channel_rules import ChannelRules
from refsystem.platform_messages import platform_order_id

SECRET = b"a secret of the tests, long enough"
PLATFORM = PlatformSettings("p", "http://127.0.0.1:9", SECRET)


def order(number: int, state: str = "pending", **changes: Any) -> dict[str, Any]:
    items = [{"item_id": "mapo-tofu", "quantity": 2}]
    return {"number": number, "store": "s1", "items": items, "total_minor": 5_600, "note": "", "state": state} | changes


class Chain:
    """A cloud in this process, and what a platform would send to it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def webhook(self, said: dict[str, Any], event: str = "placed", secret: bytes = SECRET) -> int:
        body = json.dumps({"event": event, "order": said}).encode()
        headers = {SIGNATURE_HEADER: sign(secret, int(time.time()), body)}
        return (await self.http.post("/v1/platforms/p/webhooks", content=body, headers=headers)).status_code

    async def orders(self) -> dict[str, dict[str, Any]]:
        rows = (await self.http.get("/v1/audit/orders", params={"store": "s1"})).json()["orders"]
        return {row["order_id"]: row for row in rows}


@contextlib.asynccontextmanager
async def chain(url: str, **settings: Any) -> AsyncIterator[Chain]:
    app = create_app(CloudSettings(url, platform=PLATFORM, **settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cloud", timeout=20) as http,
    ):
        for _ in range(500):
            if (await http.get("/ready")).status_code == 200:
                break
            await asyncio.sleep(0.02)
        await http.put("/v1/stores/s1", json={"name": "s1"})
        yield Chain(http)


def test_webhooks_at_least_once_and_in_any_order_make_each_order_once(database_url: str) -> None:
    async def main() -> None:
        async with chain(database_url) as cloud:
            assert await cloud.webhook(order(1), secret=b"somebody else's secret") == 401
            assert await cloud.webhook({"number": "one"}) == 422
            assert set(await cloud.orders()) == set()
            repeated = await asyncio.gather(*(cloud.webhook(order(1)) for _ in range(6)))
            assert set(repeated) == {204}
            assert await cloud.webhook(order(2, "cancelled"), "cancelled") == 204
            assert await cloud.webhook(order(2)) == 204, "the placing comes behind its cancelling"
            assert await cloud.webhook(order(3, total_minor=1)) == 204
            assert await cloud.webhook(order(4)) == 204
            assert await cloud.webhook(order(4, "cancelled"), "cancelled") == 204
            held = await cloud.orders()
            assert set(held) == {platform_order_id("p", 1), platform_order_id("p", 4)}
            assert sorted(row["number"] for row in held.values()) == [1, 2]
            assert {row["channel"] for row in held.values()} == {"delivery"}
            named = (await cloud.http.get("/v1/stores/s1/cancellations")).json()["orders"]
            assert named == [], "the store has no order 4 yet, so there is nothing to void"
            assert (await cloud.http.get("/v1/platforms/p/status")).json() == {"untold": 2}

    asyncio.run(main())


def test_a_channel_of_a_silent_store_is_paused_but_a_key_that_is_known_is_answered(database_url: str) -> None:
    async def main() -> None:
        rules = ChannelRules(path_silent_ms=400, hold_ms=0)
        async with chain(database_url, channel_rules=rules) as cloud:
            body = {k: v for k, v in order(1).items() if k in ("store", "items", "total_minor", "note")}
            body |= {"channel": "mini_program", "table": ""}
            known, new = platform_order_id("p", 91), platform_order_id("p", 92)

            async def send(key: str) -> httpx.Response:
                return await cloud.http.post("/v1/orders", json=body, headers={"Idempotency-Key": key})

            assert (await send(known)).status_code == 201
            deadline_s = time.monotonic() + 10
            while (answer := await send(platform_order_id("p", int(time.monotonic_ns())))).status_code == 201:
                assert time.monotonic() < deadline_s
                await asyncio.sleep(0.05)
            assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (503, "channel-paused")
            assert answer.json()["definite"] is True
            assert int(answer.headers["Retry-After"]) >= 1
            assert (await send(known)).status_code == 201
            told = (await cloud.http.get("/v1/channels", params={"store": "s1"})).json()["channels"]
            states = {row["channel"]: row["state"] for row in told}
            assert (states["mini_program"], states["delivery"], states["qr"]) == ("paused", "paused", "open")
            await cloud.http.get("/v1/stores/s1/downlink")
            await asyncio.sleep(0.25)
            await cloud.http.get("/v1/stores/s1/downlink")
            assert (await send(new)).status_code == 201, "the store was heard, and the channel opened by itself"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"RUSHPROOF_PLATFORM_URL": "platform"}, "RUSHPROOF_PLATFORM_URL must be http"),
        ({"RUSHPROOF_PLATFORM_URL": "http://127.0.0.1:1"}, "RUSHPROOF_PLATFORM_SECRET_FILE must name the file"),
    ],
)
def test_a_wrong_setting_of_the_platform_is_a_sentence(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_platform(settings)
    assert read_platform({}) is None
