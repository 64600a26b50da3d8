"""Orders that entered at the cloud, on their way into the store's log (P15): each number makes exactly one record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refsystem.ordering.book import Book
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Order, check_price
from refsystem.protocol.log import Log

DownlinkOrder = tuple[int, Order]


def order_record(order: Order, origin: str, downlink_number: int | None = None) -> dict[str, Any]:
    """The log record of version 1 of an order."""
    record: dict[str, Any] = {
        "kind": "order",
        "order_id": order.order_id,
        "body_hash": order.body_hash,
        "channel": order.channel,
        "table": order.table,
        "items": [list(item) for item in order.items],
        "total_minor": order.total_minor,
        "note": order.note,
        "origin": origin,
        "version": 1,
    }
    if downlink_number is not None:
        record["downlink_number"] = downlink_number
    if order.check_id:
        record["check_id"] = order.check_id
    return record


class Downlink:
    """The store's side of the downlink. The cursor is a view of the log, so that it is set aside with its record."""

    def __init__(self, log: Log, menu: Menu, book: Book) -> None:
        self._log = log
        self._menu = menu
        self._book = book

    def records(self, orders: Sequence[DownlinkOrder]) -> list[dict[str, Any]]:
        """The records for the orders that follow the cursor; others are passed over (`cursor+1` only)."""
        records: list[dict[str, Any]] = []
        taken: dict[str, str] = {}
        cursor = self._log.downlink_cursor
        for number, order in orders:
            if number != cursor + 1:
                continue
            cursor = number
            record = self._record(number, order, taken)
            if record["kind"] == "order":
                taken[order.order_id] = order.body_hash
            records.append(record)
        return records

    def _record(self, number: int, order: Order, taken: dict[str, str]) -> dict[str, Any]:
        known = self._known_body_hash(order.order_id) or taken.get(order.order_id)
        if known is not None:
            kind = "duplicate_of" if known == order.body_hash else "conflict"
            return _outcome(
                kind, number, order, "" if kind == "duplicate_of" else "the key is in the log with other content"
            )
        try:
            check_price(order, self._menu)
            self._book.order_check(order.order_id, order.check_id)
        except OrderRejected as rejection:
            return _outcome("refused", number, order, rejection.detail)
        return order_record(order, "cloud", number)

    def _known_body_hash(self, order_id: str) -> str | None:
        """P6: the key is looked up on this path into the log too."""
        key = self._log.key(order_id)
        return key.body_hash if key is not None else None


def _outcome(kind: str, number: int, order: Order, detail: str) -> dict[str, Any]:
    return {"kind": kind, "order_id": order.order_id, "downlink_number": number, "detail": detail}
