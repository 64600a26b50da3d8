"""A device's disk: its log, its highest epoch, and what was set aside, in one SQLite file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
from pydantic import TypeAdapter, ValidationError

from refsystem.protocol.break_glass import Intention
from refsystem.protocol.log import GENESIS, Entry, chain_error
from refsystem.protocol.messages import PersistOp, SetAside, StoreBreakGlass, StoreCommit, StoreEntries, StoreEpoch
from refsystem.protocol.replica import DurableState
from refsystem.sqlite import Synchronous, load_queries, open_database

QUERIES = load_queries("refsystem.edge")
INTENTION: TypeAdapter[Intention] = TypeAdapter(Intention)


class StoreDamaged(Exception):
    """The log on disk does not hold together; the device may not take part with it."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """An entry that was set aside, with its `number` in the list. `given_up`: it was known to be committed (P19)."""

    number: int
    at_epoch: int
    given_up: bool
    entry: Entry


class EdgeStore:
    """The storage of one device. The journal's thread writes, others may read; a lock keeps them apart.

    Raises `StoreDamaged` when the file cannot be used, by the constructor and by `load`.
    """

    def __init__(
        self, folder: Path, new_node_id: str, *, volatile: bool = False, synchronous: Synchronous = "FULL"
    ) -> None:
        path = folder / "log.sqlite3"
        self._lock = threading.Lock()
        try:
            self._connection: apsw.Connection = open_database(path, volatile=volatile, synchronous=synchronous)
            with self._connection:
                QUERIES.create_tables(self._connection)
                if not QUERIES.knows_break_glass(self._connection):
                    QUERIES.add_break_glass(self._connection)
                QUERIES.create_device(self._connection, node_id=new_node_id)
            # Who this device is reaches the disk before it takes part, whatever `synchronous` says of later commits.
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            raise StoreDamaged(f"{path} cannot be used: {error}") from error

    def load(self) -> DurableState:
        """What is on the disk; raises `StoreDamaged` if the chain of hashes is broken or a committed entry is missing."""
        try:
            node_id, epoch, commit_seq, break_glass = QUERIES.read_device(self._connection)
            entries = tuple(Entry(*row) for row in QUERIES.read_log(self._connection))
            intention = _intention(break_glass)
        except (apsw.Error, TypeError, ValueError, KeyError) as error:
            raise StoreDamaged(f"the log cannot be read: {error}") from error
        if not isinstance(commit_seq, int) or not isinstance(epoch, int):
            raise StoreDamaged(f"the log of {node_id} is damaged: it does not tell what was committed")
        broken = chain_error(GENESIS, entries)
        if broken is None and commit_seq > len(entries):
            broken = f"it ends at entry {len(entries)}, and entry {commit_seq} was committed"
        if broken is not None:
            raise StoreDamaged(f"the log of {node_id} is damaged: {broken}")
        return DurableState(node_id, epoch, commit_seq, entries, intention)

    def apply(self, ops: Sequence[PersistOp]) -> None:
        """Do all of `ops`, in order, in one transaction; returns when it is synced."""
        with self._lock, self._connection:
            for op in ops:
                self._apply(op)

    def set_aside(self) -> tuple[Entry, ...]:
        """The entries that were set aside (`recovered_unacknowledged`), oldest first."""
        with self._lock:
            return tuple(Entry(*row) for row in QUERIES.read_set_aside(self._connection))

    def recovered(self, after: int, limit: int) -> tuple[Recovered, ...]:
        """Entries that were set aside, with how that came, behind number `after` of the list."""
        with self._lock:
            rows = list(QUERIES.read_recovered(self._connection, after=after, limit=limit))
        return tuple(
            Recovered(number, at_epoch, bool(given_up), Entry(*entry)) for number, at_epoch, given_up, *entry in rows
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _apply(self, op: PersistOp) -> None:
        match op:
            case StoreEpoch(epoch):
                QUERIES.store_epoch(self._connection, epoch=epoch)
            case StoreCommit(commit_seq):
                QUERIES.store_commit(self._connection, commit_seq=commit_seq)
            case SetAside(from_seq, at_epoch, given_up_to):
                QUERIES.copy_to_set_aside(
                    self._connection, from_seq=from_seq, at_epoch=at_epoch, given_up_to=given_up_to
                )
                QUERIES.cut_log(self._connection, from_seq=from_seq)
            case StoreBreakGlass(intention):
                text = None if intention is None else INTENTION.dump_json(intention).decode()
                QUERIES.store_break_glass(self._connection, intention=text)
            case StoreEntries(entries):
                for entry in entries:
                    QUERIES.store_entry(
                        self._connection, seq=entry.seq, epoch=entry.epoch, hash=entry.hash, record=entry.record
                    )


def _intention(text: str | None) -> Intention | None:
    try:
        return None if text is None else INTENTION.validate_json(text)
    except ValidationError as error:
        raise StoreDamaged(f"what a person asked of this device cannot be read: {error.errors()[0]['msg']}") from error
