"""The kitchen display in virtual time: judges batches as the real one does, and remembers every ticket it showed (P13, P17)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refsystem.protocol.device import FeedAnswer
from refsystem.protocol.log import GENESIS, Entry
from refsystem.protocol.uplink import (
    Accepted,
    Batch,
    Forked,
    Gap,
    HashMismatch,
    Held,
    Judgement,
    Matched,
    StaleSender,
    judge_batch,
)
from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.watching import Watch

STATION = "kitchen"
WORK_US = (100, 3 * MS)
COOKING_US = (20 * MS, 600 * MS)
BUMPED_SHARE = 0.3
BUMPS_MAX = 3

TicketKey = tuple[str, int, str]
Answer = Callable[[FeedAnswer], None]


@dataclass(slots=True)
class Ticket:
    """A ticket on the display. It is made from `entry`; `bumped_at_us` is when its bump came back through the log, as entry
    `bumped_seq`. `given_up`: its order was committed in a branch that was left (P19), and has not come again.
    """

    entry: Entry
    marker: str
    shown_at_us: int
    bump_asked: bool = False
    bumped_at_us: int | None = None
    bumped_seq: int = 0
    given_up: bool = False

    @property
    def waits_for_its_bump(self) -> bool:
        """Whether its bump is still to come back."""
        return self.bump_asked and self.bumped_at_us is None and not self.given_up


class VirtualKitchen:
    """One store's display. `cursor_in_transaction` False is a broken variant: the cursor moves before the tickets are stored."""

    def __init__(self, clock: Clock, store: str, watch: Watch, *, cursor_in_transaction: bool = True) -> None:
        self.cursor = GENESIS
        self.highest_epoch = 0
        self.tickets: dict[TicketKey, Ticket] = {}
        self.deliveries: list[dict[str, Any]] = []
        self._places: dict[int, Held] = {}
        self._clock = clock
        self._watch = watch
        self._generator = clock.generator(f"kitchen {store}")
        self._cursor_in_transaction = cursor_in_transaction
        self._life = 0
        self._downs = 0
        self._frozen = 0
        self._inbox: list[tuple[Batch, Answer]] = []

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        return self._downs == 0

    @property
    def all_bumps_back(self) -> bool:
        """Whether every bump that somebody asked for came back through the log."""
        return not any(ticket.waits_for_its_bump for ticket in self.tickets.values())

    def restart(self, for_us: int) -> None:
        """The process ends, and is there again after a while. What it had stored stays."""
        self._life += 1
        self._downs += 1
        self._clock.after(for_us, self._up)

    def freeze(self, for_us: int) -> None:
        """Stop answering for a while; batches queue up."""
        self._frozen += 1
        self._clock.after(for_us, self._thaw)

    def heal(self) -> None:
        """Everything works again."""
        self._downs = 0
        self._frozen = min(self._frozen, 1)
        self._thaw()

    def receive(self, batch: Batch, answer: Answer) -> None:
        """A batch arrives."""
        if self._downs:
            return
        if self._frozen:
            self._inbox.append((batch, answer))
            return
        self._clock.after(drawn_us(self._generator, *WORK_US), self._take, self._life, batch, answer)

    def _take(self, life: int, batch: Batch, answer: Answer) -> None:
        if life != self._life:
            return
        judgement = judge_batch(self.cursor, self.highest_epoch, batch, self._held)
        self._note(batch, judgement)
        if isinstance(judgement, StaleSender):
            self._clock.goals["a stale sender refused"] += 1
            answer(FeedAnswer(highest_epoch=judgement.highest_epoch))
            return
        self.highest_epoch = max(self.highest_epoch, batch.sender_epoch)
        match judgement:
            case HashMismatch(seq, detail):
                self._watch.mismatch("the kitchen", seq, detail)
                answer(FeedAnswer(mismatch=detail))
            case Gap():
                answer(FeedAnswer())
            case Matched(cursor):
                answer(FeedAnswer(cursor, self._bumps()))
            case Accepted(entries, cursor) | Forked(_, entries, cursor):
                if isinstance(judgement, Forked):
                    self._clock.goals["a fork half followed by the kitchen"] += cursor.seq < batch.forks[-1].seq
                    self._leave_branch(judgement.shared.seq)
                self.cursor = cursor
                if self._cursor_in_transaction:
                    self._keep(life, entries, answer)
                else:
                    self._clock.after(drawn_us(self._generator, *WORK_US), self._keep, life, entries, answer)

    def _keep(self, life: int, entries: tuple[Entry, ...], answer: Answer) -> None:
        if life != self._life:
            return
        for entry in entries:
            self._watch.seen_outside("the kitchen", entry)
            self._places[entry.seq] = Held(entry.hash, entry.epoch)
            self._apply(entry)
        answer(FeedAnswer(self.cursor, self._bumps()))

    def _apply(self, entry: Entry) -> None:
        content = entry.content()
        if content["kind"] == "order":
            key = (content["order_id"], content["version"], STATION)
            known = self.tickets.get(key)
            if known is not None and (self._watch.commits.left_behind(known.entry) or known.entry.hash == entry.hash):
                known.entry, known.given_up = entry, False
                return
            self._watch.ticket(key, entry)
            self.tickets[key] = Ticket(entry, content["note"], self._clock.now_us)
            if self._generator.random() < BUMPED_SHARE:
                self._clock.after(drawn_us(self._generator, *COOKING_US), self._cooked, key)
        elif content["kind"] == "bump":
            ticket = self.tickets.get((content["order_id"], content["version"], content["station"]))
            if ticket is not None and ticket.bumped_at_us is None:
                ticket.bumped_at_us, ticket.bumped_seq = self._clock.now_us, entry.seq

    def _leave_branch(self, shared_seq: int) -> None:
        """What was made of entries behind `shared_seq` is given up until it comes again; bumps are told to the new branch."""
        self._clock.goals["a fork followed by the kitchen"] += 1
        self._places = {seq: held for seq, held in self._places.items() if seq <= shared_seq}
        for ticket in self.tickets.values():
            ticket.given_up = ticket.given_up or ticket.entry.seq > shared_seq
            if ticket.bumped_seq > shared_seq:
                ticket.bumped_at_us, ticket.bumped_seq, ticket.bump_asked = None, 0, True

    def _held(self, seq: int) -> Held | None:
        return self._places.get(seq)

    def _cooked(self, key: TicketKey) -> None:
        self.tickets[key].bump_asked = True

    def _bumps(self) -> tuple[TicketKey, ...]:
        waiting = [key for key, ticket in self.tickets.items() if ticket.waits_for_its_bump]
        return tuple(waiting[:BUMPS_MAX])

    def _note(self, batch: Batch, judgement: Judgement) -> None:
        self._clock.note("kitchen", type(judgement).__name__, batch.sender_node_id, batch.from_seq, len(batch.entries))
        for entry in batch.entries:
            self.deliveries.append(
                {
                    "sender_epoch": batch.sender_epoch,
                    "sender_node_id": batch.sender_node_id,
                    "epoch": entry.epoch,
                    "seq": entry.seq,
                    "hash": entry.hash,
                    "order_id": _order_id(entry),
                }
            )

    def _up(self) -> None:
        self._downs = max(0, self._downs - 1)

    def _thaw(self) -> None:
        self._frozen = max(0, self._frozen - 1)
        if self._frozen == 0:
            waiting, self._inbox = self._inbox, []
            for batch, answer in waiting:
                self.receive(batch, answer)


def _order_id(entry: Entry) -> str | None:
    content = entry.content()
    return content["order_id"] if content["kind"] == "order" else None
