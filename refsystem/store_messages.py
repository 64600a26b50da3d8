"""How kitchen, stock and the menu's availability look as JSON, and acts on them as requests; edge and cloud tell it alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, Field

from refsystem.ordering.check_acts import Act, parse_act
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.kitchen_order import KitchenOrder
from refsystem.ordering.menu import Menu
from refsystem.ordering.stock import Stock
from refsystem.ordering.store_acts import STORE_ACTS, StoreAct, parse_store_act

PEOPLES_ACTS = ("fire", "recall", "rush", "eighty_six", "restore", "receive", "count", "waste", "thaw_rights")
"""What a person asks for; the display bumps and escalates, and rights are moved by the store itself."""


class SoldOutItem(BaseModel):
    """An item of the menu that cannot be ordered: the kitchen said so, or what it takes has run out."""

    item_id: str
    by: Literal["kitchen", "stock"]
    reason: str = ""


class MenuReply(BaseModel):
    """The menu, and what of it can be ordered now. An order is checked again when it is taken."""

    items: list[dict[str, Any]]
    currency: str
    stations: list[dict[str, Any]]
    ingredients: list[dict[str, Any]]
    sold_out: list[SoldOutItem]
    portions: dict[str, int] = Field(description="how many are left, by item; an item that is not named has no limit")


class StockLot(BaseModel):
    """What is left of one delivery; `use_by` is a day as YYYYMMDD, 0 if it keeps."""

    lot_id: str
    quantity: int
    use_by: int


class StockLine(BaseModel):
    """One ingredient. What is not `kept` was never received or counted, and may be promised as it is asked for."""

    ingredient_id: str
    name: str
    name_zh: str
    unit: str
    policy: str
    par: int
    kept: bool
    level: Literal["ok", "low", "critical", "out", "not_kept"]
    on_hand: int
    available: int | None = Field(description="what this place may promise; null: as much as is asked for")
    store_rights: int
    oversold: int
    received: int
    sold: int
    wasted: int
    missing: int
    lots: list[StockLot]


class StockReply(BaseModel):
    """The stock of a store by its log. `rights_frozen`: after a fork nothing escrowed is promised until that is settled."""

    store: str
    ingredients: list[StockLine]
    rights_frozen: bool
    known_seq: int
    passed_over: int


class KitchenTicket(BaseModel):
    """One slip of an order."""

    version: int
    station: str
    state: str
    lines: list[dict[str, Any]]
    rounds: int
    replaces: int
    after_made: bool
    escalated: bool


class KitchenOrderReply(BaseModel):
    """An order as the kitchen sees it; `held` are courses that are not fired yet.

    When a pre-order is called for, and when its making begins: in seconds since 1970; 0: no pre-order.
    """

    order_id: str
    check_id: str
    table: str
    priority: int
    pickup_at_s: int
    fires_at_s: int
    served: bool
    held: list[dict[str, Any]]
    tickets: list[KitchenTicket]


def parse_any_act(act_id: str, who: str, body: Any) -> Act | StoreAct:
    """A person's act on a check, a payment, in the kitchen or on the stock; raises `OrderRejected` that names the field."""
    if isinstance(body, dict) and body.get("act") in PEOPLES_ACTS:
        return parse_store_act(act_id, who, body)
    return parse_act(act_id, who, body)


def availability(kitchen: Kitchen, stock: Stock) -> dict[str, Any]:
    """What of the menu cannot be ordered, and how many are left of what is bounded."""
    out = [
        {"item_id": each.item_id, "by": "kitchen", "reason": each.reason}
        for each in kitchen.all_sold_out
        if each.item_id in kitchen.menu.by_id
    ]
    portions = {item.item_id: left for item in stock.menu.items if (left := stock.portions(item.item_id)) is not None}
    known = {each["item_id"] for each in out}
    out += [{"item_id": i, "by": "stock", "reason": ""} for i, left in portions.items() if not left and i not in known]
    return {"sold_out": out, "portions": portions}


def menu_fields(menu: Menu) -> dict[str, Any]:
    """The menu itself."""
    return dataclasses.asdict(menu)


def stock_json(store: str, stock: Stock, known_seq: int) -> dict[str, Any]:
    """A `StockReply`."""
    return {
        "store": store,
        "ingredients": [_ingredient(stock, name) for name in stock.items],
        "rights_frozen": stock.fork_epoch != 0,
        "known_seq": known_seq,
        "passed_over": len(stock.passed_over),
    }


def kitchen_order_json(order: KitchenOrder, served: bool) -> dict[str, Any]:
    """A `KitchenOrderReply`."""
    return {
        "order_id": order.order_id,
        "check_id": order.check_id,
        "table": order.table,
        "priority": order.priority,
        "pickup_at_s": order.pickup_at_s,
        "fires_at_s": order.fires_at_s,
        "served": served,
        "held": [{"course": course, "fires": fires} for course, fires in order.held],
        "tickets": [
            {
                **{n: getattr(ticket, n) for n in ("version", "station", "state", "rounds", "replaces")},
                **{n: getattr(ticket, n) for n in ("after_made", "escalated")},
                "lines": [dataclasses.asdict(line) for line in ticket.lines],
            }
            for ticket in order.tickets
        ],
    }


def store_act_schemas() -> list[dict[str, Any]]:
    """What OpenAPI says of the bodies of `PEOPLES_ACTS`."""
    return [_act_schema(name, dataclasses.fields(STORE_ACTS[name])) for name in PEOPLES_ACTS]


def _ingredient(stock: Stock, name: str) -> dict[str, Any]:
    item, known = stock.item(name), stock.menu.ingredients_by_id.get(name)
    kept = stock.keeps(name)
    return {
        "ingredient_id": name,
        "name": known.name if known is not None else name,
        "name_zh": known.name_zh if known is not None else name,
        "unit": known.unit if known is not None else "piece",
        "policy": stock.policy(name),
        "par": known.par if known is not None else 0,
        "kept": kept,
        "level": stock.level(name) if kept else "not_kept",
        "on_hand": item.on_hand,
        "available": stock.available(name),
        "store_rights": item.edge_rights,
        "oversold": item.owed,
        **{sums: getattr(item, sums) for sums in ("received", "sold", "wasted", "missing")},
        "lots": [{"lot_id": lot.lot_id, "quantity": lot.quantity, "use_by": lot.use_by} for lot in item.lots],
    }


def _act_schema(name: str, fields: Iterable[dataclasses.Field[Any]]) -> dict[str, Any]:
    given = [each for each in fields if not each.metadata["derived"]]
    properties: dict[str, Any] = {"act": {"const": name}}
    for each in given:
        if each.type in ("int", int):
            properties[each.name] = {"type": "integer", "minimum": 0}
        elif each.name == "order_id":
            properties[each.name] = {"type": "string", "format": "uuid"}
        else:
            properties[each.name] = {"type": "string"}
    return {
        "type": "object",
        "title": name,
        "description": (STORE_ACTS[name].__doc__ or "").split("\n")[0],
        "properties": properties,
        "required": ["act", *(each.name for each in given if each.default is dataclasses.MISSING)],
        "additionalProperties": False,
    }
