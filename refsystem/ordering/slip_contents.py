"""What stands on the slip of an order: its record and the menu's names, nothing else."""

from __future__ import annotations

from typing import Any

from refsystem.ordering.menu import Menu
from refsystem.ordering.slip import KitchenLine, KitchenSlip, ticket_key

STATION = "kitchen"
ORDER_NUMBER_LETTERS = 8


def order_number(order_id: str) -> str:
    """The order as people call it: the end of its id, which is random."""
    return order_id.replace("-", "")[-ORDER_NUMBER_LETTERS:].upper()


def order_slip_key(record: dict[str, Any]) -> str | None:
    """The key of the slip that a record of the log makes: one for each order, at the pass."""
    return ticket_key(record["order_id"], record["version"], STATION) if record["kind"] == "order" else None


def order_slip(record: dict[str, Any], menu: Menu, at: str, pickup_at: str = "") -> KitchenSlip:
    """The slip of an order's record; `at` and `pickup_at` are texts. An item that the menu does not know goes by its id."""
    lines = []
    for item_id, quantity in record["items"]:
        item = menu.by_id.get(item_id)
        lines.append(KitchenLine(item.name if item else item_id, item.name_zh if item else "", quantity))
    number = order_number(record["order_id"])
    return KitchenSlip(
        STATION,
        record["table"],
        f"No. {number}",
        record["channel"],
        at,
        tuple(lines),
        record["note"],
        pickup_at=pickup_at,
    )
