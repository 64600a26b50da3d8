"""Feeds out of a store: committed entries go, in order and resumed from the receiver's cursor, to the cloud (P14) and to
the kitchen display (P17). Both directions of one feed stand here: `FeedSender` on the primary, `judge_batch` at the
receiver. Whoever receives remembers the highest epoch of a sender and refuses a lower one (P13).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from refsystem.protocol.log import GENESIS, Cursor, Entry, ForkPlace, Log, chain_error, fork_explains
from refsystem.protocol.timing import DEFAULT_TIMING


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of one store for a receiver. Without entries it asks for the receiver's cursor.

    `forks` are the newest committed forks of the sender's log (P19): a receiver of another branch may follow them.
    """

    store: str
    sender_epoch: int
    sender_node_id: str
    from_seq: int
    prev_hash: str
    entries: tuple[Entry, ...] = ()
    forks: tuple[ForkPlace, ...] = ()

    @property
    def after(self) -> Cursor:
        """The place that this batch continues."""
        return Cursor(self.from_seq - 1, self.prev_hash)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Store `entries` and move the cursor to `cursor`, in one transaction. Entries held already are left out."""

    entries: tuple[Entry, ...]
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Matched:
    """All of the batch is held already, and it ends before the cursor: answer `cursor`, so that the sender goes on from there.

    Nothing is stored, and the receiver's own cursor stays. Only across forks (P19).
    """

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Forked:
    """The sender's log has left the branch that is held (P19): keep what is held beyond `shared` as forked, then store
    `entries` and move the cursor to `cursor`, all in one transaction.
    """

    shared: Cursor
    entries: tuple[Entry, ...]
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Gap:
    """The batch begins behind the next entry expected; nothing may be stored."""

    expected_seq: int


@dataclass(frozen=True, slots=True)
class StaleSender:
    """A sender with a higher epoch was seen: this one must fence itself; nothing may be stored."""

    highest_epoch: int


@dataclass(frozen=True, slots=True)
class HashMismatch:
    """The batch does not continue what is held: an alarm; nothing may be stored."""

    seq: int
    detail: str


Judgement = Accepted | Gap | StaleSender | HashMismatch | Matched | Forked


class Held(NamedTuple):
    """What a receiver holds at one seq: the entry's hash and epoch."""

    hash: str
    epoch: int


def judge_batch(
    cursor: Cursor, highest_epoch: int, batch: Batch, held: Callable[[int], Held | None] | None = None
) -> Judgement:
    """What a receiver at `cursor`, that has seen senders up to `highest_epoch`, must do with `batch`.

    `held` tells what the receiver holds at a seq from `batch.from_seq - 1` to its cursor; without it no fork is followed.
    The caller stores `batch.sender_epoch` as the highest in the same transaction unless the answer is `StaleSender`.
    """
    if batch.sender_epoch < highest_epoch:
        return StaleSender(highest_epoch)
    if batch.from_seq > cursor.seq + 1:
        return Gap(cursor.seq + 1)
    error = chain_error(batch.after, batch.entries)
    if error is not None:
        return HashMismatch(batch.from_seq, error)
    if batch.forks and batch.entries and held is not None and batch.from_seq <= cursor.seq:
        return _judge_across_forks(cursor, batch, held)
    if batch.from_seq == cursor.seq + 1 and batch.after != cursor:
        return HashMismatch(cursor.seq, f"entry {cursor.seq} is held with another hash")
    for entry in batch.entries:
        if entry.seq == cursor.seq and entry.cursor != cursor:
            return HashMismatch(cursor.seq, f"entry {cursor.seq} is held with another hash")
    fresh = tuple(entry for entry in batch.entries if entry.seq > cursor.seq)
    return Accepted(fresh, fresh[-1].cursor if fresh else cursor)


