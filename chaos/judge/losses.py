"""Was every acknowledged order kept: lost, given_up, refused_after_rc, and the fate of orders nobody could tell about."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from chaos.judge.findings import Finding
from chaos.judge.ledger import Presence, StoreLedger
from chaos.judge.orders import OrderStory


@dataclass(frozen=True, slots=True)
class Undecided:
    """An order of which a place cannot yet say whether it holds it."""

    order_id: str
    store: str
    place: str
    level: str


def audit_losses(story: OrderStory, ledger: StoreLedger) -> Iterator[Finding | Undecided]:
    """What became of one order that was submitted."""
    if story.outcome == "fail":
        return
    if story.outcome == "indefinite":
        yield from _untold(story, ledger)
        return
    refusal = ledger.refusals.get(story.order_id)
    if refusal is not None and "RC" in story.levels_told:
        text = (
            f"{_told(story)}; entry {refusal.seq} of the store says {refusal.kind}: {refusal.record.get('detail', '')}"
        )
        yield _finding("refused_after_rc", story, "edge", text)
        if story.levels_told == {"RC"}:
            yield from _missing(story, "cloud", ledger.at_cloud(story.order_id, None, promised=True), "")
            return
    if fell_with_its_device(story, ledger):
        yield _given_up(story, ledger)
        return
    yield from _kept(story, ledger)


def unacknowledged_gaps(ledger: StoreLedger, acknowledged: Set[str]) -> Iterator[Finding]:
    """Orders that are committed in the store, acknowledged to nobody, and missing at the cloud or in the kitchen."""
    for order_id, entries in ledger.order_entries.items():
        if order_id in acknowledged:
            continue
        seq = entries[0].seq
        places = (
            ("cloud", ledger.at_cloud(order_id, seq, promised=False)),
            ("kitchen", ledger.at_kitchen(order_id, seq)),
        )
        for place, presence in places:
            if presence == "missing":
                text = f"committed as entry {seq} and told to nobody; {_absence(place)}"
                yield Finding("lost", ledger.store, order_id, place, text, order_id, "none")


def _kept(story: OrderStory, ledger: StoreLedger) -> Iterator[Finding | Undecided]:
    seq = ledger.seq_of(story)
    yield from _missing(story, "edge", ledger.at_edge(story.order_id, seq), _set_aside(story, ledger))
    promised = "RC" in story.levels_told
    yield from _missing(story, "cloud", ledger.at_cloud(story.order_id, seq, promised=promised), "")
    yield from _missing(story, "kitchen", ledger.at_kitchen(story.order_id, seq), "")


def _missing(story: OrderStory, place: str, presence: Presence, more: str) -> Iterator[Finding | Undecided]:
    if presence == "undecided":
        yield Undecided(story.order_id, story.store, place, story.level or "none")
    if presence == "missing":
        yield _finding("lost", story, place, f"{_told(story)}; {_absence(place)}{more}")


def _untold(story: OrderStory, ledger: StoreLedger) -> Iterator[Finding | Undecided]:
    last = story.attempts[-1]
    what = f"attempt {last.attempt} of {len(story.attempts)} ended without an answer that settles it"
    if story.order_id in ledger.order_entries or story.order_id in ledger.cloud_orders:
        yield _finding("surfaced", story, "edge" if story.order_id in ledger.order_entries else "cloud", what)
        return
    presences = (ledger.at_edge(story.order_id, None), ledger.at_cloud(story.order_id, None, promised=True))
    if "undecided" in presences:
        yield Undecided(story.order_id, story.store, "edge", "none")
    else:
        yield _finding("vanished", story, "edge", what)


def fell_with_its_device(story: OrderStory, ledger: StoreLedger) -> bool:
    """Told only R1, only by devices whose disks are gone or that a person confirmed to be off; held by nobody who is left."""
    tellers = {attempt.node_id for attempt in story.oks}
    if story.levels_told != {"R1"} or not tellers <= ledger.gone:
        return False
    in_cloud = story.order_id in ledger.cloud_orders
    return not in_cloud and ledger.at_edge(story.order_id, ledger.seq_of(story)) == "missing"


def _given_up(story: OrderStory, ledger: StoreLedger) -> Finding | Undecided:
    if ledger.at_cloud(story.order_id, ledger.seq_of(story), promised=False) == "undecided":
        return Undecided(story.order_id, story.store, "cloud", "R1")
    text = f"{_told(story)}; that device is gone for good, and neither the survivor nor the cloud holds it"
    return _finding("given_up", story, "edge", text)


def _set_aside(story: OrderStory, ledger: StoreLedger) -> str:
    for slot, device in ledger.devices.items():
        for entry in device.set_aside:
            if entry.order_id == story.order_id and entry.kind == "order":
                return f"; {slot} set it aside as entry {entry.seq} of epoch {entry.epoch}"
    return ""


def _told(story: OrderStory) -> str:
    best = max(story.oks, key=lambda attempt: (attempt.level == story.level, -(attempt.completed_at_us or 0)))
    where = f" as entry {best.seq} of epoch {best.epoch}" if best.seq is not None else ""
    return f"acknowledged {story.level} by {best.node_id or 'an unnamed device'}{where}"


def _absence(place: str) -> str:
    return {
        "edge": "not among the primary's committed entries",
        "cloud": "not among the cloud's orders",
        "kitchen": "its ticket was never shown",
    }[place]


def _finding(name: str, story: OrderStory, place: str, evidence: str) -> Finding:
    return Finding(name, story.store, story.order_id, place, evidence, story.order_id, story.level or "none")
