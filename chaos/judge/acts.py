"""Was every acknowledged act on a check kept, once and as it was asked for: the classes of orders, for acts.

An act is found by its key: in the store's committed entries, and among the raw entries that the cloud has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from chaos.judge.act_contents import content_hash, is_the_stores_own
from chaos.judge.findings import Finding
from chaos.judge.ledger import Presence, StoreLedger
from chaos.judge.losses import Undecided
from chaos.judge.orders import OrderStory
from chaos.judge.reads import LogEntry
from chaos.judge.replies import contradicted
from simulator.history import Attempt


def fold_acts(attempts: Iterable[Attempt]) -> dict[str, OrderStory]:
    """The story of every act that was submitted, by its key, in the order of the first submission."""
    submitted: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.kind == "act":
            submitted[attempt.act_id].append(attempt)
    return {act_id: OrderStory(act_id, tuple(rows)) for act_id, rows in submitted.items()}


def audit_acts(
    ledger: StoreLedger, stories: Mapping[str, OrderStory], *, history_whole: bool
) -> Iterator[Finding | Undecided]:
    """What became of the acts of one store."""
    for story in stories.values():
        if story.store == ledger.store:
            yield from contradicted(story, ledger)
            if story.oks:
                yield from _kept(story, ledger)
            elif story.outcome == "fail" and story.order_id in ledger.acts:
                text = f"{story.attempts[0].act}: found, although every attempt was told that nothing was written"
                yield _finding("unexpected", story, "edge", text)
    for act_id, entries in ledger.acts.items():
        if len(entries) > 1:
            seqs = " and ".join(str(entry.seq) for entry in entries)
            yield Finding("duplicated", ledger.store, act_id, "edge", f"the act is committed as entries {seqs}")
        told = stories.get(act_id)
        if told is None and history_whole and not is_the_stores_own(entries[0].record, entries[0].seq):
            text = f"entry {entries[0].seq} ({entries[0].record.get('act')}): found, and nobody ever asked for it"
            yield Finding("unexpected", ledger.store, act_id, "edge", text)
        changed = _changed(entries[0], told)
        if changed is not None:
            text = f"entry {entries[0].seq} {changed}: {entries[0].record}"
            yield Finding("altered", ledger.store, act_id, "edge", text, None, (told and told.level) or "none")
        act, record = entries[0].record.get("act"), entries[0].record
        if act in ("void", "comp"):
            what = f"{record['quantity']} of line {record['line']} of order {record['order_id']}"
            text = f"{what}, {record['amount_minor']} in minor units, by {record['who']}: {record['reason']}"
            name = "voided" if act == "void" else "comped"
            yield Finding(name, ledger.store, act_id, "edge", text)


def _changed(entry: LogEntry, told: OrderStory | None) -> str | None:
    """How an act's content, hashed anew, differs from what the record says of it and from what was asked for."""
    found = content_hash(entry.record)
    if found is None:
        return "holds no content that its act may have"
    if told is not None and found not in {attempt.body_hash for attempt in told.attempts}:
        return "holds another content than was asked for"
    if found != entry.record.get("body_hash"):
        return "holds a content that its own hash does not cover"
    return None


def _kept(story: OrderStory, ledger: StoreLedger) -> Iterator[Finding | Undecided]:
    seq = max(story.seqs_told, default=None)
    at_edge, at_cloud = ledger.act_at_edge(story.order_id, seq), ledger.act_at_cloud(story.order_id, seq)
    tellers = {attempt.node_id for attempt in story.oks}
    told = f"{story.attempts[0].act} acknowledged {story.level} by {', '.join(sorted(map(str, tellers)))}"
    if at_edge == "missing" and story.levels_told == {"R1"} and tellers <= ledger.gone and at_cloud != "there":
        yield _finding("given_up", story, "edge", f"{told}; that device is gone for good, and nobody else holds it")
        return
    places: tuple[tuple[str, Presence, str], ...] = (
        ("edge", at_edge, "not among the primary's committed entries"),
        ("cloud", at_cloud, "not among the entries that the cloud has"),
    )
    for place, presence, absence in places:
        if presence == "undecided":
            yield Undecided(story.order_id, story.store, place, story.level or "none")
        if presence == "missing":
            yield _finding("lost", story, place, f"{told}; {absence}")


def _finding(name: str, story: OrderStory, place: str, evidence: str) -> Finding:
    return Finding(name, story.store, story.order_id, place, evidence, None, story.level or "none")
