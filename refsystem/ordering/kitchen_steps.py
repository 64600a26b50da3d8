"""What each record does to the kitchen. Whether it is allowed is said in its step alone, for decisions and for the log.

A step needs the log only, and the menu and the rules where an order's record does not say how it is routed: no clock, so
that every device and every display makes the same tickets of the same log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from refsystem.ordering import fields
from refsystem.ordering import kitchen_acts as acts
from refsystem.ordering.errors import ORDER_INVALID, OrderRejected
from refsystem.ordering.kitchen_errors import COURSE_NOT_HELD, ITEM_STATE, TICKET_NOT_FOUND, TICKET_STATE
from refsystem.ordering.kitchen_order import KitchenOrder, routed, without_lines
from refsystem.ordering.menu import Menu
from refsystem.ordering.store_rules import KitchenRules
from refsystem.ordering.ticket import TicketEvent, TicketState


@dataclass(frozen=True, slots=True)
class SoldOut:
    """An item that is eighty-sixed: since which entry, by whom, and why."""

    item_id: str
    seq: int
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a record changes: orders by their id, and items that are sold out now, or are not any more (None)."""

    orders: dict[str, KitchenOrder] = field(default_factory=dict)
    sold_out: dict[str, SoldOut | None] = field(default_factory=dict)


class Lookup(Protocol):
    """What a step may ask of whoever keeps the orders."""

    menu: Menu
    rules: KitchenRules

    def find(self, order_id: str) -> KitchenOrder | None:
        """An order that the kitchen knows."""

    def orders_of_check(self, check_id: str) -> Iterable[KitchenOrder]:
        """The orders of a check."""

    def holds_back(self, check_id: str) -> bool:
        """Whether an order of a check holds something back."""

    def sold_out(self, item_id: str) -> SoldOut | None:
        """Whether an item is sold out."""


