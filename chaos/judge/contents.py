"""Is each order there once, backed by a commit, and as it was sent: duplicated, unbacked, unexpected, altered, late."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaos.judge.findings import Finding
from chaos.judge.kitchen_times import waited_us
from chaos.judge.ledger import StoreLedger
from chaos.judge.orders import OrderStory
from chaos.judge.reads import Lines, LogEntry, Ticket
from simulator.history import Attempt


@dataclass(frozen=True, slots=True)
class Content:
    """What an order says that must not change on its way."""

    items: Lines
    total_minor: int
    table: str
    channel: str

    def differences(self, sent: Content) -> str:
        """In words, how this differs from what was sent."""
        names = ("items", "total_minor", "table", "channel")
        pairs = ((name, getattr(sent, name), getattr(self, name)) for name in names)
        return "; ".join(
            f"{name} was sent as {before!r} and is {after!r}" for name, before, after in pairs if before != after
        )


def duplicated(ledgers: Mapping[str, StoreLedger], stories: Mapping[str, OrderStory]) -> Iterator[Finding]:
    """Two order entries under one key or one marker (over all stores), tickets shown twice, cloud orders held twice."""
    by_marker: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for ledger in ledgers.values():
        for order_id, entries in ledger.order_entries.items():
            by_marker[entries[0].marker].add((order_id, ledger.store))
            if len(entries) > 1:
                seqs = " and ".join(str(entry.seq) for entry in entries)
                yield _finding("duplicated", ledger, order_id, stories, "edge", f"committed as entries {seqs}")
        for order_id, orders in ledger.cloud_orders.items():
            by_marker[orders[0].marker].add((order_id, ledger.store))
            if len(orders) > 1:
                yield _finding(
                    "duplicated", ledger, order_id, stories, "cloud", f"held {len(orders)} times under its key"
                )
        yield from _tickets_twice(ledger, stories)
    by_marker.pop("", None)
    for marker, holders in by_marker.items():
        yield from _marker_twice(marker, holders, ledgers, stories)


def _tickets_twice(ledger: StoreLedger, stories: Mapping[str, OrderStory]) -> Iterator[Finding]:
    for order_id, tickets in ledger.tickets.items():
        keys = [(ticket.version, ticket.station) for ticket in tickets]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        for version, station in repeated:
            text = f"its ticket of version {version} for {station} was shown {keys.count((version, station))} times"
            yield _finding("duplicated", ledger, order_id, stories, "kitchen", text)


def _marker_twice(
    marker: str, holders: set[tuple[str, str]], ledgers: Mapping[str, StoreLedger], stories: Mapping[str, OrderStory]
) -> Iterator[Finding]:
    if len(holders) < 2:
        return
    sent = {order_id for order_id, _ in holders if order_id in stories and stories[order_id].marker == marker}
    first, *others = sorted(holders, key=lambda holder: (holder[0] not in sent, holder))
    for order_id, store in others:
        text = f"carries the marker {marker} of the order {first[0]} of {first[1]}"
        yield _finding("duplicated", ledgers[store], order_id, stories, "edge", text)


def unbacked(ledger: StoreLedger, stories: Mapping[str, OrderStory]) -> Iterator[Finding]:
    """What the cloud or the kitchen has of this store that the store has not committed. Needs F(edge)."""
    if ledger.primary is None:
        return
    if ledger.cloud is not None:
        for entry in ledger.cloud.entries:
            if not _is_committed(ledger, entry.seq, entry.hash) and not _bump_after_the_read(ledger, entry):
                what = f"the cloud took entry {entry.seq} ({entry.kind}) from {entry.sender_node_id}"
                text = f"{what}; {_stands_at(ledger, entry.seq)}"
                subject = entry.order_id or f"entry {entry.seq}"
                yield _finding("unbacked", ledger, subject, stories, "cloud", text)
        for order_id, orders in ledger.cloud_orders.items():
            if orders[0].origin == "edge" and order_id not in ledger.order_entries:
                text = "the cloud holds it as an order of the store, which has not committed it"
                yield _finding("unbacked", ledger, order_id, stories, "cloud", text)
    for order_id, tickets in ledger.tickets.items():
        for ticket in tickets:
            if not _is_committed(ledger, ticket.seq, ticket.hash) and not _ticket_left_behind(ledger, ticket):
                text = f"its ticket was made from entry {ticket.seq}; {_stands_at(ledger, ticket.seq)}"
                yield _finding("unbacked", ledger, order_id, stories, "kitchen", text)
        yield from _not_fired(ledger, order_id, tickets, stories)


def _not_fired(
    ledger: StoreLedger, order_id: str, tickets: list[Ticket], stories: Mapping[str, OrderStory]
) -> Iterator[Finding]:
    """Tickets that the store's rules had not made of the order by the entry at which the display stood."""
    owed = ledger.owed(order_id)
    if ledger.rules is None or owed is None or ledger.kitchen is None:
        return
    if ledger.kitchen.status.cursor.seq > ledger.committed_seq:
        return
    for ticket in tickets:
        if (ticket.version, ticket.station) not in owed.made and not _ticket_left_behind(ledger, ticket):
            text = f"its ticket of version {ticket.version} for {ticket.station} was shown, and nothing has fired it"
            yield _finding("unbacked", ledger, order_id, stories, "kitchen", text)


