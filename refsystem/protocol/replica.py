"""A device's part in the store protocol: roles, epochs, log shipping, commit, and the register (P1-P4, P7-P12, P20, P21).

Sans-IO: `receive`, `tick` and `persisted` are the only ways in, `take_ready` and `deadline_us` the only ways out. The clause
that a piece of code keeps is named beside it. Requests of diners are `admission`'s, break glass (P19) is `glass_replica`'s; this
module knows records only as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from refsystem.protocol.break_glass import Intention
from refsystem.protocol.claims import Claims, Pending, Purpose
from refsystem.protocol.flushing import Flushing
from refsystem.protocol.log import Cursor, Entry, ForkPlace, Log, chain, fork_explains
from refsystem.protocol.messages import (
    Append,
    Appended,
    ArbiterRequest,
    Join,
    Level,
    Message,
    PeerMessage,
    PersistOp,
    Ready,
    Register,
    RegisterState,
    RegisterSwap,
    Rejected,
    SetAside,
    StoreCommit,
    StoreEntries,
    StoreEpoch,
)
from refsystem.protocol.roles import TRANSITIONS, Role
from refsystem.protocol.shipping import Shipping
from refsystem.protocol.timing import Timing


@dataclass(frozen=True, slots=True)
class DurableState:
    """What a device finds on its disk at boot. `epoch` is the highest it has stored; `break_glass` what is left to do of P19."""

    node_id: str
    epoch: int = 0
    commit_seq: int = 0
    entries: tuple[Entry, ...] = ()
    break_glass: Intention | None = None


class Replica:
    """One device's machine. `incarnation` is given, and fresh for every life of the process: claims are made of it."""

    def __init__(
        self, state: DurableState, incarnation: str, timing: Timing, now_us: int, log_class: type[Log] = Log
    ) -> None:
        self.node_id = state.node_id
        self.timing = timing
        self.epoch = state.epoch
        self.log = log_class(state.entries)
        self.commit_seq = state.commit_seq
        self.role = Role.FENCED
        self.register: Register | None = None
        self.leader_node_id: str | None = None
        self.fence_count = 0
        self.alarm: str | None = None
        self._now_us = now_us
        self._claims = Claims(state.node_id, incarnation)
        self._shipping = Shipping(self.log, timing, now_us)
        self._flushing = Flushing(self.log.last.seq)
        self._both_flushed_rule = False
        self._progress_at_us = now_us
        self._heard_at_us = now_us
        self._joined_at_us = now_us - timing.join_interval_us
        self._read_due_us = now_us
        self._matched_here = 0
        self._persist: list[PersistOp] = []
        self._send_after: list[PeerMessage] = []
        self._token = 0
        self._applied_seq = state.commit_seq
        self._stored_commit_seq = state.commit_seq
        self._commits_from_seq = 0

    # --- what others may ask -------------------------------------------------------------------------------------------

    @property
    def members(self) -> tuple[str, ...]:
        """The members as last read, while this device is primary."""
        return self.register.members if self.role is Role.PRIMARY and self.register is not None else ()

    @property
    def flushed_seq(self) -> int:
        """The last entry that this device has flushed."""
        return self._flushing.flushed_seq

    @property
    def round(self) -> int:
        """The number of the latest round trip to the other member."""
        return self._shipping.round

    @property
    def round_answered(self) -> int:
        """The latest round trip that the other member has answered in this epoch."""
        return self._shipping.round_answered

    @property
    def peer_matched_seq(self) -> int:
        """How far the peer has flushed, as far as this epoch's answers tell."""
        return self._shipping.matched_seq

    def level(self, seq: int) -> Level:
        """The level at which a committed entry may be acknowledged now: R2 only on both devices of a known pair."""
        two = len(self.members) == 2 and self._shipping.node_id in self.members
        return "R2" if two and self.peer_matched_seq >= seq and self.flushed_seq >= seq else "R1"

    def propose(self, records: Iterable[str]) -> tuple[Entry, ...]:
        """Append records to the primary's log; they are shipped at the next `take_ready` and committed by P4."""
        assert self.role is Role.PRIMARY, "only a primary appends"
        entries = chain(self.epoch, self.log.last, records)
        if not entries:
            return ()
        if self.log.last.seq == self.commit_seq:
            self._progress_at_us = self._now_us
        self._store_entries(entries)
        return entries

    def begin_round(self) -> int:
        """Begin a round trip to the other member; `round_answered` reaches the number returned when it is over (P5)."""
        return self._shipping.begin_round(self._now_us)

    def refused_outside(self, highest_epoch: int) -> None:
        """A kitchen display or the cloud has seen a sender with a higher epoch (P13), or the register shows one (P3)."""
        if self.role is Role.PRIMARY and highest_epoch > self.epoch:
            self._fence()

    # --- machine -------------------------------------------------------------------------------------------------------

    def receive(self, message: Message, now_us: int) -> None:
        """Take in a message of the peer or of the arbiter."""
        self._now_us = now_us
        match message:
            case RegisterState():
                self._on_register(message)
            case Append():
                if self._epoch_in_order(message.epoch) and message.to_node_id == self.node_id:
                    self._on_append(message)
            case Appended():
                if self._epoch_in_order(message.epoch):
                    self._on_appended(message)
            case Join():
                if self._epoch_in_order(message.epoch):
                    self._on_join(message)
            case Rejected():
                self._learn_epoch(message.epoch)

    def tick(self, now_us: int) -> None:
        """Let time pass. Drivers hand in all waiting input first (P20)."""
        self._now_us = now_us
        if self._flushing_too_long():
            if self.role is Role.PRIMARY:
                self._fence()
            return
        self._retry_register()
        match self.role:
            case Role.FENCED:
                if self._claims.pending is None and now_us >= self._read_due_us:
                    self._claims.read(Purpose.CONFIRM_ROLE, now_us)
            case Role.STANDBY | Role.JOINING:
                self._tick_follower()
            case Role.PRIMARY:
                self._tick_primary()

    def deadline_us(self) -> int:
        """When `tick` should be called at the latest. A time that has passed and that `tick` would not act on does not count."""
        heartbeat_us = self._now_us + self.timing.heartbeat_us
        if self._flushing_too_long():
            return heartbeat_us
        times = [heartbeat_us]
        if self._claims.pending is not None:
            times.append(self._claims.pending.asked_at_us + self.timing.register_retry_us)
        elif self.role is Role.FENCED:
            times.append(self._read_due_us)
        elif self.role is not Role.PRIMARY:
            times.append(max(self._heard_at_us + self.timing.primary_timeout_us, self._read_due_us))
        if self.role is Role.PRIMARY and self._shipping.node_id is not None:
            times.append(self._shipping.heartbeat_due_us)
        return max(min(times), self._now_us + 1_000)

    def take_ready(self) -> Ready:
        """All that is to be done since the last call."""
        shipped: list[Append] = []
        if self.role is Role.PRIMARY:
            self.commit_seq = max(self.commit_seq, self._commit_target())
            self._grow_when_caught_up()
            shipped = self._ship()
        if self.commit_seq > self._stored_commit_seq and self._persist:
            self._persist.append(StoreCommit(self.commit_seq))
            self._stored_commit_seq = self.commit_seq
        apply = self.log.slice(self._applied_seq + 1, self.commit_seq, self.commit_seq)
        self._applied_seq = self.commit_seq
        self._token += 1
        send: tuple[PeerMessage | ArbiterRequest, ...] = (*self._claims.take_requests(), *shipped)
        ready = Ready(self._token, tuple(self._persist), send, tuple(self._send_after), apply)
        if ready.persist:
            self._flushing.begin(self._token, self.log.last.seq, self._now_us)
        self._persist, self._send_after = [], []
        return ready

    def persisted(self, token: int, now_us: int) -> None:
        """Everything up to the `Ready` with this token is flushed."""
        self._now_us = now_us
        self._flushing.done(token)

    # --- epochs and roles ----------------------------------------------------------------------------------------------

    def _become(self, role: Role) -> None:
        if role is self.role:
            return
        if (self.role, role) not in TRANSITIONS:
            raise AssertionError(f"{self.role} may not become {role}")
        self.role = role

    def _store_epoch(self, epoch: int) -> None:
        assert epoch > self.epoch
        self.epoch = epoch
        self._persist.append(StoreEpoch(epoch))
        self._matched_here = 0

    def _epoch_in_order(self, epoch: int) -> bool:
        """P3: reject what comes from below; store what comes from above before acting on it."""
        if self.role is Role.FENCED:
            return False
        if epoch < self.epoch:
            self._send_after.append(Rejected(self.epoch, self.node_id))
            return False
        was_primary = self.role is Role.PRIMARY
        return not (self._learn_epoch(epoch) and was_primary)

    def _learn_epoch(self, epoch: int) -> bool:
        """P3: store a higher epoch; a primary fences itself and reads the register. True if it was higher."""
        if epoch <= self.epoch:
            return False
        if self.role is Role.PRIMARY:
            self._fence()
        elif self._claims.pending is None and self.role is not Role.FENCED:
            self._claims.read(Purpose.CONFIRM_ROLE, self._now_us)
        self._store_epoch(epoch)
        return True

    def _fence(self) -> None:
        self._become(Role.FENCED)
        self.fence_count += 1
        self._reset_peer(None)
        self.leader_node_id = None
        self._claims.drop_read()
        if self._claims.pending is None:
            self._read_due_us = self._now_us

    def _reset_peer(self, node_id: str | None, sent: Cursor | None = None) -> None:
        """Another epoch or another peer: what was known of the peer does not count any more (P2)."""
        self._shipping.reset(node_id, self._now_us, sent)
        self._both_flushed_rule = False
        self._progress_at_us = self._now_us

    def _take_primary(self, register: Register) -> None:
        """The register shows a claim made in this life: act at its epoch, with its members as read (P21)."""
        peers = [member for member in register.members if member != self.node_id]
        if register.epoch > self.epoch:
            self._store_epoch(register.epoch)
        if self.role is not Role.PRIMARY:
            self._become(Role.PRIMARY)
            peer, sent = (peers[0] if peers else None), None
        else:
            peer, sent = (peers[0] if peers else self._shipping.node_id), self._shipping.sent
        self.leader_node_id = self.node_id
        self.register = register
        self._reset_peer(peer, sent)
        self._both_flushed_rule = bool(peers)

    # --- the register --------------------------------------------------------------------------------------------------

    def _ask_swap(self, purpose: Purpose, base: Register, members: tuple[str, ...]) -> None:
        """Ask for `base` -> `(epoch+1, this device, members)` under a fresh claim (P7, P8, P9, P11)."""
        self._claims.swap(purpose, base, members, self._now_us)

    def _retry_register(self) -> None:
        """A request whose answer is lost is settled by reading (P21)."""
        pending = self._claims.pending
        if pending is not None and self._now_us >= pending.asked_at_us + self.timing.register_retry_us:
            self._claims.read(pending.purpose, self._now_us, pending.swap)

    def _on_register(self, message: RegisterState) -> None:
        pending = self._claims.answered(message)
        if pending is None:
            return
        register = message.register
        self._read_due_us = self._now_us + self.timing.register_retry_us
        if register is None or register.epoch < self.epoch:
            self.alarm = "the arbiter has no register" if register is None else "the register is older than this device"
            if pending.swap is not None:
                self._claims.keep_asking(pending, self._now_us)
            return
        self.alarm = None
        if pending.swap is not None and self._unsettled(pending, pending.swap, register):
            self._claims.swap_again(pending.purpose, pending.swap, self._now_us)
            return
        if self._acts_by(register):
            self._take_up(register)
        else:
            self._follow(register, pending.purpose)

    def _unsettled(self, pending: Pending, swap: RegisterSwap, register: Register) -> bool:
        """Whether a request, read back as not done yet, must be sent again with its claim: a late copy may still win.

        So it is after a fence too: a primary that took up `{A}` again with its grow in flight would leave the both-flushed rule
        (P8). A promotion is let go when the primary is heard again. An answer to the request itself settles it.
        """
        if register.epoch != swap.expect_epoch or pending.request_id == swap.request_id:
            return False
        return pending.purpose is not Purpose.PROMOTE or self._primary_silent()

    def _take_up(self, register: Register) -> None:
        """The register shows this device's own claim: act by it."""
        self._take_primary(register)

    def _another_named(self, register: Register, purpose: Purpose) -> None:
        """The register names another, as an answer to a question for `purpose` tells: nothing more is to be done here."""

    def _acts_by(self, register: Register) -> bool:
        """P21: whether the register shows a claim that this device made in this life."""
        return self._claims.made(register)

    def _follow(self, register: Register, purpose: Purpose) -> None:
        """The register names another primary, or this one under a claim of an earlier life."""
        if self.role is Role.PRIMARY:
            self._fence()
        if register.epoch > self.epoch:
            self._store_epoch(register.epoch)
        self.register = register
        if register.primary == self.node_id:
            if self.role is not Role.FENCED:
                self._fence()
            self._ask_swap(Purpose.RESTART, register, register.members)
            return
        self._another_named(register, purpose)
        member = self.node_id in register.members
        if purpose is Purpose.PROMOTE and member and self._primary_silent():
            self._ask_swap(Purpose.PROMOTE, register, (self.node_id,))
            return
        if self.role is Role.FENCED:
            self._heard_at_us = self._now_us
        self._become(Role.STANDBY if member else Role.JOINING)

    # --- follower ------------------------------------------------------------------------------------------------------

    def _tick_follower(self) -> None:
        if self._primary_silent() and self._claims.pending is None and self._now_us >= self._read_due_us:
            self._claims.read(Purpose.PROMOTE, self._now_us)
        quiet_us = self._now_us - max(self._heard_at_us, self._joined_at_us)
        if quiet_us >= self.timing.join_interval_us:
            self._joined_at_us = self._now_us
            self._send_after.append(self._join())

    def _primary_silent(self) -> bool:
        return self._now_us - self._heard_at_us >= self.timing.primary_timeout_us

    def _join(self) -> Join:
        """P12: places in this log, the last first, then ever further back, so that the primary finds the last shared one."""
        return Join(self.epoch, self.node_id, self.log.places(self.timing.known_places_max))

    def _on_append(self, message: Append) -> None:
        if self.role is Role.PRIMARY:
            return
        self._heard_at_us = self._now_us
        self.leader_node_id = message.node_id
        self._become(Role.STANDBY if self.node_id in message.members else Role.JOINING)
        prev = Cursor(message.prev_seq, message.prev_hash)
        if not self._shares(prev):
            self._send_after.append(self._join())
            return
        fresh = self._first_disagreement(message.entries)
        if fresh:
            if fresh[0].seq <= self.log.last.seq:
                self._set_aside(fresh[0].seq, message.forks)
            self._store_entries(fresh)
        self._matched_here = max(self._matched_here, message.prev_seq + len(message.entries))
        self.commit_seq = max(self.commit_seq, min(message.commit_seq, self._matched_here))
        self._send_after.append(Appended(self.epoch, self.node_id, self._matched_answer(), message.round))

    def _shares(self, place: Cursor) -> bool:
        """P12: whether this log holds the very entry at `place`."""
        return self.log.holds(place)

    def _matched_answer(self) -> int:
        """P2: what was checked against an Append of this epoch, never the end of the own log."""
        return self._matched_here

    def _first_disagreement(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """The entries from the first one that this log lacks or holds otherwise (P2)."""
        return self.log.first_disagreement(entries)

    def _set_aside(self, from_seq: int, forks: tuple[ForkPlace, ...]) -> None:
        """P12: never what is known to be committed, unless one of `forks` has left it: then it is given up (P19)."""
        given_up_to = self.commit_seq if from_seq <= self.commit_seq else 0
        assert not given_up_to or fork_explains(forks, from_seq, self.log.entry(given_up_to).epoch), (
            f"entry {from_seq} is known to be committed and may not be set aside (P12)"
        )
        self.log.set_aside(from_seq)
        if from_seq <= self._commits_from_seq:
            self._commits_from_seq = 0
        self._persist.append(SetAside(from_seq, self.epoch, given_up_to))
        self._flushing.set_aside(from_seq)
        if given_up_to:
            self.commit_seq = self._stored_commit_seq = from_seq - 1
            self._applied_seq = min(self._applied_seq, self.commit_seq)
            self._persist.append(StoreCommit(self.commit_seq))

    def _store_entries(self, entries: tuple[Entry, ...]) -> None:
        self.log.extend(entries)
        self._persist.append(StoreEntries(entries))

    # --- primary -------------------------------------------------------------------------------------------------------

    def _tick_primary(self) -> None:
        if self._both_flushed_rule and self._standby_silent():
            self._shrink()

    def _standby_silent(self) -> bool:
        return self._now_us - self._progress_at_us >= self.timing.standby_timeout_us

    def _shrink(self) -> None:
        """P7. The commit rule changes only when the register is known to have changed; a grow in flight is raced."""
        pending = self._claims.pending
        if pending is not None and pending.purpose is not Purpose.GROW:
            return
        assert self.register is not None
        self._ask_swap(Purpose.SHRINK, self.register, (self.node_id,))

    def _grow_when_caught_up(self) -> None:
        """P8: back to the both-flushed rule when the lag is small; the register when every committed entry is matched."""
        peer, register = self._shipping.node_id, self.register
        if register is None or len(register.members) != 1 or peer is None or self._shipping.sent is None:
            return
        if not self._both_flushed_rule and self._may_return_to_both():
            self._both_flushed_rule = True
            self._progress_at_us = self._now_us
        if self._both_flushed_rule and self._claims.pending is None and self._caught_up():
            self._ask_swap(Purpose.GROW, register, (self.node_id, peer))

    def _may_return_to_both(self) -> bool:
        lag = self.log.last.seq - self.peer_matched_seq
        return self._shipping.answered and lag <= self.timing.grow_lag_max

    def _caught_up(self) -> bool:
        """P8: whether the node that is shipped to has matched every committed entry.

        After break glass (P19) the own tail up to the record of the fork counts as well: it may have been acknowledged, and is
        committed only with that record.
        """
        return self.peer_matched_seq >= max(self.commit_seq, self._commits_from_seq)

    def _commit_target(self) -> int:
        """P4: how far everyone who must have flushed has flushed; nothing before the record of a fork of this life is (P19)."""
        if self.flushed_seq < self._commits_from_seq:
            return self.commit_seq
        return min(self.flushed_seq, self.peer_matched_seq) if self._both_flushed_rule else self.flushed_seq

    def _on_join(self, message: Join) -> None:
        if self.role is not Role.PRIMARY:
            return
        if message.node_id != self._shipping.node_id:
            if self._both_flushed_rule:
                return
            self._reset_peer(message.node_id)
        self._shipping.on_join(message, self._now_us)

    def _on_appended(self, message: Appended) -> None:
        if self.role is not Role.PRIMARY or not self._counts(message):
            return
        matched_seq = self._shipping.on_appended(message, self._now_us)
        waiting = self.log.last.seq > self.commit_seq
        if not waiting or matched_seq > self.commit_seq:
            self._progress_at_us = self._now_us

    def _counts(self, message: Appended) -> bool:
        """P2: only the `node_id` that this primary ships to, and only an answer of this epoch."""
        return message.node_id == self._shipping.node_id and message.epoch == self.epoch

    def _ship(self) -> list[Append]:
        return [self._append(prev, entries) for prev, entries in self._shipping.take(self.commit_seq, self._now_us)]

    def _append(self, prev: Cursor, entries: tuple[Entry, ...]) -> Append:
        assert self._shipping.node_id is not None
        members = self.register.members if self.register is not None else ()
        return Append(
            self.epoch,
            self.node_id,
            self._shipping.node_id,
            prev.seq,
            prev.hash,
            entries,
            self.commit_seq,
            self._shipping.round,
            members,
            self.log.forks_told(self.log.last.seq),
        )

    def _flushing_too_long(self) -> bool:
        """P20: a primary whose own flush takes longer than its limit fences itself, and stays so until it is through."""
        since_us = self._flushing.oldest_since_us()
        return since_us is not None and self._now_us - since_us >= self.timing.flush_limit_us
