"""What stands before the cloud's orders and beside them: the gate, the views of the stores' logs, and their channels."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from refsystem.cloud import channels as channels_module
from refsystem.cloud.app import CloudSettings, create_app
from refsystem.cloud.channels import CloudChannels
from refsystem.cloud.checks import BookView
from refsystem.cloud.database import Database, queries
from refsystem.cloud.following import Following
from refsystem.cloud.platform_settings import PlatformSettings
from refsystem.cloud.platforms import make_platforms
from refsystem.ordering.book import Book
from refsystem.ordering.channel_rules import ChannelRules
from refsystem.ordering.errors import STORAGE_UNAVAILABLE, STORE_UNKNOWN
from refsystem.ordering.menu import DEMO_MENU
from refsystem.overload.settings import OverloadSettings, ServiceDelay
from refsystem.platform_messages import platform_order_id
from refsystem.problems import ProblemError
from refsystem.store_settings import StoreMenus

BUSY = OverloadSettings(delay=ServiceDelay(servers=1, ms=300))


class Breakable(Database):
    """A database that fails when it is told to, and counts how often it is asked."""

    is_broken = False
    asked = 0

    @contextlib.asynccontextmanager
    async def reading(self, *problem: Any) -> AsyncIterator[Any]:
        self.asked += 1
        if self.is_broken:
            raise ProblemError(STORAGE_UNAVAILABLE, "told to")
        async with super().reading(*problem) as connection:
            yield connection


@contextlib.asynccontextmanager
async def with_store(url: str) -> AsyncIterator[Breakable]:
    database = Breakable(url)
    await database.start()
    try:
        await database.opened()
        async with database.statement() as connection:
            await queries.put_store(connection, store="s1", name="s1")
        yield database
    finally:
        await database.stop()


def test_a_key_that_the_cloud_holds_is_answered_even_when_it_refuses_everything_else(
    database_url: str, make_cloud: Any
) -> None:
    async def main() -> None:
        app = create_app(CloudSettings(database_url, overload=BUSY))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://cloud", timeout=20) as client,
        ):
            cloud = make_cloud(client)
            await cloud.set_up()
            held, busy, new = (str(uuid.uuid4()) for _ in range(3))
            assert (await cloud.order(held)).status_code == 201
            working = asyncio.create_task(cloud.order(busy))
            await asyncio.sleep(0.05)
            client.headers["X-Deadline-Ms"] = "100"
            again, refused = await cloud.order(held), await cloud.order(new)
            assert (refused.status_code, refused.json()["type"].rsplit(":", 1)[1]) == (503, "overloaded")
            assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (201, "true")
            assert (await working).status_code == 201

    asyncio.run(main())


def test_a_name_that_is_no_stores_drives_no_view_out(database_url: str) -> None:
    async def main() -> None:
        async with with_store(database_url) as database:
            made: list[str] = []

            def make(store: str) -> BookView:
                made.append(store)
                return BookView(Book(DEMO_MENU))

            views = Following(database, make)
            for store in ("s1", *(f"nobody-{number}" for number in range(60)), "s1"):
                with contextlib.suppress(ProblemError):
                    async with views.of(store):
                        pass
            assert made == ["s1"]

    asyncio.run(main())


def test_what_was_heard_of_a_store_outlives_a_hiccup_and_is_looked_at_now_and_then(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with with_store(database_url) as database:
            now = [1_000]
            monkeypatch.setattr(channels_module, "now_ms", lambda: now[0])
            rules = ChannelRules(path_silent_ms=400, hold_ms=0)
            channels = CloudChannels(rules, database, StoreMenus(DEMO_MENU, {}))
            await channels.told("s1")
            asked = database.asked
            for _ in range(5):
                await channels.told("s1")
            assert database.asked == asked, "five looks within a moment are one"
            now[0] += 300
            database.is_broken = True
            with pytest.raises(ProblemError, match="told to"):
                await channels.told("s1")
            database.is_broken = False
            now[0] += 200
            assert (await channels.state("s1", "delivery")).reason == "path_down", (
                "it was silent for 500 ms all the same"
            )
            with pytest.raises(ProblemError) as unknown:
                await channels.told("nobody")
            assert unknown.value.problem is STORE_UNKNOWN

    asyncio.run(main())


def test_an_order_of_the_platform_that_cannot_be_stored_stands_in_no_others_way(database_url: str) -> None:
    async def main() -> None:
        async with with_store(database_url) as database:
            settings = PlatformSettings("p", "http://platform", b"a secret of the tests, long enough")
            menus = StoreMenus(DEMO_MENU, {})
            platforms = make_platforms(settings, database, menus, CloudChannels(None, database, menus))
            assert platforms is not None
            items = [{"item_id": "mapo-tofu", "quantity": 2}]
            fields = {"items": items, "total_minor": 5_600, "note": "", "state": "pending"}
            told = [
                {"number": 1, "version": 1, "store": "s\0", **fields},
                {"number": 2, "version": 2, "store": "s1", **fields},
            ]

            async def changes(request: httpx.Request) -> httpx.Response:
                after = int(request.url.params["after"])
                return httpx.Response(200, json={"orders": [order for order in told if order["version"] > after]})

            await platforms.http.aclose()
            platforms.http = httpx.AsyncClient(transport=httpx.MockTransport(changes), base_url="http://platform")
            assert [await platforms.ask(), await platforms.ask()] == [2, 0]
            async with database.reading() as connection:
                row = await queries.order_by_id(connection, order_id=platform_order_id("p", 2))
            assert row["store"] == "s1"
            await platforms.http.aclose()

    asyncio.run(main())
