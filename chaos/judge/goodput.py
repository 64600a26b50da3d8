"""Goodput: orders that were told yes while somebody still waited for it, by the second, beside those that were meant to be sent.

What a server does for people who have gone is work, not goodput: in an overload the two part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaos.judge.orders import OrderStory

WINDOW_S = 5.0
SLOT_S = 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time from `at_s` after the start of the load: orders meant to be sent in it, and orders told yes in it."""

    at_s: float
    offered: int
    told_yes: int


def windows(stories: Iterable[OrderStory], start_us: int, width_s: float) -> tuple[Window, ...]:
    """The whole windows from the start of the load to the last order that was meant to be sent.

    A client counts a yes only while its person waits, so every order told yes is goodput when it was first told so.
    """
    width_us = round(width_s * 1e6)
    offered: dict[int, int] = {}
    told: dict[int, int] = {}
    for story in stories:
        meant = (story.intended_at_us - start_us) // width_us
        offered[meant] = offered.get(meant, 0) + 1
        if story.first_ok_us is not None:
            when = (story.first_ok_us - start_us) // width_us
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


def goodput(stories: Iterable[OrderStory], start_us: int) -> Goodput | None:
    """None without a whole window in which an order was told yes.

    Possible is what was offered, slot by slot, and never more than in the best window: so neither a window in which few came
    nor one in which a rush begins looks bad. Orders of a rush that are told yes after it only make a later window look good.
    """
    slots = windows(stories, start_us, SLOT_S)
    per_window = round(WINDOW_S / SLOT_S)
    every = [slots[first : first + per_window] for first in range(0, len(slots) - per_window + 1, per_window)]
    peak = max((sum(slot.told_yes for slot in window) for window in every), default=0)
    if not peak:
        return None
    ratios: list[tuple[float, float]] = []
    for window in every:
        possible = sum(min(slot.offered, peak / per_window) for slot in window)
        if possible:
            ratios.append((sum(slot.told_yes for slot in window) / possible, window[0].at_s))
    return Goodput(peak / WINDOW_S, *min(ratios))
