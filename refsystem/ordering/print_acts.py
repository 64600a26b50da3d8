"""What has been printed, as the store's log says: the acts of whoever sends slips to the printer, and the view that follows them.

It stands in the log, not in the printer: that has memory for some ten writes a day (GS ( C), and a new printer knows nothing.
`printing` is committed before the first byte of a slip is sent. So whoever becomes primary knows of every slip that may lie on
paper, and prints such a one again only as a further copy, marked REPRINT. That a slip is on paper is told by the next act.

Slips are printed in the order of the entries that make them, one at a time: `done_seq` says up to where.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refsystem.ordering.check_acts import SYSTEM, derived_id
from refsystem.ordering.slip import Job

PRINTING, PRINTED = "printing", "printed"

SlipOf = Callable[[int, dict[str, Any]], str | None]
"""The key of the slip that an entry makes, or None."""


@dataclass(frozen=True, slots=True)
class SlipDue:
    """A slip that is to be printed: the entry that makes it, and which copy it will be."""

    seq: int
    job: Job


def printing_record(due: SlipDue, done_seq: int, at_ms: int) -> dict[str, Any]:
    """The act that comes before a slip; all slips up to entry `done_seq` are on paper."""
    content = {"slip": due.job.key, "slip_seq": due.seq, "copy": due.job.copy, "done_seq": done_seq}
    return _act(PRINTING, derived_id(due.job.key, f"{PRINTING}/{due.job.copy}"), content, at_ms)


def printed_record(done: SlipDue, at_ms: int) -> dict[str, Any]:
    """The act that says that all slips up to this one are on paper, when no other follows at once."""
    content = {"slip": done.job.key, "copy": done.job.copy, "done_seq": done.seq}
    return _act(PRINTED, derived_id(done.job.key, f"{PRINTED}/{done.job.copy}"), content, at_ms)


def _act(name: str, act_id: str, content: dict[str, Any], at_ms: int) -> dict[str, Any]:
    text = json.dumps([name, content], sort_keys=True, separators=(",", ":"))
    body_hash = hashlib.sha256(text.encode()).hexdigest()[:16]
    envelope = {"kind": "act", "act_id": act_id, "act": name, "who": SYSTEM, "at_ms": at_ms}
    return {**envelope, "body_hash": body_hash, **content}


@dataclass(frozen=True, slots=True)
class _Mark:
    """One act of the log: where it stands, and what it says; `slip_seq` 0 if it begins no slip."""

    seq: int
    done_seq: int
    slip_seq: int
    copies_before: int


class PrintedSlips:
    """Follows the log like the index of keys: which entries make slips, which of these are on paper or may be."""

    def __init__(self, slip_of: SlipOf, left_out: Callable[[int], None] = lambda _: None) -> None:
        """`left_out` is told when entries leave the log: of whatever `slip_of` remembers."""
        self._slip_of = slip_of
        self._left_out = left_out
        self._seqs: list[int] = []
        self._keys: dict[int, str] = {}
        self._copies: dict[int, int] = {}
        self._marks: list[_Mark] = []
        self._forks: list[int] = []

    @property
    def done_seq(self) -> int:
        """All slips of entries up to here are on paper."""
        return self._marks[-1].done_seq if self._marks else 0

    def next_after(self, seq: int) -> SlipDue | None:
        """The first slip behind entry `seq`."""
        index = bisect_right(self._seqs, seq)
        if index == len(self._seqs):
            return None
        found = self._seqs[index]
        return SlipDue(found, Job(self._keys[found], self._copies_of(found)))

    def count_between(self, after_seq: int, upto_seq: int) -> int:
        """How many slips the entries behind `after_seq` up to `upto_seq` make."""
        return max(0, bisect_right(self._seqs, upto_seq) - bisect_right(self._seqs, after_seq))

    def apply(self, seq: int, record: dict[str, Any]) -> None:
        """The entry at `seq` was added."""
        if record["kind"] == "fork":
            self._forks.append(seq)
        if record["kind"] == "act" and record["act"] in (PRINTING, PRINTED):
            slip_seq = record.get("slip_seq", 0)
            self._marks.append(
                _Mark(seq, max(self.done_seq, record["done_seq"]), slip_seq, self._copies.get(slip_seq, 0))
            )
            if slip_seq:
                self._copies[slip_seq] = record["copy"] + 1
            return
        key = self._slip_of(seq, record)
        if key is None:
            return
        self._seqs.append(seq)
        self._keys[seq] = key
        if self._forks and record.get("origin") == "cloud":
            self._copies[seq] = 1  # it may come back from the branch that was left, and be on paper (P19)

    def set_aside(self, from_seq: int) -> None:
        """The entries from `from_seq` on were taken out."""
        while self._marks and self._marks[-1].seq >= from_seq:
            mark = self._marks.pop()
            if mark.slip_seq:
                self._copies[mark.slip_seq] = mark.copies_before
        while self._forks and self._forks[-1] >= from_seq:
            self._forks.pop()
        while self._seqs and self._seqs[-1] >= from_seq:
            seq = self._seqs.pop()
            del self._keys[seq]
            self._copies.pop(seq, None)
        self._left_out(from_seq)

    def _copies_of(self, seq: int) -> int:
        """How many copies may lie on paper. Who broke the glass may not know of one that the former members printed (P19)."""
        known = self._copies.get(seq, 0)
        return max(known, 1) if self._forks and seq < self._forks[-1] else known
