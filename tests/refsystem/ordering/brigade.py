"""A kitchen with its log: what comes in, decided and applied at once, each act under a key of its own."""

from __future__ import annotations

from typing import Any

import pytest
from till import AT_MS, order, uuid

from refsystem.ordering.errors import OrderRejected, Problem
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.kitchen_order import KitchenOrder
from refsystem.ordering.menu import Menu
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_acts import StoreAct
from refsystem.ordering.store_rules import DEMO_RULES, Format, KitchenRules


class Brigade:
    """`log` holds the records as they were applied."""

    def __init__(self, form: Format = "hotpot", menu: Menu | None = None, rules: KitchenRules | None = None) -> None:
        self.menu = menu or MENUS[form]
        self.kitchen = Kitchen(self.menu, rules or DEMO_RULES[form].kitchen)
        self.log: list[dict[str, Any]] = []
        self.count = 0

    def new_id(self) -> str:
        self.count += 1
        return uuid(self.count)

    def append(self, record: dict[str, Any]) -> None:
        self.log.append(record)
        self.kitchen.apply(len(self.log), record)

    def order(self, items: dict[str, int], check_id: str = "", table: str = "4", channel: str = "qr") -> str:
        """Take an order as the admission does; returns its id."""
        order_id = self.new_id()
        self.kitchen.check_available(items.items())
        record = order(order_id, items, table, check_id, self.menu) | {"channel": channel, "version": 1}
        self.append(record | self.kitchen.order_fields(items.items(), channel))
        return order_id

    def do(self, content: Any) -> None:
        self.append(self.kitchen.decide(StoreAct(self.new_id(), "Li", content), AT_MS))

    def refuses(self, problem: Problem, content: Any) -> str:
        before = self.kitchen.orders, self.kitchen.all_sold_out
        with pytest.raises(OrderRejected) as rejection:
            self.do(content)
        assert rejection.value.problem is problem
        assert (self.kitchen.orders, self.kitchen.all_sold_out) == before
        return rejection.value.detail

    def bump(self, order_id: str, version: int, station: str) -> None:
        """The record that the display's bump makes."""
        self.append({"kind": "bump", "order_id": order_id, "version": version, "station": station})

    def void(self, order_id: str, line: int, quantity: int) -> None:
        """What the book has allowed."""
        self.append({"kind": "act", "act": "void", "order_id": order_id, "line": line, "quantity": quantity})

    def see(self, order_id: str) -> KitchenOrder:
        return self.kitchen.order(order_id)

    def slips(self, order_id: str) -> list[str]:
        """The tickets of an order in words: version, station, state, lines as `quantity item`, `-quantity item` if cancelled."""
        return [
            " ".join(
                [f"{ticket.version}/{ticket.station} {ticket.state}:"]
                + [f"{line.quantity} {line.item_id}" for line in ticket.lines if line.quantity]
                + [f"-{line.cancelled} {line.item_id}" for line in ticket.lines if line.cancelled]
            )
            for ticket in self.see(order_id).tickets
        ]
