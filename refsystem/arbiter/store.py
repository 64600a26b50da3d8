"""The register on disk: one row, one transaction for each change."""

from __future__ import annotations

from pathlib import Path

import apsw

from refsystem.protocol.arbiter import swap
from refsystem.protocol.messages import Register, RegisterSwap
from refsystem.sqlite import Synchronous, load_queries, open_database

QUERIES = load_queries("refsystem.arbiter")


class RegisterDamaged(Exception):
    """The register on disk cannot be used; a person restores it above every epoch that the devices know."""


class RegisterStore:
    """One durable register. Every call runs in one thread at a time; the constructor raises `RegisterDamaged`."""

    def __init__(self, folder: Path, *, volatile: bool = False, synchronous: Synchronous = "FULL") -> None:
        path = folder / "register.sqlite3"
        try:
            self._connection = open_database(path, volatile=volatile, synchronous=synchronous)
            with self._connection:
                QUERIES.create_tables(self._connection)
                if not QUERIES.knows_forks(self._connection):
                    QUERIES.add_forks(self._connection)
            self.read()
        except apsw.Error as error:
            raise RegisterDamaged(f"{path} cannot be used: {error}") from error

    def read(self) -> Register | None:
        """The register; None before the store was set up."""
        row = QUERIES.read_register(self._connection)
        return None if row is None else Register(row[0], row[1], tuple(row[2].split()), row[3], row[4])

    def create(self, register: Register) -> bool:
        """Set the store up; False if there is a register already."""
        with self._connection:
            fresh = self.read() is None
            if fresh:
                QUERIES.create_register(self._connection, **_row(register))
        return fresh

    def swap(self, request: RegisterSwap) -> Register | None:
        """The register after `request`, synced."""
        with self._connection:
            old = self.read()
            new = swap(old, request)
            if new is not None and new is not old:
                QUERIES.swap_register(self._connection, expect_epoch=request.expect_epoch, **_row(new))
        return new

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _row(register: Register) -> dict[str, object]:
    return {
        "epoch": register.epoch,
        "primary_node_id": register.primary,
        "members": " ".join(register.members),
        "claim": register.claim,
        "forked_epoch": register.forked_epoch,
    }
