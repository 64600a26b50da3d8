"""What one store's places hold at the end (F of the audit), indexed for the questions that the audit asks.

F(edge) is the committed entries of the converged primary. While a place has not caught up, what it lacks may still be under
way: `missing_*` then says "undecided" unless the place's own cursor has passed the entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from chaos.judge.kitchen_view import ONE_TICKET, Owed, tickets_owed
from chaos.judge.orders import OrderStory
from chaos.judge.reads import (
    CloudOrder,
    CloudRead,
    Convergence,
    EdgeRead,
    GatewayRead,
    KitchenRead,
    LogEntry,
    PlatformRead,
    PrinterRead,
    StoreReads,
    Ticket,
    Unreadable,
)
from refsystem.ordering.book import Book
from refsystem.ordering.menu import DEMO_MENU, Menu
from refsystem.ordering.store_rules import KitchenRules

Presence = Literal["there", "missing", "undecided"]

Row = TypeVar("Row")


@dataclass(frozen=True)
class StoreLedger:
    """The places of one store, and why the store is not settled (None: every place stands where the primary stands).

    `gone` are the devices whose disk was destroyed or that a person confirmed to be off, by `faults.jsonl`. `rules` None: each
    order is one ticket.
    """

    store: str
    reads: StoreReads
    unsettled: str | None
    gone: frozenset[str] = frozenset()
    menu: Menu = DEMO_MENU
    rules: KitchenRules | None = None

    @cached_property
    def forks(self) -> tuple[tuple[int, int], ...]:
        """`(from_seq, epoch)` of every break glass that F(edge) records and `gone` confirms: those said to be off were."""
        return tuple(
            (int(entry.record["from_seq"]), entry.epoch)
            for entry in self.committed.values()
            if entry.kind == "fork" and set(entry.record["off"]) <= self.gone
        )

    def left_behind(self, seq: int, epoch: int) -> bool:
        """Whether what stood at `seq` under `epoch` may belong to a branch that a fork has left (P19)."""
        return any(from_seq <= seq and epoch < fork_epoch for from_seq, fork_epoch in self.forks)

    @cached_property
    def devices(self) -> Mapping[str, EdgeRead]:
        """The devices that could be read, by slot."""
        pairs = (("edge_a", self.reads.edge_a), ("edge_b", self.reads.edge_b))
        return {slot: read for slot, read in pairs if isinstance(read, EdgeRead)}

    @cached_property
    def primary(self) -> EdgeRead | None:
        """The primary at the highest epoch, or None."""
        return primary_of(self.reads)

    @property
    def cloud(self) -> CloudRead | None:
        """The cloud, if it could be read."""
        return self.reads.cloud if isinstance(self.reads.cloud, CloudRead) else None

    @property
    def kitchen(self) -> KitchenRead | None:
        """The kitchen display, if it could be read."""
        return self.reads.kitchen if isinstance(self.reads.kitchen, KitchenRead) else None

    @cached_property
    def committed(self) -> Mapping[int, LogEntry]:
        """F(edge) by seq."""
        return {entry.seq: entry for entry in self.primary.entries} if self.primary is not None else {}

    @property
    def committed_seq(self) -> int:
        """The last seq of F(edge)."""
        return max(self.committed, default=0)

    @cached_property
    def order_entries(self) -> Mapping[str, list[LogEntry]]:
        """The order entries of F(edge) by `order_id`."""
        return _grouped((entry for entry in self.committed.values() if entry.kind == "order"), lambda e: e.order_id)

    @property
    def gateway(self) -> GatewayRead | None:
        """The payment gateway's books of this store, if there are any and they could be read."""
        return self.reads.gateway if isinstance(self.reads.gateway, GatewayRead) else None

    @property
    def delivery_platform(self) -> PlatformRead | None:
        """The delivery platform's list of this store's orders, if there is one and it could be read."""
        read = self.reads.delivery_platform
        return read if isinstance(read, PlatformRead) else None

    @property
    def printer(self) -> PrinterRead | None:
        """The paper of the store's printer, if it has one that could be read."""
        return self.reads.printer if isinstance(self.reads.printer, PrinterRead) else None

    @cached_property
    def acts(self) -> Mapping[str, list[LogEntry]]:
        """The acts of F(edge) by their keys."""
        return _grouped((entry for entry in self.committed.values() if entry.kind == "act"), lambda e: e.identity)

    @cached_property
    def book(self) -> Book:
        """The checks that F(edge) makes."""
        book = Book(self.menu)
        for seq in sorted(self.committed):
            book.apply(seq, self.committed[seq].record)
        return book

    @cached_property
    def _cloud_act_ids(self) -> frozenset[str]:
        entries = self.cloud.entries if self.cloud is not None else ()
        return frozenset(entry.identity for entry in entries if entry.kind == "act")

    @cached_property
    def refusals(self) -> Mapping[str, LogEntry]:
        """The entries by which the store refused an order of the cloud, by `order_id`."""
        return {e.order_id: e for e in self.committed.values() if e.kind in ("refused", "conflict")}

    @cached_property
    def cloud_orders(self) -> Mapping[str, list[CloudOrder]]:
        """The cloud's orders by `order_id`."""
        return _grouped(self.cloud.orders if self.cloud else (), lambda order: order.order_id)

    @cached_property
    def tickets(self) -> Mapping[str, list[Ticket]]:
        """The tickets shown, by `order_id`."""
        return _grouped(self.kitchen.tickets if self.kitchen else (), lambda ticket: ticket.order_id)

    def seq_of(self, story: OrderStory) -> int | None:
        """Where the order stands in the log, or where a reply said that it stands."""
        entries = self.order_entries.get(story.order_id)
        if entries:
            return entries[0].seq
        return max(story.seqs_told, default=None)

    def at_edge(self, order_id: str, seq: int | None) -> Presence:
        """Whether F(edge) holds the order."""
        if self.primary is None:
            return "undecided"
        return _presence(order_id in self.order_entries, self.unsettled is None, seq, self.committed_seq)

    def at_cloud(self, order_id: str, seq: int | None, *, promised: bool) -> Presence:
        """Whether the cloud holds the order; `promised` if the cloud itself acknowledged it, so that nothing is under way."""
        if self.cloud is None:
            return "undecided"
        settled = promised or self.unsettled is None
        return _presence(order_id in self.cloud_orders, settled, seq, self.cloud.status.cursor.seq)

    def act_at_edge(self, act_id: str, seq: int | None) -> Presence:
        """Whether F(edge) holds the act."""
        if self.primary is None:
            return "undecided"
        return _presence(act_id in self.acts, self.unsettled is None, seq, self.committed_seq)

    def act_at_cloud(self, act_id: str, seq: int | None) -> Presence:
        """Whether the cloud has the act's entry."""
        if self.cloud is None:
            return "undecided"
        return _presence(act_id in self._cloud_act_ids, self.unsettled is None, seq, self.cloud.status.cursor.seq)

    def at_kitchen(self, order_id: str, seq: int | None) -> Presence:
        """Whether the kitchen showed the order's ticket."""
        if self.kitchen is None:
            return "undecided"
        keys = {(ticket.version, ticket.station) for ticket in self.tickets.get(order_id, ())}
        owed = self.owed(order_id)
        shown = owed.tickets <= keys if owed is not None else bool(keys)
        return _presence(shown, self.unsettled is None, seq, self.kitchen.status.cursor.seq)

    def owed(self, order_id: str) -> Owed | None:
        """What the kitchen must have shown of an order; None if it was not told of it."""
        return ONE_TICKET if self.rules is None else self._owed.get(order_id)

    @cached_property
    def _owed(self) -> Mapping[str, Owed]:
        if self.rules is None or self.kitchen is None:
            return {}
        entries = [self.committed[seq] for seq in sorted(self.committed)]
        return tickets_owed(entries, self.menu, self.rules, self.kitchen.status.cursor.seq)


