"""Which table a party gets: the one that was drawn if it is free for as long as they stay, else the next that is.

A restaurant that is fuller than it has tables seats parties together: they share the drawn one, each with its own check. Who
moves gets a table that is free from then on. Seating looks at the plan of the evening alone, never at how the system behaves.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.diners import Diner

Taken = dict[str, list[tuple[int, int]]]
"""By table: from when to when it is taken, in microseconds after the start of the run."""


def seated(timetable: Iterable[Diner], tables: Mapping[str, int]) -> list[Diner]:
    """The timetable with its parties seated, in the order of their first orders; `tables` is how many each store has."""
    taken: dict[str, Taken] = defaultdict(lambda: defaultdict(list))
    diners = list(timetable)
    seats: dict[int, Diner] = {}
    for diner in sorted(diners, key=lambda each: (each.intended_us, each.diner)):
        if diner.visit is not None:
            seats[diner.diner] = _seated(diner, tables[diner.store], taken[diner.store])
    return [seats.get(diner.diner, diner) for diner in diners]


def _seated(diner: Diner, tables: int, taken: Taken) -> Diner:
    visit = diner.visit
    assert visit is not None, "who dines alone is not seated"
    comes_us, leaves_us = diner.intended_us, diner.intended_us + visit.dining_us
    moves_us = comes_us + visit.moves_after_us if visit.moves_to else leaves_us
    table = _free(diner.table, tables, comes_us, moves_us, taken)
    taken[table].append((comes_us, moves_us))
    moves_to = ""
    if visit.moves_to:
        wanted = visit.moves_to if visit.moves_to != table else diner.table
        moves_to = _free(wanted, tables, moves_us, leaves_us, taken)
        moves_to = "" if moves_to == table else moves_to
        taken[moves_to or table].append((moves_us, leaves_us))
    return dataclasses.replace(diner, table=table, visit=dataclasses.replace(visit, moves_to=moves_to))


def _free(wanted: str, tables: int, from_us: int, until_us: int, taken: Taken) -> str:
    """The first table from `wanted` on that is free for all of this time; `wanted` itself if none is."""
    first = int(wanted.removeprefix("T"))
    for step in range(tables):
        table = f"T{(first - 1 + step) % tables + 1}"
        if all(end_us <= from_us or until_us <= start_us for start_us, end_us in taken[table]):
            return table
    return wanted
