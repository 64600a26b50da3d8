"""A device's part in the store protocol: roles, epochs, log shipping, commit, and the register (P1-P4, P7-P12, P20, P21).

Sans-IO: `receive`, `tick` and `persisted` are the only ways in, `take_ready` and `deadline_us` the only ways out. The clause
that a piece of code keeps is named beside it. Requests of diners are `admission`'s; this module knows records only as text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from refsystem.protocol.log import Cursor, Entry, Log, chain
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
    RegisterRead,
    RegisterState,
    RegisterSwap,
    Rejected,
    SetAside,
    StoreCommit,
    StoreEntries,
    StoreEpoch,
)
from refsystem.protocol.timing import Timing


class Role(StrEnum):
    """What a device is in its store now."""

    FENCED = "fenced"
    STANDBY = "standby"
    PRIMARY = "primary"
    JOINING = "joining"


TRANSITIONS: frozenset[tuple[Role, Role]] = frozenset(
    {
        (Role.FENCED, Role.JOINING),
        (Role.FENCED, Role.STANDBY),
        (Role.FENCED, Role.PRIMARY),
        (Role.JOINING, Role.STANDBY),
        (Role.JOINING, Role.PRIMARY),
        (Role.JOINING, Role.FENCED),
        (Role.STANDBY, Role.JOINING),
        (Role.STANDBY, Role.PRIMARY),
        (Role.STANDBY, Role.FENCED),
        (Role.PRIMARY, Role.FENCED),
    }
)


class Purpose(StrEnum):
    """Why the arbiter was asked."""

    CONFIRM_ROLE = "confirm_role"
    SHRINK = "shrink"
    GROW = "grow"
    PROMOTE = "promote"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Pending:
    """The one outstanding question to the arbiter. `swap` is kept, with its claim, until it is settled (P21)."""

    request_id: str
    purpose: Purpose
    asked_at_us: int
    swap: RegisterSwap | None = None


@dataclass(frozen=True, slots=True)
class DurableState:
    """What a device finds on its disk at boot. `epoch` is the highest it has stored."""

    node_id: str
    epoch: int = 0
    commit_seq: int = 0
    entries: tuple[Entry, ...] = ()


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
        self.flushed_seq = self.log.last.seq
        self.fence_count = 0
        self.alarm: str | None = None
        self._incarnation = incarnation
        self._ids = 0
        self._claims: set[str] = set()
        self._pending: Pending | None = None
        self._now_us = now_us
        self._heard_at_us = now_us
        self._joined_at_us = now_us - timing.join_interval_us
        self._read_due_us = now_us
        self._matched_here = 0
        self._round = 0
        self._reset_peer(None)
        self._persist: list[PersistOp] = []
        self._send: list[PeerMessage | ArbiterRequest] = []
        self._send_after: list[PeerMessage] = []
        self._flushes: deque[tuple[int, int, int]] = deque()
        self._token = 0
        self._applied_seq = state.commit_seq
        self._stored_commit_seq = state.commit_seq

    # --- what others may ask -------------------------------------------------------------------------------------------

    @property
    def members(self) -> tuple[str, ...]:
        """The members as last read, while this device is primary."""
        return self.register.members if self.role is Role.PRIMARY and self.register is not None else ()

    @property
    def round(self) -> int:
        """The number of the latest round trip to the other member."""
        return self._round

    @property
    def round_answered(self) -> int:
        """The latest round trip that the other member has answered in this epoch."""
        return self._round_answered

    @property
    def peer_matched_seq(self) -> int:
        """How far the peer has flushed, as far as this epoch's answers tell."""
        return self._peer_matched_seq

    def level(self, seq: int) -> Level:
        """The level at which a committed entry may be acknowledged now: R2 only on both devices of a known pair."""
        two = len(self.members) == 2 and self._peer_node_id in self.members
        return "R2" if two and self._peer_matched_seq >= seq and self.flushed_seq >= seq else "R1"

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
        self._round += 1
        self._heartbeat_due_us = self._now_us
        return self._round

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
                if self._pending is None and now_us >= self._read_due_us:
                    self._read_register(Purpose.CONFIRM_ROLE)
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
        if self._pending is not None:
            times.append(self._pending.asked_at_us + self.timing.register_retry_us)
        elif self.role is Role.FENCED:
            times.append(self._read_due_us)
        elif self.role is not Role.PRIMARY:
            times.append(max(self._heard_at_us + self.timing.primary_timeout_us, self._read_due_us))
        if self.role is Role.PRIMARY and self._peer_node_id is not None:
            times.append(self._heartbeat_due_us)
        return max(min(times), self._now_us + 1_000)

    def take_ready(self) -> Ready:
        """All that is to be done since the last call."""
        if self.role is Role.PRIMARY:
            self._advance_commit()
            self._grow_when_caught_up()
            self._ship()
        if self.commit_seq > self._stored_commit_seq and self._persist:
            self._persist.append(StoreCommit(self.commit_seq))
            self._stored_commit_seq = self.commit_seq
        apply = self.log.slice(self._applied_seq + 1, self.commit_seq, self.commit_seq)
        self._applied_seq = self.commit_seq
        self._token += 1
        ready = Ready(self._token, tuple(self._persist), tuple(self._send), tuple(self._send_after), apply)
        if ready.persist:
            self._flushes.append((self._token, self.log.last.seq, self._now_us))
        self._persist, self._send, self._send_after = [], [], []
        return ready

    def persisted(self, token: int, now_us: int) -> None:
        """Everything up to the `Ready` with this token is flushed."""
        self._now_us = now_us
        while self._flushes and self._flushes[0][0] <= token:
            _, end_seq, _ = self._flushes.popleft()
            self.flushed_seq = max(self.flushed_seq, min(end_seq, self.log.last.seq))

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
        elif self._pending is None and self.role is not Role.FENCED:
            self._read_register(Purpose.CONFIRM_ROLE)
        self._store_epoch(epoch)
        return True

    def _fence(self) -> None:
        self._become(Role.FENCED)
        self.fence_count += 1
        self._reset_peer(None)
        self.leader_node_id = None
        if self._pending is None or self._pending.swap is None:
            self._pending = None
            self._read_due_us = self._now_us

    def _reset_peer(self, node_id: str | None) -> None:
        """Forget what is known of the peer: nothing counts but answers of this epoch from this `node_id` (P2)."""
        self._peer_node_id = node_id
        self._peer_matched_seq = 0
        self._peer_sent: Cursor | None = None
        self._peer_told_commit_seq = -1
        self._sent_at_us = self._now_us
        self._restarted_at_us = self._now_us - self.timing.join_interval_us
        self._both_flushed_rule = False
        self._progress_at_us = self._now_us
        self._round_answered = 0
        self._peer_answered = False
        self._heartbeat_due_us = self._now_us

    def _take_primary(self, register: Register) -> None:
        """The register shows a claim made in this life: act at its epoch, with its members as read (P21)."""
        peers = [member for member in register.members if member != self.node_id]
        if register.epoch > self.epoch:
            self._store_epoch(register.epoch)
        if self.role is not Role.PRIMARY:
            self._become(Role.PRIMARY)
            peer, sent = (peers[0] if peers else None), None
        else:
            peer, sent = (peers[0] if peers else self._peer_node_id), self._peer_sent
        self.leader_node_id = self.node_id
        self.register = register
        self._reset_peer(peer)
        self._peer_sent = sent if sent is not None and self.log.holds(sent) else None
        self._both_flushed_rule = bool(peers)

    # --- the register --------------------------------------------------------------------------------------------------

    def _next_id(self) -> str:
        self._ids += 1
        return f"{self.node_id}/{self._incarnation}/{self._ids}"

    def _read_register(self, purpose: Purpose, swap: RegisterSwap | None = None) -> None:
        request_id = self._next_id()
        self._pending = Pending(request_id, purpose, self._now_us, swap)
        self._send.append(RegisterRead(request_id, self.node_id))

    def _ask_swap(self, purpose: Purpose, base: Register, members: tuple[str, ...]) -> None:
        """Ask for `base` -> `(epoch+1, this device, members)` under a fresh claim (P7, P8, P9, P11)."""
        claim = self._next_id()
        self._claims.add(claim)
        register = Register(base.epoch + 1, self.node_id, members, claim)
        self._send_swap(purpose, RegisterSwap(self._next_id(), self.node_id, base.epoch, register))

    def _send_swap(self, purpose: Purpose, swap: RegisterSwap) -> None:
        self._pending = Pending(swap.request_id, purpose, self._now_us, swap)
        self._send.append(swap)

    def _retry_register(self) -> None:
        """A request whose answer is lost is settled by reading (P21)."""
        pending = self._pending
        if pending is not None and self._now_us >= pending.asked_at_us + self.timing.register_retry_us:
            self._read_register(pending.purpose, pending.swap)

    def _on_register(self, message: RegisterState) -> None:
        pending = self._pending
        if pending is None or message.request_id != pending.request_id:
            return
        self._pending = None
        register = message.register
        self._read_due_us = self._now_us + self.timing.register_retry_us
        if register is None or register.epoch < self.epoch:
            self.alarm = "the arbiter has no register" if register is None else "the register is older than this device"
            if pending.swap is not None:
                self._pending = Pending("", pending.purpose, self._now_us, pending.swap)
            return
        self.alarm = None
        if pending.swap is not None and self._unsettled(pending, pending.swap, register):
            swap = pending.swap
            again = RegisterSwap(self._next_id(), self.node_id, swap.expect_epoch, swap.register)
            self._send_swap(pending.purpose, again)
            return
        if self._acts_by(register):
            self._take_primary(register)
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

    def _acts_by(self, register: Register) -> bool:
        """P21: whether the register shows a claim that this device made in this life."""
        return register.primary == self.node_id and register.claim in self._claims

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
        member = self.node_id in register.members
        if purpose is Purpose.PROMOTE and member and self._primary_silent():
            self._ask_swap(Purpose.PROMOTE, register, (self.node_id,))
            return
        if self.role is Role.FENCED:
            self._heard_at_us = self._now_us
        self._become(Role.STANDBY if member else Role.JOINING)

    # --- follower ------------------------------------------------------------------------------------------------------

    def _tick_follower(self) -> None:
        if self._primary_silent() and self._pending is None and self._now_us >= self._read_due_us:
            self._read_register(Purpose.PROMOTE)
        quiet_us = self._now_us - max(self._heard_at_us, self._joined_at_us)
        if quiet_us >= self.timing.join_interval_us:
            self._joined_at_us = self._now_us
            self._send_after.append(self._join())

    def _primary_silent(self) -> bool:
        return self._now_us - self._heard_at_us >= self.timing.primary_timeout_us

    def _join(self) -> Join:
        """P12: places in this log, the last first, then ever further back, so that the primary finds the last shared one."""
        known: list[Cursor] = []
        seq, step = self.log.last.seq, 1
        while seq > 0 and len(known) < self.timing.known_places_max:
            known.append(self.log.cursor(seq))
            if len(known) >= 8:
                step *= 2
            seq -= step
        return Join(self.epoch, self.node_id, tuple(known))

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
                self._set_aside(fresh[0].seq)
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
        for index, entry in enumerate(entries):
            if not self.log.holds(entry.cursor):
                return entries[index:]
        return ()

    def _set_aside(self, from_seq: int) -> None:
        assert from_seq > self.commit_seq, f"entry {from_seq} is known to be committed and may not be set aside (P12)"
        self.log.set_aside(from_seq)
        self._persist.append(SetAside(from_seq, self.epoch))
        self.flushed_seq = min(self.flushed_seq, from_seq - 1)
        self._flushes = deque((token, min(end, from_seq - 1), at_us) for token, end, at_us in self._flushes)

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
        if self._pending is not None and self._pending.purpose is not Purpose.GROW:
            return
        assert self.register is not None
        self._ask_swap(Purpose.SHRINK, self.register, (self.node_id,))

    def _grow_when_caught_up(self) -> None:
        """P8: back to the both-flushed rule when the lag is small; the register when every committed entry is matched."""
        if (
            self.register is None
            or len(self.register.members) != 1
            or self._peer_node_id is None
            or self._peer_sent is None
        ):
            return
        if not self._both_flushed_rule and self._may_return_to_both():
            self._both_flushed_rule = True
            self._progress_at_us = self._now_us
        if self._both_flushed_rule and self._pending is None and self._caught_up():
            self._ask_swap(Purpose.GROW, self.register, (self.node_id, self._peer_node_id))

    def _may_return_to_both(self) -> bool:
        matched = self._peer_matched_seq
        return self._peer_answered and self.log.last.seq - matched <= self.timing.grow_lag_max

    def _caught_up(self) -> bool:
        """P8: whether the node that is shipped to has matched every committed entry."""
        return self._peer_matched_seq >= self.commit_seq

    def _commit_target(self) -> int:
        """P4: how far everyone who must have flushed has flushed."""
        return min(self.flushed_seq, self._peer_matched_seq) if self._both_flushed_rule else self.flushed_seq

    def _advance_commit(self) -> None:
        self.commit_seq = max(self.commit_seq, self._commit_target())

    def _on_join(self, message: Join) -> None:
        """P12: find the last entry that both hold, and ship from there, at most once in an interval: joins come in volleys."""
        if self.role is not Role.PRIMARY:
            return
        if message.node_id != self._peer_node_id:
            if self._both_flushed_rule:
                return
            self._reset_peer(message.node_id)
        if self._peer_sent is not None and self._now_us - self._restarted_at_us < self.timing.join_interval_us:
            return
        places = (*message.known, Cursor(0, ""))
        self._peer_sent = next(place for place in places if self.log.holds(place))
        self._restarted_at_us = self._sent_at_us = self._now_us
        self._heartbeat_due_us = self._now_us

    def _on_appended(self, message: Appended) -> None:
        if self.role is not Role.PRIMARY or not self._counts(message):
            return
        matched_seq = min(message.matched_seq, self.log.last.seq)
        waiting = self.log.last.seq > self.commit_seq
        if not waiting or matched_seq > self.commit_seq:
            self._progress_at_us = self._now_us
        if matched_seq > self._peer_matched_seq:
            self._peer_matched_seq = matched_seq
            self._sent_at_us = self._now_us
        self._round_answered = max(self._round_answered, message.round)
        self._peer_answered = True
        if self._peer_sent is None or self._peer_sent.seq < matched_seq:
            self._peer_sent = self.log.cursor(matched_seq)

    def _counts(self, message: Appended) -> bool:
        """P2: only the `node_id` that this primary ships to, and only an answer of this epoch."""
        return message.node_id == self._peer_node_id and message.epoch == self.epoch

    def _ship(self) -> None:
        """Send what the peer lacks, bounded (P20); otherwise a heartbeat when one is due."""
        if self._peer_node_id is None:
            return
        if self._peer_sent is None:
            self._probe_when_due()
            return
        unanswered = self._peer_sent.seq > self._peer_matched_seq
        if unanswered and self._now_us - self._sent_at_us >= self.timing.resend_us:
            self._peer_sent = None
            self._probe_when_due()
            return
        window_end = min(self.log.last.seq, self._peer_matched_seq + self.timing.entries_in_flight_max)
        while self._peer_sent.seq < window_end:
            entries = self.log.slice(self._peer_sent.seq + 1, window_end, self.timing.entries_per_append_max)
            if self._peer_sent.seq <= self._peer_matched_seq:
                self._sent_at_us = self._now_us
            self._append(self._peer_sent, entries)
            self._peer_sent = entries[-1].cursor
        if self._now_us >= self._heartbeat_due_us or self._news_for_peer():
            self._append(self._peer_sent, ())

    def _news_for_peer(self) -> bool:
        """Whether the peer should hear of a commit without waiting for the next heartbeat."""
        return self.commit_seq > self._peer_told_commit_seq and self.log.last.seq == self.commit_seq

    def _probe_when_due(self) -> None:
        """Ask where the peer stands: it answers, or joins. A peer that is gone costs a heartbeat, not the log."""
        if self._now_us >= self._heartbeat_due_us:
            self._append(self.log.last, ())

    def _append(self, prev: Cursor, entries: tuple[Entry, ...]) -> None:
        assert self._peer_node_id is not None
        self._heartbeat_due_us = self._now_us + self.timing.heartbeat_us
        self._peer_told_commit_seq = self.commit_seq
        members = self.register.members if self.register is not None else ()
        self._send.append(
            Append(
                self.epoch,
                self.node_id,
                self._peer_node_id,
                prev.seq,
                prev.hash,
                entries,
                self.commit_seq,
                self._round,
                members,
            )
        )

    def _flushing_too_long(self) -> bool:
        """P20: a primary whose own flush takes longer than its limit fences itself, and stays so until it is through."""
        return bool(self._flushes) and self._now_us - self._flushes[0][2] >= self.timing.flush_limit_us
