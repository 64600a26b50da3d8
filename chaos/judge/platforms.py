"""The delivery platform's own list against the store: every order of it is once in the store, and made only if it is wanted.

What its diners and the platform were told is its list, so each of its orders is an attempt like any client's: accepted is ok,
at the cloud's level; rejected is fail; anything else is indefinite. The other classes judge it from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from chaos.judge.findings import Finding
from chaos.judge.ledger import StoreLedger
from chaos.judge.reads import PlatformOrder, PlatformRead, StoreReads
from refsystem.ordering.errors import OrderRejected
from refsystem.platform_messages import CHANNEL, platform_order_id, read_platform_order
from simulator.history import Attempt, Outcome

PROCESS = "delivery_platform"
VOIDS_OF = "platform"
"""Who voids an order that was cancelled at a platform."""


def platform_attempts(rounds: Iterable[StoreReads]) -> Iterator[Attempt]:
    """The attempts that the platform's list makes, of every store that it could be read for."""
    for reads in rounds:
        if isinstance(reads.delivery_platform, PlatformRead):
            for row in reads.delivery_platform.orders:
                yield _attempt(reads.delivery_platform.platform, row)


def at_platform(ledger: StoreLedger) -> Iterator[Finding]:
    """Where the platform and the store mean different things by one order; asked once every place has come to rest."""
    read = ledger.delivery_platform
    if read is None or ledger.primary is None or ledger.unsettled is not None:
        return
    for row in read.orders:
        order_id = platform_order_id(read.platform, row.number)
        if row.store_order_id not in (None, order_id):
            text = f"number {row.number} was answered under the id {row.store_order_id}"
            yield _finding("altered", ledger, order_id, text, row)
        if order_id not in ledger.order_entries:
            continue
        standing = _stands(ledger, order_id)
        if row.state == "cancelled" and standing:
            text = f"number {row.number} was cancelled by the {row.cancelled_by}, and stands on a check of the store"
            yield _finding("unbacked", ledger, order_id, text, row)
        if row.state == "accepted" and not standing and _voided_for_platform(ledger, order_id):
            text = f"number {row.number} is accepted there, and the store has voided it as cancelled"
            yield _finding("lost", ledger, order_id, text, row)


def never_struck(kinds: Iterable[str], rounds: Iterable[StoreReads]) -> Iterator[str]:
    """The kinds of misbehaviour that were planned for the platform and never happened, in words."""
    struck: list[Mapping[str, int]] = [
        reads.delivery_platform.struck for reads in rounds if isinstance(reads.delivery_platform, PlatformRead)
    ]
    for kind in kinds:
        if struck and not any(counts.get(kind, 0) for counts in struck):
            yield f"the delivery platform was to misbehave ({kind}) and never did"


def accepted_count(rounds: Iterable[StoreReads]) -> int:
    """How many orders the platform was told to be accepted."""
    reads = (each.delivery_platform for each in rounds)
    return sum(row.was_accepted for read in reads if isinstance(read, PlatformRead) for row in read.orders)


def _attempt(platform: str, row: PlatformOrder) -> Attempt:
    order = read_platform_order(platform, row.model_dump(mode="json")).order
    outcome: Outcome = "ok" if row.was_accepted else "fail" if row.state == "rejected" else "indefinite"
    return Attempt(
        process=PROCESS,
        op=row.number,
        store=row.store,
        table=order.table,
        channel=CHANNEL,
        intent_id=f"{platform}/{row.number}",
        order_id=order.order_id,
        attempt=1,
        kind="order",
        intended_at_us=row.placed_at_us,
        invoked_at_us=row.placed_at_us,
        marker=order.note,
        body_hash=order.body_hash,
        total_minor=order.total_minor,
        items=order.items,
        completed_at_us=row.answered_at_us if outcome != "indefinite" else row.cancelled_at_us,
        outcome=outcome,
        level="RC" if outcome == "ok" else None,
        problem=row.reason or None if outcome == "fail" else None,
        node_id="cloud" if outcome == "ok" else None,
    )


def _stands(ledger: StoreLedger, order_id: str) -> bool:
    """Whether anything of it is left on its check."""
    try:
        check = ledger.book.check_of_order(order_id)
    except OrderRejected:
        return False
    return any(line.order_id == order_id and line.quantity for line in check.lines)


def _voided_for_platform(ledger: StoreLedger, order_id: str) -> bool:
    records = (entries[0].record for entries in ledger.acts.values())
    return any(
        record.get("act") == "void" and record.get("order_id") == order_id and record.get("who") == VOIDS_OF
        for record in records
    )


def _finding(name: str, ledger: StoreLedger, order_id: str, text: str, row: PlatformOrder) -> Finding:
    return Finding(name, ledger.store, order_id, "platform", text, order_id, "RC" if row.was_accepted else "none")
