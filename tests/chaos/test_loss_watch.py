"""Loss so far: what was told and the primary does not hold."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from chaos.loss_watch import LossWatch
from simulator.history import Attempt, HistoryWriter


class Log:
    """Stands in for the observer: one device's committed entries."""

    def __init__(self, node_id: str, order_ids: list[str]) -> None:
        self.node_id = node_id
        self.order_ids = order_ids

    async def entries_after(self, store: str, slot: str, seq: int) -> tuple[str, list[dict[str, Any]]]:
        rows = [{"record": {"kind": "order", "order_id": order_id}} for order_id in self.order_ids[seq:]]
        return self.node_id, rows


def tell(history: HistoryWriter, order_id: str, level: Any) -> None:
    history.complete(
        Attempt(
            process=history.process,
            op=history.next_op(),
            store="s1",
            table="T1",
            channel="qr",
            intent_id="i",
            order_id=order_id,
            attempt=1,
            kind="order",
            intended_at_us=0,
            invoked_at_us=0,
            outcome="ok",
            level=level,
        )
    )


def missing(watch: LossWatch, log: Log) -> int | None:
    return asyncio.run(watch.missing(log, "a"))  # type: ignore[arg-type]


def test_what_was_told_and_is_held_is_not_missing(tmp_path: Path) -> None:
    history, watch = HistoryWriter(tmp_path, "p"), LossWatch("s1", tmp_path)
    log = Log("a-1", ["o1"])
    tell(history, "o1", "R2")
    assert missing(watch, log) == 0
    tell(history, "o2", "R1")
    assert missing(watch, log) == 1
    log.order_ids.append("o2")
    assert missing(watch, log) == 0
    history.close()


def test_another_primary_is_read_from_its_first_entry(tmp_path: Path) -> None:
    history, watch = HistoryWriter(tmp_path, "p"), LossWatch("s1", tmp_path)
    for order_id in ("o1", "o2"):
        tell(history, order_id, "R2")
    assert missing(watch, Log("a-1", ["o1", "o2"])) == 0
    assert missing(watch, Log("b-1", ["o1"])) == 1
    history.close()


def test_an_order_that_only_the_cloud_has_is_not_looked_for_at_the_edge(tmp_path: Path) -> None:
    history, watch = HistoryWriter(tmp_path, "p"), LossWatch("s1", tmp_path)
    tell(history, "o1", "RC")
    assert missing(watch, Log("a-1", [])) == 0
    history.close()
