"""A process that flushes to an `EdgeStore` until it is killed: `drive_store.py FOLDER SYNCHRONOUS VOLATILE COUNT`.

It says `flushed N` when flush N has returned, and after COUNT flushes waits to be killed. Flush N holds entry N, the epoch N
and the commit N - 1; every fifth sets its own entry aside once and stores it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from refsystem.edge.store import EdgeStore
from refsystem.protocol.log import GENESIS, chain, encode_record
from refsystem.protocol.messages import PersistOp, SetAside, StoreCommit, StoreEntries, StoreEpoch


def main() -> None:
    folder, synchronous, volatile, count = sys.argv[1:]
    store = EdgeStore(Path(folder), "a1", volatile=volatile == "volatile", synchronous=synchronous)  # type: ignore[arg-type]
    last = GENESIS
    for number in range(1, int(count) + 1):
        (entry,) = chain(
            number, last, [encode_record({"kind": "bump", "order_id": str(number), "version": 1, "station": "k"})]
        )
        ops: list[PersistOp] = [StoreEpoch(number), StoreEntries((entry,)), StoreCommit(number - 1)]
        if number % 5 == 0:
            ops += [SetAside(number, number), StoreEntries((entry,))]
        store.apply(ops)
        last = entry.cursor
        sys.stdout.write(f"flushed {number}\n")
        sys.stdout.flush()
    sys.stdin.read()


main()
