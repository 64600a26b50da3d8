"""Goodput: orders that were told yes while somebody still waited for it, by the second, beside those that were meant to be sent.

What a server does for people who have gone is work, not goodput: in an overload the two part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaos.judge.orders import OrderStory

WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time from `at_s` after the start of the load: orders meant to be sent in it, and orders told yes in it."""

    at_s: float
    offered: int
    told_yes: int


def windows(stories: Iterable[OrderStory], start_us: int, width_s: float = WINDOW_S) -> tuple[Window, ...]:
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
    """The best window in orders a second, and the worst behind it: told yes of what was possible there."""

    peak_per_s: float
    least_ratio: float
    least_at_s: float


def goodput(found: Iterable[Window], width_s: float = WINDOW_S) -> Goodput | None:
    """None without a window in which an order was told yes.

    Possible in a window is what was offered, and never more than the best window has shown. Windows in which nothing was offered
    say nothing.
    """
    every = [window for window in found if window.offered]
    peak = max((window.told_yes for window in every), default=0)
    if not peak:
        return None
    ratios = [(window.told_yes / min(window.offered, peak), window.at_s) for window in every]
    least, at_s = min(ratios)
    return Goodput(peak / width_s, least, at_s)
