"""What every client was told, folded by order: the sets A (attempted) and K (acknowledged) of the audit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from simulator.history import Attempt, Level, Outcome

LEVELS: tuple[Level, ...] = ("R2", "R1", "RC")
"""Levels of acknowledgement, the strongest promise first."""


@dataclass(frozen=True)
class OrderStory:
    """One order as its clients saw it. `attempts` are its submissions, `reads` the questions about it."""

    order_id: str
    attempts: tuple[Attempt, ...]
    reads: tuple[Attempt, ...] = ()

    @property
    def store(self) -> str:
        """The store that it was meant for."""
        return self.attempts[0].store

    @property
    def intent_id(self) -> str:
        """What the person wanted."""
        return self.attempts[0].intent_id

    @property
    def marker(self) -> str:
        """The text in its note by which it is found under any key."""
        return self.attempts[0].marker

    @cached_property
    def oks(self) -> tuple[Attempt, ...]:
        """The attempts that were told yes, in the order in which they were told."""
        told = [attempt for attempt in self.attempts if attempt.outcome == "ok" and attempt.completed_at_us is not None]
        return tuple(sorted(told, key=lambda attempt: attempt.completed_at_us or 0))

    @cached_property
    def outcome(self) -> Outcome:
        """Any ok: ok; else any indefinite: indefinite; else fail."""
        if self.oks:
            return "ok"
        return "fail" if all(attempt.outcome == "fail" for attempt in self.attempts) else "indefinite"

    @cached_property
    def levels_told(self) -> frozenset[Level]:
        """Every level that a reply gave. A reply that names none promises no more than R1."""
        return frozenset(attempt.level or "R1" for attempt in self.oks)

    @property
    def level(self) -> Level | None:
        """The highest level that any reply gave, or None if nobody was told yes."""
        return next((level for level in LEVELS if level in self.levels_told), None)

    @property
    def first_ok_us(self) -> int | None:
        """When a client first knew that the order was taken."""
        return self.oks[0].completed_at_us if self.oks else None

    @property
    def intended_at_us(self) -> int:
        """When the person meant to send it."""
        return min(attempt.intended_at_us for attempt in self.attempts)

    @property
    def ended_at_us(self) -> int | None:
        """When the order's fate was told: the first ok, else the last answer; None if an attempt never ended."""
        if self.oks:
            return self.first_ok_us
        ends = [attempt.completed_at_us for attempt in self.attempts]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None

    @cached_property
    def seqs_told(self) -> frozenset[int]:
        """The places in the store's log that replies named."""
        return frozenset(attempt.seq for attempt in self.oks if attempt.seq is not None and attempt.level != "RC")


def fold(attempts: Iterable[Attempt]) -> dict[str, OrderStory]:
    """The story of every order that was submitted at least once, by `order_id`, in the order of the first submission."""
    submitted: dict[str, list[Attempt]] = defaultdict(list)
    asked: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.kind == "order":
            submitted[attempt.order_id].append(attempt)
        elif attempt.kind == "read":
            asked[attempt.order_id].append(attempt)
    return {
        order_id: OrderStory(order_id, tuple(rows), tuple(asked.get(order_id, ())))
        for order_id, rows in submitted.items()
    }


def reordered(stories: Mapping[str, OrderStory]) -> dict[str, list[str]]:
    """Intents under which more than one order was submitted, with those orders."""
    intents: dict[str, list[str]] = defaultdict(list)
    for story in stories.values():
        if story.intent_id:
            intents[story.intent_id].append(story.order_id)
    return {intent: order_ids for intent, order_ids in intents.items() if len(order_ids) > 1}
