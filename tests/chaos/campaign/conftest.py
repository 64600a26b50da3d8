"""Makes this folder's stand-in for the cluster importable by its tests and by the worker processes that they start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """Whatever a test does, no worker outlives it."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    after = psutil.Process().children(recursive=True)
    left = [
        process for process in after if process.pid not in before and "resource_tracker" not in str(process.cmdline())
    ]
    assert left == []
