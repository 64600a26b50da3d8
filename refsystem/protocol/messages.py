"""What devices of a store and the arbiter say to each other, and what a machine asks of its driver.

All values are frozen; `Ready` makes visible what must be flushed before what may be sent (etcd's raft has the same seam).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from refsystem.ordering.check import Check
from refsystem.ordering.errors import Problem
from refsystem.protocol.break_glass import Intention
from refsystem.protocol.log import Cursor, Entry, ForkPlace

Level = Literal["R2", "R1", "RC"]


@dataclass(frozen=True, slots=True)
class Register:
    """The arbiter's one value. It changes only by compare-and-set on `epoch`; `claim` tells whose request made it.

    `forked_epoch` is the epoch of the last break glass (P19), 0 before the first: it stays through every other step.
    """

    epoch: int
    primary: str
    members: tuple[str, ...]
    claim: str
    forked_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Append:
    """Primary to peer: entries behind `(prev_seq, prev_hash)`, and how far is committed. Empty: a heartbeat (P2).

    `round` numbers the round trips that reads wait for (P5); `members` only tells the peer what role it plays; `forks` are
    the newest forks of the primary's log, for a peer of another branch (P19).
    """

    epoch: int
    node_id: str
    to_node_id: str
    prev_seq: int
    prev_hash: str
    entries: tuple[Entry, ...]
    commit_seq: int
    round: int
    members: tuple[str, ...]
    forks: tuple[ForkPlace, ...] = ()
    kind: Literal["append"] = "append"


@dataclass(frozen=True, slots=True)
class Appended:
    """Peer to primary, after the flush: the last seq checked against an Append of this epoch (P2)."""

    epoch: int
    node_id: str
    matched_seq: int
    round: int
    kind: Literal["appended"] = "appended"


@dataclass(frozen=True, slots=True)
class Join:
    """A device asks the primary for the log. `known` are places in its own log, last first, ever further apart (P12).

    It is also the answer to an Append whose `(prev_seq, prev_hash)` the device does not hold.
    """

    epoch: int
    node_id: str
    known: tuple[Cursor, ...]
    kind: Literal["join"] = "join"


@dataclass(frozen=True, slots=True)
class Rejected:
    """The answer to a device whose epoch is too low: the highest epoch that the sender has stored (P3)."""

    epoch: int
    node_id: str
    kind: Literal["rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class RegisterRead:
    """Device to arbiter: what does the register say?"""

    request_id: str
    node_id: str
    kind: Literal["register_read"] = "register_read"


@dataclass(frozen=True, slots=True)
class RegisterSwap:
    """Device to arbiter: if the register's epoch is `expect_epoch`, make it `register`.

    `person` says who confirms that the members are off: the step of P19 is taken only with it, and no other asks for it.
    """

    request_id: str
    node_id: str
    expect_epoch: int
    register: Register
    person: str = ""
    kind: Literal["register_swap"] = "register_swap"


@dataclass(frozen=True, slots=True)
class RegisterState:
    """Arbiter to device: the register after the request; None when there is none (it refuses until a person restores it)."""

    request_id: str
    register: Register | None
    kind: Literal["register_state"] = "register_state"


PeerMessage = Append | Appended | Join | Rejected
ArbiterRequest = RegisterRead | RegisterSwap
Message = PeerMessage | RegisterState


@dataclass(frozen=True, slots=True)
class StoreEpoch:
    """Store the highest epoch seen."""

    epoch: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """Move the entries from `from_seq` on to the list of what was set aside (`recovered_unacknowledged`).

    Those up to `given_up_to` were known to be committed, in a branch that a fork has left (P19): they are `given_up`.
    """

    from_seq: int
    at_epoch: int
    given_up_to: int = 0


@dataclass(frozen=True, slots=True)
class StoreEntries:
    """Add entries to the log."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class StoreCommit:
    """Store how far is known to be committed. May lag behind the truth; goes back only where commits are given up (P19)."""

    commit_seq: int


@dataclass(frozen=True, slots=True)
class StoreBreakGlass:
    """Store what a person asked of this device (P19), or that nothing of it is left to do."""

    intention: Intention | None


PersistOp = StoreEpoch | SetAside | StoreEntries | StoreCommit | StoreBreakGlass


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a waiting request: a committed `entry`, or what a read `found`, with level and epoch, or a `problem`.

    `item_id`: the item of the menu that the problem is about, if it is about one.
    """

    request_id: int
    problem: Problem | None = None
    detail: str = ""
    level: Level | None = None
    epoch: int = 0
    entry: Entry | None = None
    replayed: bool = False
    served: bool = False
    checks: tuple[Check, ...] = ()
    found: Any = None
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a driver must do: flush `persist` in order and call `persisted(token)`; send `send` at once and
    `send_after_persist` after that flush; hand `replies` to whoever waits; let outsiders see `apply`, newly committed.
    """

    token: int
    persist: tuple[PersistOp, ...] = ()
    send: tuple[PeerMessage | ArbiterRequest, ...] = ()
    send_after_persist: tuple[PeerMessage, ...] = ()
    apply: tuple[Entry, ...] = ()
    replies: tuple[Reply, ...] = ()

    @property
    def needs_flush(self) -> bool:
        """Whether the driver must go through its writer before `persisted`."""
        return bool(self.persist or self.send_after_persist)
