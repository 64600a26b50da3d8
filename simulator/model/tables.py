"""How many tables a store has from when on: its own, and those of sections that are open for a part of the evening."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from simulator.scenario_model import Scenario, Store


def changes_of_tables(scenario: Scenario, store: Store) -> dict[int, int]:
    """By tick, in order and from 0 on: how many tables more there are, or fewer where it is below 0; none without seating."""
    seating = None if scenario.model is None else scenario.model.seating
    if seating is None:
        return {0: 0}
    more = Counter({0: store.tables})
    for section in seating.sections:
        opens = round(section.at_s * 1e6)
        more[opens] += section.tables
        if section.for_s is not None:
            more[opens + max(1, round(section.for_s * 1e6))] -= section.tables
    return {tick: count for tick, count in sorted(more.items()) if tick == 0 or count != 0}


def planned_tables(scenario: Scenario, store: Store) -> dict[str, Any]:
    """The fields of a plan that say it."""
    changes = changes_of_tables(scenario, store)
    first = changes.pop(0)
    return {
        "tables": first,
        "tables_at": np.array(list(changes), dtype=np.int64),
        "tables_more": np.array(list(changes.values()), dtype=np.int64),
    }
