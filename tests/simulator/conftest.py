"""What several tests of the simulator need: a small scenario, the real orders if they are there, and the compiled engine."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from simulator.model.engines import Engine, engine_of
from simulator.model.leaf import HAS_NUMBA
from simulator.scenario import Scenario, load_scenario
from simulator.trace_table import TraceOrder, read_trace

SMALL = """\
name: small
duration_s: 30
time_scale: 60
diners:
  arrivals: {rate_per_s: 10}
"""
TABLE = "takeaway-orders.csv.gz"


@pytest.fixture
def small() -> Scenario:
    return load_scenario(SMALL)


@pytest.fixture(scope="session")
def takeaway() -> list[TraceOrder]:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    path = Path(os.environ.get("RUSHPROOF_SHARED_DATA", beside)) / TABLE
    if not path.is_file():
        pytest.skip(f"{TABLE} is not here; put it into ../shared/data or name its folder in RUSHPROOF_SHARED_DATA")
    return read_trace(path)


@pytest.fixture(scope="session")
def compiled_engine() -> Engine:
    """Compiled once, even with several test processes at a time."""
    if not HAS_NUMBA:
        pytest.skip("numba is not here: pip install 'rushproof[compiled]'")
    with (Path(tempfile.gettempdir()) / "rushproof-compiling.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return engine_of("compiled")
