"""Who may do what with checks: diners with the check of their own table, staff by their role.

What is looked at is the book of the primary; another device refuses every request anyway.
"""

from __future__ import annotations

from refsystem.access import Person, Role
from refsystem.ordering.book import Book
from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import Act, Pay
from refsystem.ordering.errors import NOT_ALLOWED, TENDER_UNAVAILABLE, OrderRejected
from refsystem.ordering.order import Order
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
}
DINER_TENDERS: frozenset[Tender] = frozenset({"wallet_code", "card"})
"""What a diner may pay with alone; the others pass through somebody's hands."""


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


def may_order(person: Person | None, order: Order, book: Book) -> None:
    """Raises `OrderRejected` unless `person` (None: somebody without a token) may put `order` on the check that it names.

    An order on a check of its own needs no token.
    """
    known = book.find(order.check_id or order.order_id)
    if not order.check_id and known is None:
        return
    if person is None:
        raise OrderRejected(NOT_ALLOWED, "an order on an open check needs the table's token")
    if person.is_staff:
        return
    if order.table != person.table:
        raise OrderRejected(NOT_ALLOWED, "a table's token orders for that table only")
    if known is not None:
        may_see(person, known)


def has_settler(act: Act | StoreAct, tenders: frozenset[str]) -> None:
    """Raises `OrderRejected` for a payment by a tender that nobody settles here."""
    if isinstance(act.content, Pay) and act.content.tender not in tenders:
        raise OrderRejected(
            TENDER_UNAVAILABLE, f"this store takes {', '.join(sorted(tenders))}, not {act.content.tender}"
        )