def step(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes | None:
    """What `record`, logged at `seq`, changes; None if it does not concern the kitchen.

    Raises `OrderRejected`, `KeyError`, `TypeError` or `ValueError` when the rules do not allow it, or it is damaged.
    """
    kind = record.get("kind")
    if kind == "act":
        kind = f"act {record.get('act')}"
    known = STEPS.get(str(kind))
    return known(kitchen, record, seq) if known is not None else None


def _known(kitchen: Lookup, order_id: str) -> KitchenOrder:
    order = kitchen.find(order_id)
    if order is None:
        raise OrderRejected(TICKET_NOT_FOUND, f"the kitchen has no order {order_id}")
    return order


def _with_ready(kitchen: Lookup, changed: Iterable[KitchenOrder], seq: int) -> Changes:
    """With what is to be fired now, because the earlier courses of its check are done."""
    orders = {order.order_id: order for order in changed}
    all_orders: dict[str, KitchenOrder] = {}
    check_ids = dict.fromkeys(order.check_id for order in orders.values())
    if not any(order.held for order in orders.values()) and not any(map(kitchen.holds_back, check_ids)):
        return Changes(orders)
    for check_id in check_ids:
        all_orders |= {order.order_id: order for order in kitchen.orders_of_check(check_id)}
    all_orders |= orders
    waiting = [
        (course, order.seq, order.order_id)
        for order in all_orders.values()
        for course, fires in order.held
        if fires == "after_previous"
    ]
    for course, _, order_id in sorted(waiting):
        order = all_orders[order_id]
        same_check = (other for other in all_orders.values() if other.check_id == order.check_id)
        if not any(other.unfinished_before(course) for other in same_check):
            orders[order_id] = all_orders[order_id] = order.fired([course], seq)
    return Changes(orders)


def _order(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    order = routed(record, kitchen.menu, kitchen.rules, seq)
    if kitchen.find(order.order_id) is not None:
        raise OrderRejected(ORDER_INVALID, f"order {order.order_id} is in the kitchen already")
    if order.check_id != order.order_id:  # an add-on goes where its check is now, whatever table its diner still knows
        table = next((each.table for each in kitchen.orders_of_check(order.check_id)), order.table)
        order = replace(order, table=table)
    at_once = [course for course, fires in order.held if fires == "at_once" and not order.fires_at_s]
    if not order.lines:
        order = without_lines(order)
    elif at_once:
        order = order.fired(at_once, seq)
    return _with_ready(kitchen, [order], seq)


def _bump_record(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    order = _known(kitchen, record["order_id"])
    return _with_ready(kitchen, [order.on_ticket(record["version"], record["station"], TicketEvent.BUMP, seq)], seq)


def _bump(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.BumpAgain, record, exact=False)
    order = _known(kitchen, act.order_id)
    rounds = order.ticket(act.version, act.station).rounds
    if rounds != act.round:
        raise OrderRejected(TICKET_STATE, f"the ticket was bumped {rounds} times, not {act.round}")
    return _with_ready(kitchen, [order.on_ticket(act.version, act.station, TicketEvent.BUMP, seq)], seq)


def _recall(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Recall, record, exact=False)
    order = _known(kitchen, act.order_id).on_ticket(act.version, act.station, TicketEvent.RECALL, seq)
    return Changes({order.order_id: order})


def _fire(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Fire, record, exact=False)
    order = _known(kitchen, act.order_id)
    if not order.holds(act.course):
        raise OrderRejected(COURSE_NOT_HELD, f"order {order.order_id} holds no course {act.course} back")
    order = order.fired([course for course, _ in order.held if course <= act.course], seq)
    return Changes({order.order_id: order})


def _rush(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Rush, record, exact=False)
    order = _known(kitchen, act.order_id)
    return Changes({order.order_id: replace(order, priority=act.priority)})


def _escalate(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Escalate, record, exact=False)
    order = _known(kitchen, act.order_id)
    ticket = order.ticket(act.version, act.station)
    if ticket.state is not TicketState.OPEN or ticket.escalated:
        raise OrderRejected(TICKET_STATE, f"the ticket is {ticket.state}, or the front was told already")
    return Changes({order.order_id: order.with_ticket(replace(ticket, escalated=True))})


def _eighty_six(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.EightySix, record, exact=False)
    if kitchen.sold_out(act.item_id) is not None:
        raise OrderRejected(ITEM_STATE, f"{act.item_id} is sold out already")
    return Changes({}, {act.item_id: SoldOut(act.item_id, seq, str(record["who"]), act.reason)})


def _restore(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    act = fields.read_fields(acts.Restore, record, exact=False)
    if kitchen.sold_out(act.item_id) is None:
        raise OrderRejected(ITEM_STATE, f"{act.item_id} is not sold out")
    return Changes({}, {act.item_id: None})


def _void(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    """A void of the check. The book has said that it is allowed; the kitchen follows as far as the line goes."""
    order = _known(kitchen, record["order_id"])
    return _with_ready(kitchen, [order.cancelled(int(record["line"]), int(record["quantity"]), seq)], seq)


def _transfer(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    table = str(record["table"])
    orders = kitchen.orders_of_check(record["check_id"])
    return Changes({order.order_id: replace(order, table=table) for order in orders})


def _merge(kitchen: Lookup, record: dict[str, Any], seq: int) -> Changes:
    """The other check's orders go to this one's table. Without an order of its own it has no table that the kitchen knows."""
    check_id = record["check_id"]
    table = next((order.table for order in kitchen.orders_of_check(check_id)), None)
    moved = kitchen.orders_of_check(record["other_check_id"])
    return Changes(
        {
            order.order_id: replace(order, check_id=check_id, table=order.table if table is None else table)
            for order in moved
        }
    )


STEPS: dict[str, Callable[[Lookup, dict[str, Any], int], Changes]] = {
    "order": _order,
    "bump": _bump_record,
    "act bump": _bump,
    "act recall": _recall,
    "act fire": _fire,
    "act rush": _rush,
    "act escalate": _escalate,
    "act eighty_six": _eighty_six,
    "act restore": _restore,
    "act void": _void,
    "act transfer": _transfer,
    "act merge": _merge,
}
