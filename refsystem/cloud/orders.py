"""Orders that enter at the cloud (P15), and how any order that the cloud holds is told to whoever asks.

The key is looked up before anything else is checked. `RC` is told only after the commit.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from refsystem.clocks import wall_us
from refsystem.cloud import stock
from refsystem.cloud.database import STATEMENT_ERRORS, Connection, Database, queries
from refsystem.cloud.store_reads import StoreReads
from refsystem.ordering.errors import (
    KEY_REUSED,
    NOT_CONFIRMED,
    ORDER_INVALID,
    OUTCOME_UNKNOWN,
    STORE_UNKNOWN,
    OrderRejected,
)
from refsystem.ordering.order import Order, check_pickup, check_price
from refsystem.problems import ProblemError
from refsystem.store_settings import StoreMenus

Door = Callable[[str, Order], Awaitable[None]]
LEVEL = "RC"
LOOKS_MAX = 2
LOOKS_WAITING_MAX = 200
NODE_ID = "cloud"


class Orders:
    """The cloud's door for diners. `must_be_open` raises `ProblemError` where the channel of a new order takes none now."""

    def __init__(self, database: Database, menus: StoreMenus, must_be_open: Door | None = None) -> None:
        self._must_be_open = must_be_open
        self._database = database
        self._menus = menus
        self._reads = StoreReads(database, menus)

    async def place(self, store: str, order: Order) -> tuple[dict[str, Any], bool]:
        """The reply to a submitted order, and whether it was a repeated one.

        Raises `OrderRejected` (nothing was written) or `ProblemError`.
        """
        reply, keeps_stock = await self._look_up(store, order)
        if reply is not None:
            return reply, True
        if self._must_be_open is not None:
            await self._must_be_open(store, order)
        check_pickup(order, wall_us() / 1_000_000)
        check_price(order, self._menus.of(store))
        try:
            if keeps_stock:
                await self._reads.check_order(store, order)
                number = await self._insert_with_stock(store, order)
            else:
                number = await self._insert_alone(store, order)
        except asyncpg.UniqueViolationError:
            # The same key came a second time just now, and won.
            reply, _ = await self._look_up(store, order)
            if reply is None:
                raise ProblemError(OUTCOME_UNKNOWN, "the key was seen and is gone; ask again") from None
            return reply, True
        except STATEMENT_ERRORS as error:
            raise OrderRejected(ORDER_INVALID, f"the order cannot be stored ({type(error).__name__})") from error
        if number is None:
            raise OrderRejected(STORE_UNKNOWN, f"there is no store {store!r}")
        return _reply(order.order_id, store, order.total_minor, "committed"), False

    async def find(self, order_id: str) -> dict[str, Any]:
        """The order, with what was ordered.

        What the cloud does not hold may stand in a store's log and not have come up yet. So "not there" is never
        answered here (P5): `ProblemError` not-confirmed, and whoever asks goes to the store.
        """
        async with self._database.reading(NOT_CONFIRMED) as connection:
            row = await queries.order_by_id(connection, order_id=order_id)
        if row is None:
            raise ProblemError(NOT_CONFIRMED, "the cloud does not hold this order; its store may")
        items = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in json.loads(row["items"])]
        found = _reply(order_id, row["store"], row["total_minor"], _status(row))
        return {
            **found,
            "channel": row["channel"],
            "table": row["table_name"],
            "items": items,
            "note": row["note"],
            "pickup_at_s": row["pickup_at_s"],
        }

    async def _insert_alone(self, store: str, order: Order) -> int | None:
        async with self._database.statement() as connection:
            return await self._insert(connection, store, order, [])

    async def _insert_with_stock(self, store: str, order: Order) -> int | None:
        """In one transaction: the next number under the lock on the store's row, what it takes of the stock (P18), the order."""
        async with self._database.transaction() as connection:
            row = await queries.lock_store(connection, store=store)
            if row is None:
                return None
            next_number = row["last_number"] + 1
            reserved = await stock.reserve(connection, store, order, self._menus.of(store), next_number)
            number = await self._insert(connection, store, order, reserved)
            assert number == next_number, "the store's row is locked"
        return number

    async def _insert(self, connection: Connection, store: str, order: Order, reserved: list[str]) -> int | None:
        number: int | None = await queries.place_order(
            connection,
            store=store,
            order_id=order.order_id,
            body_hash=order.body_hash,
            channel=order.channel,
            table_name=order.table,
            items=json.dumps(order.items, ensure_ascii=False),
            total_minor=order.total_minor,
            note=order.note,
            pickup_at_s=order.pickup_at_s,
            reserved=json.dumps(reserved),
        )
        return number

    async def _look_up(self, store: str, order: Order) -> tuple[dict[str, Any] | None, bool]:
        """The reply to a key that is known; and whether the store keeps stock, as far as came up."""
        async with self._database.reading() as connection:
            row = await queries.order_by_id(connection, order_id=order.order_id)
            keeps_stock = row is None and await queries.store_rights(connection, store=store) is not None
        if row is None:
            return None, keeps_stock
        if (row["store"], row["body_hash"]) != (store, order.body_hash):
            raise OrderRejected(KEY_REUSED, f"order {order.order_id} is held with another content")
        if row["level_told"] is None:
            async with self._database.statement() as connection:
                await queries.level_was_told(connection, order_id=order.order_id)
        return _reply(order.order_id, store, row["total_minor"], _status(row)), False


class KnownKeys:
    """Whether a key is held: the gate asks before it refuses, for what was accepted is never refused (P6).

    Few look at a time, so that what is refused does not keep the database from what is not.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looking = asyncio.Semaphore(LOOKS_MAX)
        self._waiting = 0

    async def holds(self, order_id: str) -> bool:
        """Whether the cloud holds this order. Raises `ProblemError`, indefinite, if it cannot be said now."""
        if self._waiting >= LOOKS_WAITING_MAX:
            raise ProblemError(OUTCOME_UNKNOWN, f"{self._waiting} requests wait to be looked up")
        self._waiting += 1
        try:
            async with self._looking, self._database.reading(OUTCOME_UNKNOWN) as connection:
                return await queries.order_by_id(connection, order_id=order_id) is not None
        except ProblemError as error:
            raise ProblemError(OUTCOME_UNKNOWN, error.detail) from error
        finally:
            self._waiting -= 1


def _status(row: Any) -> str:
    if row["outcome"] in ("conflict", "refused"):
        return "refused"
    return "served" if row["served"] else "committed"


def _reply(order_id: str, store: str, total_minor: int, status: str) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "store": store,
        "level": LEVEL,
        "node_id": NODE_ID,
        "epoch": None,
        "seq": None,
        "total_minor": total_minor,
        "status": status,
    }
