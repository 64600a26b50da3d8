"""Looks at the kernel's state of a process again and again, so that a fault is proven all through."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from refsystem.processes import process_state

LOOK_EVERY_S = 0.017
STOPPED = "T"


@dataclass(frozen=True, slots=True)
class Seen:
    """How often a process was looked at, and how often it was stopped or gone."""

    looks: int
    stopped: int
    gone: int
    seconds: float

    @property
    def stopped_share(self) -> float:
        """The share of looks at which it was stopped."""
        return self.stopped / self.looks if self.looks else 0.0

    def __str__(self) -> str:
        gone = f", {self.gone} times it was gone" if self.gone else ""
        return f"stopped at {self.stopped} of {self.looks} looks over {self.seconds:.1f} s{gone}"


class StateWatch:
    """A thread that looks at process `pid` from `start` to `end`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{pid}", daemon=True)
        self._states: list[str | None] = []
        self._began_s = time.monotonic()
        self._ended_s: float | None = None

    def start(self) -> None:
        """Begin to look."""
        self._began_s = time.monotonic()
        self._thread.start()

    def seen(self) -> Seen:
        """What was seen so far."""
        states = list(self._states)
        until_s = self._ended_s or time.monotonic()
        gone = sum(state in (None, "Z", "X") for state in states)
        return Seen(len(states), states.count(STOPPED), gone, until_s - self._began_s)

    def end(self) -> Seen:
        """Look no more. May be called twice."""
        if self._ended_s is None:
            self._ended.set()
            self._thread.join()
            self._ended_s = time.monotonic()
        return self.seen()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._states.append(process_state(self._pid))
            self._ended.wait(LOOK_EVERY_S)
