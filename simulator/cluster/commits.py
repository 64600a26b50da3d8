"""What a store has committed, in the branch that goes on and in those that break glass left behind (P19)."""

from __future__ import annotations

from refsystem.protocol.log import Cursor, Entry
from refsystem.protocol.replica import Replica
from simulator.cluster.violation import Violation


class Commits:
    """The commits of one store, as far as anybody outside has seen. `branch_epoch` is that of the branch that goes on."""

    def __init__(self) -> None:
        self.branch_epoch = 0
        self._entries: dict[int, Entry] = {}
        self._forked: set[str] = set()
        self._numbers: dict[int, int] = {}
        self._order_seqs: dict[str, int] = {}
        self._bodies: dict[str, set[str]] = {}

    @property
    def last(self) -> Entry | None:
        """The entry that was committed furthest behind in the log."""
        return self._entries[max(self._entries)] if self._entries else None

    def at(self, seq: int) -> Entry | None:
        """What is committed there."""
        return self._entries.get(seq)

    def hold(self, place: Cursor) -> bool:
        """Whether this very entry is committed."""
        entry = self._entries.get(place.seq)
        return entry is not None and entry.hash == place.hash

    def has_order(self, order_id: str) -> bool:
        """Whether an order of this id is committed."""
        return order_id in self._order_seqs

    def has_other_content(self, order_id: str, body_hash: str) -> bool:
        """Whether another content than this one is committed under the id."""
        return not self._bodies.get(order_id, set()) <= {body_hash}

    def left_behind(self, entry: Entry) -> bool:
        """Whether the entry was committed in a branch that was left, and is not in the one that goes on."""
        return entry.hash in self._forked

    def leave_behind(self, entry: Entry) -> None:
        """A device commits an entry in a branch that was left."""
        self._forked.add(entry.hash)

    def add(self, node_id: str, entry: Entry) -> None:
        """A device commits an entry in the branch that goes on."""
        held = self._entries.setdefault(entry.seq, entry)
        if held.hash != entry.hash:
            raise Violation("one content for each seq", f"{node_id} commits another content at {entry.seq}")
        if held is not entry:
            return
        content = entry.content()
        if content["kind"] == "order":
            seq = self._order_seqs.setdefault(content["order_id"], entry.seq)
            if seq != entry.seq:
                raise Violation("one order for each key", f"{content['order_id']} stands at {seq} and {entry.seq}")
            self._bodies.setdefault(content["order_id"], set()).add(content["body_hash"])
        number = content.get("downlink_number")
        if number is not None and self._numbers.setdefault(number, entry.seq) != entry.seq:
            raise Violation("one record for each number", f"number {number} makes a second record at {entry.seq}")

    def begin_branch(self, epoch: int, replica: Replica) -> tuple[str, bool]:
        """From its fork on, what was committed and is not in the new primary's log is left behind.

        Returns how the fork stands to the cloud, and whether any commit was left behind.
        """
        log = replica.log
        self.branch_epoch = epoch
        fork = next((fork for fork in log.forks if fork.epoch >= epoch), None)
        if fork is None:
            raise Violation("a fork is recorded", f"{replica.node_id} acts after break glass without a record of it")
        left = [entry for entry in self._entries.values() if not log.holds(entry.cursor)]
        lacking = [entry.seq for entry in left if entry.seq < fork.from_seq]
        if lacking:
            raise Violation("a fork begins behind what is shared", f"entry {lacking[0]} is committed and not held")
        self._forked |= {entry.hash for entry in left}
        self._entries, self._numbers, self._order_seqs, self._bodies = {}, {}, {}, {}
        for entry in log.slice(1, replica.commit_seq, replica.commit_seq):
            self._forked.discard(entry.hash)
            self.add(replica.node_id, entry)
        return log.entry(fork.seq).content()["cloud"], bool(left)
