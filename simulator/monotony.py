"""A plan's bisection takes it that more is never worse (or, for load, never better): what speaks against that is said here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

UNLIMITED_AT_ZERO = {"cooks": "as many as there are tickets"}
"""Fields, by the last part of their name, of which 0 is not the least but no limit at all."""


def unlimited_at_zero(path: str, low: float, high: float) -> str | None:
    """Why a search of this field cannot begin at 0, in one sentence; None if it can."""
    meaning = UNLIMITED_AT_ZERO.get(path.rpartition(".")[2])
    if meaning is None or not low <= 0 < high:
        return None
    return f"{path}: 0 means {meaning}, more than any number; begin at 1, or see all of them with rushproof sweep"


def doubts(tried: Sequence[tuple[float, bool]], *, most: bool) -> list[str]:
    """A sentence if a value that keeps the budgets has one beyond it that does not (with `most`: the other way round).

    `tried` are values and whether they keep the budgets. There is at most one sentence, about the closest two.
    """
    pairs = [
        (one, other)
        for (one, one_keeps), (other, other_keeps) in itertools.combinations(sorted(tried), 2)
        if one_keeps is not most and other_keeps is most
    ]
    if not pairs:
        return []
    one, other = min(pairs, key=lambda pair: pair[1] - pair[0])
    here, there = ("does not keep", "does") if most else ("keeps", "does not")
    more = "better" if most else "worse"
    return [
        f"more is {more} somewhere here: {one:g} {here} the budgets and {other:g} {there}; "
        "others may be exceptions, too, so see them all with rushproof sweep"
    ]
