"""Which tickets the kitchen must have shown: those that the store's committed entries make, by the rules of its format.

A store without rules puts each order on one ticket. With rules an order is made at several stations and in courses, some of which
wait for another's bump; what the display had not been told yet when it was read is not asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chaos.judge.reads import LogEntry
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.menu import Menu
from refsystem.ordering.store_rules import ONE_STATION, KitchenRules
from refsystem.ordering.ticket import TicketState

TicketKeys = frozenset[tuple[int, str]]
"""`(version, station)` of the tickets of one order."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What the kitchen owes of one order: `tickets` of those that were `made`, and whether its own entry made one, at once."""

    tickets: TicketKeys
    made: TicketKeys
    at_once: bool


ONE_TICKET = Owed(frozenset({(1, ONE_STATION)}), frozenset({(1, ONE_STATION)}), at_once=True)
"""What an order makes in a kitchen without rules."""


def tickets_owed(entries: Iterable[LogEntry], menu: Menu, rules: KitchenRules, until_seq: int) -> Mapping[str, Owed]:
    """The tickets of every order that `entries`, ascending, make up to `until_seq`, by `order_id`.

    A ticket that was superseded before it was done owes nothing: its newer version does. An order whose courses are all held
    back owes none.
    """
    kitchen = Kitchen(menu, rules)
    for entry in entries:
        if entry.seq <= until_seq:
            kitchen.apply(entry.seq, entry.record)
    return {
        order.order_id: Owed(
            frozenset(
                (ticket.version, ticket.station)
                for ticket in order.tickets
                if ticket.state is not TicketState.SUPERSEDED
            ),
            made=frozenset((ticket.version, ticket.station) for ticket in order.tickets),
            at_once=any(ticket.seq == order.seq for ticket in order.tickets),
        )
        for order in kitchen.orders
    }
