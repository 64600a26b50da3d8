"""Was every acknowledged act on a check kept, once and as it was asked for: the classes of orders, for acts.

An act is found by its key: in the store's committed entries, and among the raw entries that the cloud has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from chaos.judge.findings import Finding
from chaos.judge.ledger import Presence, StoreLedger
from chaos.judge.losses import Undecided
from chaos.judge.orders import OrderStory
from chaos.judge.replies import contradicted
from simulator.history import Attempt


def fold_acts(attempts: Iterable[Attempt]) -> dict[str, OrderStory]:
    """The story of every act that was submitted, by its key, in the order of the first submission."""
    submitted: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.kind == "act":
            submitted[attempt.act_id].append(attempt)
    return {act_id: OrderStory(act_id, tuple(rows)) for act_id, rows in submitted.items()}


def audit_acts(ledger: StoreLedger, stories: Mapping[str, OrderStory]) -> Iterator[Finding | Undecided]:
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
        if told is not None and entries[0].record.get("body_hash") not in {a.body_hash for a in told.attempts}:
            text = f"entry {entries[0].seq} holds another content than was asked for: {entries[0].record}"
            yield _finding("altered", told, "edge", text)
        act, record = entries[0].record.get("act"), entries[0].record
        if act in ("void", "comp"):
            what = f"{record['quantity']} of line {record['line']} of order {record['order_id']}"
            text = f"{what}, {record['amount_minor']} in minor units, by {record['who']}: {record['reason']}"
            name = "voided" if act == "void" else "comped"
            yield Finding(name, ledger.store, act_id, "edge", text)


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
