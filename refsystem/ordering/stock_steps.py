"""What each record does to the stock. Whether an act is allowed is said in its step alone, for decisions and for the log.

An order takes what its recipes say, whatever is there: it has been accepted. Whether it may be accepted is asked before, by
`Stock.check_order`, by the ingredients' policies (P18).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from refsystem.ordering import fields
from refsystem.ordering import stock_acts as acts
from refsystem.ordering.errors import ORDER_INVALID, OrderRejected
from refsystem.ordering.kitchen_errors import INGREDIENT_UNKNOWN, RIGHTS_FROZEN, RIGHTS_NOT_FROZEN, RIGHTS_TOO_LOW
from refsystem.ordering.menu import Menu
from refsystem.ordering.stock_item import StockItem, Taken

Recipe = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LineUse:
    """What one line of an order took: `quantity` portions of `recipe`; `parts` by ingredient, as they came of the lots."""

    quantity: int
    recipe: Recipe
    parts: tuple[tuple[str, Taken], ...]


@dataclass(frozen=True, slots=True)
class OrderUse:
    """What an order took of the stock."""

    order_id: str
    lines: tuple[LineUse, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a record changes. `fork_epoch`: rights are to be settled with the cloud (0: they are); `thawed`: not waited for."""

    items: dict[str, StockItem] = field(default_factory=dict)
    orders: dict[str, OrderUse] = field(default_factory=dict)
    fork_epoch: int | None = None
    thawed: bool = False


class Lookup(Protocol):
    """What a step may ask of the stock."""

    menu: Menu

    @property
    def fork_epoch(self) -> int:
        """The fork after which rights are not settled yet; 0: none."""

    def item(self, ingredient_id: str) -> StockItem:
        """What there is of an ingredient; nothing, if the log has never named it."""

    def keeps(self, ingredient_id: str) -> bool:
        """Whether the log says what there is of it; of the rest nothing is taken."""

    def use_of(self, order_id: str) -> OrderUse | None:
        """What an order took."""

    def is_made(self, order_id: str, line: int) -> bool:
        """Whether the kitchen has made something of an order's line."""


def step(stock: Lookup, record: dict[str, Any], seq: int, epoch: int) -> Changes | None:
    """What `record`, logged at `seq` in `epoch`, changes; None if it does not concern the stock.

    Raises `OrderRejected`, `KeyError`, `TypeError` or `ValueError` when the rules do not allow it, or it is damaged.
    """
    kind = record.get("kind")
    if kind == "fork":
        return Changes(fork_epoch=epoch)
    if kind == "act":
        kind = f"act {record.get('act')}"
    known = STEPS.get(str(kind))
    if known is None:
        return None
    changes = known(stock, record, seq)
    items = {name: replace(item, changed_seq=seq) for name, item in changes.items.items()}
    return replace(changes, items=items)


def recipes_of(record: dict[str, Any], menu: Menu) -> list[Recipe]:
    """The recipe of each line of an order: the record's own, or else the menu's."""
    items = record["items"]
    told = record.get("recipes")
    if isinstance(told, list) and len(told) == len(items):
        return [tuple((str(name), int(each)) for name, each in recipe) for recipe in told]
    return [menu.recipes.get(item_id, ()) for item_id, _ in items]


def promised_by_cloud(record: dict[str, Any], ingredient_id: str) -> bool:
    """Whether an order took the cloud's rights to an ingredient, and not the store's.

    `reserved` are the ingredients that the cloud had reserved; an order that came back after a fork (P19) does not name any,
    and was promised as a whole.
    """
    reserved = record.get("reserved")
    return record.get("origin") == "cloud" and (not isinstance(reserved, list) or ingredient_id in reserved)


