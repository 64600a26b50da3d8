"""The kitchen: every order, ticket and sold-out item of a store, as its log says. A view like the book, no truth of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from refsystem.ordering import kitchen_steps
from refsystem.ordering.book import PassedOver
from refsystem.ordering.errors import ITEM_UNKNOWN, OrderRejected
from refsystem.ordering.kitchen_acts import EightySix
from refsystem.ordering.kitchen_errors import ITEM_SOLD_OUT, TICKET_NOT_FOUND
from refsystem.ordering.kitchen_order import KitchenOrder, kitchen_fields
from refsystem.ordering.kitchen_steps import Changes, SoldOut
from refsystem.ordering.menu import Menu
from refsystem.ordering.store_acts import StoreAct
from refsystem.ordering.store_rules import ONE_SLIP, KitchenRules
from refsystem.ordering.ticket import Ticket, TicketKey, TicketState


class Kitchen:
    """The kitchen of one store.

    Calls of the admission: `check_available` and `order_fields` before an order is taken, `decide` before an act is; `apply`
    for every entry that enters the log, `set_aside` when entries leave it.
    """

    def __init__(self, menu: Menu, rules: KitchenRules = ONE_SLIP) -> None:
        self.menu = menu
        self.rules = rules
        self._orders: dict[str, KitchenOrder] = {}
        self._of_check: dict[str, dict[str, None]] = {}
        self._sold_out: dict[str, SoldOut] = {}
        self._with_work: Counter[str] = Counter()
        self._undo: list[tuple[int, dict[str, KitchenOrder | None], dict[str, SoldOut | None]]] = []
        self._passed_over: list[PassedOver] = []

    # --- reads ---

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """Entries that the rules do not allow, oldest first: a bump that came twice, or a log of other rules."""
        return tuple(self._passed_over)

    @property
    def orders(self) -> tuple[KitchenOrder, ...]:
        """Every order, the oldest first."""
        return tuple(sorted(self._orders.values(), key=lambda order: order.seq))

    @property
    def all_sold_out(self) -> tuple[SoldOut, ...]:
        """What is eighty-sixed, the oldest first."""
        return tuple(sorted(self._sold_out.values(), key=lambda each: each.seq))

    def find(self, order_id: str) -> KitchenOrder | None:
        """An order that the kitchen knows."""
        return self._orders.get(order_id)

    def order(self, order_id: str) -> KitchenOrder:
        """An order; raises `OrderRejected` when the kitchen does not know it."""
        order = self._orders.get(order_id)
        if order is None:
            raise OrderRejected(TICKET_NOT_FOUND, f"the kitchen has no order {order_id}")
        return order

    def orders_of_check(self, check_id: str) -> tuple[KitchenOrder, ...]:
        """The orders of a check, the oldest first."""
        orders = (self._orders[order_id] for order_id in self._of_check.get(check_id, ()))
        return tuple(sorted(orders, key=lambda order: order.seq))

    def holds_back(self, check_id: str) -> bool:
        """Whether an order of a check holds something back."""
        return any(self._orders[order_id].held for order_id in self._of_check.get(check_id, ()))

    def sold_out(self, item_id: str) -> SoldOut | None:
        """Whether an item is sold out."""
        return self._sold_out.get(item_id)

    def open_tickets(self, station: str = "") -> tuple[tuple[TicketKey, Ticket], ...]:
        """The tickets that are not done, of one station or of all, the oldest first."""
        found = [
            (TicketKey(order.order_id, ticket.version, ticket.station), ticket)
            for order in self._orders.values()
            for ticket in order.tickets
            if ticket.state is TicketState.OPEN and station in ("", ticket.station)
        ]
        return tuple(sorted(found, key=lambda each: (each[1].seq, each[0])))

    def tickets_with_work(self) -> Counter[str]:
        """How many tickets have something left to make, by channel: counted along, so that asking costs nothing."""
        return Counter({channel: count for channel, count in self._with_work.items() if count})

    def is_made(self, order_id: str, line: int) -> bool:
        """Whether something of an order's line was made."""
        order = self._orders.get(order_id)
        return order is not None and order.is_made(line)

    # --- decisions ---

    def check_available(self, items: Iterable[tuple[str, int]]) -> None:
        """Raises `OrderRejected` if an item of an order is sold out."""
        for item_id, _ in items:
            if item_id in self._sold_out:
                raise OrderRejected(ITEM_SOLD_OUT, f"{item_id} is sold out")

    def order_fields(self, items: Iterable[tuple[str, int]], channel: str, pickup_at_s: int = 0) -> dict[str, Any]:
        """What to add to an order's record: see `kitchen_fields`."""
        return kitchen_fields(list(items), channel, self.menu, self.rules, pickup_at_s)

    def decide(self, act: StoreAct, at_ms: int) -> dict[str, Any]:
        """The record of `act` for the log; raises `OrderRejected`, and then nothing is to be written.

        Its key must have been looked up before (P6). Nothing changes here until `apply` is given the record.
        """
        if isinstance(act.content, EightySix) and act.content.item_id not in self.menu.by_id:
            raise OrderRejected(ITEM_UNKNOWN, f"there is no item {act.content.item_id!r} on the menu")
        record = act.record(at_ms)
        kitchen_steps.step(self, record, self._undo[-1][0] + 1 if self._undo else 1)
        return record

    # --- the log's entries ---

    def apply(self, seq: int, record: dict[str, Any]) -> None:
        """Follow the entry at `seq`. Kinds that do not concern the kitchen change nothing; nor does what is `passed_over`."""
        try:
            changes = kitchen_steps.step(self, record, seq)
        except (OrderRejected, KeyError, TypeError, ValueError) as error:
            why = error.detail if isinstance(error, OrderRejected) else f"damaged: {error!r}"
            self._passed_over.append(PassedOver(seq, why))
            return
        if changes is not None:
            self._undo.append((seq, *self._before(changes)))
            self._put(dict(changes.orders), changes.sold_out)

    def set_aside(self, from_seq: int) -> None:
        """Entries from `from_seq` on have left the log: go back to what stood before them, in time for what they did alone."""
        while self._undo and self._undo[-1][0] >= from_seq:
            _, orders, sold_out = self._undo.pop()
            self._put(orders, sold_out)
        while self._passed_over and self._passed_over[-1].seq >= from_seq:
            self._passed_over.pop()

    def _before(self, changes: Changes) -> tuple[dict[str, KitchenOrder | None], dict[str, SoldOut | None]]:
        orders = {order_id: self._orders.get(order_id) for order_id in changes.orders}
        return orders, {item_id: self._sold_out.get(item_id) for item_id in changes.sold_out}

    def _put(self, orders: dict[str, Any], sold_out: dict[str, SoldOut | None]) -> None:
        for order_id, order in orders.items():
            before = self._orders.pop(order_id, None)
            if before is not None:
                self._leave_check(before)
                self._with_work[before.channel] -= before.tickets_with_work
            if order is not None:
                self._with_work[order.channel] += order.tickets_with_work
                self._orders[order_id] = order
                self._of_check.setdefault(order.check_id, {})[order_id] = None
        for item_id, each in sold_out.items():
            self._sold_out.pop(item_id, None)
            if each is not None:
                self._sold_out[item_id] = each

    def _leave_check(self, order: KitchenOrder) -> None:
        others = self._of_check[order.check_id]
        del others[order.order_id]
        if not others:
            del self._of_check[order.check_id]
