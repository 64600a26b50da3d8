"""What several tests of the simulator need: a small scenario, and the real orders if they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
