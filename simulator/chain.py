"""A chain of stores: one dinner of each, as a series to be worked out, on one process or many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from simulator.batches.series import Kind, Unit
from simulator.model.draws import make_key, uniform
from simulator.model.engines import DEFAULT_ENGINE, EngineName, engine_of
from simulator.model.plan import Plan, make_plan
from simulator.model.records import ABSENT, Run
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.replaced_fields import with_field
from simulator.scenario import Scenario

MINUTE = 60_000_000
LEAST_TABLES, SIZES = 30, 61
LEAST_DEMAND, DEMANDS = 0.75, 0.4
TYPICAL_TABLES = 60
"""Of the scenario: a store gets guests as its own tables are to these."""


@dataclass(frozen=True)
class Dinners:
    """Stores numbered from 0: from 30 to 90 tables, and guests for 75 % to 115 % of what the scenario's house takes a table.

    Each store draws by keys of its own, so any part of the chain can be worked out alone.
    """

    scenario: Scenario
    engine: EngineName = DEFAULT_ENGINE
    seed: int = 1

    @property
    def unit(self) -> str:
        """One store's evening."""
        return "number"

    @property
    def columns(self) -> Mapping[str, Kind]:
        """`demand` is guests a table, of a 60-table house's; `wait` for a table in minutes; `orders` by minute."""
        return {
            "tables": "integer",
            "demand": "float",
            "parties": "integer",
            "wait": "float",
            "reneged": "float",
            "orders": "integers",
            "events": "integer",
            "hash": "unsigned",
        }

    def identity(self) -> Mapping[str, Any]:
        """As the protocol says."""
        scenario = self.scenario.model_dump(mode="json", exclude_none=True)
        return {"study": "chain", "scenario": scenario, "engine": self.engine, "seed": self.seed}

    def load(self) -> None:
        """The engine."""
        engine_of(self.engine)

    def units(self, first: int, after: int, *, rows: bool) -> Iterator[Unit]:
        """As the protocol says."""
        run, chain, base = engine_of(self.engine), make_key(self.seed, "chain"), self.scenario.model_dump_json()
        for number in range(first, after):
            tables = LEAST_TABLES + int(SIZES * uniform(chain, 1, number, 0))
            demand = LEAST_DEMAND + DEMANDS * uniform(chain, 2, number, 0)
            name = f"store {number}"
            key = make_key(self.seed, name)
            recipe = make_recipe(self.scenario, demand * tables / TYPICAL_TABLES)
            found = run(_plan(base, tables), draw_timetable(recipe, key), key)
            values = {"tables": tables, "demand": demand, **self._figures(found)}
            yield Unit(values, [(name, found.rows)] if rows else ())

    def _figures(self, found: Run) -> dict[str, Any]:
        at, seated = found.column("at"), found.column("seated")
        here = seated != ABSENT
        committed = np.concatenate([found.column("committed_0"), found.column("committed_1")])
        minutes = math.ceil(self.scenario.duration_s / 60) + 60
        minute = np.minimum(committed[committed != ABSENT] // MINUTE, minutes - 1)
        return {
            "parties": len(at),
            "wait": float((seated - at)[here].mean() / MINUTE) if here.any() else 0.0,
            "reneged": float((~here).mean()) if len(here) else 0.0,
            "orders": np.bincount(minute, minlength=minutes).tolist(),
            "events": found.events,
            "hash": found.hash,
        }


@lru_cache(maxsize=4 * SIZES)
def _plan(base: str, tables: int) -> Plan:
    """The plan of a store with so many tables; each worker makes it once."""
    return make_plan(with_field(Scenario.model_validate_json(base), "stores.tables", tables))
