"""The downlink's beginning (P15): a store's orders in the order of their numbers."""

from __future__ import annotations

import json
from typing import Any

from refsystem.cloud.database import Database, queries
from refsystem.ordering.errors import STORE_UNKNOWN
from refsystem.problems import ProblemError


class Dispatch:
    """Answers a store that asks for the orders after its cursor."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, store: str, number: int, limit: int) -> dict[str, Any]:
        """At most `limit` orders and rights from `number + 1` on, ascending and without a hole, and the last number given."""
        async with self._database.reading() as connection:
            # First the orders, then the last number: so it is never below the orders that stand beside it.
            rows = [row async for row in queries.downlink(connection, store=store, after=number, limit=limit)]
            last_number = await queries.last_number(connection, store=store)
        if last_number is None:
            raise ProblemError(STORE_UNKNOWN, f"there is no store {store!r}")
        return {"orders": [_order(row) for row in rows], "last_number": last_number}


def _order(row: Any) -> dict[str, Any]:
    if row["content"] is not None:
        return {"number": row["number"], **json.loads(row["content"])}
    reserved = {} if row["reserved"] is None else {"reserved": json.loads(row["reserved"])}
    return reserved | {
        "number": row["number"],
        "order_id": str(row["order_id"]),
        "channel": row["channel"],
        "table": row["table_name"],
        "items": json.loads(row["items"]),
        "total_minor": row["total_minor"],
        "note": row["note"],
        "pickup_at_s": row["pickup_at_s"],
        "check_id": row["check_id"],
        "body_hash": row["body_hash"],
    }
