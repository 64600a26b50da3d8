"""One PostgreSQL server for all tests of the cloud, a fresh database in it for each, and a cloud to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from refsystem.cloud.app import CloudSettings, create_app
from refsystem.cloud.postgres import PrivatePostgres


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    with PrivatePostgres(tmp_path_factory.mktemp("postgres") / "postgres.log") as server:
        yield server


@pytest.fixture
def database_url(postgres: PrivatePostgres) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(execute(postgres.url, f"CREATE DATABASE {name}"))
    yield postgres.url.rsplit("/", 1)[0] + "/" + name
    asyncio.run(execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


class Cloud:
    """A client of a cloud, with the few requests that the tests repeat."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def ready(self) -> None:
        for _ in range(500):
            with contextlib.suppress(httpx.TransportError):
                if (await self.client.get("/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.02)
        raise AssertionError("the cloud did not get ready")

    async def set_up(self, *stores: str) -> None:
        await self.ready()
        for store in stores or ("s1",):
            answer = await self.client.put(f"/v1/stores/{store}", json={"name": store})
            assert answer.status_code == 200, answer.text

    async def order(self, order_id: str, token: str = "", **changes: Any) -> httpx.Response:
        body = {
            "store": "s1",
            "channel": "mini_program",
            "table": "7",
            "items": [{"item_id": "mapo-tofu", "quantity": 2}, {"item_id": "steamed-rice", "quantity": 1}],
            "total_minor": 5900,
            "note": f"rp-{order_id}",
            **changes,
        }
        headers = {"Idempotency-Key": order_id} | ({"Authorization": f"Bearer {token}"} if token else {})
        return await self.client.post("/v1/orders", json=body, headers=headers)

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def orders(self, store: str = "s1") -> dict[str, dict[str, Any]]:
        rows = await self.get("/v1/audit/orders", store=store, limit=5000)
        return {row["order_id"]: row for row in rows["orders"]}

    async def alarms(self, store: str = "s1") -> list[str]:
        return [alarm["kind"] for alarm in (await self.get("/v1/audit/alarms", store=store))["alarms"]]


@contextlib.asynccontextmanager
async def cloud_in_process(url: str, access_secret: bytes | None = None) -> AsyncIterator[Cloud]:
    """A cloud in this process, its stores not set up yet."""
    app = create_app(CloudSettings(url, access_secret=access_secret))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://cloud", timeout=20) as client,
    ):
        yield Cloud(client)


@pytest.fixture
def with_cloud(database_url: str) -> Callable[..., None]:
    """Runs a coroutine function with a cloud that has the store `s1`."""

    def run(conversation: Callable[[Cloud], Awaitable[None]], access_secret: bytes | None = None) -> None:
        async def main() -> None:
            async with cloud_in_process(database_url, access_secret) as cloud:
                await cloud.set_up()
                await conversation(cloud)

        asyncio.run(main())

    return run


@pytest.fixture(name="cloud_in_process", scope="session")
def _cloud_in_process() -> Callable[[str], contextlib.AbstractAsyncContextManager[Cloud]]:
    return cloud_in_process


@pytest.fixture(scope="session")
def make_cloud() -> type[Cloud]:
    return Cloud
