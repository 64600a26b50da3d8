"""The history: one row for each attempt of a client, written by whoever drives a system and read by the audit.

A row is written twice, to a file local to the writing process: when the attempt is invoked, *before* anything is sent, and
when it is completed. A killed process therefore loses no attempt that it sent: an invocation without a completion is an
indefinite attempt. Real load processes and the virtual cluster write the same rows.

All times are microseconds of the host's monotonic clock (`time.monotonic_ns() // 1000`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

Kind = Literal["menu", "order", "read", "check", "act", "look"]
Outcome = Literal["ok", "fail", "indefinite"]
Level = Literal["R2", "R1", "RC"]
Door = Literal["edge", "cloud"]
"""Where a request enters: a device in the store, or the cloud."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of one client, and what the client was told.

    `intent_id` is what a person wanted; `order_id` is the key of one order; `attempt` counts from 1 within one
    (`order_id`, `kind`). `kind` is "order" for a submission, "read" for `GET` of an order, "menu" for the menu.
    For a completed read, `outcome` "ok" means found and `status` 404 with "fail" a definite "not there".
    `door` is where it was sent to, None if whoever writes the history cannot say.
    `items` is the list of `(item_id, quantity)` as sent; `body_hash` tells equal bodies from different ones.

    `kind` "act" is a submission of the act `act` under the key `act_id`, "check" a look at a check; both name the order that the
    check began with as `order_id`, and count attempts within (`act_id`, `kind`). `total_minor` is then the amount of the act.
    `kind` "look" is a look of the staff at open checks, kitchen or stock, and belongs to no order; so may an act of theirs.
    """

    process: str
    op: int
    store: str
    table: str
    channel: str
    intent_id: str
    order_id: str
    attempt: int
    kind: Kind
    intended_at_us: int
    invoked_at_us: int
    marker: str = ""
    body_hash: str = ""
    total_minor: int = 0
    items: tuple[tuple[str, int], ...] = ()
    completed_at_us: int | None = None
    outcome: Outcome = "indefinite"
    level: Level | None = None
    status: int | None = None
    problem: str | None = None
    node_id: str | None = None
    epoch: int | None = None
    seq: int | None = None
    served: bool = False
    act: str = ""
    act_id: str = ""
    door: Door | None = None

    @property
    def identity(self) -> str:
        """The key of what was asked for: of the act, else of the order."""
        return self.act_id or self.order_id


class HistoryWriter:
    """Appends attempts to `<folder>/<process>.jsonl`; every line is handed to the kernel before the call returns."""

    def __init__(self, folder: Path, process: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.process = process
        self._file: TextIO = (folder / f"{process}.jsonl").open("a", buffering=1, encoding="utf-8")
        self._next_op = 0

    def next_op(self) -> int:
        """A number for an attempt, unique within this process."""
        self._next_op += 1
        return self._next_op

    def invoke(self, attempt: Attempt) -> None:
        """Record that `attempt` is about to be sent. Must be called before the send."""
        self._write({"event": "invoke", **_plain(attempt)})

    def complete(self, attempt: Attempt) -> None:
        """Record what the client was told; `attempt` is the invoked row with the answer's fields filled in."""
        self._write({"event": "complete", **_plain(attempt)})

    def close(self) -> None:
        """Close the file; further calls fail."""
        self._file.close()

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n")


def read_history(folder: Path) -> list[Attempt]:
    """All attempts found under `folder`, ordered by (invoked_at_us, process, op).

    A torn last line, as a killed process may leave, is passed over; an invocation without completion stays indefinite.
    """
    rows: dict[tuple[str, int], Attempt] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for row in _lines(path):
            row.pop("event", None)
            row["items"] = tuple((str(item), int(quantity)) for item, quantity in row["items"])
            attempt = Attempt(**row)
            key = (attempt.process, attempt.op)
            known = rows.get(key)
            if known is None or known.completed_at_us is None:
                rows[key] = attempt
    return sorted(rows.values(), key=lambda a: (a.invoked_at_us, a.process, a.op))


def _plain(attempt: Attempt) -> dict[str, Any]:
    """Its fields; those of acts only when it is one."""
    row = {field.name: getattr(attempt, field.name) for field in dataclasses.fields(attempt)}
    return {name: value for name, value in row.items() if attempt.act or name not in ("act", "act_id")}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            if number < len(lines):
                raise ValueError(f"{path}, line {number}: not a history row ({error})") from error
