"""The classes of the audit, in the order of the report, and one finding of one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rule = Literal["always", "budget", "counted", "not_exercised"]


@dataclass(frozen=True, slots=True)
class AuditClass:
    """A class of outcome. `rule`: one case fails the run; a budget decides; only counted; cannot occur in this stack."""

    name: str
    rule: Rule
    definition: str


CLASSES: tuple[AuditClass, ...] = (
    AuditClass("lost", "always", "acknowledged, and not found where it must be; by level and by place"),
    AuditClass("given_up", "budget", "acknowledged by one device whose disk was destroyed, and held nowhere else"),
    AuditClass("duplicated", "always", "two orders under one key or one marker, or a ticket shown twice"),
    AuditClass("unbacked", "always", "in the cloud or the kitchen, but not committed in the store"),
    AuditClass("unexpected", "always", "found, although nobody sent it or every attempt was told no"),
    AuditClass("contradicted", "always", "told no after the same order had been told yes"),
    AuditClass("altered", "always", "items, total, table or channel differ from what was sent"),
    AuditClass(
        "split", "always", "one place in the log committed with two contents, or one epoch acknowledged by two devices"
    ),
    AuditClass("stale", "always", "told that the order does not exist, after it had been acknowledged"),
    AuditClass(
        "mischarged", "always", "what was taken differs from what was owed, or the gateway's books from the store's log"
    ),
    AuditClass("oversold", "always", "more sold than stocked, of what may never be; or rights to more than there is"),
    AuditClass("late", "budget", "shown in the kitchen later after the first yes than the budget allows"),
    AuditClass("refused_after_rc", "budget", "acknowledged by the cloud, then refused by the store"),
    AuditClass("surfaced", "counted", "nobody could tell its fate, and it was found"),
    AuditClass("vanished", "counted", "nobody could tell its fate, and it was not found"),
    AuditClass("voided", "counted", "cancelled, with a record of who and why"),
    AuditClass("comped", "counted", "on the check and free, with a record of who and why"),
    AuditClass("reordered", "counted", "a person gave up and ordered again: two orders, one intent"),
)

OF_PAYMENTS = frozenset({"mischarged", "voided", "comped"})
"""The classes that need checks which are paid; a run without them does not exercise them."""
OF_STOCK = frozenset({"oversold"})
"""The classes that need a store that keeps something in stock."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One case of one class. `subject` is what is counted: the id of an order, an act or a check, or "entry 12", an intent.

    `level` is the highest level that the order's clients were told ("none" if nobody was told yes); `place` is where the
    case shows ("edge", "cloud", "kitchen", "printer", "gateway", "platform", "reply").
    """

    name: str
    store: str
    subject: str
    place: str
    evidence: str
    order_id: str | None = None
    level: str = "none"
