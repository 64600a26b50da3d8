"""Did the replies contradict one another or the logs: contradicted, stale, split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set

from chaos.judge.findings import Finding
from chaos.judge.ledger import StoreLedger
from chaos.judge.orders import OrderStory
from chaos.judge.reads import LogEntry
from refsystem.ordering.kitchen_errors import ITEM_SOLD_OUT
from simulator.history import Attempt

_NOT_FOUND = 404
_TOO_MANY = 429


def contradicted(story: OrderStory, ledger: StoreLedger) -> Iterator[Finding]:
    """Submissions invoked after another's yes was told, with the same key and body, that are told no.

    A 503 that says "this request left no trace" (not the primary, overloaded), like a 429, says nothing about the order and
    is no contradiction. Nor is a no about a content that the store does not hold, and that only a device that is gone for good
    had taken, at R1: that yes promised nothing beyond the device. Nor is "sold out" while only one door, the store's or the
    cloud's, had said yes: the other one may not know of the order yet, and who said no is not on record.
    """
    entries = (*ledger.order_entries.get(story.order_id, ()), *ledger.acts.get(story.order_id, ()))
    kept = {entry.record.get("body_hash") for entry in entries}
    for attempt in story.attempts:
        if not _says_no(attempt):
            continue
        before = [
            ok
            for ok in story.oks
            if ok.body_hash == attempt.body_hash
            and (ok.completed_at_us or 0) < attempt.invoked_at_us
            and (ok.level != "R1" or ok.node_id not in ledger.gone or ok.body_hash in kept)
        ]
        doors = {ok.level == "RC" for ok in before}
        if before and not (attempt.problem == ITEM_SOLD_OUT.slug and len(doors) == 1):
            yes, gap_us = before[0], attempt.invoked_at_us - (before[0].completed_at_us or 0)
            no = f"{attempt.status} {attempt.problem or ''}".strip()
            text = f"told yes ({yes.level}) by {yes.node_id}, and {_ms(gap_us)} later {no} for the same content"
            yield _finding("contradicted", story, text)


def _says_no(attempt: Attempt) -> bool:
    status = attempt.status or 0
    return attempt.outcome == "fail" and 400 <= status < 500 and status != _TOO_MANY


def stale(story: OrderStory, ledger: StoreLedger) -> Iterator[Finding]:
    """Reads invoked after the first yes was told that answer a definite "not there", of an order that is found later.

    A yes at R1 of a device that is gone for good promised nothing beyond that device: what the cloud still held of it comes back.
    """
    found = story.order_id in ledger.order_entries or story.order_id in ledger.cloud_orders
    lasting = [ok for ok in story.oks if ok.level != "R1" or ok.node_id not in ledger.gone]
    if not lasting:
        return
    first_ok_us = lasting[0].completed_at_us or 0
    for read in story.reads:
        definite = read.outcome == "fail" and read.status == _NOT_FOUND
        if definite and read.invoked_at_us > first_ok_us and (found or _found_later(story, read)):
            text = (
                f"asked {_ms(read.invoked_at_us - first_ok_us)} after its first yes, told that there is no such order"
            )
            yield _finding("stale", story, text)


def _found_later(story: OrderStory, read: Attempt) -> bool:
    return any(other.outcome == "ok" and other.invoked_at_us > read.invoked_at_us for other in story.reads)


def split(ledger: StoreLedger, stories: Iterable[OrderStory], fallen: Set[str]) -> Iterator[Finding]:
    """One seq committed with two contents, or one epoch acknowledged by two devices.

    Evidence: committed logs; replies at R1 or R2; what the kitchen and the cloud received and what devices set aside, but
    only where a reply says that it was committed at that seq. A tail that nobody was told about is no split. Replies about
    orders that fell with their device (`fallen`) are left out: their seqs are free again. So is what was told or received of a
    branch that a fork has left (P19).
    """
    mine = [story for story in stories if story.store == ledger.store and story.order_id not in fallen]
    replies = [
        attempt
        for story in mine
        for attempt in (*story.attempts, *story.reads)
        if _is_commitment(attempt) and not ledger.left_behind(attempt.seq or 0, attempt.epoch or 0)
    ]
    yield from _split_seqs(ledger, replies)
    yield from _split_epochs(ledger, replies)


def _is_commitment(attempt: Attempt) -> bool:
    return attempt.outcome == "ok" and attempt.level in ("R1", "R2") and attempt.seq is not None


def _split_seqs(ledger: StoreLedger, replies: list[Attempt]) -> Iterator[Finding]:
    by_seq: dict[int, dict[str, str]] = defaultdict(dict)
    for slot, device in ledger.devices.items():
        for entry in device.entries:
            by_seq[entry.seq].setdefault(entry.hash, f"{slot} committed {_content(entry)}")
    told: dict[int, dict[str, Attempt]] = defaultdict(dict)
    for reply in replies:
        if reply.seq is not None:
            told[reply.seq].setdefault(reply.identity, reply)
    for seq, epoch, order_id, entry_hash, text in _raw(ledger):
        if ledger.left_behind(seq, epoch):
            continue
        # The same order may stand at the same seq again in a later epoch: what was told is then true of that entry.
        if order_id in told.get(seq, {}) and order_id not in _orders_at(ledger, seq):
            by_seq[seq].setdefault(entry_hash, text)
    forked = False
    for seq in sorted(by_seq.keys() | told.keys()):
        contents = list(by_seq.get(seq, {}).values())
        tellings = told.get(seq, {})
        names = set(tellings) | (_orders_at(ledger, seq) if tellings else set())
        # Behind the first difference between two logs every hash differs: one finding for it is enough.
        if (len(contents) > 1 and not forked) or len(names) > 1:
            replies_say = [f"{reply.node_id} told {reply.level} for {reply.identity}" for reply in tellings.values()]
            yield Finding("split", ledger.store, f"entry {seq}", "edge", "; ".join(contents + replies_say))
        forked = forked or len(contents) > 1


def _orders_at(ledger: StoreLedger, seq: int) -> set[str]:
    entry = ledger.committed.get(seq)
    return {entry.identity or f"a {entry.kind} entry"} if entry is not None else set()


def _raw(ledger: StoreLedger) -> Iterator[tuple[int, int, str, str, str]]:
    if ledger.cloud is not None:
        for entry in ledger.cloud.entries:
            yield (
                entry.seq,
                entry.epoch,
                entry.identity or entry.order_id,
                entry.hash,
                f"the cloud received {_content(entry)}",
            )
    if ledger.kitchen is not None:
        for delivery in ledger.kitchen.deliveries:
            text = f"the kitchen received order {delivery.order_id} of epoch {delivery.epoch}"
            yield delivery.seq, delivery.epoch, delivery.order_id or "", delivery.hash, text
    for slot, device in ledger.devices.items():
        for entry in device.set_aside:
            yield (
                entry.seq,
                entry.epoch,
                entry.identity or entry.order_id,
                entry.hash,
                f"{slot} set aside {_content(entry)}",
            )


def _split_epochs(ledger: StoreLedger, replies: list[Attempt]) -> Iterator[Finding]:
    tellers: dict[int, dict[str, str]] = defaultdict(dict)
    for reply in replies:
        if reply.epoch is not None and reply.node_id:
            tellers[reply.epoch].setdefault(reply.node_id, f"{reply.node_id} told {reply.level} for {reply.identity}")
    for epoch, nodes in sorted(tellers.items()):
        if len(nodes) > 1:
            yield Finding("split", ledger.store, f"epoch {epoch}", "reply", "; ".join(nodes.values()))


def _content(entry: LogEntry) -> str:
    return f"{entry.kind} {entry.identity or entry.order_id} of epoch {entry.epoch} as entry {entry.seq}"


def _ms(duration_us: int) -> str:
    return f"{duration_us / 1000:.0f} ms"


def _finding(name: str, story: OrderStory, text: str) -> Finding:
    return Finding(name, story.store, story.order_id, "reply", text, story.order_id, story.level or "none")