def _judge_across_forks(cursor: Cursor, batch: Batch, held: Callable[[int], Held | None]) -> Judgement:
    """P19: a batch that begins within what is held is compared with it, entry by entry, from a place that both hold."""
    last_held = held(cursor.seq)
    before = held(batch.after.seq) if batch.after != GENESIS else Held("", 0)
    if last_held is None or before is None or before.hash != batch.prev_hash:
        return HashMismatch(batch.after.seq, f"entry {batch.after.seq} is held with another hash")
    shared, end = batch.after, batch.entries[-1].cursor
    for index, entry in enumerate(batch.entries):
        if entry.seq > cursor.seq:
            return Accepted(batch.entries[index:], end)
        found = held(entry.seq)
        if found is None or found.hash != entry.hash:
            if found is None or not fork_explains(batch.forks, entry.seq, last_held.epoch):
                return HashMismatch(entry.seq, f"entry {entry.seq} is held with another hash")
            return Forked(shared, batch.entries[index:], end)
        shared = entry.cursor
    return Accepted((), cursor) if end == cursor else Matched(end)


@dataclass
class FeedSender:
    """The primary's side of one feed: at most one batch in flight, always of committed entries.

    `cursor` is None until the receiver has told where it stands. A receiver that stands where this log does not is sent what
    is behind the earliest fork that may explain it (P19), once; otherwise it is an alarm (`mismatch`), and nothing more is
    sent until it is told again.
    """

    store: str
    batch_max: int = DEFAULT_TIMING.entries_per_batch_max
    cursor: Cursor | None = None
    mismatch: str | None = field(default=None)
    resumed_for: Cursor | None = None

    def next_batch(self, log: Log, commit_seq: int, epoch: int, node_id: str) -> Batch:
        """The next batch for the receiver; without entries when there is nothing to send or the cursor is not known."""
        after = self.cursor if self.cursor is not None else GENESIS
        entries: Sequence[Entry] = ()
        visible_seq = self.visible_seq(log, commit_seq)
        if self.cursor is not None and self.mismatch is None and after.seq < visible_seq:
            entries = log.slice(after.seq + 1, visible_seq, self.batch_max)
        forks = log.forks_told(visible_seq)
        return Batch(self.store, epoch, node_id, after.seq + 1, after.hash, tuple(entries), forks)

    def visible_seq(self, log: Log, commit_seq: int) -> int:
        """The last entry that the receiver may see: nothing before its commit (P5)."""
        return min(commit_seq, log.last.seq)

    def answered(self, log: Log, commit_seq: int, cursor: Cursor) -> None:
        """The receiver told its cursor. One that this log does not hold is of another branch, or an alarm.

        A primary that was restarted may know less of the commit than its receiver: an entry that it holds, or the record of a
        fork that explains the cursor, is waited for until it is committed. A receiver that has compared all that this log
        holds, and still tells the same strange cursor, is an alarm too.
        """
        visible_seq = self.visible_seq(log, commit_seq)
        if cursor.seq <= visible_seq and log.holds(cursor):
            self.cursor, self.mismatch = cursor, None
            return
        if log.holds(cursor) or any(fork.seq > visible_seq and fork.from_seq <= cursor.seq for fork in log.forks):
            self.cursor, self.mismatch = None, None
            return
        places = [fork.from_seq for fork in log.forks_told(visible_seq) if fork.from_seq <= cursor.seq]
        if places and cursor != self.resumed_for:
            self.cursor, self.mismatch, self.resumed_for = log.cursor(min(places) - 1), None, cursor
        else:
            self.mismatch = (
                f"the receiver stands at entry {cursor.seq} ({cursor.hash[:12]}), which is not committed here"
            )

    def forget(self) -> None:
        """Ask the receiver again where it stands before anything more is sent."""
        self.cursor, self.mismatch, self.resumed_for = None, None, None

    def lag(self, commit_seq: int) -> int:
        """How many committed entries the receiver is not known to have."""
        return commit_seq - (self.cursor.seq if self.cursor is not None else 0)
