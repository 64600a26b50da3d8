"""The stores' checks and payments as the cloud knows them: a view of the entries that came up, like the book in the store."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from refsystem.check_messages import check_json
from refsystem.cloud.database import Database
from refsystem.cloud.following import Following
from refsystem.ordering.book import Book
from refsystem.protocol.log import Entry
from refsystem.store_settings import StoreMenus


class BookView:
    """The book of one store."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def follow(self, entry: Entry, record: dict[str, Any]) -> None:
        """The next entry."""
        self.book.apply(entry.seq, record)


class CheckReads:
    """Reads of one store's checks. `menus` price orders whose record has no prices."""

    def __init__(self, database: Database, menus: StoreMenus) -> None:
        self._books = Following(database, lambda store: BookView(Book(menus.of(store))))

    async def page(self, store: str, after: str, limit: int) -> dict[str, Any]:
        """Checks by ascending `check_id`, beginning behind `after`, and how far the log is known here."""
        async with self._books.of(store) as (view, known_seq):
            found = (check for check in view.book.checks if check.check_id > after)
            checks = sorted(found, key=lambda check: check.check_id)
            passed_over = [{"seq": each.seq, "why": each.why} for each in view.book.passed_over]
            return {
                "checks": [check_json(check) for check in checks[:limit]],
                "known_seq": known_seq,
                "passed_over": passed_over,
            }

    async def orders_standing(self, store: str, order_ids: Set[str]) -> frozenset[str]:
        """Those of `order_ids` of which something still stands on a check: that is not voided."""
        async with self._books.of(store) as (view, _):
            lines = (line for check in view.book.checks for line in check.lines)
            return frozenset(line.order_id for line in lines if line.quantity and line.order_id in order_ids)
