"""What the kitchen display holds, in SQLite (P13, P17): a crash loses no ticket whose entry the cursor has passed.

All methods run in one thread, which owns the connection. Times come in as arguments.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsystem.clocks import wall_us
from refsystem.kitchen_display.act_box import ActAnswer, ActBox
from refsystem.kitchen_display.orders import StoredOrders, followed_rows, new_rows
from refsystem.kitchen_display.queries import queries
from refsystem.ordering.kitchen_order import KitchenOrder
from refsystem.ordering.menu import DEMO_MENU, Menu
from refsystem.ordering.store_acts import StoreAct, bump_again, escalate, fire_in_time
from refsystem.ordering.store_rules import ONE_SLIP, ONE_STATION, KitchenRules
from refsystem.ordering.ticket import TicketKey
from refsystem.protocol.log import Cursor, Entry
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
from refsystem.sqlite import Synchronous, open_database

STATION = ONE_STATION
BUMPS_MAX = 200
DUE_MAX = 50
DELIVERIES_MAX = 500_000
WHO = "kitchen display"


@dataclass(frozen=True, slots=True)
class Bump:
    """The key of a ticket that is done."""

    order_id: str
    version: int
    station: str


class KitchenStore:
    """The display's database in `folder`. `kitchen_us` after it is shown a ticket is done by itself, and so is one that was
    recalled, as long after it is seen to be; 0 means never.

    `menu` and `rules` route orders whose record does not say how, and say how tickets age.
    """

    def __init__(
        self,
        folder: Path,
        kitchen_us: int,
        *,
        synchronous: Synchronous = "FULL",
        menu: Menu = DEMO_MENU,
        rules: KitchenRules = ONE_SLIP,
    ) -> None:
        self._kitchen_us = kitchen_us
        self._rules = rules
        self._connection = open_database(folder / "kitchen.sqlite3", synchronous=synchronous)
        with self._transaction():
            queries.create_schema(self._connection)
            if not queries.knows_forks(self._connection):
                queries.add_forks(self._connection)
            if not queries.knows_stations(self._connection):
                queries.add_stations(self._connection)
        self.orders = StoredOrders(self._connection, menu, rules)
        self._acts = ActBox(self._connection)
        self._recalled_us: dict[tuple[TicketKey, int], int] = {}
        self._deliveries: int = queries.last_delivery(self._connection)
        self.deliveries_left_out = 0

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def clock_starts(self, now_us: int) -> None:
        """The display begins to run at `now_us`.

        After a reboot that clock counts from 0 again. What waits goes on to age from where it was when the last ticket was shown.
        """
        behind_us = queries.last_shown_us(self._connection) - now_us
        if behind_us > 0:
            with self._transaction():
                queries.shift_tickets(self._connection, by_us=behind_us)
                queries.shift_orders(self._connection, by_us=behind_us)

    def receive(self, batch: Batch, now_us: int) -> tuple[Judgement, list[Bump]]:
        """Judge `batch`; if it is accepted, its tickets are stored when this returns. Also the bumps to send back."""
        return self.take(batch, now_us), self.pending_bumps(now_us)

    def take(self, batch: Batch, now_us: int) -> Judgement:
        """The transaction: the cursor moves together with all that its entries make, or neither does."""
        with self._transaction():
            judgement = self.judge_and_move(batch)
            self.keep(batch, judgement, now_us)
        return judgement

    def judge_and_move(self, batch: Batch) -> Judgement:
        """Judge the batch, and move highest epoch and cursor."""
        cursor, highest_epoch = self.place()
        judgement = judge_batch(cursor, highest_epoch, batch, self._held)
        if not isinstance(judgement, StaleSender) and batch.sender_epoch > highest_epoch:
            queries.raise_highest_epoch(self._connection, sender_epoch=batch.sender_epoch)
        if isinstance(judgement, Forked):
            self._leave_branch(judgement.shared.seq)
        if isinstance(judgement, Accepted | Forked) and judgement.entries:
            queries.move_cursor(self._connection, seq=judgement.cursor.seq, hash=judgement.cursor.hash)
        return judgement

    def keep(self, batch: Batch, judgement: Judgement, now_us: int) -> None:
        """Store what was accepted: tickets of orders, and bumps that came back. Every delivery is noted besides."""
        self._note_deliveries(batch, judgement)
        if not isinstance(judgement, Accepted | Forked):
            return
        places = [{"seq": entry.seq, "epoch": entry.epoch, "hash": entry.hash} for entry in judgement.entries]
        if places:
            queries.insert_places(self._connection, places)
        hashes = {entry.seq: entry.hash for entry in judgement.entries}
        changed: dict[str, KitchenOrder] = {}
        if isinstance(judgement, Forked):
            changed |= self.orders.leave_branch(judgement.shared.seq)
        bumps: list[dict[str, Any]] = []
        acts: list[tuple[str, int]] = []
        for entry in judgement.entries:
            content = _content(entry)
            changed |= self.orders.apply(entry.seq, content, now_us)
            if content.get("kind") == "bump":
                key = {"order_id": _text(content, "order_id"), "station": _text(content, "station")}
                bumps.append({**key, "version": _version(content), "seq": entry.seq, "at_us": now_us})
            elif content.get("kind") == "act":
                acts.append((_text(content, "act_id"), entry.seq))
        if bumps:
            # For tickets of a file of an earlier version, which are known by their keys alone; the rules have the last word.
            queries.set_bumped(self._connection, bumps)
        tickets = new_rows(changed.values(), hashes, now_us)
        if tickets:
            queries.insert_tickets(self._connection, tickets)
        self._follow(changed, now_us)
        self._acts.logged(acts)

    def _follow(self, orders: dict[str, KitchenOrder], now_us: int) -> None:
        rows = followed_rows(orders.values(), now_us)
        if rows:
            queries.follow_tickets(self._connection, rows)

    def place(self) -> tuple[Cursor, int]:
        """The cursor, and the highest epoch of a sender."""
        seq, digest, highest_epoch = queries.place(self._connection)
        return Cursor(seq, digest), highest_epoch

    def pending_bumps(self, now_us: int) -> list[Bump]:
        """Bumps that have not come back through the log yet, the oldest tickets first."""
        found = queries.pending_bumps(self._connection, now_us=now_us, kitchen_us=self._kitchen_us, limit=BUMPS_MAX)
        return [Bump(*row) for row in found]

    def ask_bump(self, ticket: Bump, now_us: int) -> str | None:
        """Somebody said that `ticket` is done: "pending" or, once it came back, "bumped"; None if there is none.

        "superseded": a newer version of it is there.
        """
        key = {"order_id": ticket.order_id, "version": ticket.version, "station": ticket.station}
        with self._transaction():
            row = queries.ticket(self._connection, **key)
            if row is None:
                return None
            _, bumped_at_us, superseded, rounds, given_up = row
            if superseded:
                return "superseded"
            if bumped_at_us is not None:
                return "bumped"
            queries.ask_bump(self._connection, **key, at_us=now_us)
            if rounds and not given_up:
                self._acts.ask(
                    bump_again(TicketKey(ticket.order_id, ticket.version, ticket.station), rounds, WHO), now_us
                )
        return "pending"

    def ask_act(self, act: StoreAct, now_us: int) -> ActAnswer:
        """Somebody in the kitchen wants something: it waits until the store has it. Raises `OrderRejected` when it cannot be."""
        with self._transaction():
            known = self._acts.status(act)
            if known is None:
                self.orders.allows(act.record(0))
                self._acts.ask(act, now_us)
        return known or ActAnswer("pending")

    def acts_waiting(self) -> int:
        """How many acts the store has not settled yet."""
        return self._acts.waiting()

    def acts_refused(self, acts: list[tuple[str, str]]) -> None:
        """The store refused acts: `(act_id, why)`."""
        if acts:
            with self._transaction():
                self._acts.refused(acts)

    def pending_acts(self, now_us: int) -> list[dict[str, Any]]:
        """Acts to be sent to the store: what somebody asked for, and what is due by the rules."""
        due = self._due(now_us)
        if due:
            with self._transaction():
                new = [act for act in due if self._acts.status(act) is None]
                for act in new[: self._acts.room()]:  # without room they are due the next time, too
                    self._acts.ask(act, now_us)
        return self._acts.pending()

    def _due(self, now_us: int) -> list[StoreAct]:
        """Courses whose time has come, and tickets that the front is to be told of."""
        due = [
            fire_in_time(order.order_id, course)
            for seen_at_us, order in self.orders.held()
            for course, fires in order.held
            if self._is_due(order, course, fires, now_us - seen_at_us)
        ]
        if self._rules.escalate_s:
            before_us = now_us - self._rules.escalate_s * 1_000_000
            overdue = list(queries.overdue_tickets(self._connection, before_us=before_us, limit=DUE_MAX))
            due += [escalate(TicketKey(*row)) for row in overdue]
        if self._kitchen_us:
            due += self._made_again(now_us)
        return due

    def _is_due(self, order: KitchenOrder, course: int, fires: str, waited_us: int) -> bool:
        """Whether a course that is held back is to be fired now; a pre-order's time begins with `fires_at_s`."""
        if order.fires_at_s:
            begun_us = wall_us() - order.fires_at_s * 1_000_000
            if fires == "at_once" and begun_us >= 0:
                return True
            waited_us = min(waited_us, begun_us)
        return 0 < self._rules.at_latest_s(course) * 1_000_000 <= waited_us

    def _made_again(self, now_us: int) -> Iterator[StoreAct]:
        """Tickets that were recalled and are done again by themselves. After a restart their time begins anew."""
        rows = queries.recalled_tickets(self._connection, limit=DUE_MAX)
        recalled = [(TicketKey(order_id, version, station), rounds) for order_id, version, station, rounds in rows]
        self._recalled_us = {each: self._recalled_us.get(each, now_us) for each in recalled}
        for (key, rounds), since_us in self._recalled_us.items():
            if since_us + self._kitchen_us <= now_us:
                yield bump_again(key, rounds, WHO)

    def open_tickets(self, limit: int, station: str = "", now_us: int = 0) -> list[dict[str, Any]]:
        """Tickets to be made, in the order in which they stand on the display (`ticket.rank`)."""
        names = (
            *("order_id", "version", "station", "channel", "table", "items", "note", "shown_at_us", "given_up"),
            *("priority", "escalated", "rounds", "detail"),
        )
        red_before_us = now_us - self._rules.red_s * 1_000_000
        found = queries.open_tickets(self._connection, station=station, red_before_us=red_before_us, limit=limit)
        return [_read_row(dict(zip(names, row, strict=True))) for row in found]

    def bumped_tickets(self, limit: int, station: str = "") -> list[dict[str, Any]]:
        """What was done last, the newest first."""
        names = (
            *(
                "order_id",
                "version",
                "station",
                "channel",
                "table",
                "items",
                "note",
                "bumped_at_us",
                "rounds",
                "detail",
            ),
        )
        found = queries.bumped_tickets(self._connection, station=station, limit=limit)
        return [_read_row(dict(zip(names, row, strict=True))) for row in found]

    def counts(self) -> tuple[int, int, int]:
        """How many tickets were ever shown, how many are bumped, how many are open."""
        tickets, bumped, still_open = queries.counts(self._connection)
        return tickets, bumped, still_open

    def waiting(self) -> int:
        """How many tickets are not bumped yet; those that were given up (P19) are not waited for."""
        count: int = queries.waiting(self._connection)
        return count

    def audit_tickets(self, after_seq: int, limit: int) -> list[dict[str, Any]]:
        """Tickets as shown, by the place of their order in the log, behind `after_seq`."""
        names = ("order_id", "version", "station", "marker", "seq", "hash", "shown_at_us", "bumped_at_us", "given_up")
        rows = queries.audit_tickets(self._connection, after_seq=after_seq, limit=limit)
        return [dict(zip(names, (*row[:-1], bool(row[-1])), strict=True)) for row in rows]

    def audit_deliveries(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Entries as they came, repeated and refused ones too, behind number `after`."""
        names = ("delivery", "sender_epoch", "sender_node_id", "epoch", "seq", "hash", "order_id", "judgement")
        rows = queries.audit_deliveries(self._connection, after=after, limit=limit)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _held(self, seq: int) -> Held | None:
        row = queries.held(self._connection, seq=seq)
        return None if row is None else Held(*row)

    def _leave_branch(self, shared_seq: int) -> None:
        """P19: tickets of what is left stay shown, marked; when their orders come again they are the same tickets."""
        queries.leave_places(self._connection, shared_seq=shared_seq)
        queries.give_up_tickets(self._connection, shared_seq=shared_seq)
        queries.take_bumps_back(self._connection, shared_seq=shared_seq)
        self._acts.leave_branch(shared_seq)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._connection:
            yield

    def _note_deliveries(self, batch: Batch, judgement: Judgement) -> None:
        room = DELIVERIES_MAX - self._deliveries
        self.deliveries_left_out += max(0, len(batch.entries) - room)
        rows = [
            {
                "sender_epoch": batch.sender_epoch,
                "sender_node_id": batch.sender_node_id,
                "epoch": entry.epoch,
                "seq": entry.seq,
                "hash": entry.hash,
                "order_id": _order_id(_content(entry)),
                "judgement": _name(judgement),
            }
            for entry in batch.entries[: max(0, room)]
        ]
        if rows:
            queries.insert_deliveries(self._connection, rows)
            self._deliveries += len(rows)


def _name(judgement: Judgement) -> str:
    match judgement:
        case Accepted():
            return "accepted"
        case Gap():
            return "gap"
        case StaleSender():
            return "stale-sender"
        case HashMismatch():
            return "hash-mismatch"
        case Matched():
            return "matched"
        case Forked():
            return "forked"


def _content(entry: Entry) -> dict[str, Any]:
    """The record, or nothing if it is none: what this display does not understand, a later one may."""
    try:
        content = entry.content()
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(content: dict[str, Any], name: str) -> str:
    """A field as a text that can be stored, whatever it is: a strange record must not hold up those behind it."""
    return str(content.get(name, "")).encode(errors="replace").decode()


def _version(content: dict[str, Any]) -> int:
    version = content.get("version")
    return version if isinstance(version, int) and 0 <= version < 2**62 else 1


def _order_id(content: dict[str, Any]) -> str | None:
    return _text(content, "order_id") if content.get("kind") == "order" else None


def _read_row(row: dict[str, Any]) -> dict[str, Any]:
    flags: dict[str, Any] = {name: bool(row[name]) for name in ("given_up", "escalated") if name in row}
    return {**row, **flags, "items": json.loads(row["items"]), "detail": json.loads(row["detail"])}
