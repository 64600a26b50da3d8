"""A process with the real journal on files with one trouble: `drive_journal.py FOLDER TROUBLE AT COUNT`.

The trouble strikes at the AT-th operation after the store is open. Flush N holds entry N and is handed in when flush N - 1 has
returned; when it has returned itself, `flushed N` is said. At the end: `done LONGEST_US FLUSHES`.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from power_cut_bench import ENTRIES

from chaos.faults.storage.faulty_files import FaultyFiles
from chaos.faults.storage.troubles import Trouble
from refsystem.edge.journal import Journal
from refsystem.edge.store import EdgeStore
from refsystem.protocol.messages import Ready, StoreCommit, StoreEntries


def say(words: str) -> None:
    """At once, past every buffer: this process may end at any moment."""
    os.write(1, f"{words}\n".encode())


def main() -> None:
    folder, trouble, at, count = sys.argv[1:]
    files = FaultyFiles([])
    store = EdgeStore(Path(folder), "a1")
    files.plan(Trouble(trouble, int(at)))  # type: ignore[arg-type]
    done = threading.Event()

    def on_flushed(group: list[Ready]) -> None:
        for ready in group:
            say(f"flushed {ready.token}")
        hand_in(group[-1].token + 1)

    journal = Journal(store, on_flushed)

    def hand_in(number: int) -> None:
        if number > int(count):
            done.set()
            return
        journal.add(Ready(number, (StoreEntries((ENTRIES[number - 1],)), StoreCommit(number - 1))))

    journal.start()
    hand_in(1)
    done.wait()
    journal.stop()
    store.close()
    say(f"done {journal.flush_us_max} {journal.flushes}")


main()
