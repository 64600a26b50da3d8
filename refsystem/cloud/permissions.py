"""Who may order at the cloud, for which store, table and channel. Tokens are the stores' own (`refsystem.access`)."""

from __future__ import annotations

from refsystem.access import person_of
from refsystem.clocks import wall_us
from refsystem.ordering.errors import NOT_ALLOWED, OrderRejected
from refsystem.ordering.order import Order


def may_order(secret: bytes | None, header: str | None, store: str, order: Order) -> None:
    """Raises `OrderRejected` unless whoever sent the header `Authorization` may place `order`, which is new.

    Platforms have a door of their own. With the stores' `secret` an order for a table or place needs its token, for only its
    guests may put dishes on its bill, and the staff's channels the token of a person; a mini-program order that is collected
    names no table and needs none. Without the secret the cloud knows nobody, and takes all of them.
    """
    if order.channel == "delivery":
        raise OrderRejected(NOT_ALLOWED, "delivery orders come from their platform, by its webhooks")
    if secret is None or (order.channel == "mini_program" and not order.table and header is None):
        return
    person = person_of(secret, store, header, wall_us() // 1_000_000)
    if order.channel in ("waiter", "cashier"):
        if person.role not in ("waiter", "cashier", "manager"):
            raise OrderRejected(NOT_ALLOWED, f"a {person.role} takes no orders")
    elif person.is_staff or order.table != person.table:
        raise OrderRejected(NOT_ALLOWED, "a table's token orders for that table only, and only it does so")
