"""The stock: what a store has, owes and may promise, as its log says (P18). A view like the book, with no truth of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Literal

from refsystem.ordering import stock_steps
from refsystem.ordering.book import PassedOver
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen_errors import ITEM_SOLD_OUT
from refsystem.ordering.menu import Menu
from refsystem.ordering.money import BASIS_POINTS
from refsystem.ordering.recipe import Needs, needs_of, portions_left
from refsystem.ordering.stock_acts import Count
from refsystem.ordering.stock_item import Lot, StockItem
from refsystem.ordering.stock_steps import Changes, OrderUse
from refsystem.ordering.store_acts import StoreAct
from refsystem.ordering.store_rules import StockRules

Level = Literal["ok", "low", "critical", "out"]


def _nothing_made(order_id: str, line: int) -> bool:
    return False


class Stock:
    """The stock of one store. `is_made` is `Kitchen.is_made`; the kitchen follows each entry before the stock does.

    `only_kept`: what nobody has ever received or counted is not kept in stock, and may be promised as it is asked for.

    Calls of the admission: `check_order` and `order_fields` before an order is taken, `decide` before an act is; `apply` for
    every entry that enters the log, `set_aside` when entries leave it.
    """

    def __init__(
        self,
        menu: Menu,
        rules: StockRules | None = None,
        is_made: Callable[[str, int], bool] = _nothing_made,
        *,
        only_kept: bool = False,
    ) -> None:
        self.menu = menu
        self.rules = rules or StockRules()
        self.is_made = is_made
        self._only_kept = only_kept
        self._items: dict[str, StockItem] = {}
        self._uses: dict[str, OrderUse] = {}
        self._fork_epoch = 0
        self._thawed = False
        self._undo: list[tuple[int, dict[str, StockItem | None], dict[str, OrderUse | None], tuple[int, bool]]] = []
        self._passed_over: list[PassedOver] = []

    # --- reads ---

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """Entries that the rules do not allow, oldest first."""
        return tuple(self._passed_over)

    @property
    def fork_epoch(self) -> int:
        """The fork after which rights are not settled with the cloud yet; 0: none."""
        return self._fork_epoch

    @property
    def items(self) -> dict[str, StockItem]:
        """What there is of every ingredient of the menu and of the log."""
        names = dict.fromkeys((*self.menu.ingredients_by_id, *self._items))
        return {name: self.item(name) for name in names}

    def item(self, ingredient_id: str) -> StockItem:
        """What there is of an ingredient; nothing, if the log has never named it."""
        return self._items.get(ingredient_id) or StockItem(ingredient_id)

    def keeps(self, ingredient_id: str) -> bool:
        """Whether the log says what there is of it."""
        if not self._only_kept:
            return True
        item = self._items.get(ingredient_id)
        return item is not None and item.kept

    @property
    def keeps_any(self) -> bool:
        """Whether anything is kept in stock here."""
        return not self._only_kept or any(item.kept for item in self._items.values())

    def use_of(self, order_id: str) -> OrderUse | None:
        """What an order took."""
        return self._uses.get(order_id)

    def orders_with(self, ingredient_id: str, lot_id: str) -> tuple[str, ...]:
        """The orders that something of a lot went into, when that lot turns out to be bad."""
        return tuple(
            use.order_id
            for use in self._uses.values()
            if any(
                name == ingredient_id and any(lot == lot_id for lot, _ in taken)
                for line in use.lines
                for name, taken in line.parts
            )
        )

    def policy(self, ingredient_id: str) -> str:
        """How an ingredient may be promised; what no menu names is nobody's promise."""
        ingredient = self.menu.ingredients_by_id.get(ingredient_id)
        return ingredient.policy if ingredient is not None else "optimistic"

    def available(self, ingredient_id: str) -> int | None:
        """How much of it the store may promise now; None: as much as is asked for."""
        item = self.item(ingredient_id)
        if not self.keeps(ingredient_id):
            return None
        match self.policy(ingredient_id):
            case "escrow":
                return 0 if self._fork_epoch and not self._thawed else max(0, min(item.edge_rights, item.on_hand))
            case "edge_owned":
                return max(0, item.on_hand)
            case _:
                return None

    def portions(self, item_id: str) -> int | None:
        """How many of a thing on the menu the store may still promise; None: as many as are asked for."""
        known = {name: self.available(name) for name, _ in self.menu.recipes.get(item_id, ())}
        bounded = {name: quantity for name, quantity in known.items() if quantity is not None}
        return portions_left(((n, each) for n, each in self.menu.recipes.get(item_id, ()) if n in bounded), bounded)

    def run_out(self) -> tuple[str, ...]:
        """What is on the menu and cannot be promised any more: sold out on every channel of the store."""
        return tuple(item.item_id for item in self.menu.items if self.portions(item.item_id) == 0)

    def level(self, ingredient_id: str) -> Level:
        """Whether it is time to order an ingredient, by the share of `par` that is there."""
        on_hand = self.item(ingredient_id).on_hand
        ingredient = self.menu.ingredients_by_id.get(ingredient_id)
        par = ingredient.par if ingredient is not None else 0
        if on_hand <= 0:
            return "out"
        if on_hand * BASIS_POINTS <= par * self.rules.critical_basis_points:
            return "critical"
        return "low" if on_hand * BASIS_POINTS <= par * self.rules.low_basis_points else "ok"

    def oversold(self) -> dict[str, int]:
        """What was promised though it is not there, by ingredient: to be made good, by a void or a comp."""
        return {name: item.owed for name, item in self._items.items() if item.owed}

    def lots_by(self, day: int) -> tuple[tuple[str, Lot], ...]:
        """Lots that must be used by `day` (YYYYMMDD) at the latest, with their ingredient; the first to expire first."""
        lots = (
            (name, lot)
            for name, item in self._items.items()
            for lot in item.lots
            if 0 < lot.use_by <= day and lot.quantity
        )
        return tuple(sorted(lots, key=lambda each: (each[1].turn, each[0])))

    # --- decisions ---

    def needs(self, items: Iterable[tuple[str, int]]) -> Needs:
        """What an order takes, whatever is there."""
        return needs_of(self.menu.recipes, items)

    def check_order(
        self,
        items: Iterable[tuple[str, int]],
        *,
        from_cloud: bool = False,
        reserved: Collection[str] | None = None,
        besides: Needs | None = None,
    ) -> Needs:
        """What an order takes; raises `OrderRejected` if it cannot be promised. `besides`: taken by what is decided with it.

        An order from the cloud has the cloud's own rights to what is escrowed (P18), if it has `reserved` it (None: all): it is
        never refused for that.
        """
        lines = list(items)
        needs = needs_of(self.menu.recipes, lines)
        for name, quantity in needs.items():
            if from_cloud and self.policy(name) == "escrow" and (reserved is None or name in reserved):
                continue
            available = self.available(name)
            taken = (besides or {}).get(name, 0)
            if available is not None and quantity > available - taken:
                short = next(item_id for item_id, _ in lines if name in dict(self.menu.recipes.get(item_id, ())))
                left = max(0, available - taken)
                raise OrderRejected(ITEM_SOLD_OUT, f"{short} is sold out: {left} of {name} are left", short)
        return needs

    def order_fields(self, items: Iterable[tuple[str, int]]) -> dict[str, Any]:
        """What to add to an order's record, so that a menu that changes later changes no stock."""
        return {"recipes": [[list(part) for part in self.menu.recipes.get(item_id, ())] for item_id, _ in items]}

    def decide(self, act: StoreAct, at_ms: int) -> dict[str, Any]:
        """The record of `act` for the log; raises `OrderRejected`, and then nothing is to be written.

        Its key must have been looked up before (P6). Nothing changes here until `apply` is given the record.
        """
        content = act.content
        if isinstance(content, Count):
            content = replace(content, expected=self._as_of(content.ingredient_id, content.known_seq).on_hand)
        record = replace(act, content=content).record(at_ms)
        stock_steps.step(self, record, self._undo[-1][0] + 1 if self._undo else 1, 0)
        return record

    def _as_of(self, ingredient_id: str, seq: int) -> StockItem:
        """What there was of it behind the entry at `seq`; 0: what there is."""
        item = self.item(ingredient_id)
        for later, before, _, _ in reversed(self._undo if seq else ()):
            if later <= seq:
                break
            if ingredient_id in before:
                item = before[ingredient_id] or StockItem(ingredient_id)
        return item

    # --- the log's entries ---

    def apply(self, seq: int, record: dict[str, Any], epoch: int) -> None:
        """Follow the entry at `seq`, made in `epoch`. What the rules do not allow changes nothing: `passed_over`."""
        try:
            changes = stock_steps.step(self, record, seq, epoch)
        except (OrderRejected, KeyError, TypeError, ValueError) as error:
            why = error.detail if isinstance(error, OrderRejected) else f"damaged: {error!r}"
            self._passed_over.append(PassedOver(seq, why))
            return
        if changes is not None:
            self._follow(seq, changes)

    def _follow(self, seq: int, changes: Changes) -> None:
        items = changes.items
        if changes.fork_epoch == 0:
            items = {name: replace(item, edge_rights=item.on_hand) for name, item in self._items.items()}
        before = {name: self._items.get(name) for name in items}
        uses = {order_id: self._uses.get(order_id) for order_id in changes.orders}
        self._undo.append((seq, before, uses, (self._fork_epoch, self._thawed)))
        self._items.update(items)
        self._uses.update(changes.orders)
        if changes.fork_epoch is not None:
            self._fork_epoch, self._thawed = changes.fork_epoch, False
        self._thawed = self._thawed or changes.thawed

    def set_aside(self, from_seq: int) -> None:
        """Entries from `from_seq` on have left the log: go back to what stood before them, in time for what they did alone."""
        while self._undo and self._undo[-1][0] >= from_seq:
            _, items, uses, (self._fork_epoch, self._thawed) = self._undo.pop()
            _restore(self._items, items)
            _restore(self._uses, uses)
        while self._passed_over and self._passed_over[-1].seq >= from_seq:
            self._passed_over.pop()


def _restore(held: dict[str, Any], before: dict[str, Any]) -> None:
    for key, value in before.items():
        if value is None:
            del held[key]
        else:
            held[key] = value