def _presence(held: bool, settled: bool, seq: int | None, cursor_seq: int) -> Presence:
    if held:
        return "there"
    passed = seq is not None and seq <= cursor_seq
    return "missing" if settled or passed else "undecided"


def _grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def primary_of(reads: StoreReads) -> EdgeRead | None:
    """The device that says it is primary, at the highest epoch; None if none does or none could be read."""
    devices = [read for read in (reads.edge_a, reads.edge_b) if isinstance(read, EdgeRead)]
    primaries = [device for device in devices if device.status.role == "primary"]
    return max(primaries, key=lambda device: device.status.epoch, default=None)


def unsettled_reason(reads: StoreReads, convergence: Convergence | Unreadable) -> str | None:
    """Why the store does not stand still with every place at the primary's cursor, or None if it does.

    The run's own word for it is necessary, never sufficient: the reads are checked as well. Bumps that come in while reads
    are taken are not waited for.
    """
    if isinstance(convergence, Unreadable):
        return f"convergence is not known ({convergence.reason})"
    if not convergence.reached:
        return f"convergence was not reached in {convergence.waited_ms} ms ({convergence.detail or 'no detail'})"
    primary = primary_of(reads)
    if primary is None:
        return f"{reads.store}: neither device is primary"
    return _membership(reads, primary) or _receivers(reads, primary)


def _membership(reads: StoreReads, primary: EdgeRead) -> str | None:
    members = primary.status.members
    if len(members) != 2:
        return f"{reads.store}: convergence was not reached, {', '.join(members) or 'no device'} is the only member"
    if primary.status.waiting:
        return f"{reads.store}: {primary.status.waiting} orders still wait at the primary"
    if primary.status.slips_waiting:
        return f"{reads.store}: {primary.status.slips_waiting} slips are not printed yet"
    if primary.status.payments_under_way:
        return f"{reads.store}: {primary.status.payments_under_way} payments are still under way"
    if max((entry.seq for entry in primary.entries), default=0) < primary.status.commit_seq:
        return (
            f"{reads.store}: the primary's entries end before entry {primary.status.commit_seq}, which it has committed"
        )
    if _last_seq_of_an_order(primary) > primary.status.commit_seq:
        return f"{reads.store}: orders were still being committed while the reads were taken"
    for device in (reads.edge_a, reads.edge_b):
        if isinstance(device, EdgeRead) and device is not primary:
            if device.status.node_id not in members:
                return f"{reads.store}: {device.status.node_id} is not a member"
            if device.status.commit_seq < _last_seq_of_an_order(primary):
                return f"{reads.store}: {device.status.node_id} stands at entry {device.status.commit_seq}, behind the primary"
    return None


def _receivers(reads: StoreReads, primary: EdgeRead) -> str | None:
    last_seq = _last_seq_of_an_order(primary)
    for name, place in (("cloud", reads.cloud), ("kitchen", reads.kitchen)):
        if isinstance(place, CloudRead | KitchenRead) and place.status.cursor.seq < last_seq:
            return f"{reads.store}: the {name} stands at entry {place.status.cursor.seq}, the primary at {last_seq}"
    cloud = reads.cloud
    if isinstance(cloud, CloudRead) and primary.status.downlink_cursor < cloud.status.last_number:
        taken, given = primary.status.downlink_cursor, cloud.status.last_number
        return f"{reads.store}: the store has taken {taken} of {given} orders from the cloud"
    return None


def _last_seq_of_an_order(device: EdgeRead) -> int:
    return max((entry.seq for entry in device.entries if entry.kind != "bump"), default=0)
