"""Orders that enter at the cloud (P15), and how any order that the cloud holds is told to whoever asks.

The key is looked up before anything else is checked. `RC` is told only after the commit.
"""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from refsystem.cloud.database import STATEMENT_ERRORS, Database, queries
from refsystem.ordering.errors import (
    KEY_REUSED,
    NOT_CONFIRMED,
    ORDER_INVALID,
    OUTCOME_UNKNOWN,
    STORE_UNKNOWN,
    OrderRejected,
)
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Order, check_price
from refsystem.problems import ProblemError

LEVEL = "RC"
NODE_ID = "cloud"


class Orders:
    """The cloud's door for diners."""

    def __init__(self, database: Database, menu: Menu) -> None:
        self._database = database
        self._menu = menu

    async def place(self, store: str, order: Order) -> tuple[dict[str, Any], bool]:
        """The reply to a submitted order, and whether it was a repeated one.

        Raises `OrderRejected` (nothing was written) or `ProblemError`.
        """
        reply = await self._repeated(store, order)
        if reply is not None:
            return reply, True
        check_price(order, self._menu)
        try:
            number = await self._insert(store, order)
        except asyncpg.UniqueViolationError:
            # The same key came a second time just now, and won.
            reply = await self._repeated(store, order)
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
        return {**found, "channel": row["channel"], "table": row["table_name"], "items": items, "note": row["note"]}

    async def _insert(self, store: str, order: Order) -> int | None:
        async with self._database.statement() as connection:
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
            )
        return number

    async def _repeated(self, store: str, order: Order) -> dict[str, Any] | None:
        async with self._database.reading() as connection:
            row = await queries.order_by_id(connection, order_id=order.order_id)
        if row is None:
            return None
        if (row["store"], row["body_hash"]) != (store, order.body_hash):
            raise OrderRejected(KEY_REUSED, f"order {order.order_id} is held with another content")
        if row["level_told"] is None:
            async with self._database.statement() as connection:
                await queries.level_was_told(connection, order_id=order.order_id)
        return _reply(order.order_id, store, row["total_minor"], _status(row))


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
