"""Which tickets the kitchen must have shown: those that the store's committed entries make, by the rules of its format.

A store without rules puts each order on one ticket. With rules an order is made at several stations and in courses, some of which
wait for another's bump; what the display had not been told yet when it was read is not asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chaos.judge.reads import LogEntry
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.menu import Menu
from refsystem.ordering.store_rules import KitchenRules
from refsystem.ordering.ticket import TicketState

TicketKeys = frozenset[tuple[int, str]]
"""`(version, station)` of the tickets of one order."""


def tickets_owed(
    entries: Iterable[LogEntry], menu: Menu, rules: KitchenRules, until_seq: int
) -> Mapping[str, TicketKeys]:
    """The tickets of every order that `entries`, ascending, make up to `until_seq`, by `order_id`.

    A ticket that was superseded before it was done owes nothing: its newer version does.
    """
    kitchen = Kitchen(menu, rules)
    for entry in entries:
        if entry.seq <= until_seq:
            kitchen.apply(entry.seq, entry.record)
    return {
        order.order_id: frozenset(
            (ticket.version, ticket.station) for ticket in order.tickets if ticket.state is not TicketState.SUPERSEDED
        )
        for order in kitchen.orders
    }
