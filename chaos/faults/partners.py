"""A partner of the chain does things wrong for a while, by its operator's route; it counts what has struck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from chaos.faults.base import Effect, FaultError, Target
from refsystem.stack import Stack

ROUTE = "/v1/operator/misbehaviour"
ANSWER_TIMEOUT_S = 5.0
PATIENCE_S = 5.0
AGAIN_S = 0.1


class PartnerMisbehaving:
    """Adds `rules` to what the partner does wrong anyway, drawn from `seed`; afterwards it does again what it did before."""

    def __init__(
        self, stack: Stack, process: str, rules: Sequence[Mapping[str, Any]], seed: int, target: Target
    ) -> None:
        self.target = target
        self._stack = stack
        self._process = process
        self._rules = [dict(rule) for rule in rules]
        self._seed = seed
        self._before: dict[str, Any] | None = None
        self._struck_before: dict[str, int] = {}

    async def begin(self) -> None:
        """Give it the new plan; raises `FaultError` if it does not take it."""
        told = await self._first_answer()
        self._before, self._struck_before = told["plan"], told["struck"]
        await self._ask("PUT", {"seed": self._seed, "rules": [*self._rules, *told["plan"]["rules"]]})

    async def prove(self) -> Effect:
        """The partner says that it goes by this plan now."""
        rules = (await self._ask("GET"))["plan"]["rules"]
        kinds = [rule["kind"] for rule in rules[: len(self._rules)]]
        wanted = [rule["kind"] for rule in self._rules]
        return Effect(kinds == wanted, f"{self._process} goes by {len(rules)} rules, first {', '.join(kinds)}")

    async def held(self) -> Effect:
        """Each kind of its rules has struck since."""
        struck = (await self._ask("GET"))["struck"]
        kinds = sorted({str(rule["kind"]) for rule in self._rules})
        risen = {kind: struck.get(kind, 0) - self._struck_before.get(kind, 0) for kind in kinds}
        told = ", ".join(f"{kind} {count} times" for kind, count in risen.items())
        return Effect(all(count > 0 for count in risen.values()), f"it struck: {told}")

    async def undo(self) -> str:
        """Let it do what it did before; raises `FaultError` if it cannot be told so."""
        if self._before is None:
            return "nothing to undo"
        told = await self._ask("PUT", self._before)
        return f"{self._process} goes by {len(told['plan']['rules'])} rules again"

    async def _first_answer(self) -> dict[str, Any]:
        """What it says now; one that was started again just now is given a moment."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self._ask("GET")
            except FaultError:
                if time.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(AGAIN_S)

    async def _ask(self, method: str, body: Any = None) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S) as http:
                answer = await http.request(method, f"{self._stack.url(self._process)}{ROUTE}", json=body)
                answer.raise_for_status()
                told: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise FaultError(f"{self._process} cannot be told to misbehave: {error or type(error).__name__}") from error
        return told
