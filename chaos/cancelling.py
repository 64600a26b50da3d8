"""Steps that cancelling must not cut in two: what has begun is done to its end, then the cancelling goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def through_cancelling(step: Coroutine[Any, Any, None]) -> None:
    """Do `step` to its end, which it sets itself, however often the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(step)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
