"""A device's file that was damaged is told as damage, whatever it holds instead."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from refsystem.edge.store import EdgeStore, StoreDamaged
from refsystem.protocol.log import GENESIS, chain
from refsystem.protocol.messages import StoreCommit, StoreEntries

RECORD = '{"kind":"refused","order_id":"x","downlink_number":1}'


def spoilt(folder: Path, statement: str) -> None:
    """A store with one committed entry, its tables without their constraints, and then `statement`."""
    store = EdgeStore(folder, "a-1")
    store.apply([StoreEntries(chain(1, GENESIS, [RECORD])), StoreCommit(1)])
    store.close()
    connection = apsw.Connection(str(folder / "log.sqlite3"))
    for table in ("device", "log"):
        connection.execute(f"CREATE TABLE spoilt AS SELECT * FROM {table}")
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE spoilt RENAME TO {table}")
    connection.execute("CREATE UNIQUE INDEX one_device ON device (only_row)")
    connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE device SET commit_seq = NULL",
        "UPDATE device SET epoch = 'three'",
        "UPDATE device SET commit_seq = 2",
        "UPDATE log SET record = NULL",
        "UPDATE log SET hash = 'another'",
        "UPDATE log SET seq = NULL",
    ],
)
def test_damage_is_told_in_one_sentence(tmp_path: Path, statement: str) -> None:
    spoilt(tmp_path, statement)
    store = EdgeStore(tmp_path, "b-1")
    with pytest.raises(StoreDamaged) as told:
        store.load()
    store.close()
    assert "\n" not in str(told.value)


def test_a_whole_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    spoilt(tmp_path, "SELECT 1")
    store = EdgeStore(tmp_path, "b-1")
    state = store.load()
    store.close()
    assert (state.node_id, state.commit_seq, len(state.entries)) == ("a-1", 1, 1)
