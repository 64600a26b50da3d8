"""What a store's printer is to print next, and what must be in the log before. Decides all that concerns slips, moves no byte.

One slip is under way at most. `due` names it; `begin` gives the act that must be committed before its first byte is sent;
`may_send` says that it is; `printed` and `failed` what came of it. What waits is not kept here but in the log: there is no other
queue that could grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refsystem.ordering.print_acts import PrintedSlips, SlipDue, printed_record, printing_record
from refsystem.ordering.slip import Job
from refsystem.protocol.log import Log


@dataclass(frozen=True, slots=True)
class _Begun:
    """A slip whose act this device has proposed in its present time as primary; nothing of it has been sent yet."""

    due: SlipDue
    entry_seq: int


class PrintQueue:
    """The slips of one device's log, while it is primary."""

    def __init__(self, log: Log, slips: PrintedSlips) -> None:
        self._log = log
        self._slips = slips
        self._term: int | None = None
        self._begun: _Begun | None = None
        self._done: SlipDue | None = None

    def lead(self, term: int | None) -> None:
        """This device is primary for the `term`-th time, or is not. What an earlier time has begun may have been sent."""
        if term != self._term:
            self._term, self._begun, self._done = term, None, None

    def waiting(self, commit_seq: int) -> int:
        """How many slips of committed orders the log does not say to be on paper."""
        return self._slips.count_between(self._slips.done_seq, self._visible_seq(commit_seq))

    def due(self, commit_seq: int) -> SlipDue | None:
        """The next slip to print, or None: nothing before the commit of its entry (P5)."""
        found = self._slips.next_after(self._done_seq)
        if found is None or found.seq > self._visible_seq(commit_seq):
            return None
        if self._begun is not None and self._begun.due.seq == found.seq:
            return self._begun.due
        return found

    def begin(self, due: SlipDue, at_ms: int) -> dict[str, Any] | None:
        """The act to propose for `due`, or None: it was proposed; tell `begun` at which entry it stands."""
        if self._begun is not None and self._begun.due == due:
            return None
        return printing_record(due, self._done_seq, at_ms)

    def begun(self, due: SlipDue, entry_seq: int) -> None:
        """The act for `due` is entry `entry_seq`."""
        self._begun = _Begun(due, entry_seq)

    def may_send(self, due: SlipDue, commit_seq: int) -> bool:
        """Whether the act for `due` is committed."""
        return self._begun is not None and self._begun.due == due and self._is_committed(self._begun, commit_seq)

    def job(self, due: SlipDue) -> Job:
        """What is printed for `due`; a copy is marked REPRINT."""
        return due.job

    def sending(self) -> None:
        """The first byte is about to be sent: from now on the slip may be on paper."""
        self._begun = None

    def printed(self, due: SlipDue) -> None:
        """The printer says that it is on paper."""
        self._done = due

    def last_word(self, commit_seq: int, at_ms: int) -> dict[str, Any] | None:
        """The act to propose when nothing is due: that what was printed last is on paper; None if the log says so."""
        if self._done is None or self._done.seq <= self._slips.done_seq or self.due(commit_seq) is not None:
            return None
        return printed_record(self._done, at_ms)

    @property
    def _done_seq(self) -> int:
        return max(self._slips.done_seq, self._done.seq if self._done is not None else 0)

    def _visible_seq(self, commit_seq: int) -> int:
        return commit_seq

    def _is_committed(self, begun: _Begun, commit_seq: int) -> bool:
        return begun.entry_seq <= commit_seq


class PrintsWithoutMark(PrintQueue):
    """Breaks P13: a further copy of a slip looks like the first one."""

    def job(self, due: SlipDue) -> Job:
        """Always the first copy."""
        return Job(due.job.key)


class PrintsBeforeCommit(PrintQueue):
    """Breaks P5: what is in this device's log is printed, committed or not."""

    def _visible_seq(self, commit_seq: int) -> int:
        return self._log.last.seq

    def _is_committed(self, begun: _Begun, commit_seq: int) -> bool:
        return True


PRINT_VARIANTS: dict[str, type[PrintQueue]] = {
    "no-reprint-mark": PrintsWithoutMark,
    "print-before-commit": PrintsBeforeCommit,
}
"""Broken ones; a drill and the tests of the edge must find them."""