def _order(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    order_id = record["order_id"]
    if stock.use_of(order_id) is not None:
        raise OrderRejected(ORDER_INVALID, f"order {order_id} has taken its part already")
    items: dict[str, StockItem] = {}
    lines = []
    for (_, quantity), recipe in zip(record["items"], recipes_of(record, stock.menu), strict=True):
        recipe = tuple((name, each) for name, each in recipe if stock.keeps(name))
        parts = []
        for name, each in recipe:
            needed = each * quantity
            item, taken = items.get(name, stock.item(name)).taken(needed)
            rights = item.edge_rights if promised_by_cloud(record, name) else item.edge_rights - needed
            items[name] = replace(item, sold=item.sold + needed, edge_rights=rights)
            parts.append((name, taken))
        lines.append(LineUse(quantity, recipe, tuple(parts)))
    return Changes(items, {order_id: OrderUse(order_id, tuple(lines))})


def _void(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    """What was not made goes back, and with it the rights, to the store: it is the store that has it. What was made is wasted."""
    use = stock.use_of(record["order_id"])
    number = int(record["line"])
    if use is None or not 0 <= number < len(use.lines):
        return Changes()
    line = use.lines[number]
    quantity = min(int(record["quantity"]), line.quantity)
    made = stock.is_made(use.order_id, number)
    items: dict[str, StockItem] = {}
    parts = []
    for (name, each), (_, taken) in zip(line.recipe, line.parts, strict=True):
        back, kept = _last(taken, each * quantity)
        item = items.get(name, stock.item(name))
        changed = replace(item, sold=item.sold - each * quantity)
        if made:
            items[name] = replace(changed, wasted=changed.wasted + each * quantity)
        else:
            items[name] = replace(changed.put_back(back, seq), edge_rights=changed.edge_rights + each * quantity)
        parts.append((name, kept))
    left = LineUse(line.quantity - quantity, line.recipe, tuple(parts))
    lines = (*use.lines[:number], left, *use.lines[number + 1 :])
    return Changes(items, {use.order_id: replace(use, lines=lines)})


def _last(taken: Taken, quantity: int) -> tuple[Taken, Taken]:
    """The last `quantity` of what was taken, and the rest."""
    back: list[tuple[str, int]] = []
    kept: list[tuple[str, int]] = []
    for lot_id, part in reversed(taken):
        returned = min(part, quantity)
        quantity -= returned
        if returned:
            back.append((lot_id, returned))
        if part > returned:
            kept.append((lot_id, part - returned))
    return tuple(back), tuple(reversed(kept))


def _known(stock: Lookup, ingredient_id: str) -> StockItem:
    """An ingredient that the log or the menu knows."""
    item = stock.item(ingredient_id)
    if not item.changed_seq and ingredient_id not in stock.menu.ingredients_by_id:
        raise OrderRejected(INGREDIENT_UNKNOWN, f"there is no ingredient {ingredient_id!r}")
    return item


def _receive(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Receive, record, exact=False)
    item = _known(stock, act.ingredient_id).received_lot(act.lot_id, act.quantity, act.use_by, seq)
    return Changes({act.ingredient_id: item})


def _count(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Count, record, exact=False)
    return Changes({act.ingredient_id: _known(stock, act.ingredient_id).counted(act.counted, seq)})


def _waste(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Waste, record, exact=False)
    return Changes({act.ingredient_id: _known(stock, act.ingredient_id).wasted_of(act.quantity, act.lot_id)})


def _grant(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.GrantRights, record, exact=False)
    item = _known(stock, act.ingredient_id)
    if stock.fork_epoch:
        raise OrderRejected(RIGHTS_FROZEN, "the cloud has not settled its rights after a fork yet")
    if act.quantity > item.edge_rights:
        raise OrderRejected(RIGHTS_TOO_LOW, f"the store may promise {item.edge_rights} of {act.ingredient_id}")
    return Changes({act.ingredient_id: replace(item, edge_rights=item.edge_rights - act.quantity)})


def _ask(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.AskRights, record, exact=False)
    _known(stock, act.ingredient_id)
    return Changes()  # what it changes, the cloud's answer does


def _return(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.ReturnRights, record, exact=False)
    item = stock.item(act.ingredient_id)
    return Changes({act.ingredient_id: replace(item, edge_rights=item.edge_rights + act.quantity)})


def _settle(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    """The cloud holds nothing now, and all that it had promised is in the log already (P15): what is there is the store's."""
    act = fields.read_fields(acts.SettleRights, record, exact=False)
    if act.fork_epoch != stock.fork_epoch:
        return Changes()  # of a fork that another one has followed
    return Changes(fork_epoch=0)


def _thaw(stock: Lookup, record: dict[str, Any], seq: int) -> Changes:
    fields.read_fields(acts.ThawRights, record, exact=False)
    if not stock.fork_epoch:
        raise OrderRejected(RIGHTS_NOT_FROZEN, "rights are settled: nothing is held back")
    return Changes(thawed=True)


STEPS: dict[str, Callable[[Lookup, dict[str, Any], int], Changes]] = {
    "order": _order,
    "act void": _void,
    "act receive": _receive,
    "act count": _count,
    "act waste": _waste,
    "act grant_rights": _grant,
    "act ask_rights": _ask,
    "act return_rights": _return,
    "act settle_rights": _settle,
    "act thaw_rights": _thaw,
}
