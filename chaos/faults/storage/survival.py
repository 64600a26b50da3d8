"""Which of some unsynced operations reach the platter: any subset, by whole sectors, drawn in ways that differ in kind."""

from __future__ import annotations

from random import Random
from typing import Literal

Mode = Literal["nothing", "everything", "beginning", "scattered", "all_but_one", "only_one"]
MODES: tuple[tuple[Mode, float], ...] = (
    ("nothing", 0.15),
    ("everything", 0.1),
    ("beginning", 0.25),
    ("scattered", 0.35),
    ("all_but_one", 0.08),
    ("only_one", 0.07),
)
SCATTERED_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def draw_mode(draws: Random) -> Mode:
    """How it goes this time."""
    return draws.choices([mode for mode, _ in MODES], [weight for _, weight in MODES])[0]


def draw_survivors(draws: Random, count: int, mode: Mode) -> list[bool]:
    """For `count` pieces in the order in which they were written, whether each survives."""
    if count == 0:
        return []
    match mode:
        case "nothing":
            return [False] * count
        case "everything":
            return [True] * count
        case "beginning":
            kept = draws.randint(0, count)
            return [index < kept for index in range(count)]
        case "scattered":
            share = draws.choice(SCATTERED_SHARES)
            return [draws.random() < share for _ in range(count)]
        case "all_but_one":
            odd = draws.randrange(count)
            return [index != odd for index in range(count)]
        case "only_one":
            odd = draws.randrange(count)
            return [index == odd for index in range(count)]
