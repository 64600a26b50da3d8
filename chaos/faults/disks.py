"""Faults of a disk under a live process, through the file system of its store: full, slow, erring, dead.

The process is told by its control file (see `refsystem.drill_control`), and it writes down itself what became of each operation:
that is the proof. What a process does about it is its own affair: one that ended by itself is started again at the end.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx

from chaos.faults.base import Effect, FaultError, Target
from refsystem import drill_control
from refsystem.drill_control import Control, DiskTrouble
from refsystem.processes import PythonProcess, StackError
from refsystem.stack import Stack

PROOF_TIMEOUT_S = 5.0
FRESH_S = 2.0
LOOK_EVERY_S = 0.03
BACK_TIMEOUT_S = 30.0
ERRORS = {"full": "ENOSPC", "write_erring": "EIO", "sync_erring": "EIO", "read_erring": "EIO", "dead": "EIO"}

Json = dict[str, Any]


class DiskTroubled:
    """The disk of a process is in trouble until the end of the fault."""

    def __init__(self, stack: Stack, process: PythonProcess, trouble: DiskTrouble, target: Target) -> None:
        self.target = target
        self._stack = stack
        self._process = process
        self._trouble = trouble
        self._control = Control(stack.control_path(process.name))
        self._began_us = 0
        self._begun = False
        self._pid: int | None = None

    async def begin(self) -> None:
        """Say so in the control file; raises `FaultError` if nobody would look at it."""
        self._pid = self._process.pid
        if self._pid is None:
            raise FaultError(f"{self._process.name} does not run, so its disk cannot be troubled")
        if not self._stack.settings.controlled:
            raise FaultError(f"{self._process.name} was started without a control file for its disk")
        self._began_us = time.monotonic_ns() // 1000
        self._begun = True
        drill_control.change(self._control.path, disk=self._trouble)

    async def prove(self) -> Effect:
        """The process has written down that an operation of its own failed, or took as long as it should."""
        deadline_s = time.monotonic() + PROOF_TIMEOUT_S
        while not (struck := self._struck(self._began_us)):
            if time.monotonic() > deadline_s:
                return Effect(False, f"{self._process.name} has told of no operation that failed or was slow")
            await asyncio.sleep(LOOK_EVERY_S)
        first = next((row for row in struck if row["operation"] != "probe"), struck[0])
        return Effect(True, f"in {self._process.name}, {first['operation']} of {first['file']}: {first['outcome']}")

    async def held(self) -> Effect:
        """It was so to the end, or until the process ended by itself."""
        struck = self._struck(self._began_us)
        stores = sum(row["operation"] != "probe" and row["file"] != "probe" for row in struck)
        told = f"{len(struck)} operations were struck, {stores} of them the store's own"
        if self._process.pid is None:
            return Effect(bool(struck), f"{told}; it ended by itself, with exit code {self._process.exit_code}")
        fresh = self._struck(time.monotonic_ns() // 1000 - round((FRESH_S + self._trouble.delay_ms / 1000) * 1e6))
        return Effect(bool(fresh), f"{told}; it lives" + ("" if fresh else ", and none was struck at the end"))

    async def undo(self) -> str:
        """The disk is well again; a process that has ended is started, and answers."""
        if not self._begun:
            return "nothing to undo: the disk was not touched"
        drill_control.change(self._control.path, disk=None)
        started = await self._start_again()
        return f"the disk of {self._process.name} is well again{started}"

    async def _start_again(self) -> str:
        if self._process.pid is not None:
            return ""
        code = self._process.exit_code
        self._process.start()
        await self._process.wait_ready(BACK_TIMEOUT_S)
        return f"; it had ended with exit code {code} and was started again (process {self._process.pid})"

    def _struck(self, since_us: int) -> list[Json]:
        """The operations since then that show this trouble, as the process has written them down."""
        try:
            lines = self._control.told_path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        rows: list[Json] = [json.loads(line) for line in lines]
        return [row for row in rows if row["at_us"] >= since_us and self._shows(row)]

    def _shows(self, row: Json) -> bool:
        if row["state"] != self._trouble.state:
            return False
        if self._trouble.state != "slow":
            return bool(row["outcome"] == ERRORS[self._trouble.state])
        words = str(row["outcome"]).split()
        if words[0] == "slow":  # a sync of the store's own
            return bool(row["file"] != "probe")
        return words[0] == "took" and float(words[1]) >= self._trouble.delay_ms


class DiskDied(DiskTroubled):
    """A disk dies under its device. At the end the device gets an empty one, and is a new node."""

    def __init__(self, stack: Stack, process: PythonProcess, target: Target) -> None:
        super().__init__(stack, process, DiskTrouble("dead"), target)

    async def undo(self) -> str:
        """End the device if it has not ended itself, take its files away, and start it empty; nothing if it was spared."""
        if not self._begun:
            return "nothing to undo: the disk was not touched"
        ended = f"had ended itself with exit code {self._process.exit_code}"
        if self._process.pid is not None:
            await asyncio.to_thread(self._process.kill)
            ended = "had not ended itself and was killed"
        await asyncio.to_thread(self._stack.remove_data, self._process.name)
        drill_control.change(self._control.path, disk=None)
        await self._start_again()
        node_id = await self._node_id()
        if node_id in self.target.disk_lost_node_ids:
            raise StackError(f"{self._process.name} came back as {node_id}: its disk was not replaced")
        return f"{self._process.name} {ended}; with an empty disk it is now node {node_id}"

    async def _node_id(self) -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
            try:
                answer = (await http.get(f"{self._stack.url(self._process.name)}/v1/status")).raise_for_status()
            except httpx.HTTPError as error:
                raise StackError(f"{self._process.name} does not tell its status ({type(error).__name__})") from error
        return str(answer.json()["node_id"])
