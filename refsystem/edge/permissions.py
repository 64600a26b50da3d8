"""Who may do what with checks: diners with the check of their own table, staff by their role.

What is looked at is the book of the primary; another device refuses every request anyway.
"""

from __future__ import annotations

from collections.abc import Collection

from refsystem.access import Person, Role
from refsystem.ordering.book import Book
from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import Act, Pay
from refsystem.ordering.errors import NOT_ALLOWED, TENDER_UNAVAILABLE, OrderRejected
from refsystem.ordering.order import Channel, Order
from refsystem.ordering.payment import Tender
from refsystem.ordering.store_acts import StoreAct
from refsystem.store_messages import PEOPLES_ACTS

_WAITER = frozenset({"transfer", "merge", "split", "pay", "close"})
_CASHIER = _WAITER | {"cancel_payment", "accept_payment", "refund", "reopen"}
_STOCK = frozenset({"receive", "count", "waste"})
_KITCHEN = frozenset({"fire", "recall", "rush", "eighty_six", "restore"})
_MANAGER = _CASHIER | {"void", "comp", "discount", *PEOPLES_ACTS}
ROLE_ACTS: dict[Role, frozenset[str]] = {
    "diner": frozenset({"pay"}),
    "waiter": _WAITER | {"fire", "rush"},
    "cashier": _CASHIER,
    "manager": _MANAGER,
    "kitchen": _KITCHEN | {"waste"},
    "stock": _STOCK,
    "operator": frozenset(),
}
DINER_TENDERS: frozenset[Tender] = frozenset({"wallet_code", "card"})
"""What a diner may pay with alone; the others pass through somebody's hands."""
ORDERING: frozenset[Role] = frozenset({"waiter", "cashier", "manager"})
"""Who of the staff takes orders."""
CLOUD_CHANNELS: frozenset[Channel] = frozenset({"mini_program", "delivery"})
"""Whose orders come to the store through the cloud."""


def may_see(person: Person, check: Check) -> None:
    """Raises `OrderRejected` unless `person` may see `check`."""
    if not person.is_staff and check.table != person.table:
        raise OrderRejected(NOT_ALLOWED, "a table's token shows the checks of that table only")


def may_see_table(person: Person, table: str) -> None:
    """Raises `OrderRejected` unless `person` may see the checks of `table`."""
    if not person.is_staff and table != person.table:
        raise OrderRejected(NOT_ALLOWED, "a table's token shows the checks of that table only")


def may_see_stock(person: Person) -> None:
    """Raises `OrderRejected` unless `person` may see the stock: any member of the staff."""
    if not person.is_staff:
        raise OrderRejected(NOT_ALLOWED, "the stock is shown to the staff")


def may_act(person: Person, act: Act | StoreAct, book: Book) -> None:
    """Raises `OrderRejected` unless `person` may do `act`. A check that is not there is left to who decides the act."""
    if act.name not in ROLE_ACTS[person.role]:
        raise OrderRejected(NOT_ALLOWED, f"a {person.role} may not {act.name.replace('_', ' ')}")
    if person.is_staff:
        return
    assert isinstance(act.content, Pay), "diners pay and do nothing else"
    if act.content.tender not in DINER_TENDERS:
        raise OrderRejected(NOT_ALLOWED, f"{act.content.tender} is taken by the staff")
    if book.knows_id(act.content.check_id):
        may_see(person, book.check(act.content.check_id))


def may_order(person: Person | None, order: Order, book: Book, tables: Collection[str] = ()) -> None:
    """Raises `OrderRejected` unless `person` (None: somebody without a token) may order so, on the check that `order` names.

    In a store that names its `tables` everybody orders by their own channel and for their own table. In another one an order on
    a check of its own needs no token.
    """
    if tables:
        _may_use_channel(person, order, tables)
    known = book.find(order.check_id or order.order_id)
    if not order.check_id and known is None:
        return
    if person is None:
        raise OrderRejected(NOT_ALLOWED, "an order on an open check needs the table's token")
    if person.is_staff:
        _must_take_orders(person)
        return
    if order.table != person.table:
        raise OrderRejected(NOT_ALLOWED, "a table's token orders for that table only")
    if known is not None:
        may_see(person, known)


def joins_table(person: Person | None, order: Order, tables: Collection[str]) -> bool:
    """Whether `order` goes on its table's one open check: it is a diner's at one of the store's `tables`, and names no check."""
    if person is None or person.is_staff or order.check_id:
        return False
    is_here = order.channel == "qr" and order.table == person.table and order.table in tables
    return is_here and not order.pickup_at_s


def _may_use_channel(person: Person | None, order: Order, tables: Collection[str]) -> None:
    if order.channel in CLOUD_CHANNELS:
        raise OrderRejected(NOT_ALLOWED, f"{order.channel} orders come through the cloud, not to a device of the store")
    if person is None:
        raise OrderRejected(NOT_ALLOWED, f"a {order.channel} order needs a token: the table's, or that of the staff")
    if order.channel in ("waiter", "cashier"):
        _must_take_orders(person)
    elif person.is_staff or order.table != person.table:
        raise OrderRejected(NOT_ALLOWED, "a table's token orders for that table only, and only it does so")
    elif (order.channel == "kiosk") is (order.table in tables):
        raise OrderRejected(NOT_ALLOWED, f"{order.table} is no place for {order.channel} orders")


def _must_take_orders(person: Person) -> None:
    if person.role not in ORDERING:
        raise OrderRejected(NOT_ALLOWED, f"a {person.role} takes no orders")


def has_settler(act: Act | StoreAct, tenders: frozenset[str]) -> None:
    """Raises `OrderRejected` for a payment by a tender that nobody settles here."""
    if isinstance(act.content, Pay) and act.content.tender not in tenders:
        raise OrderRejected(
            TENDER_UNAVAILABLE, f"this store takes {', '.join(sorted(tenders))}, not {act.content.tender}"
        )
