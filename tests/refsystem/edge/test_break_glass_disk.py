"""Break glass (P19) on the disk: what a person asked, and what was known to be committed, outlives a restart."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from refsystem.edge.store import EdgeStore, StoreDamaged
from refsystem.protocol.break_glass import BreakGlass, Intention
from refsystem.protocol.log import Log
from refsystem.protocol.messages import SetAside, StoreBreakGlass, StoreCommit, StoreEntries, StoreEpoch

from .logs import extended, key

INTENTION = Intention(BreakGlass(("a-1",), "Li", "burnt down"), 4, 0)


def test_what_a_person_asked_is_there_after_a_restart_until_it_is_done(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, "b-1")
    store.apply([StoreBreakGlass(INTENTION)])
    store.close()
    store = EdgeStore(tmp_path, "b-1")
    assert store.load().break_glass == INTENTION
    store.apply([StoreBreakGlass(None)])
    assert store.load().break_glass is None
    store.close()


def test_what_was_known_to_be_committed_is_listed_apart_from_the_rest_of_what_was_set_aside(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, "a-1")
    log = extended(Log(), 2, *(key() for _ in range(5)))
    store.apply([StoreEntries(log.slice(1, 5, 5)), StoreCommit(4)])
    store.apply(
        [
            SetAside(3, 7, given_up_to=4),
            StoreCommit(2),
            StoreEntries(extended(Log(log.slice(1, 2, 2)), 7, key()).slice(3, 3, 1)),
        ]
    )
    store.apply([SetAside(3, 8)])
    rows = store.recovered(0, 10)
    assert [(row.at_epoch, row.entry.seq, row.given_up) for row in rows] == [
        (7, 3, True),
        (7, 4, True),
        (7, 5, False),
        (8, 3, False),
    ]
    assert store.recovered(rows[1].number, 1) == rows[2:3]
    assert store.load().commit_seq == 2
    store.close()


def test_a_file_of_an_earlier_version_is_opened(tmp_path: Path) -> None:
    log = extended(Log(), 2, key(), key())
    store = EdgeStore(tmp_path, "a-1")
    store.apply([StoreEpoch(3), StoreEntries(log.slice(1, 2, 2)), SetAside(2, 3)])
    store.close()
    connection = apsw.Connection(str(tmp_path / "log.sqlite3"))
    connection.execute("ALTER TABLE device DROP COLUMN break_glass; ALTER TABLE set_aside DROP COLUMN given_up")
    connection.close()
    for _ in range(2):
        store = EdgeStore(tmp_path, "another")
        state = store.load()
        assert (state.node_id, state.epoch, state.entries, state.break_glass) == ("a-1", 3, log.slice(1, 1, 1), None)
        assert [row.given_up for row in store.recovered(0, 9)] == [False]
        store.close()
    store = EdgeStore(tmp_path, "another")
    store.apply([StoreBreakGlass(INTENTION)])
    assert store.load().break_glass == INTENTION
    store.close()


@pytest.mark.parametrize("text", ["{", "{}", '{"word":7,"epoch":1,"forked_epoch":0}'])
def test_a_word_that_cannot_be_read_any_more_is_damage(tmp_path: Path, text: str) -> None:
    store = EdgeStore(tmp_path, "b-1")
    store._connection.execute("UPDATE device SET break_glass = ?", (text,))
    with pytest.raises(StoreDamaged, match="what a person asked"):
        store.load()
    store.close()
