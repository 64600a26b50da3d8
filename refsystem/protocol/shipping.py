"""Log shipping from the primary's side: what is known of the node it ships to, and what is sent next (P2, P12, P20)."""

from __future__ import annotations

from refsystem.protocol.log import GENESIS, Cursor, Entry, Log
from refsystem.protocol.messages import Appended, Join
from refsystem.protocol.timing import Timing

Shipment = tuple[Cursor, tuple[Entry, ...]]


class Shipping:
    """One primary's shipping in one epoch. `sent` is None until it is known where the logs agree; then it is probed."""

    def __init__(self, log: Log, timing: Timing, now_us: int) -> None:
        self.round = 0
        self._log = log
        self._timing = timing
        self.reset(None, now_us)

    def reset(self, node_id: str | None, now_us: int, sent: Cursor | None = None) -> None:
        """Forget what is known of the peer: nothing counts but answers of this epoch from this `node_id` (P2)."""
        self.node_id = node_id
        self.matched_seq = 0
        self.answered = False
        self.round_answered = 0
        self.heartbeat_due_us = now_us
        self.sent = sent if sent is not None and self._log.holds(sent) else None
        self._sent_at_us = now_us
        self._restarted_at_us = now_us - self._timing.join_interval_us
        self._told_commit_seq = -1

    def begin_round(self, now_us: int) -> int:
        """Begin a round trip; `round_answered` reaches the number returned when it is over (P5)."""
        self.round += 1
        self.heartbeat_due_us = now_us
        return self.round

    def on_join(self, message: Join, now_us: int) -> None:
        """P12: find the last entry that both hold, and ship from there, at most once in an interval: joins come in volleys."""
        if self.sent is not None and now_us - self._restarted_at_us < self._timing.join_interval_us:
            return
        self.sent = next(place for place in (*message.known, GENESIS) if self._log.holds(place))
        self._restarted_at_us = self._sent_at_us = self.heartbeat_due_us = now_us

    def on_appended(self, message: Appended, now_us: int) -> int:
        """An answer that counts; returns how far the peer has matched by it."""
        matched_seq = min(message.matched_seq, self._log.last.seq)
        if matched_seq > self.matched_seq:
            self.matched_seq = matched_seq
            self._sent_at_us = now_us
        self.round_answered = max(self.round_answered, message.round)
        self.answered = True
        if self.sent is None or self.sent.seq < matched_seq:
            self.sent = self._log.cursor(matched_seq)
        return matched_seq

    def take(self, commit_seq: int, now_us: int) -> list[Shipment]:
        """What to send now: what the peer lacks, bounded (P20); otherwise a heartbeat when one is due."""
        if self.node_id is None:
            return []
        shipments: list[Shipment] = []
        if self.sent is not None and self._unanswered_too_long(now_us):
            self.sent = None
        if self.sent is None:
            # Ask where the peer stands: it answers, or joins. A peer that is gone costs a heartbeat, not the log.
            if now_us >= self.heartbeat_due_us:
                shipments.append((self._log.last, ()))
        else:
            shipments += self._window(self.sent, now_us)
            heartbeat_due = not shipments and now_us >= self.heartbeat_due_us
            if heartbeat_due or self._news(commit_seq, told=bool(shipments)):
                shipments.append((self.sent, ()))
        if shipments:
            self.heartbeat_due_us = now_us + self._timing.heartbeat_us
            self._told_commit_seq = commit_seq
        return shipments

    def _window(self, sent: Cursor, now_us: int) -> list[Shipment]:
        shipments: list[Shipment] = []
        window_end = min(self._log.last.seq, self.matched_seq + self._timing.entries_in_flight_max)
        while sent.seq < window_end:
            entries = self._log.slice(sent.seq + 1, window_end, self._timing.entries_per_append_max)
            if sent.seq <= self.matched_seq:
                self._sent_at_us = now_us
            shipments.append((sent, entries))
            sent = entries[-1].cursor
        self.sent = sent
        return shipments

    def _unanswered_too_long(self, now_us: int) -> bool:
        assert self.sent is not None
        unanswered = self.sent.seq > self.matched_seq
        return unanswered and now_us - self._sent_at_us >= self._timing.resend_us

    def _news(self, commit_seq: int, *, told: bool) -> bool:
        """Whether the peer should hear of a commit without waiting for the next heartbeat."""
        return not told and commit_seq > self._told_commit_seq and self._log.last.seq == commit_seq
