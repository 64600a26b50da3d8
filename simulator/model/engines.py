"""The engines by name, and one run of a scenario's store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from simulator.model.draws import Key, make_key
from simulator.model.leaf import HAS_NUMBA
from simulator.model.plan import Plan, make_plan
from simulator.model.records import Run
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.scenario_model import Scenario, Store

EngineName = Literal["simpy", "compiled"]
Engine: TypeAlias = Callable[[Plan, npt.NDArray[np.int64], Key], Run]
DEFAULT_ENGINE: EngineName = "compiled" if HAS_NUMBA else "simpy"


class EngineMissing(Exception):
    """The compiled engine needs numba; install the extra: pip install 'rushproof[compiled]'."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def engine_of(name: EngineName) -> Engine:
    """The engine of this name; raises `EngineMissing`."""
    if name == "simpy":
        from simulator.model.processes.run import run_on_simpy

        return run_on_simpy
    if not HAS_NUMBA:
        raise EngineMissing
    from simulator.model.compiled.run import run_compiled

    return run_compiled


def run_store(
    scenario: Scenario,
    engine: EngineName = DEFAULT_ENGINE,
    replication: int = 0,
    store: Store | None = None,
    seed: int | None = None,
) -> Run:
    """One replication of one store (default: the first) with drawn diners."""
    chosen = store or scenario.stores[0]
    key = make_key(scenario.seed if seed is None else seed, chosen.name, replication)
    return engine_of(engine)(make_plan(scenario, chosen), draw_timetable(make_recipe(scenario), key), key)
