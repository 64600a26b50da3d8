"""Small pure functions that both engines use: plain Python, and compiled along with the twin when numba is there."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

HAS_NUMBA = find_spec("numba") is not None


def leaf(function: _Function) -> _Function:
    """The function itself, which compiled code may call too. It holds scalars and arrays only."""
    if HAS_NUMBA:
        from numba.extending import register_jitable

        register_jitable(function)
    return function
