"""What is flushed on one device. A crash loses the rest; an empty disk is a new node."""

from __future__ import annotations

from collections.abc import Callable

from refsystem.protocol.break_glass import Intention
from refsystem.protocol.log import Cursor, Entry
from refsystem.protocol.messages import PersistOp, SetAside, StoreBreakGlass, StoreCommit, StoreEntries, StoreEpoch
from refsystem.protocol.replica import DurableState

OnSetAside = Callable[[str, tuple[Entry, ...], int], None]


class DiskDamaged(AssertionError):
    """A transaction does not continue what the disk holds."""


class Disk:
    """One device's disk, by whole transactions."""

    def __init__(self, node_id: str, on_set_aside: OnSetAside) -> None:
        self.node_id = node_id
        self.epoch = 0
        self.commit_seq = 0
        self.entries: list[Entry] = []
        self.set_aside: list[Entry] = []
        self.given_up: list[Entry] = []
        self.intention: Intention | None = None
        self._on_set_aside = on_set_aside

    def state(self) -> DurableState:
        """What a process finds at its boot."""
        return DurableState(self.node_id, self.epoch, self.commit_seq, tuple(self.entries), self.intention)

    def apply(self, ops: tuple[PersistOp, ...]) -> None:
        """One transaction."""
        for op in ops:
            match op:
                case StoreEpoch(epoch):
                    self.epoch = epoch
                case StoreCommit(commit_seq):
                    self.commit_seq = commit_seq
                case StoreBreakGlass(intention):
                    self.intention = intention
                case SetAside(from_seq, _, given_up_to):
                    aside = tuple(self.entries[from_seq - 1 :])
                    self.given_up += [entry for entry in aside if entry.seq <= given_up_to]
                    self.set_aside += [entry for entry in aside if entry.seq > given_up_to]
                    del self.entries[from_seq - 1 :]
                    self._on_set_aside(self.node_id, aside, given_up_to)
                case StoreEntries(entries):
                    if entries[0].seq != len(self.entries) + 1:
                        raise DiskDamaged(f"{self.node_id} flushes entry {entries[0].seq} behind {len(self.entries)}")
                    self.entries.extend(entries)

    def lose_unsynced(self) -> None:
        """A power cut where no commit was ever synced (`synchronous-normal`): what the file was made with is left."""
        self.epoch, self.commit_seq, self.entries, self.intention = 0, 0, [], None

    def holds(self, place: Cursor) -> bool:
        """Whether this very entry is flushed."""
        return place.seq <= len(self.entries) and self.entries[place.seq - 1].hash == place.hash
