"""Orders of a delivery platform: webhooks in, answers out, cancellations on to the store (P15).

A platform sends at least once and in any order, and loses webhooks; what was lost is found by asking it for its changes. Its
order has one `order_id` here, so a repetition is P6's. Whatever is learnt only ever adds: a cancelled order stays cancelled,
however late its placing comes. Every step may be done again, by this process or by another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx

from refsystem.callback_messages import SIGNATURE_HEADER, is_genuine
from refsystem.clocks import wall_us
from refsystem.cloud.channels import CloudChannels
from refsystem.cloud.checks import CheckReads
from refsystem.cloud.database import Database, queries
from refsystem.cloud.orders import Orders
from refsystem.cloud.platform_pushes import PlatformPushes
from refsystem.cloud.platform_settings import PlatformSettings
from refsystem.cloud.store_reads import StoreReads
from refsystem.ordering.errors import TYPE_PREFIX, OrderRejected
from refsystem.platform_messages import PlatformOrder, read_platform_order
from refsystem.problems import ProblemError
from refsystem.store_settings import StoreMenus

logger = logging.getLogger(__name__)

AT_ONCE_MAX = 3
"""Webhooks that hold a connection to the database while their order takes another; the pool has more than twice as many."""
ANSWERS_MAX = 50
VOIDS_MAX = 1_000
CHANGES_MAX = 200
LOOK_S = 0.2
IDLE_S = 0.5
CHANGES_EVERY_S = 2.0
TELL_AGAIN_S = 0.5
TIMEOUT_S = 3.0
ANSWER_OF_OUTCOME = {"order": True, "duplicate_of": True, "conflict": False, "refused": False}


class Platforms:
    """One platform's orders. `start` begins to tell it what became of them, and to ask it what was missed."""

    def __init__(self, settings: PlatformSettings, database: Database, orders: Orders, checks: CheckReads) -> None:
        self._settings = settings
        self._database = database
        self._orders = orders
        self._checks = checks
        self._door = asyncio.Semaphore(AT_ONCE_MAX)
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.pushes: PlatformPushes | None = None
        self.http = httpx.AsyncClient(trust_env=False, base_url=settings.url, timeout=TIMEOUT_S)
        self._after = 0

    async def start(self) -> None:
        """Begin."""
        loops = [self._answer_for_ever(), self._ask_for_ever()]
        if self.pushes is not None:
            loops.append(self.pushes.run())
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        for task in self._tasks:
            task.add_done_callback(_told_if_it_fell)

    async def stop(self) -> None:
        """End; what is not told yet is told by whoever comes next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.aclose()

    @property
    def name(self) -> str:
        """The platform's name."""
        return self._settings.name

    # --- in ---

    async def webhook(self, signature: str, body: bytes) -> None:
        """Take what a webhook says; when this returns it is stored. Raises `PermissionError`, `ValueError`, `ProblemError`."""
        if not is_genuine(self._settings.secret, signature, body, wall_us() // 1_000_000):
            raise PermissionError(f"the header {SIGNATURE_HEADER} is not the platform's signature of this body")
        try:
            said: Any = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ValueError("the body is not JSON") from error
        if not isinstance(said, dict) or said.get("event") not in ("placed", "cancelled"):
            raise ValueError("event must be placed or cancelled")
        try:
            found = read_platform_order(self.name, said.get("order"))
        except OrderRejected as error:
            raise ValueError(error.detail) from error
        await self.take(found)

    async def take(self, found: PlatformOrder) -> None:
        """Store what the platform wants of one order: place it, or keep in mind that it was cancelled."""
        order_id = found.order.order_id
        async with self._door, self._database.transaction() as connection:
            await queries.note_platform_order(
                connection,
                order_id=order_id,
                platform=self.name,
                number=found.number,
                store=found.store,
                cancelled=not found.wanted,
            )
            known = await queries.lock_platform_order(connection, order_id=order_id)
            if not known["cancelled"] and known["refusal"] is None and known["told"] is None:
                try:
                    await self._orders.place(found.store, found.order)
                except OrderRejected as rejection:
                    why = f"{rejection.problem.type.removeprefix(TYPE_PREFIX)}: {rejection.detail}"[:200]
                    await queries.refuse_platform_order(connection, order_id=order_id, refusal=why)
        self._wanted.set()

    async def cancellations(self, store: str) -> list[dict[str, Any]]:
        """Orders of the store that were cancelled at the platform and stand on a check, not voided yet."""
        async with self._database.reading() as connection:
            rows = [row async for row in queries.platform_orders_to_void(connection, store=store, limit=VOIDS_MAX)]
        if not rows:
            return []
        standing = await self._checks.orders_standing(store, {str(row["order_id"]) for row in rows})
        return [
            {"order_id": str(row["order_id"]), "reason": f"cancelled at {row['platform']}, number {row['number']}"}
            for row in rows
            if str(row["order_id"]) in standing
        ]

    async def open_count(self) -> int:
        """How many orders the platform is still to be told about."""
        async with self._database.reading() as connection:
            count: int = await queries.count_platform_orders_open(connection)
        return count

    # --- out ---

    async def _answer_for_ever(self) -> None:
        while True:
            self._wanted.clear()
            told = 0
            try:
                told = await self._answer_some()
            except ProblemError as error:
                logger.info("answers to the platform wait for the database: %s", error)
            if told == 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S):
                        await self._wanted.wait()
            await asyncio.sleep(LOOK_S)

    async def _answer_some(self) -> int:
        at_cloud = self._settings.at_cloud
        async with self._database.reading() as connection:
            found = queries.platform_orders_untold(connection, at_cloud=at_cloud, limit=ANSWERS_MAX)
            rows = [row async for row in found]
        for row in rows:
            await self._answer(row)
        return len(rows)

    async def _answer(self, row: Any) -> None:
        order_id = str(row["order_id"])
        accepted = row["refusal"] is None and ANSWER_OF_OUTCOME.get(row["outcome"], True)
        reason = row["refusal"] or ("" if accepted else f"the store says {row['outcome']}")
        body = {"accepted": accepted, "store_order_id": order_id, "reason": reason}
        status: int | None = None
        slug = ""
        try:
            answer = await self.http.post(f"/v1/orders/{row['number']}/answer", json=body)
            status, slug = answer.status_code, _slug(answer)
        except httpx.HTTPError as error:
            logger.info("the platform gave no answer about its order %d: %s", row["number"], type(error).__name__)
        async with self._database.statement() as connection:
            if status == 200:
                told = "accepted" if accepted else "rejected"
                await queries.platform_order_was_told(connection, order_id=order_id, told=told)
            elif status == 409 and slug == "order-cancelled":
                await queries.platform_order_was_cancelled(connection, order_id=order_id)
            else:
                await queries.tell_platform_later(connection, order_id=order_id, seconds=TELL_AGAIN_S)

    async def _ask_for_ever(self) -> None:
        """Ask for changes: a webhook whose tries have run out is made up for here."""
        while True:
            try:
                changes = (await self.http.get("/v1/changes", params={"after": self._after})).raise_for_status().json()
                for said in changes["orders"]:
                    await self._take_listed(said)
                    self._after = int(said["version"])
                if len(changes["orders"]) >= CHANGES_MAX:
                    continue
            except (httpx.HTTPError, ProblemError, ValueError, KeyError, TypeError) as error:
                logger.info("the platform's changes are not known: %s", type(error).__name__)
            await asyncio.sleep(CHANGES_EVERY_S)

    async def _take_listed(self, said: Any) -> None:
        """What cannot be read is passed over, lest it stand in the way of the others; the platform hears no answer to it."""
        try:
            found = read_platform_order(self.name, said)
        except (OrderRejected, ValueError) as error:
            logger.warning("an order of the platform cannot be read: %s", error)
            return
        if said.get("state") != "rejected":
            await self.take(found)


def _told_if_it_fell(task: asyncio.Task[None]) -> None:
    """A loop never ends by itself: if one does, the log says why, for nobody waits for it."""
    if not task.cancelled() and task.exception() is not None:
        logger.critical("the platform is not served any more", exc_info=task.exception())


def _slug(answer: httpx.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        return ""
    return str(said.get("type", "")).removeprefix(TYPE_PREFIX) if isinstance(said, dict) else ""


def make_platforms(
    settings: PlatformSettings | None, database: Database, menus: StoreMenus, channels: CloudChannels
) -> Platforms | None:
    """What serves the platform, if there is one."""
    if settings is None:
        return None
    platforms = Platforms(settings, database, Orders(database, menus), CheckReads(database, menus))
    platforms.pushes = PlatformPushes(platforms.http, database, channels, StoreReads(database, menus))
    return platforms


@contextlib.asynccontextmanager
async def running(platforms: Platforms | None) -> AsyncIterator[None]:
    """Begin and end with the application."""
    if platforms is None:
        yield
        return
    await platforms.start()
    try:
        yield
    finally:
        await platforms.stop()
