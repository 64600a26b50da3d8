"""Work that Ctrl-C, SIGTERM and a terminal that is closed end in order: it is cancelled once and then cleans up undisturbed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

SIGNAL_GRACE_S = 0.1


def run_interruptible(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`; True if SIGINT, SIGTERM or SIGHUP ended it. It is cancelled once and then cleans up undisturbed."""

    async def supervised() -> bool:
        task = asyncio.ensure_future(work)
        interrupted = False

        def interrupt() -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # started under nohup, to outlive its terminal
            loop.add_signal_handler(number, interrupt)
        try:
            await task
        except asyncio.CancelledError:
            return True
        except Exception:
            await asyncio.sleep(SIGNAL_GRACE_S)  # a signal that caused the failure may be told a moment later
            if interrupted:
                return True
            raise
        return interrupted

    return asyncio.run(supervised())
