"""Virtual time on SimPy's event queue, draws keyed by who draws, and the trace of what happened."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import simpy

from simulator.streams import Streams

MS = 1_000
ASK_EVERY_US = 10 * MS


class Clock:
    """Virtual microseconds. `goals` counts what a campaign wants to have seen."""

    def __init__(self, seed: int, *, tracing: bool = False) -> None:
        self.goals: Counter[str] = Counter()
        self.tracing = tracing
        self.lines: list[str] = []
        self.events = 0
        self._environment = simpy.Environment()
        self._streams = Streams(seed)
        self._digest = hashlib.blake2b(digest_size=16)

    @property
    def now_us(self) -> int:
        """The moment."""
        return int(self._environment.now)

    @property
    def trace_hash(self) -> str:
        """A hash over every event so far, in order."""
        return self._digest.hexdigest()

    def generator(self, entity: str) -> random.Random:
        """The draws of one entity. Taking another entity away does not change them."""
        return random.Random(self._streams.bits(64, entity))

    def after(self, delay_us: int, action: Callable[..., None], *args: Any) -> None:
        """Do `action(*args)` in `delay_us`; what is due at one moment happens in the order in which it was asked for."""
        callbacks = self._environment.timeout(max(0, delay_us)).callbacks
        assert callbacks is not None
        callbacks.append(lambda _: self._happen(action, args))

    def run_until(self, until_us: int, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass up to `until_us`, or until `done`, which is asked every 10 ms; whether it was done."""
        environment = self._environment
        asked_us = environment.now
        while environment.peek() <= until_us:
            if done is not None and environment.peek() - asked_us >= ASK_EVERY_US:
                asked_us = environment.peek()
                if done():
                    return True
            environment.step()
        environment.run(until=until_us) if environment.now < until_us else None
        return done is not None and done()

    def note(self, *what: object) -> None:
        """Add to the trace: to its hash always, to its lines when tracing."""
        text = " ".join(map(str, what))
        self._digest.update(text.encode())
        if self.tracing:
            self.lines.append(f"{self.now_us / MS:10.3f} ms  {text}")

    def _happen(self, action: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.events += 1
        self._digest.update(b"%d %s;" % (self._environment.now, action.__qualname__.encode()))
        action(*args)


def drawn_us(generator: random.Random, low_us: int, high_us: int) -> int:
    """A whole number of microseconds, small ones being likelier than large ones."""
    return low_us + int((high_us - low_us) * generator.random() ** 2)
