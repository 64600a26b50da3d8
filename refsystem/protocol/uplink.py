"""Feeds out of a store: committed entries go, in order and resumed from the receiver's cursor, to the cloud (P14) and to
the kitchen display (P17). Both directions of one feed stand here: `FeedSender` on the primary, `judge_batch` at the
receiver. Whoever receives remembers the highest epoch of a sender and refuses a lower one (P13).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from refsystem.protocol.log import GENESIS, Cursor, Entry, ForkPlace, Log, chain_error


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
    if batch.from_seq == cursor.seq + 1 and batch.after != cursor:
        return HashMismatch(cursor.seq, f"entry {cursor.seq} is held with another hash")
    for entry in batch.entries:
        if entry.seq == cursor.seq and entry.cursor != cursor:
            return HashMismatch(cursor.seq, f"entry {cursor.seq} is held with another hash")
    fresh = tuple(entry for entry in batch.entries if entry.seq > cursor.seq)
    return Accepted(fresh, fresh[-1].cursor if fresh else cursor)


@dataclass
class FeedSender:
    """The primary's side of one feed: at most one batch in flight, always of committed entries.

    `cursor` is None until the receiver has told where it stands. A receiver that stands where this log does not
    (`mismatch`) is an alarm; nothing more is sent until it is told again.
    """

    store: str
    batch_max: int = 200
    cursor: Cursor | None = None
    mismatch: str | None = field(default=None)

    def next_batch(self, log: Log, commit_seq: int, epoch: int, node_id: str) -> Batch:
        """The next batch for the receiver; without entries when there is nothing to send or the cursor is not known."""
        after = self.cursor if self.cursor is not None else GENESIS
        entries: Sequence[Entry] = ()
        visible_seq = self.visible_seq(log, commit_seq)
        if self.cursor is not None and self.mismatch is None and after.seq < visible_seq:
            entries = log.slice(after.seq + 1, visible_seq, self.batch_max)
        return Batch(self.store, epoch, node_id, after.seq + 1, after.hash, tuple(entries))

    def visible_seq(self, log: Log, commit_seq: int) -> int:
        """The last entry that the receiver may see: nothing before its commit (P5)."""
        return min(commit_seq, log.last.seq)

    def answered(self, log: Log, commit_seq: int, cursor: Cursor) -> None:
        """The receiver told its cursor. One that this log does not hold as committed is an alarm."""
        if cursor.seq <= self.visible_seq(log, commit_seq) and log.holds(cursor):
            self.cursor, self.mismatch = cursor, None
        else:
            self.mismatch = (
                f"the receiver stands at entry {cursor.seq} ({cursor.hash[:12]}), which is not committed here"
            )

    def forget(self) -> None:
        """Ask the receiver again where it stands before anything more is sent."""
        self.cursor, self.mismatch = None, None

    def lag(self, commit_seq: int) -> int:
        """How many committed entries the receiver is not known to have."""
        return commit_seq - (self.cursor.seq if self.cursor is not None else 0)
