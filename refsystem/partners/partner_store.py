"""What a party holds, in SQLite.

It survives the death of its process. A power cut of the host is not among what a drill does to a party, so its commits are not
synced: on the disk that it shares with the devices they would slow down what is measured.

All methods of a store run in one thread once it is open. Times come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from refsystem.sqlite import load_queries, open_database

queries = load_queries("refsystem.partners")


class PartnerStore:
    """A party's database, made by `create_schema` when it is new."""

    def __init__(self, path: Path, create_schema: Callable[[apsw.Connection], Any]) -> None:
        self._connection = open_database(path, synchronous="NORMAL")
        with self._transaction():
            create_schema(self._connection)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def answers(self) -> bool:
        """The database answers."""
        return bool(queries.answers(self._connection) == 1)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._connection:
            yield


def named(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[dict[str, Any]]:
    """Rows of a query with the names of their columns."""
    names = tuple(names)
    return [dict(zip(names, row, strict=True)) for row in rows]
