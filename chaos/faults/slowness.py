"""A gray failure: a process that lives and answers, but many times slower, for it runs a part of the time only."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from chaos.faults.base import Effect, FaultError, Target
from chaos.faults.watching import Seen, StateWatch
from refsystem.processes import Managed, StackError

PERIOD_S = 0.2
STOPPED_S_MAX = 0.45
"""Longer stops of a device would be taken for its death, which is another fault."""
DATABASE_STOPPED_S_MAX = 2.0
"""To stop and continue all of a database's processes takes longer, and nobody takes its silence for death so soon."""
PROOF_S = 0.9
LOOKS_MIN = 40
RAN_MIN = 2
PROOF_TIMEOUT_S = 6.0
SHARE_SLACK = 0.12
"""How far the share of looks at which it was stopped may be below what was asked: looks are few, and the machine is busy."""


class Slowed:
    """SIGSTOP and SIGCONT in turn, about `PERIOD_S` for both: it runs one part in `slow_factor` of the time.

    On a busy machine it takes a while until a process is stopped; then it is stopped the longer.
    """

    def __init__(
        self, process: Managed, slow_factor: float, target: Target, stopped_s_max: float = STOPPED_S_MAX
    ) -> None:
        self.target = target
        self._process = process
        self._slow_factor = slow_factor
        self._stopped_s_max = stopped_s_max
        self._stopped_share = 1 - 1 / slow_factor
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"slow-{process.name}", daemon=True)
        self._watch: StateWatch | None = None
        self._switches_at_first: int | None = None

    async def begin(self) -> None:
        """Begin the duty cycle; raises `FaultError` if the process does not run."""
        if self._process.pid is None:
            raise FaultError(f"{self._process.name} does not run, so it cannot be slow")
        self._watch = StateWatch(self._process.pid)
        self._thread.start()
        self._watch.start()

    async def prove(self) -> Effect:
        """Over some periods, the kernel shows it stopped for the share of time that was asked for, and that it ran between."""
        assert self._watch is not None
        while True:
            await asyncio.sleep(0.1)
            seen = self._watch.seen()
            effect = self._effect(seen)
            enough = seen.seconds >= PROOF_S and seen.looks >= LOOKS_MIN and effect.proven
            if enough or seen.seconds >= PROOF_TIMEOUT_S:
                return effect

    async def held(self) -> Effect:
        """The same over the whole time."""
        assert self._watch is not None
        return self._effect(self._watch.end())

    async def undo(self) -> str:
        """Let it run all the time; raises `StackError` if it has ended meanwhile."""
        self._end.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)
        if self._watch is not None:
            self._watch.end()
        self._process.resume()
        if self._process.pid is None:
            raise StackError(f"{self._process.name} ended while it was slow")
        return f"{self._process.name} runs all the time again"

    def _effect(self, seen: Seen) -> Effect:
        asked = seen.stopped_share >= self._stopped_share - SHARE_SLACK and not seen.gone
        wanted = f"{self._stopped_share:.0%} of the time was asked for"
        if self._switches_at_first is None:
            return Effect(False, f"{self._process.name} was never stopped")
        ran = _switches(self._process.pid) - self._switches_at_first
        told = f"{self._process.name} was {seen}, {seen.stopped_share:.0%}; {wanted}"
        return Effect(asked and ran >= RAN_MIN, f"{told}; the kernel let it run {ran} times between")

    def _run(self) -> None:
        runs_s = PERIOD_S / self._slow_factor
        resumed_s = time.monotonic() - runs_s
        while not self._end.is_set() and self._process.pid is not None:
            self._process.pause()
            if self._switches_at_first is None:
                self._switches_at_first = _switches(self._process.pid)
            ran_s = time.monotonic() - resumed_s
            self._end.wait(min(self._stopped_s_max, ran_s * (self._slow_factor - 1)))
            resumed_s = time.monotonic()
            self._process.resume()
            self._end.wait(runs_s)
        self._process.resume()


def _switches(pid: int | None) -> int:
    """How often the kernel has taken the processor from a process, or got it back: it grows only while the process runs."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if "_ctxt_switches" in line)
