"""Small pure functions that both engines use: plain Python, and compiled along with the twin.

They are told to numba when the twin is loaded, so that nobody else waits for numba.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

HAS_NUMBA = find_spec("numba") is not None
LEAVES: list[Callable[..., Any]] = []


def leaf(function: _Function) -> _Function:
    """The function itself, which compiled code may call too. It holds scalars and arrays only."""
    LEAVES.append(function)
    return function
