"""The helpers of these tests lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simulator.model.engines import EngineName

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["simpy", pytest.param("compiled", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    if name == "compiled":
        request.getfixturevalue("compiled_engine")
    return name
