"""How often each check of a store was closed: F(edge) followed by the rules, whatever the store counts by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from chaos.judge.ledger import StoreLedger
from refsystem.ordering.book import Book
from refsystem.ordering.check import Check, CheckStatus
from refsystem.ordering.errors import OrderRejected


def closings(ledger: StoreLedger) -> Mapping[str, int]:
    """The number of times that every check went from another state to closed, by its id; checks that never did are left out."""
    book, counted, closed = Book(ledger.menu), Counter[str](), set[str]()
    for seq in sorted(ledger.committed):
        record = ledger.committed[seq].record
        before = _touched(book, record)
        book.apply(seq, record)
        for check_id in before | _touched(book, record):
            check = _check(book, check_id)
            if check is None or check.status is not CheckStatus.CLOSED:
                closed.discard(check_id)
            elif check_id not in closed:
                closed.add(check_id)
                counted[check_id] += 1
    return counted


def _touched(book: Book, record: Mapping[str, Any]) -> set[str]:
    """The checks that a record may change, by any id of a check, payment, refund or order that stands in it."""
    found: set[str] = set()
    for value in record.values():
        for identity in value if isinstance(value, list | tuple) else (value,):
            if isinstance(identity, str):
                found |= _named(book, identity)
    return found


def _named(book: Book, identity: str) -> set[str]:
    found: set[str] = set()
    for look in (
        book.check,
        book.find,
        book.check_of_order,
        book.check_of_payment,
        lambda i: book.check_of_refund(i)[0],
    ):
        try:
            check = look(identity)
        except OrderRejected:
            continue
        if check is not None:
            found.add(check.check_id)
    return found


def _check(book: Book, check_id: str) -> Check | None:
    try:
        return book.check(check_id)
    except OrderRejected:
        return None
