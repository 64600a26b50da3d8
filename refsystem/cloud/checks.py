"""The stores' checks and payments as the cloud knows them: a view of the entries that came up, like the book in the store.

Each process keeps the books that it was asked for and follows the entries behind them. A store that has left a branch (P19) is
read anew: the last entry that a book has seen is then not held any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from refsystem.check_messages import check_json
from refsystem.cloud.database import Database, queries
from refsystem.ordering.book import Book
from refsystem.ordering.errors import STORE_UNKNOWN
from refsystem.ordering.menu import Menu
from refsystem.problems import ProblemError
from refsystem.protocol.log import GENESIS, Cursor, Entry, chain_error

BOOKS_MAX = 50
ENTRIES_MAX = 5_000


@dataclass
class _Followed:
    """The book of one store, and the last entry that it has seen."""

    book: Book
    cursor: Cursor = GENESIS
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class CheckReads:
    """Reads of one store's checks. `menu` prices orders whose record has no prices."""

    def __init__(self, database: Database, menu: Menu) -> None:
        self._database = database
        self._menu = menu
        self._books: OrderedDict[str, _Followed] = OrderedDict()

    async def page(self, store: str, after: str, limit: int) -> dict[str, Any]:
        """Checks by ascending `check_id`, beginning behind `after`, and how far the log is known here."""
        followed = self._followed(store)
        async with followed.lock:
            await self._follow(store, followed)
            checks = sorted(
                (check for check in followed.book.checks if check.check_id > after), key=lambda check: check.check_id
            )
            passed_over = [{"seq": each.seq, "why": each.why} for each in followed.book.passed_over]
            return {
                "checks": [check_json(check) for check in checks[:limit]],
                "known_seq": followed.cursor.seq,
                "passed_over": passed_over,
            }

    async def orders_standing(self, store: str, order_ids: Set[str]) -> frozenset[str]:
        """Those of `order_ids` of which something still stands on a check: that is not voided."""
        followed = self._followed(store)
        async with followed.lock:
            await self._follow(store, followed)
            lines = (line for check in followed.book.checks for line in check.lines)
            return frozenset(line.order_id for line in lines if line.quantity and line.order_id in order_ids)

    def _followed(self, store: str) -> _Followed:
        followed = self._books.pop(store, None) or _Followed(Book(self._menu))
        self._books[store] = followed
        if len(self._books) > BOOKS_MAX:
            self._books.popitem(last=False)
        return followed

    async def _follow(self, store: str, followed: _Followed) -> None:
        while True:
            async with self._database.reading() as connection:
                if await queries.last_number(connection, store=store) is None:
                    raise ProblemError(STORE_UNKNOWN, f"there is no store {store!r}")
                if followed.cursor.seq:
                    held = [
                        row["hash"]
                        async for row in queries.held_at(connection, store=store, seqs=[followed.cursor.seq])
                    ]
                    if held != [followed.cursor.hash]:
                        followed.book, followed.cursor = Book(self._menu), GENESIS
                rows = queries.entries_behind(connection, store=store, seq=followed.cursor.seq, limit=ENTRIES_MAX)
                entries = [Entry(*row) async for row in rows]
            if followed.cursor != GENESIS and chain_error(followed.cursor, entries) is not None:
                continue  # the branch was left between the two reads: seen when it is looked at again
            await asyncio.to_thread(_apply, followed.book, entries)
            if entries:
                followed.cursor = entries[-1].cursor
            if len(entries) < ENTRIES_MAX:
                return


def _apply(book: Book, entries: Sequence[Entry]) -> None:
    """Entries are kept whatever they hold; what is no record is none of the book's."""
    for entry in entries:
        with contextlib.suppress(ValueError, RecursionError, AttributeError, AssertionError):
            record = entry.content()
            if isinstance(record.get("kind"), str):
                book.apply(entry.seq, record)
