"""Makes this folder's own bench importable by its tests, and sets one up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from power_cut_bench import Bench

from chaos.faults.storage.simulated import SimulatedDisks


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with SimulatedDisks() as disks:
        yield Bench(disks, tmp_path)
