"""Kitchen and stock of one store as views of its log, beside the book: what may be promised, and what an act makes (P17, P18)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.kitchen_acts import KITCHEN_ACTS
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Order
from refsystem.ordering.recipe import Needs
from refsystem.ordering.stock import Stock
from refsystem.ordering.store_acts import StoreAct
from refsystem.ordering.store_rules import ONE_SLIP, StoreRules
from refsystem.ordering.ticket import TicketEvent
from refsystem.protocol.log import Log

NOTHING: Mapping[str, int] = {}


class StoreViews:
    """Both views, following `log`. Without `rules` a kitchen has one station, and records stay as they are without stock."""

    def __init__(self, log: Log, menu: Menu, rules: StoreRules | None = None, stock: type[Stock] = Stock) -> None:
        self._log = log
        self._rules = rules
        self.kitchen = Kitchen(menu, rules.kitchen if rules is not None else ONE_SLIP)
        self.stock = stock(menu, rules.stock if rules is not None else None, self.kitchen.is_made, only_kept=True)
        log.follow(self)

    def apply(self, seq: int, record: dict[str, Any]) -> None:
        """The entry at `seq` was added; the kitchen follows it first, because the stock asks what is made."""
        self.kitchen.apply(seq, record)
        self.stock.apply(seq, record, self._log.entry(seq).epoch)

    def set_aside(self, from_seq: int) -> None:
        """The entries from `from_seq` on were taken out."""
        self.kitchen.set_aside(from_seq)
        self.stock.set_aside(from_seq)

    @property
    def passed_over(self) -> int:
        """How many entries the rules of the stock did not allow; the kitchen passes repeated bumps over by the way."""
        return len(self.stock.passed_over)

    def check_order(self, order: Order) -> Needs:
        """What a diner's order takes; raises `OrderRejected` if something of it is sold out."""
        self.kitchen.check_available(order.items)
        return self.stock.check_order(order.items)

    def check_cloud_order(self, order: Order, reserved: Collection[str] | None, besides: Needs) -> Needs:
        """The same of an order that entered at the cloud, which has `reserved` what is escrowed, and is taken with `besides`.

        Without `reserved` (None) it was accepted in this store, in a branch that a fork has left: it is taken whatever is there.
        """
        if reserved is None:
            return self.stock.needs(order.items)
        self.kitchen.check_available(order.items)
        return self.stock.check_order(order.items, from_cloud=True, reserved=reserved, besides=besides)

    def order_fields(self, order: Order) -> dict[str, Any]:
        """What an order's record says besides, so that every device, display and a later menu read it alike."""
        fields: dict[str, Any] = {}
        if self._rules is not None:
            fields |= self.kitchen.order_fields(order.items, order.channel, order.pickup_at_s)
        if self.stock.keeps_any:
            fields |= self.stock.order_fields(order.items)
        return fields

    def decide(self, act: StoreAct, at_ms: int) -> dict[str, Any]:
        """The record of `act`; raises `OrderRejected`. Its key was looked up before (P6)."""
        view = self.kitchen if act.name in KITCHEN_ACTS else self.stock
        return view.decide(act, at_ms)

    def bump_fields(self, order_id: str, version: int, station: str) -> dict[str, Any]:
        """What the record of a bump says besides: whether nothing of its order is left to make. Without rules: nothing."""
        if self._rules is None:
            return {}
        order = self.kitchen.find(order_id)
        try:
            done = order is not None and order.on_ticket(version, station, TicketEvent.BUMP, 0).is_served
        except OrderRejected:
            done = False
        return {"order_served": done}

    def is_served(self, order_id: str, commit_seq: int) -> bool:
        """Whether all that is wanted of an order was made, by what is committed."""
        order = self.kitchen.find(order_id)
        return order is not None and order.is_served and all(t.bumped_seq <= commit_seq for t in order.tickets)
