"""What the cloud shows to an audit: its orders, the raw entries and the alarms, page by page."""

from __future__ import annotations

import json
from typing import Any

from refsystem.chain_access import without_instrument
from refsystem.cloud.database import Database, queries

ALARMS_MAX = 10_000


class AuditReads:
    """Reads of one store. Unless `knows_readers`, what a payment was charged to is told as a fingerprint."""

    def __init__(self, database: Database, *, knows_readers: bool) -> None:
        self._database = database
        self._knows_readers = knows_readers

    async def orders(self, store: str, after: str | None, limit: int) -> dict[str, Any]:
        """Orders by ascending `order_id`, beginning behind `after`."""
        async with self._database.reading() as connection:
            rows = [row async for row in queries.audit_orders(connection, store=store, after=after, limit=limit)]
        return {"orders": [_order(row) for row in rows]}

    async def entries(self, store: str, from_seq: int, limit: int) -> dict[str, Any]:
        """Entries of the store's log as they came, by ascending seq."""
        async with self._database.reading() as connection:
            rows = [row async for row in queries.audit_entries(connection, store=store, from_seq=from_seq, limit=limit)]
        return {"entries": [self._entry(row) for row in rows]}

    async def forked_entries(self, store: str, after: int, limit: int) -> dict[str, Any]:
        """Entries of branches that the store has left, behind number `after` of the list."""
        async with self._database.reading() as connection:
            rows = queries.audit_forked_entries(connection, store=store, after=after, limit=limit)
            found = [row async for row in rows]
        return {"entries": [self._entry(row) for row in found]}

    async def alarms(self, store: str) -> dict[str, Any]:
        """Every alarm, with when it was raised first and how often."""
        async with self._database.reading() as connection:
            rows = [row async for row in queries.audit_alarms(connection, store=store, limit=ALARMS_MAX)]
        return {
            "alarms": [
                {
                    "at": row["at"].isoformat(),
                    "last_at": row["last_at"].isoformat(),
                    "times": row["times"],
                    "kind": row["kind"],
                    "detail": row["detail"],
                }
                for row in rows
            ]
        }

    def _entry(self, row: Any) -> dict[str, Any]:
        record = json.loads(row["record"])
        if not self._knows_readers and isinstance(record, dict):
            record = without_instrument(record)
        return {**dict(row), "record": record}


def _order(row: Any) -> dict[str, Any]:
    return {
        "order_id": str(row["order_id"]),
        "marker": row["note"],
        "origin": row["origin"],
        "channel": row["channel"],
        "table": row["table_name"],
        "items": json.loads(row["items"]),
        "total_minor": row["total_minor"],
        "level_told": row["level_told"],
        "store_seq": row["store_seq"],
        "outcome": row["outcome"],
        "number": row["number"],
        "served": row["served"],
    }
