"""The log that both devices of a store hold, and the views of it: the index of keys (P6), and those that follow it.

Every entry is chained to the one before it by its hash, which covers epoch, seq, the previous hash and the record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

RecordKind = Literal["order", "duplicate_of", "conflict", "refused", "bump", "fork", "act"]

FORKS_TOLD_MAX = 16


class Cursor(NamedTuple):
    """A place in a log: the seq of an entry and that entry's own hash. `GENESIS` is before the first entry."""

    seq: int
    hash: str


GENESIS = Cursor(0, "")


@dataclass(frozen=True, slots=True)
class ForkPlace:
    """Where a log left another branch (P19): the record of the fork stands at `seq`, logged at `epoch`.

    From `from_seq` on the branches may differ. Whoever holds the other one has no entry of that epoch or a later one.
    """

    from_seq: int
    seq: int
    epoch: int

    def covers(self, seq: int) -> bool:
        """Whether this fork explains that another branch holds another entry at `seq`."""
        return self.from_seq <= seq <= self.seq


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log. `record` is the record's canonical JSON text."""

    epoch: int
    seq: int
    hash: str
    record: str

    @property
    def cursor(self) -> Cursor:
        """The place of this entry."""
        return Cursor(self.seq, self.hash)

    def content(self) -> dict[str, Any]:
        """The record as a dictionary; `kind` is always in it."""
        content: dict[str, Any] = json.loads(self.record)
        return content


def fork_explains(forks: Iterable[ForkPlace], seq: int, end_epoch: int) -> bool:
    """Whether one of `forks` explains that another branch, whose last entry is of `end_epoch`, differs at `seq` (P19).

    The epochs of the two entries at `seq` say nothing: the new branch may go on with a tail that is older than what it left.
    """
    return any(fork.covers(seq) and fork.epoch > end_epoch for fork in forks)


def encode_record(record: dict[str, Any]) -> str:
    """The canonical text of a record: sorted keys, no spaces."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def entry_hash(epoch: int, seq: int, previous_hash: str, record: str) -> str:
    """SHA-256 over epoch, seq, the previous entry's hash and the record, in hexadecimal."""
    return hashlib.sha256(f"{epoch}\n{seq}\n{previous_hash}\n{record}".encode()).hexdigest()


def chain(epoch: int, after: Cursor, records: Iterable[str]) -> tuple[Entry, ...]:
    """Entries for `records`, chained on behind `after`."""
    entries: list[Entry] = []
    seq, previous_hash = after
    for record in records:
        seq += 1
        previous_hash = entry_hash(epoch, seq, previous_hash, record)
        entries.append(Entry(epoch, seq, previous_hash, record))
    return tuple(entries)


def chain_error(after: Cursor, entries: Sequence[Entry]) -> str | None:
    """What is wrong with `entries` as the continuation of `after`, or None."""
    seq, previous_hash = after
    for entry in entries:
        seq += 1
        if entry.seq != seq:
            return f"entry {entry.seq} stands where {seq} belongs"
        previous_hash = entry_hash(entry.epoch, entry.seq, previous_hash, entry.record)
        if entry.hash != previous_hash:
            return f"the hash of entry {entry.seq} does not fit the entry before it"
    return None


@dataclass(frozen=True, slots=True)
class Key:
    """What the index knows of an idempotency key: where its order or act stands and what its content was."""

    seq: int
    body_hash: str
    kind: Literal["order", "act"] = "order"


class View(Protocol):
    """What follows a log entry by entry, and goes back with it."""

    def apply(self, seq: int, record: dict[str, Any]) -> None:
        """The entry at `seq` was added."""

    def set_aside(self, from_seq: int) -> None:
        """The entries from `from_seq` on were taken out."""


