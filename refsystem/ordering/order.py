"""An order: one submitted request, checked before it may enter a log, and the hash that tells two contents apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args
from uuid import UUID

from refsystem.ordering.errors import KEY_MISSING, ORDER_INVALID, PRICE_CHANGED, OrderRejected
from refsystem.ordering.menu import Menu

Channel = Literal["qr", "cashier", "mini_program", "kiosk", "waiter", "delivery"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
LINES_MAX = 100
QUANTITY_MAX = 999
NOTE_CHARACTERS_MAX = 200
TABLE_CHARACTERS_MAX = 40


@dataclass(frozen=True, slots=True)
class Order:
    """One submitted request. `items` holds `(item_id, quantity)` as sent, in order; `total_minor` is what was agreed.

    `check_id` names the check that it is put on; empty: one of its own.
    """

    order_id: str
    channel: Channel
    table: str
    items: tuple[tuple[str, int], ...]
    total_minor: int
    note: str = ""
    check_id: str = ""

    @property
    def body_hash(self) -> str:
        """Equal for equal content under one key; the same at the edge, in the cloud and in a client."""
        return body_hash(self.channel, self.table, self.items, self.total_minor, self.note, self.check_id)


def body_hash(
    channel: str, table: str, items: tuple[tuple[str, int], ...], total_minor: int, note: str, check_id: str = ""
) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the content of an order."""
    said = [channel, table, list(items), total_minor, note, *([check_id] if check_id else [])]
    content = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def parse_key(key: str | None) -> str:
    """The `order_id` in an Idempotency-Key header, in canonical form; raises `OrderRejected` unless it is a UUID."""
    try:
        return str(UUID((key or "").strip().strip('"')))
    except ValueError:
        raise OrderRejected(KEY_MISSING, "send the order's UUID in the header Idempotency-Key") from None


def parse_order(order_id: str, body: Any) -> Order:
    """The order in a request body: `channel`, `table`, `items` [{item_id, quantity}], `total_minor`, `note`, `check_id`.

    Raises `OrderRejected` that names the field. Prices are checked apart, by `check_price`, because a key that is known is
    answered before any other check.
    """
    if not isinstance(body, dict):
        raise OrderRejected(ORDER_INVALID, "the body must be a JSON object")
    channel = body.get("channel")
    if channel not in CHANNELS:
        raise OrderRejected(ORDER_INVALID, f"channel must be one of {', '.join(CHANNELS)}, not {channel!r}")
    table, note = body.get("table", ""), body.get("note", "")
    if not isinstance(table, str) or len(table) > TABLE_CHARACTERS_MAX:
        raise OrderRejected(ORDER_INVALID, f"table must be a text of at most {TABLE_CHARACTERS_MAX} characters")
    if not isinstance(note, str) or len(note) > NOTE_CHARACTERS_MAX:
        raise OrderRejected(ORDER_INVALID, f"note must be a text of at most {NOTE_CHARACTERS_MAX} characters")
    total_minor = body.get("total_minor")
    if not isinstance(total_minor, int) or isinstance(total_minor, bool) or total_minor < 0:
        raise OrderRejected(ORDER_INVALID, "total_minor must be a whole number of minor units, 0 or more")
    items, check_id = _parse_items(body.get("items")), _parse_check_id(body.get("check_id"))
    return Order(order_id, channel, table, items, total_minor, note, check_id)


def check_price(order: Order, menu: Menu) -> None:
    """Raises `OrderRejected` if an item is unknown or the total is not what the menu says."""
    total_minor = menu.total_minor(order.items)
    if total_minor != order.total_minor:
        raise OrderRejected(PRICE_CHANGED, f"the menu says {total_minor}, the order {order.total_minor}")


def _parse_check_id(check_id: Any) -> str:
    if check_id is None or check_id == "":
        return ""
    try:
        return str(UUID(check_id if isinstance(check_id, str) else ""))
    except ValueError:
        raise OrderRejected(ORDER_INVALID, "check_id must be a UUID, or left out") from None


def _parse_items(items: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(items, list) or not 1 <= len(items) <= LINES_MAX:
        raise OrderRejected(ORDER_INVALID, f"items must be a list of 1 to {LINES_MAX} lines")
    lines: list[tuple[str, int]] = []
    for number, line in enumerate(items):
        if not isinstance(line, dict) or not isinstance(line.get("item_id"), str):
            raise OrderRejected(ORDER_INVALID, f"items[{number}].item_id must be a text")
        quantity = line.get("quantity")
        if not isinstance(quantity, int) or isinstance(quantity, bool) or not 1 <= quantity <= QUANTITY_MAX:
            raise OrderRejected(
                ORDER_INVALID, f"items[{number}].quantity must be a whole number from 1 to {QUANTITY_MAX}"
            )
        lines.append((line["item_id"], quantity))
    return tuple(lines)
