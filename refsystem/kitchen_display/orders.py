"""The orders as the kitchen's rules have them, in the display's database: what `kitchen_steps.step` asks, and what it changes.

Each change is kept under the entry that made it, so that a branch that is left (P19) takes its own changes along.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import apsw

from refsystem.kitchen_display.queries import queries
from refsystem.ordering import kitchen_steps
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen_order import KitchenOrder, from_json, to_json
from refsystem.ordering.kitchen_steps import SoldOut
from refsystem.ordering.menu import Menu
from refsystem.ordering.store_rules import KitchenRules
from refsystem.ordering.ticket import Ticket, TicketState

HELD_MAX = 1_000

Row = dict[str, Any]


class StoredOrders:
    """All orders of a store's log up to the display's cursor. Every call is made within the caller's transaction."""

    def __init__(self, connection: apsw.Connection, menu: Menu, rules: KitchenRules) -> None:
        self._connection = connection
        self.menu = menu
        self.rules = rules

    # --- what a step asks ---

    def find(self, order_id: str) -> KitchenOrder | None:
        """An order that the kitchen knows."""
        if not isinstance(order_id, str):
            raise TypeError("an order_id is a text")
        state = queries.order_state(self._connection, order_id=order_id)
        return None if state is None else from_json(state)

    def orders_of_check(self, check_id: str) -> Iterator[KitchenOrder]:
        """The orders of a check."""
        states = list(queries.states_of_check(self._connection, check_id=check_id))
        return (from_json(state) for (state,) in states)

    def holds_back(self, check_id: str) -> bool:
        """Whether an order of a check may hold something back: whether one ever did."""
        held: int = queries.check_has_held(self._connection, check_id=check_id)
        return bool(held)

    def sold_out(self, item_id: str) -> SoldOut | None:
        """Whether an item is sold out."""
        row = queries.sold_out(self._connection, item_id=item_id)
        return SoldOut(item_id, *row[1:]) if row is not None and row[0] else None

    # --- reads ---

    def all_sold_out(self) -> list[SoldOut]:
        """What is eighty-sixed, the oldest first."""
        return [SoldOut(*row) for row in queries.all_sold_out(self._connection)]

    def held(self) -> list[tuple[int, KitchenOrder]]:
        """Orders that hold something back, and when each was first seen; the oldest first."""
        rows = list(queries.held_states(self._connection, limit=HELD_MAX))
        return [(seen_at_us, from_json(state)) for seen_at_us, state in rows]

    # --- changes ---

    def allows(self, record: Row) -> None:
        """Raises `OrderRejected` if the rules do not allow an act now; changes nothing."""
        try:
            kitchen_steps.step(self, record, 0)
        except apsw.Error:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise AssertionError("an act that was parsed can be decided") from error

    def apply(self, seq: int, record: Row, now_us: int) -> dict[str, KitchenOrder]:
        """Follow one entry; returns the orders that it changed. One that the rules do not allow changes nothing."""
        try:
            changes = kitchen_steps.step(self, record, seq)
        except apsw.Error:
            raise
        except (OrderRejected, KeyError, TypeError, ValueError):
            return {}
        if changes is None:
            return {}
        for order in changes.orders.values():
            self._keep(order, seq, now_us)
        for item_id, sold_out in changes.sold_out.items():
            row = {"is_sold_out": 1, "who": sold_out.who, "reason": sold_out.reason} if sold_out is not None else {}
            empty = {"is_sold_out": 0, "who": "", "reason": ""}
            queries.keep_sold_out(self._connection, item_id=item_id, seq=seq, **(empty | row))
        return changes.orders

    def leave_branch(self, shared_seq: int) -> dict[str, KitchenOrder]:
        """P19: what entries behind `shared_seq` did is taken back; returns the orders that are as they were before."""
        left = [order_id for (order_id,) in queries.orders_left(self._connection, shared_seq=shared_seq)]
        queries.leave_states(self._connection, shared_seq=shared_seq)
        queries.leave_sold_out(self._connection, shared_seq=shared_seq)
        found = (self.find(order_id) for order_id in left)
        return {order.order_id: order for order in found if order is not None}

    def _keep(self, order: KitchenOrder, seq: int, now_us: int) -> None:
        queries.keep_state(
            self._connection,
            order_id=order.order_id,
            seq=seq,
            check_id=order.check_id,
            is_held=int(bool(order.held)),
            seen_at_us=now_us,
            state=to_json(order),
        )


def new_rows(orders: Iterable[KitchenOrder], hashes: dict[int, str], now_us: int) -> list[Row]:
    """The rows of the tickets that entries with these `hashes` (by seq) made."""
    return [
        {
            **_key(order, ticket),
            "channel": order.channel,
            "table_name": order.table,
            "items": json.dumps([[line.item_id, line.quantity] for line in ticket.lines]),
            "note": order.note,
            "seq": ticket.seq,
            "hash": hashes[ticket.seq],
            "shown_at_us": now_us,
            "detail": _detail(order, ticket),
        }
        for order in orders
        for ticket in order.tickets
        if ticket.seq in hashes
    ]


def followed_rows(orders: Iterable[KitchenOrder], now_us: int) -> list[Row]:
    """What the tickets of these orders are by the rules."""
    return [
        {
            **_key(order, ticket),
            "table_name": order.table,
            "priority": order.priority,
            "rounds": ticket.rounds,
            "superseded": int(ticket.state is TicketState.SUPERSEDED),
            "escalated": int(ticket.escalated),
            "bumped_seq": ticket.bumped_seq if ticket.state is TicketState.BUMPED else 0,
            "at_us": now_us,
        }
        for order in orders
        for ticket in order.tickets
    ]


def _key(order: KitchenOrder, ticket: Ticket) -> Row:
    return {"order_id": order.order_id, "version": ticket.version, "station": ticket.station}


def _detail(order: KitchenOrder, ticket: Ticket) -> str:
    lines = [
        {"item_id": line.item_id, "quantity": line.quantity, "cancelled": line.cancelled, "course": line.course}
        for line in ticket.lines
    ]
    detail = {
        "lines": lines,
        "replaces": ticket.replaces,
        "after_made": ticket.after_made,
        "pickup_at_s": order.pickup_at_s,
    }
    return json.dumps(detail, ensure_ascii=False)
