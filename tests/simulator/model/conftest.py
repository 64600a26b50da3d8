"""The compiled engine for tests: compiled once, even with several test processes at a time."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest

from simulator.model.engines import Engine, engine_of
from simulator.model.leaf import HAS_NUMBA


@pytest.fixture(scope="session")
def compiled_engine() -> Engine:
    if not HAS_NUMBA:
        pytest.skip("numba is not here: pip install 'rushproof[compiled]'")
    with (Path(tempfile.gettempdir()) / "rushproof-compiling.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return engine_of("compiled")
