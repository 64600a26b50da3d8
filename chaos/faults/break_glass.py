"""Breaking glass (P19): not a fault but what a person does after one. The device that is left is named."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from chaos.faults.base import Effect, FaultError, Target
from refsystem.stack import Stack
from refsystem.stack_settings import SLOTS

WHO = "rushproof drill"
RETRY_S = 0.2
ANSWER_TIMEOUT_S = 5.0


class BreakGlass:
    """Asks the device that is no member to go on, and waits until it is primary or `limit_s` is over."""

    def __init__(
        self, stack: Stack, store: str, why: str, target: Target, *, without_cloud: bool, limit_s: float
    ) -> None:
        self.target = target
        self._stack = stack
        self._store = store
        self._why = why
        self._without_cloud = without_cloud
        self._deadline_s = time.monotonic() + limit_s
        self._survivor = ""

    async def begin(self) -> None:
        """Say the word. The store may need a moment to be where it helps; raises `FaultError` if it never is."""
        refusal = "no device answers"
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S) as http:
            while time.monotonic() < self._deadline_s:
                for name, register in (await self._registers(http)).items():
                    word = {
                        "off": register["members"],
                        "who": WHO,
                        "why": self._why,
                        "without_cloud": self._without_cloud,
                    }
                    headers = self._stack.operator_headers(self._store)
                    answer = await http.post(f"{self._stack.url(name)}/v1/break-glass", json=word, headers=headers)
                    if answer.status_code == 202:
                        self._survivor = name
                        self.target.resolved = name.removeprefix(f"{self._store}.")
                        self.target.off_node_ids += [str(node_id) for node_id in register["members"]]
                        return
                    refusal = f"{name} answers {answer.status_code}: {answer.json().get('detail', '')}"
                await asyncio.sleep(RETRY_S)
        raise FaultError(f"the glass could not be broken: {refusal}")

    async def prove(self) -> Effect:
        """The device has become primary, and its log holds the record of the fork."""
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S) as http:
            while True:
                status = await self._status(http, self._survivor)
                if status is not None and status["role"] == "primary" and status["forks"]:
                    fork = status["forks"][-1]
                    where = f"another branch may differ from entry {fork['from_seq']} on"
                    return Effect(True, f"{status['node_id']} goes on at epoch {status['epoch']}; {where}")
                if time.monotonic() > self._deadline_s:
                    told = (
                        "it does not answer" if status is None else f"it is {status['role']}, {status['break_glass']}"
                    )
                    return Effect(False, f"{self._survivor} did not become primary: {told}")
                await asyncio.sleep(RETRY_S)

    async def undo(self) -> str:
        """A person's word is not taken back."""
        return "nothing to undo"

    async def _registers(self, http: httpx.AsyncClient) -> dict[str, Any]:
        """The register as devices that are no members read it, by the name of the process."""
        found = {}
        for slot in SLOTS:
            name = f"{self._store}.edge_{slot}"
            status = await self._status(http, name)
            if status is not None and status["register"] and status["node_id"] not in status["register"]["members"]:
                found[name] = status["register"]
        return found

    async def _status(self, http: httpx.AsyncClient, name: str) -> dict[str, Any] | None:
        try:
            status: dict[str, Any] = (await http.get(f"{self._stack.url(name)}/v1/status")).raise_for_status().json()
        except httpx.HTTPError:
            return None
        return status
