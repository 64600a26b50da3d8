"""The stores' checks and payments as the cloud knows them: a view of the entries that came up, like the book in the store."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Set
from typing import Any

from refsystem.check_messages import check_json
from refsystem.cloud.database import Database
from refsystem.cloud.following import Following
from refsystem.ordering.book import Book
from refsystem.ordering.check import Check
from refsystem.ordering.errors import OrderRejected
from refsystem.protocol.log import Entry
from refsystem.store_settings import StoreMenus


class BookView:
    """The book of one store. After a fork a new one is made, so what is remembered here holds for as long as the view does."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._check_ids: list[str] | None = None
        self._voided: set[str] = set()

    def follow(self, entry: Entry, record: dict[str, Any]) -> None:
        """The next entry."""
        self.book.apply(entry.seq, record)
        self._check_ids = None

    def checks_after(self, after: str, limit: int) -> list[Check]:
        """Checks by ascending `check_id`, behind `after`; sorted once for all pages of one state of the log."""
        if self._check_ids is None:
            self._check_ids = sorted(check.check_id for check in self.book.checks)
        first = bisect_right(self._check_ids, after)
        return [self.book.check(check_id) for check_id in self._check_ids[first : first + limit]]

    def standing(self, order_ids: Set[str]) -> frozenset[str]:
        """Those of which something stands on a check. What is voided stays so, and is looked for only once."""
        known = {order_id for order_id in order_ids - self._voided if self._knows(order_id)}
        found = {order_id for order_id in known if _stands(order_id, self.book.check_of_order(order_id))}
        if found != known:  # the rest may have been split off to other checks
            lines = (line for check in self.book.checks for line in check.lines)
            found |= {line.order_id for line in lines if line.quantity and line.order_id in known}
        self._voided |= known - found
        return frozenset(found)

    def _knows(self, order_id: str) -> bool:
        try:
            self.book.check_of_order(order_id)
        except OrderRejected:
            return False
        return True


def _stands(order_id: str, check: Check) -> bool:
    return any(line.quantity and line.order_id == order_id for line in check.lines)


class CheckReads:
    """Reads of one store's checks. `menus` price orders whose record has no prices."""

    def __init__(self, database: Database, menus: StoreMenus) -> None:
        self._books = Following(database, lambda store: BookView(Book(menus.of(store))))

    async def page(self, store: str, after: str, limit: int) -> dict[str, Any]:
        """Checks by ascending `check_id`, beginning behind `after`, and how far the log is known here."""
        async with self._books.of(store) as (view, known_seq):
            passed_over = [{"seq": each.seq, "why": each.why} for each in view.book.passed_over]
            return {
                "checks": [check_json(check) for check in view.checks_after(after, limit)],
                "known_seq": known_seq,
                "passed_over": passed_over,
            }

    async def orders_standing(self, store: str, order_ids: Set[str]) -> frozenset[str]:
        """Those of `order_ids` of which something still stands on a check: that is not voided."""
        async with self._books.of(store) as (view, _):
            return view.standing(order_ids)