class Log:
    """Entries in order and the views derived from them. Views change only together with the entries."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = []
        self._keys: dict[str, Key] = {}
        self._downlink_numbers: list[tuple[int, int]] = []
        self._bumps: dict[tuple[str, int, str], int] = {}
        self._forks: list[ForkPlace] = []
        self._views: list[View] = []
        self.extend(tuple(entries))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last(self) -> Cursor:
        """The place of the last entry."""
        return self._entries[-1].cursor if self._entries else GENESIS

    @property
    def downlink_cursor(self) -> int:
        """The number of the last order taken from the cloud (P15)."""
        return self._downlink_numbers[-1][1] if self._downlink_numbers else 0

    @property
    def forks(self) -> tuple[ForkPlace, ...]:
        """The places where this log left another branch, oldest first (P19)."""
        return tuple(self._forks)

    def forks_told(self, upto_seq: int) -> tuple[ForkPlace, ...]:
        """The newest forks recorded up to `upto_seq`, as a message carries them: `FORKS_TOLD_MAX` at most (P20)."""
        return tuple(fork for fork in self._forks if fork.seq <= upto_seq)[-FORKS_TOLD_MAX:]

    def entry(self, seq: int) -> Entry:
        """The entry at `seq`, which must be held."""
        assert 1 <= seq <= len(self._entries), f"no entry {seq} in a log of {len(self._entries)}"
        return self._entries[seq - 1]

    def cursor(self, seq: int) -> Cursor:
        """The place of the entry at `seq`; `GENESIS` for 0."""
        return self.entry(seq).cursor if seq else GENESIS

    def holds(self, cursor: Cursor) -> bool:
        """Whether the entry at that seq is held with that very hash (P12: the entry's own hash, not its predecessor's)."""
        return cursor == GENESIS or (cursor.seq <= len(self._entries) and self.cursor(cursor.seq) == cursor)

    def slice(self, from_seq: int, to_seq: int, records_max: int) -> tuple[Entry, ...]:
        """Entries from `from_seq` to `to_seq` inclusive, `records_max` at most."""
        return tuple(self._entries[from_seq - 1 : min(to_seq, from_seq - 1 + records_max)])

    def places(self, places_max: int) -> tuple[Cursor, ...]:
        """Places in this log, the last first, then ever further back, so that another can find the last shared one (P12)."""
        known: list[Cursor] = []
        seq, step = self.last.seq, 1
        while seq > 0 and len(known) < places_max:
            known.append(self.cursor(seq))
            if len(known) >= 8:
                step *= 2
            seq -= step
        return tuple(known)

    def first_disagreement(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """`entries` from the first one on that this log lacks or holds otherwise (P2)."""
        for index, entry in enumerate(entries):
            if not self.holds(entry.cursor):
                return tuple(entries[index:])
        return ()

    def key(self, identity: str) -> Key | None:
        """Where the order or the act with this key stands, committed or not."""
        return self._keys.get(identity)

    def order_key(self, order_id: str) -> Key | None:
        """Where the order with this key stands, committed or not; None for the key of an act."""
        key = self._keys.get(order_id)
        return key if key is not None and key.kind == "order" else None

    def follow(self, view: View) -> None:
        """Let `view`, which is empty, follow this log from its first entry on."""
        self._views.append(view)
        for entry in self._entries:
            view.apply(entry.seq, entry.content())

    def bump_seq(self, order_id: str, version: int, station: str) -> int | None:
        """Where this ticket was bumped, or None."""
        return self._bumps.get((order_id, version, station))

    def extend(self, entries: Sequence[Entry]) -> None:
        """Append `entries`, which must continue the log."""
        for entry in entries:
            assert entry.seq == len(self._entries) + 1, f"entry {entry.seq} behind a log of {len(self._entries)}"
            self._entries.append(entry)
            content = entry.content()
            self._index(entry, content)
            for view in self._views:
                view.apply(entry.seq, content)

    def set_aside(self, from_seq: int) -> tuple[Entry, ...]:
        """Take out the entries from `from_seq` on, and their keys with them; returns them."""
        aside = tuple(self._entries[from_seq - 1 :])
        del self._entries[from_seq - 1 :]
        for entry in aside:
            self._unindex(entry)
        while self._downlink_numbers and self._downlink_numbers[-1][0] >= from_seq:
            self._downlink_numbers.pop()
        while self._forks and self._forks[-1].seq >= from_seq:
            self._forks.pop()
        for view in self._views:
            view.set_aside(from_seq)
        return aside

    def _index(self, entry: Entry, content: dict[str, Any]) -> None:
        identity = _identity(content)
        if identity is not None:
            self._keys.setdefault(identity, Key(entry.seq, content["body_hash"], content["kind"]))
        if content["kind"] == "bump":
            self._bumps.setdefault((content["order_id"], content["version"], content["station"]), entry.seq)
        if content["kind"] == "fork":
            self._forks.append(ForkPlace(content["from_seq"], entry.seq, entry.epoch))
        number = _number(content)
        if number is not None:
            self._downlink_numbers.append((entry.seq, number))

    def _unindex(self, entry: Entry) -> None:
        content = entry.content()
        identity = _identity(content)
        if identity is not None:
            key = self._keys.get(identity)
            if key is not None and key.seq == entry.seq:
                del self._keys[identity]
        if content["kind"] == "bump":
            ticket = (content["order_id"], content["version"], content["station"])
            if self._bumps.get(ticket) == entry.seq:
                del self._bumps[ticket]


def _number(content: dict[str, Any]) -> int | None:
    """The number of the downlink that a record answers (P15): of an order, or of rights that the cloud gave back (P18)."""
    if content["kind"] == "act" and content.get("act") in ("return_rights", "settle_rights"):
        return int(content["number"])
    number: int | None = content.get("downlink_number")
    return number


def _identity(content: dict[str, Any]) -> str | None:
    """The idempotency key of a record, if it has one."""
    match content["kind"]:
        case "order":
            return str(content["order_id"])
        case "act":
            return str(content["act_id"])
    return None
