"""What a platform is told of the stores unasked: whether they take delivery orders now, and what is sold out there."""

from __future__ import annotations

import asyncio
import logging

import httpx

from refsystem.clocks import wall_us
from refsystem.cloud.channels import CloudChannels
from refsystem.cloud.database import Database, queries
from refsystem.cloud.store_reads import StoreReads
from refsystem.platform_messages import CHANNEL
from refsystem.problems import ProblemError

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
STORES_MAX = 1_000
DETAIL_MAX = 200


class PlatformPushes:
    """Tells what has changed, until the platform has taken it.

    A version is the moment of the word, so that of two processes the last one counts; never below one that the platform has.
    """

    def __init__(
        self, http: httpx.AsyncClient, database: Database, channels: CloudChannels, store_reads: StoreReads
    ) -> None:
        self._http = http
        self._database = database
        self._channels = channels
        self._store_reads = store_reads
        self._version = 0
        self._told: dict[tuple[str, str], object] = {}

    async def run(self) -> None:
        """Look and tell for ever."""
        while True:
            try:
                async with self._database.reading() as connection:
                    stores = [str(row["store"]) async for row in queries.all_stores(connection, limit=STORES_MAX)]
                for store in stores:
                    await self._look(store)
            except (ProblemError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                logger.info("the platform is not told of the stores now: %s", str(error) or type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self, store: str) -> None:
        state = await self._channels.state(store, CHANNEL)
        paused = f"{state.reason}: {state.detail}"[:DETAIL_MAX] if not state.is_open else ""
        await self._tell(store, "channel", state.reason, {"paused_reason": paused})
        by_stock = (row["item_id"] for row in (await self._store_reads.menu(store))["sold_out"])
        sold_out = sorted({*by_stock, *await self._channels.eighty_sixed(store)})
        await self._tell(store, "stock", sold_out, {"sold_out": sold_out})

    async def _tell(self, store: str, what: str, substance: object, body: dict[str, object]) -> None:
        """Whatever the platform answers but yes, it is told again; what it was told before it lost its memory, it keeps."""
        if self._told.get((store, what)) == substance:
            return
        version = max(wall_us(), self._version + 1)
        answer = await self._http.put(f"/v1/stores/{store}/{what}", json={**body, "version": version})
        answer.raise_for_status()
        self._version = int(answer.json()[f"{what}_version"])
        if self._version == version:
            self._told[store, what] = substance
