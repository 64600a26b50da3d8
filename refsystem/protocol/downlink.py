"""Orders that entered at the cloud, on their way into the store's log (P15): each number makes exactly one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refsystem.ordering.book import Book
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Order, check_price
from refsystem.ordering.stock_acts import ReturnRights, SettleRights
from refsystem.ordering.store_acts import from_downlink
from refsystem.protocol.log import Log
from refsystem.protocol.store_views import StoreViews


@dataclass(frozen=True, slots=True)
class PromisedOrder:
    """An order that the cloud has promised, with the ingredients that it has `reserved` for it from its own rights (P18)."""

    order: Order
    reserved: tuple[str, ...]


DownlinkOrder = tuple[int, Order | PromisedOrder | ReturnRights | SettleRights]
"""What comes under a number. A plain `Order` was promised as a whole: it comes back after a fork (P19)."""


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
    if order.pickup_at_s:
        record["pickup_at_s"] = order.pickup_at_s
    return record


class Downlink:
    """The store's side of the downlink. The cursor is a view of the log, so that it is set aside with its record."""

    def __init__(self, log: Log, menu: Menu, book: Book, views: StoreViews | None = None) -> None:
        self._log = log
        self._menu = menu
        self._book = book
        self._views = views if views is not None else StoreViews(log, menu)
        self._besides: dict[str, int] = {}

    def records(self, orders: Sequence[DownlinkOrder], at_ms: int = 0) -> list[dict[str, Any]]:
        """The records for what follows the cursor, by the wall clock `at_ms`; others are passed over (`cursor+1` only)."""
        records: list[dict[str, Any]] = []
        taken: dict[str, str] = {}
        self._besides = {}
        cursor = self._log.downlink_cursor
        for number, sent in orders:
            if number != cursor + 1:
                continue
            cursor = number
            if isinstance(sent, ReturnRights | SettleRights):
                records.append(from_downlink(sent).record(at_ms))
                continue
            record = self._record(number, sent, taken)
            if record["kind"] == "order":
                taken[record["order_id"]] = record["body_hash"]
            records.append(record)
        return records

    def _record(self, number: int, sent: Order | PromisedOrder, taken: dict[str, str]) -> dict[str, Any]:
        order, reserved = (sent.order, sent.reserved) if isinstance(sent, PromisedOrder) else (sent, None)
        known = self._known_body_hash(order.order_id) or taken.get(order.order_id)
        if known is not None:
            kind = "duplicate_of" if known == order.body_hash else "conflict"
            return _outcome(
                kind, number, order, "" if kind == "duplicate_of" else "the key is in the log with other content"
            )
        try:
            check_price(order, self._menu)
            self._book.order_check(order.order_id, order.check_id)
            needs = self._views.check_cloud_order(order, reserved, self._besides)
        except OrderRejected as rejection:
            return _outcome("refused", number, order, rejection.detail)
        for name, quantity in needs.items():
            if reserved is not None and name not in reserved:
                self._besides[name] = self._besides.get(name, 0) + quantity
        record = order_record(order, "cloud", number) | self._views.order_fields(order)
        if reserved is not None and self._views.stock.keeps_any:
            record["reserved"] = list(reserved)
        return record

    def _known_body_hash(self, order_id: str) -> str | None:
        """P6: the key is looked up on this path into the log too."""
        key = self._log.key(order_id)
        return key.body_hash if key is not None else None


def _outcome(kind: str, number: int, order: Order, detail: str) -> dict[str, Any]:
    return {"kind": kind, "order_id": order.order_id, "downlink_number": number, "detail": detail}
