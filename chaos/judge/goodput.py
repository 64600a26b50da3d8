"""Goodput: people who were told yes while they still waited for it, beside those who came and wanted to order.

What a server does for people who have gone is work, not goodput: in an overload the two part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaos.judge.orders import OrderStory
from simulator.goodput_windows import LEAST_POSSIBLE, PER_WINDOW, QUEUE_MAX, SLOT_S, WINDOW_S


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time from `at_s` after the start of the load: intents meant to be sent in it, and told yes in it."""

    at_s: float
    offered: int
    told_yes: int


def windows(stories: Iterable[OrderStory], start_us: int, width_s: float) -> tuple[Window, ...]:
    """The whole windows from the start of the load to the last order that was meant to be sent.

    An intent is what one person wants: whoever gives up and orders again still wants one order. A client takes a yes only
    while its person waits, so the first yes of an intent is goodput, at its moment.
    """
    width_us = round(width_s * 1e6)
    offered: dict[int, int] = {}
    told: dict[int, int] = {}
    for orders in _by_intent(stories).values():
        meant = (min(story.intended_at_us for story in orders) - start_us) // width_us
        offered[meant] = offered.get(meant, 0) + 1
        oks_us = [story.first_ok_us for story in orders if story.first_ok_us is not None]
        if oks_us:
            when = (min(oks_us) - start_us) // width_us
            told[when] = told.get(when, 0) + 1
    return tuple(
        Window(number * width_s, offered.get(number, 0), told.get(number, 0))
        for number in range(max(offered, default=0))
    )


@dataclass(frozen=True, slots=True)
class Goodput:
    """The best window in orders a second, and the worst: what was told yes in it, of what was possible."""

    peak_per_s: float
    least_ratio: float
    least_at_s: float


def goodput(stories: Iterable[OrderStory], start_us: int, least_peak_per_s: float = 0.0) -> Goodput | None:
    """None without a whole window in which `LEAST_POSSIBLE` orders were possible.

    Possible is what can be done of what is offered, slot by slot, at the rate of the best window, or at `least_peak_per_s` if
    that is more, when `QUEUE_MAX` may wait for the next slot: so neither a window in which few came nor one in which a rush
    begins looks bad, and a store that is bad throughout does. People of a rush who are told yes after it only make a later
    window look good, and none better than all that was possible.
    """
    slots = windows(stories, start_us, SLOT_S)
    every = [slots[first : first + PER_WINDOW] for first in range(0, len(slots) - PER_WINDOW + 1, PER_WINDOW)]
    best = max((sum(slot.told_yes for slot in window) for window in every), default=0)
    peak = max(best, least_peak_per_s * WINDOW_S)
    ratios: list[tuple[float, float]] = []
    for window in every:
        possible = _possible([slot.offered for slot in window], peak / PER_WINDOW)
        if possible >= LEAST_POSSIBLE:
            ratios.append((min(1.0, sum(slot.told_yes for slot in window) / possible), window[0].at_s))
    return Goodput(best / WINDOW_S, *min(ratios)) if ratios else None


def _possible(offered: Iterable[int], most: float) -> float:
    """What can be done of what is offered in each slot, `most` in each."""
    possible = waiting = 0.0
    for each in offered:
        wants = waiting + each
        done = min(wants, most)
        possible += done
        waiting = min(wants - done, QUEUE_MAX)
    return possible


def _by_intent(stories: Iterable[OrderStory]) -> dict[str, list[OrderStory]]:
    found: dict[str, list[OrderStory]] = {}
    for story in stories:
        found.setdefault(story.intent_id or story.order_id, []).append(story)
    return found
