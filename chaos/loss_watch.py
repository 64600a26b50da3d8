"""Loss so far, while a drill runs: what clients were told at R1 or R2 and the present primary does not hold.

A figure for the person who watches, not the audit: it looks at one place, and only at what has been told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from chaos.observer import Observer

TOLD = ("R1", "R2")


@dataclass
class LossWatch:
    """Follows the history files of a run and the log of a store's primary."""

    store: str
    history: Path
    _told: set[str] = field(default_factory=set)
    _held: set[str] = field(default_factory=set)
    _offsets: dict[Path, int] = field(default_factory=dict)
    _node_id: str | None = None
    _seq: int = 0

    async def missing(self, observer: Observer, slot: str) -> int | None:
        """How many are missing at the primary, device `slot`; None if it could not be read."""
        self._read_history()
        told = set(self._told)
        try:
            node_id, rows = await observer.entries_after(self.store, slot, self._seq)
            if node_id != self._node_id:
                self._node_id, self._seq, self._held = node_id, 0, set()
                node_id, rows = await observer.entries_after(self.store, slot, 0)
        except (httpx.HTTPError, ValueError, KeyError):
            return None
        self._seq += len(rows)
        self._held |= {row["record"]["order_id"] for row in rows if row["record"]["kind"] == "order"}
        return len(told - self._held)

    def _read_history(self) -> None:
        for path in self.history.glob("*.jsonl"):
            with path.open("rb") as lines:
                lines.seek(self._offsets.get(path, 0))
                data = lines.read()
            whole = data.rfind(b"\n") + 1
            self._offsets[path] = self._offsets.get(path, 0) + whole
            for line in data[:whole].splitlines():
                self._note(json.loads(line))

    def _note(self, row: dict[str, object]) -> None:
        if row["store"] == self.store and row["kind"] == "order" and row["outcome"] == "ok" and row["level"] in TOLD:
            self._told.add(str(row["order_id"]))
