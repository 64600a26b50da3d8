"""The audit: history x final reads x faults -> findings in the classes of `findings.CLASSES`.

It trusts nothing that the stack says about itself: what each client was told is joined with what each place holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from chaos.judge import contents, replies
from chaos.judge.acts import audit_acts, fold_acts
from chaos.judge.charges import Sums, mischarged, sums
from chaos.judge.findings import CLASSES, Finding
from chaos.judge.kitchen_times import ChannelTimes, kitchen_times
from chaos.judge.ledger import StoreLedger, unsettled_reason
from chaos.judge.losses import Undecided, audit_losses, fell_with_its_device, unacknowledged_gaps
from chaos.judge.orders import LEVELS, OrderStory, fold, reordered
from chaos.judge.paper import audit_paper
from chaos.judge.platforms import at_platform
from chaos.judge.reads import ROUNDS
from chaos.judge.receipt_paper import audit_receipts
from chaos.judge.runfolder import Plan, RunFiles
from chaos.judge.stock_sums import StockSums, oversold, stock_sums


@dataclass(frozen=True)
class Audit:
    """What the audit found. `undecided`: places that cannot yet say whether they hold an acknowledged order or act.

    `acts` are the stories of acts by their keys; `kitchen` how soon tickets were shown, by channel; `payments` the money
    of each store, in a run in which checks are paid.
    """

    stories: Mapping[str, OrderStory]
    ledgers: Mapping[str, StoreLedger]
    findings: tuple[Finding, ...]
    undecided: tuple[Undecided, ...] = field(default=())
    acts: Mapping[str, OrderStory] = field(default_factory=dict)
    kitchen: tuple[ChannelTimes, ...] = ()
    payments: Mapping[str, Sums] = field(default_factory=dict)
    stocks: Mapping[str, StockSums] = field(default_factory=dict)

    @cached_property
    def by_class(self) -> Mapping[str, tuple[Finding, ...]]:
        """The findings of every class, also of those without any."""
        groups: dict[str, list[Finding]] = {audit_class.name: [] for audit_class in CLASSES}
        for finding in self.findings:
            groups[finding.name].append(finding)
        return {name: tuple(group) for name, group in groups.items()}

    def count(self, name: str) -> int:
        """How many orders (for `split`: entries and epochs; for `reordered`: intents) are in this class."""
        return len({(finding.store, finding.subject) for finding in self.by_class[name]})

    @cached_property
    def acknowledged(self) -> Mapping[str, int]:
        """The size of K by the highest level told."""
        levels = [story.level for story in self.stories.values()]
        return {level: levels.count(level) for level in LEVELS}

    @cached_property
    def lost_acknowledged(self) -> int:
        """Lost orders that somebody had been told yes for."""
        return len({f.subject for f in self.by_class["lost"] if f.level != "none" and f.order_id is not None})

    @cached_property
    def lost_by(self) -> Mapping[str, Mapping[str, int]]:
        """Lost orders by level and place; an order that is missing in two places counts in both."""
        table: dict[str, dict[str, int]] = {}
        for level, place, _ in sorted({(f.level, f.place, f.subject) for f in self.by_class["lost"]}):
            row = table.setdefault(level, {})
            row[place] = row.get(place, 0) + 1
        return table


def audit(files: RunFiles) -> Audit:
    """The audit of a run. A place that could not be read makes its findings undecided, never a loss."""
    stories, acts = fold(files.attempts), fold_acts(files.attempts)
    struck = [fault for fault in files.faults if fault.took_effect]
    gone = frozenset(node for fault in struck for node in (*fault.disk_lost_node_ids, *fault.off_node_ids))
    ledgers = {
        store: StoreLedger(store, reads, unsettled_reason(reads, files.convergence), gone, files.menu, files.rules)
        for store, reads in files.rounds[ROUNDS[-1]].items()
    }
    if not stories:
        return Audit(stories, ledgers, ())
    found: list[Finding] = []
    undecided: list[Undecided] = []
    for story in stories.values():
        for item in audit_losses(story, ledgers[story.store]):
            if isinstance(item, Finding):
                found.append(item)
            else:
                undecided.append(item)
    acknowledged = frozenset(story.order_id for story in stories.values() if story.oks)
    fallen = frozenset(
        story.order_id for story in stories.values() if story.oks and fell_with_its_device(story, ledgers[story.store])
    )
    stocks = {store: stock_sums(ledger) for store, ledger in ledgers.items()}
    for ledger in ledgers.values():
        found += unacknowledged_gaps(ledger, acknowledged)
        found += contents.unbacked(ledger, stories)
        found += contents.unexpected(ledger, stories, history_whole=files.history_whole)
        found += contents.altered(ledger, stories)
        found += at_platform(ledger)
        found += contents.late(ledger, stories, _late_after_us(files))
        found += replies.split(ledger, (*stories.values(), *acts.values()), fallen)
        of_acts = audit_acts(ledger, acts, history_whole=files.history_whole)
        for item in (*of_acts, *audit_paper(ledger, stories), *_receipts(files, ledger)):
            if isinstance(item, Finding):
                found.append(item)
            else:
                undecided.append(item)
        if stocks[ledger.store].on_hand:
            found += oversold(ledger, stocks[ledger.store])
        if files.has_payments:
            fell = frozenset(f.subject for f in found if (f.name, f.store) == ("given_up", ledger.store))
            found += mischarged(ledger, files.rounds[ROUNDS[0]][ledger.store].gateway, fell)
    found += contents.duplicated(ledgers, stories)
    found += _from_replies(stories.values(), ledgers)
    found += _reordered(stories, ledgers)
    payments = {store: sums(ledger) for store, ledger in ledgers.items()} if files.has_payments else {}
    shown = kitchen_times(stories, ledgers, _late_after_us(files))
    return Audit(stories, ledgers, tuple(found), tuple(undecided), acts, shown, payments, stocks)


def _late_after_us(files: RunFiles) -> float:
    if not isinstance(files.plan, Plan):
        return float("inf")
    budgets = files.plan.budgets
    if budgets.late_budget_ms is not None:
        return budgets.late_budget_ms * 1e3
    return budgets.late_after_s * 1e6 / files.plan.time_scale


def _receipts(files: RunFiles, ledger: StoreLedger) -> Iterator[Finding | Undecided]:
    if isinstance(files.plan, Plan) and ledger.store in files.plan.receipts:
        yield from audit_receipts(ledger)


def _from_replies(stories: Iterable[OrderStory], ledgers: Mapping[str, StoreLedger]) -> Iterator[Finding]:
    for story in stories:
        ledger = ledgers[story.store]
        yield from replies.contradicted(story, ledger)
        yield from replies.stale(story, ledger)


def _reordered(stories: Mapping[str, OrderStory], ledgers: Mapping[str, StoreLedger]) -> Iterator[Finding]:
    groups: dict[str, list[str]] = defaultdict(list, reordered(stories))
    for intent, order_ids in groups.items():
        store = stories[order_ids[0]].store
        kept = [order_id for order_id in order_ids if order_id in ledgers[store].order_entries]
        text = f"orders {', '.join(order_ids)}; {len(kept)} of them are in the store"
        yield Finding("reordered", store, intent, "reply", text, order_ids[-1], stories[order_ids[0]].level or "none")
