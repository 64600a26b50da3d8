"""How soon orders came to the kitchen, by channel: from the first yes until the first ticket was shown, and who was late."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from chaos.judge.ledger import StoreLedger
from chaos.judge.orders import OrderStory
from chaos.judge.statistics import Percentiles, percentiles


@dataclass(frozen=True, slots=True)
class ChannelTimes:
    """The orders of one channel that were acknowledged and shown; `late` of them later than the budget allows."""

    channel: str
    late: int
    shown: Percentiles


def waited_us(story: OrderStory, ledger: StoreLedger) -> int | None:
    """From an order's first yes until its first ticket was shown; None if it has no yes or no ticket.

    An order of which every course is held back has no ticket of its own to be late.
    """
    tickets, owed = ledger.tickets.get(story.order_id), ledger.owed(story.order_id)
    if not tickets or story.first_ok_us is None or (owed is not None and not owed.at_once):
        return None
    return min(ticket.shown_at_us for ticket in tickets) - story.first_ok_us


def kitchen_times(
    stories: Mapping[str, OrderStory], ledgers: Mapping[str, StoreLedger], late_after_us: float
) -> tuple[ChannelTimes, ...]:
    """The times of every channel that has an order, by its name."""
    by_channel: dict[str, list[int]] = defaultdict(list)
    for story in stories.values():
        took_us = waited_us(story, ledgers[story.store])
        if took_us is not None:
            by_channel[story.attempts[0].channel].append(took_us)
    return tuple(
        ChannelTimes(channel, sum(took_us > late_after_us for took_us in times), percentiles(times))
        for channel, times in sorted(by_channel.items())
    )
