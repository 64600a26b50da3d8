"""What happens to a printer in a rush: the roll ends, the cutter jams, it hangs, somebody pulls its plug.

It is done by the printer's own operator route, and proven by what the printer then says and does.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from chaos.faults.base import Effect, FaultError, Target
from refsystem.ordering.printer_status import parse_status
from refsystem.ordering.slip import STATUS_REQUESTS
from refsystem.partners.receipt_printer.settings import ROLL_LINES
from refsystem.settings import HOST
from refsystem.stack import Stack
from refsystem.stack_printer import PAPER_PORT

TIMEOUT_S = 5.0
SILENCE_S = 0.5

BREAKS: dict[str, dict[str, Any]] = {
    "paper_out": {"paper_lines": 0},
    "jam": {"jammed": True},
    "cover_open": {"cover_open": True},
    "hang": {"hanging": True},
    "off": {"power": False},
}
CURES: dict[str, dict[str, Any]] = {
    "paper_out": {"paper_lines": ROLL_LINES},
    "jam": {"jammed": False},
    "cover_open": {"cover_open": False},
    "hang": {"hanging": False},
    "off": {"power": True},
}


class PrinterTroubled:
    """A printer in one trouble, until somebody puts it right."""

    def __init__(self, stack: Stack, name: str, trouble: str, target: Target) -> None:
        self.target = target
        self._stack = stack
        self._name = name
        self._trouble = trouble

    async def begin(self) -> None:
        """Break it; raises `FaultError` if the printer cannot be told."""
        await self._change(BREAKS[self._trouble])

    async def prove(self) -> Effect:
        """What it says of itself and, where it is to say nothing, that it is silent."""
        return await self._effect()

    async def held(self) -> Effect:
        """It is still so at the end."""
        return await self._effect()

    async def undo(self) -> str:
        """Put it right; raises `FaultError` if it does not say so."""
        told = await self._change(CURES[self._trouble])
        if any(told[name] != value for name, value in CURES[self._trouble].items() if name != "paper_lines"):
            raise FaultError(f"the printer stays in trouble: {told}")
        return f"somebody put it right: {self._trouble} is over, {told['paper_lines']} lines of paper"

    async def _effect(self) -> Effect:
        told = await self._ask()
        if self._trouble in ("hang", "off"):
            is_so = bool(told["hanging"]) if self._trouble == "hang" else not told["power"]
            silent, how = await self._silent()
            return Effect(is_so and silent, f"the printer is {'hanging' if told['hanging'] else 'off'}; {how}")
        said = parse_status(bytes(told["status"])).trouble
        return Effect(said is not None, f"the printer says: {said or 'ready'}; status {bytes(told['status']).hex(' ')}")

    async def _silent(self) -> tuple[bool, str]:
        """Whether a status request is answered by nobody."""
        try:
            async with asyncio.timeout(SILENCE_S):
                reader, writer = await asyncio.open_connection(HOST, self._stack.port(f"{self._name}.{PAPER_PORT}"))
        except (OSError, TimeoutError) as error:
            return True, f"it takes no connection ({type(error).__name__})"
        try:
            writer.write(STATUS_REQUESTS)
            async with asyncio.timeout(SILENCE_S):
                answer = await reader.read(1)
        except (OSError, TimeoutError) as error:
            return True, f"a status request is not answered ({type(error).__name__})"
        finally:
            writer.transport.abort()
        return not answer, "a status request is answered" if answer else "it hangs up"

    async def _ask(self) -> dict[str, Any]:
        return await self._request("GET", None)

    async def _change(self, condition: dict[str, Any]) -> dict[str, Any]:
        return await self._request("PATCH", condition)

    async def _request(self, method: str, body: dict[str, Any] | None) -> dict[str, Any]:
        url = f"{self._stack.url(self._name)}/v1/operator/condition"
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as http:
                answer = await http.request(method, url, json=body)
            answer.raise_for_status()
            told: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise FaultError(f"the printer's operator route does not answer ({type(error).__name__})") from error
        return told
