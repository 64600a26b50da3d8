"""Faults of processes: killed, paused, restarted, without power, or without their disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from chaos.faults.base import Effect, Target
from chaos.faults.watching import StateWatch
from refsystem.processes import Managed, StackError, process_state
from refsystem.stack import Stack

BACK_TIMEOUT_S = 30.0


class Killed:
    """SIGKILL; started again at the end. A power cut is the same on files that lose what was not synced."""

    def __init__(self, stack: Stack, processes: Sequence[Managed], target: Target, *, power: bool = False) -> None:
        self.target = target
        self._stack = stack
        self._processes = list(processes)
        self._power = power
        self._pids: dict[str, int | None] = {}

    async def begin(self) -> None:
        """Kill all at once: power does not fail one process after another."""
        self._pids = {process.name: process.pid for process in self._processes}
        await asyncio.gather(*(asyncio.to_thread(process.kill) for process in self._processes))

    async def prove(self) -> Effect:
        """The processes are gone."""
        for name, pid in self._pids.items():
            if pid is None:
                return Effect(False, f"{name} did not run when it was to be killed")
            if process_state(pid) not in (None, "Z"):
                return Effect(False, f"{name} (process {pid}) still runs")
        gone = ", ".join(f"{name} (process {pid})" for name, pid in self._pids.items())
        if not self._power:
            return Effect(True, f"{gone} killed")
        if not self._stack.settings.volatile:
            return Effect(False, f"{gone} killed, but on files that survive a kill: not a power cut")
        return Effect(True, f"{gone} killed on files that hold in memory what was not synced")

    async def undo(self) -> str:
        """Start again and wait until each answers."""
        for process in self._processes:
            if process.pid is None:
                process.start()
        for process in self._processes:
            await process.wait_ready(BACK_TIMEOUT_S)
        return "started again: " + ", ".join(f"{process.name} (process {process.pid})" for process in self._processes)


class Restarted(Killed):
    """Killed and started again at once."""

    async def begin(self) -> None:
        """Kill, then start."""
        await super().begin()
        for process in self._processes:
            process.start()


class Paused:
    """SIGSTOP; goes on at the end as if nothing had happened."""

    def __init__(self, process: Managed, target: Target) -> None:
        self.target = target
        self._process = process
        self._watch: StateWatch | None = None

    async def begin(self) -> None:
        """Stop it."""
        self._process.pause()
        if self._process.pid is not None:
            self._watch = StateWatch(self._process.pid)
            self._watch.start()

    async def prove(self) -> Effect:
        """The kernel shows it stopped."""
        pid = self._process.pid
        state = process_state(pid) if pid is not None else None
        return Effect(state == "T", f"{self._process.name} (process {pid}) is in state {state}; T is stopped")

    async def held(self) -> Effect:
        """The kernel has shown it stopped whenever it was looked at."""
        assert self._watch is not None
        seen = self._watch.end()
        return Effect(seen.looks > 0 and seen.stopped == seen.looks, str(seen))

    async def undo(self) -> str:
        """Let it go on; raises `StackError` if it has ended meanwhile."""
        if self._watch is not None:
            self._watch.end()
        self._process.resume()
        if self._process.pid is None:
            raise StackError(f"{self._process.name} ended while it was paused")
        return f"{self._process.name} goes on"


class DiskLost(Killed):
    """A device is killed and its files are removed; it comes back empty, as a new node."""

    async def begin(self) -> None:
        """Kill and remove."""
        await super().begin()
        for process in self._processes:
            self._stack.remove_data(process.name)

    async def prove(self) -> Effect:
        """The process and its folder are gone."""
        effect = await super().prove()
        left = [process.name for process in self._processes if self._stack.data_folder(process.name).exists()]
        if left:
            return Effect(False, f"the files of {', '.join(left)} are still there")
        return Effect(effect.proven, f"{effect.evidence}; its files are gone")

    async def undo(self) -> str:
        """Start it empty; it must come back under another node_id."""
        done = await super().undo()
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
            for process in self._processes:
                try:
                    status = (await http.get(f"{self._stack.url(process.name)}/v1/status")).raise_for_status().json()
                except httpx.HTTPError as error:
                    raise StackError(f"{process.name} does not tell its status ({type(error).__name__})") from error
                if status["node_id"] in self.target.disk_lost_node_ids:
                    raise StackError(f"{process.name} came back as {status['node_id']}: its disk was not lost")
                done += f"; {process.name} is now node {status['node_id']}"
        return done