def _is_committed(ledger: StoreLedger, seq: int, entry_hash: str) -> bool:
    entry = ledger.committed.get(seq)
    return entry is not None and entry.hash == entry_hash


def _ticket_left_behind(ledger: StoreLedger, ticket: Ticket) -> bool:
    """A ticket stays on the display when the branch that its order was committed in is left (P19)."""
    epochs = (
        {delivery.epoch for delivery in ledger.kitchen.deliveries if delivery.hash == ticket.hash}
        if ledger.kitchen
        else ()
    )
    return any(ledger.left_behind(ticket.seq, epoch) for epoch in epochs)


def _bump_after_the_read(ledger: StoreLedger, entry: LogEntry) -> bool:
    """Places are read one after another; the kitchen may bump a ticket in between."""
    return entry.kind == "bump" and entry.seq > ledger.committed_seq


def _stands_at(ledger: StoreLedger, seq: int) -> str:
    entry = ledger.committed.get(seq)
    if entry is None:
        return f"the store's committed entries end at {ledger.committed_seq}"
    return f"the store has committed another entry there ({entry.kind} {entry.order_id})"


def unexpected(ledger: StoreLedger, stories: Mapping[str, OrderStory], *, history_whole: bool) -> Iterator[Finding]:
    """Orders in the store or the cloud that nobody sent, or that everybody was told were not taken."""
    places: dict[str, str] = dict.fromkeys(ledger.cloud_orders, "cloud") | dict.fromkeys(ledger.order_entries, "edge")
    for order_id, place in places.items():
        story = stories.get(order_id)
        if story is None and history_whole:
            yield _finding("unexpected", ledger, order_id, stories, place, "found, and no client ever sent it")
        if story is not None and story.outcome == "fail":
            problems = sorted({attempt.problem or str(attempt.status) for attempt in story.attempts})
            text = f"found, although every attempt was told that nothing was written ({', '.join(problems)})"
            yield _finding("unexpected", ledger, order_id, stories, place, text)


def altered(ledger: StoreLedger, stories: Mapping[str, OrderStory]) -> Iterator[Finding]:
    """Orders whose content differs from what was sent, and the first record that its own hash does not cover."""
    held = [
        ("edge", entry.order_id, _entry_content(entry))
        for entries in ledger.order_entries.values()
        for entry in entries
    ]
    held += [
        ("cloud", order.order_id, Content(order.items, order.total_minor, order.table, order.channel))
        for orders in ledger.cloud_orders.values()
        for order in orders
    ]
    for place, order_id, content in held:
        story = stories.get(order_id)
        if story is None:
            continue
        sent = [_sent_content(attempt) for attempt in story.attempts]
        if content not in sent:
            yield _finding("altered", ledger, order_id, stories, place, content.differences(sent[0]))
    yield from _broken_chain(ledger, stories)


def _broken_chain(ledger: StoreLedger, stories: Mapping[str, OrderStory]) -> Iterator[Finding]:
    for slot, device in ledger.devices.items():
        previous_hash = ""
        for entry in device.entries:
            if not entry.fits(previous_hash):
                subject = entry.order_id or f"entry {entry.seq}"
                text = f"{slot}: the hash of entry {entry.seq} does not cover its record and the entry before it"
                yield _finding("altered", ledger, subject, stories, "edge", text)
                break
            previous_hash = entry.hash


def _sent_content(attempt: Attempt) -> Content:
    return Content(attempt.items, attempt.total_minor, attempt.table, attempt.channel)


def _entry_content(entry: LogEntry) -> Content:
    """The content of an order entry; a field that is not what it should be stays visibly different from anything sent."""
    record = entry.record
    try:
        lines = tuple((str(item_id), int(quantity)) for item_id, quantity in record["items"])
        total_minor = int(record["total_minor"])
    except (KeyError, TypeError, ValueError):
        lines, total_minor = (), -1
    return Content(lines, total_minor, str(record.get("table", "")), str(record.get("channel", "")))


def late(ledger: StoreLedger, stories: Mapping[str, OrderStory], late_after_us: float) -> Iterator[Finding]:
    """Orders whose first ticket was shown more than `late_after_us` after their first yes."""
    for order_id in ledger.tickets:
        story = stories.get(order_id)
        took_us = None if story is None else waited_us(story, ledger)
        if story is not None and took_us is not None and took_us > late_after_us:
            channel = story.attempts[0].channel
            text = f"{channel}: shown {took_us / 1e6:.1f} s after its first yes; the budget allows {late_after_us / 1e6:.1f} s"
            yield _finding("late", ledger, order_id, stories, "kitchen", text)


def _finding(
    name: str, ledger: StoreLedger, subject: str, stories: Mapping[str, OrderStory], place: str, evidence: str
) -> Finding:
    story = stories.get(subject)
    level = (story.level if story is not None else None) or "none"
    is_order = not subject.startswith("entry ")
    return Finding(name, ledger.store, subject, place, evidence, subject if is_order else None, level)
