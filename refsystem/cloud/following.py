"""Views of the stores' logs as the cloud has them, like those that a device keeps of its own.

Each process keeps the views that it was asked for and follows the entries behind them. A store that has left a branch (P19) is
read anew: the last entry that a view has seen is then not held any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from refsystem.cloud.database import Database, queries
from refsystem.ordering.errors import STORE_UNKNOWN
from refsystem.problems import ProblemError
from refsystem.protocol.log import GENESIS, Cursor, Entry, chain_error

VIEWS_MAX = 50
ENTRIES_MAX = 5_000


class LogView(Protocol):
    """What follows the entries of one store."""

    def follow(self, entry: Entry, record: dict[str, Any]) -> None:
        """The next entry."""


View = TypeVar("View", bound=LogView)


@dataclass
class _Followed(Generic[View]):
    """The view of one store, and the last entry that it has seen."""

    view: View
    cursor: Cursor = GENESIS
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Following(Generic[View]):
    """Views of one kind; `make` makes the empty one of a store."""

    def __init__(self, database: Database, make: Callable[[str], View]) -> None:
        self._database = database
        self._make = make
        self._views: OrderedDict[str, _Followed[View]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def of(self, store: str) -> AsyncIterator[tuple[View, int]]:
        """The view of `store` up to the last entry that the cloud has, and that entry's seq. Raises `ProblemError`."""
        followed = self._views.pop(store, None) or _Followed(self._make(store))
        self._views[store] = followed
        if len(self._views) > VIEWS_MAX:
            self._views.popitem(last=False)
        async with followed.lock:
            await self._follow(store, followed)
            yield followed.view, followed.cursor.seq

    async def _follow(self, store: str, followed: _Followed[View]) -> None:
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
                        followed.view, followed.cursor = self._make(store), GENESIS
                rows = queries.entries_behind(connection, store=store, seq=followed.cursor.seq, limit=ENTRIES_MAX)
                entries = [Entry(*row) async for row in rows]
            if followed.cursor != GENESIS and chain_error(followed.cursor, entries) is not None:
                continue  # the branch was left between the two reads: seen when it is looked at again
            if len(entries) > 100:
                await asyncio.to_thread(_apply, followed.view, entries)
            else:
                _apply(followed.view, entries)
            if entries:
                followed.cursor = entries[-1].cursor
            if len(entries) < ENTRIES_MAX:
                return


def _apply(view: LogView, entries: Sequence[Entry]) -> None:
    """Entries are kept whatever they hold; what is no record is none of the view's."""
    for entry in entries:
        with contextlib.suppress(ValueError, RecursionError, AttributeError, AssertionError):
            record = entry.content()
            if isinstance(record.get("kind"), str):
                view.follow(entry, record)
