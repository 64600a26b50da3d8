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
PICKUP_AHEAD_MAX_S = 7 * 24 * 3600
UNIX_S_MAX = 2**40
DERIVED_VERSION = 5
"""The UUIDs that follow from something: no request from outside may bring one as its key."""


@dataclass(frozen=True, slots=True)
class Order:
    """One submitted request. `items` holds `(item_id, quantity)` as sent, in order; `total_minor` is what was agreed.

    `check_id` names the check that it is put on; empty: one of its own. `pickup_at_s` is when a pre-order is called for, in
    seconds since 1970; 0: as soon as it is made.
    """

    order_id: str
    channel: Channel
    table: str
    items: tuple[tuple[str, int], ...]
    total_minor: int
    note: str = ""
    check_id: str = ""
    pickup_at_s: int = 0

    @property
    def body_hash(self) -> str:
        """Equal for equal content under one key; the same at the edge, in the cloud and in a client."""
        return body_hash(
            self.channel, self.table, self.items, self.total_minor, self.note, self.check_id, self.pickup_at_s
        )


def body_hash(
    channel: str,
    table: str,
    items: tuple[tuple[str, int], ...],
    total_minor: int,
    note: str,
    check_id: str = "",
    pickup_at_s: int = 0,
) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the content of an order; what is empty at its end is left out."""
    said: list[Any] = [channel, table, list(items), total_minor, note]
    if check_id or pickup_at_s:
        said.append(check_id)
    if pickup_at_s:
        said.append(pickup_at_s)
    content = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def parse_id(text: str | None) -> str:
    """The id in a path or a message of the store's own, in canonical form; raises `OrderRejected` unless it is a UUID."""
    try:
        return str(UUID((text or "").strip().strip('"')))
    except ValueError:
        raise OrderRejected(KEY_MISSING, "send the order's UUID in the header Idempotency-Key") from None


def is_derived(key: str) -> bool:
    """Whether a canonical id is one that follows from something, and that only the store or the cloud may give."""
    return key[14:15] == str(DERIVED_VERSION) and key[19:20] in ("8", "9", "a", "b")


def parse_key(key: str | None) -> str:
    """The key in an Idempotency-Key header, in canonical form; raises `OrderRejected` unless it is a UUID of the client's own.

    Version 5 is the store's and the cloud's own: what they do by themselves has keys that follow from what it is for
    (`derived_id`, `platform_order_id`), which anybody can compute. A request under such a key would take its place for ever.
    """
    key = parse_id(key)
    if is_derived(key):
        raise OrderRejected(
            KEY_MISSING, f"send a random UUID (version 4 or 7): version {DERIVED_VERSION} is the store's own"
        )
    return key


def parse_order(order_id: str, body: Any) -> Order:
    """The order in a request body: `channel`, `table`, `items` [{item_id, quantity}], `total_minor`, `note`, `check_id`,
    `pickup_at_s`.

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
    pickup_at_s = _parse_pickup(body.get("pickup_at_s"))
    return Order(order_id, channel, table, items, total_minor, note, check_id, pickup_at_s)


def check_pickup(order: Order, now_s: float) -> None:
    """Raises `OrderRejected` if a pre-order is for too far a day. Who asks again later is not refused for it (P6)."""
    if order.pickup_at_s > now_s + PICKUP_AHEAD_MAX_S:
        raise OrderRejected(ORDER_INVALID, f"pickup_at_s must be at most {PICKUP_AHEAD_MAX_S} seconds from now")


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


def _parse_pickup(pickup_at_s: Any) -> int:
    if pickup_at_s is None:
        return 0
    if not isinstance(pickup_at_s, int) or isinstance(pickup_at_s, bool) or not 0 <= pickup_at_s <= UNIX_S_MAX:
        raise OrderRejected(ORDER_INVALID, "pickup_at_s must be whole seconds since 1970, or left out")
    return pickup_at_s


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
