"""The decorator of everything that is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile at the first call, and keep what was compiled on the disk."""
    made: _Function = njit(cache=True, error_model="numpy")(function)
    return made
