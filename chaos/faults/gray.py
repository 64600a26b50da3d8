"""A gray failure on the way: some requests over a link are answered with an error, while all others pass.

So a health check finds nothing wrong while orders fail. The proxy of the link answers in place of the upstream
(toxic `http_status`).
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any

import httpx

from chaos.faults.base import Effect, Target
from chaos.faults.held_proxy import Share, undisturbed
from chaos.faults.networks import Links
from chaos.faults.toxics import Toxic
from refsystem.stack import Link, Stack

INJECTED_TYPE = "urn:rushproof:problem:injected"
PROBE_TIMEOUT_S = 2.0
PROBES_MIN = 3
PROBES_MAX = 300
MISSED_ALL = 1e-4
"""How likely it may be that no probe is among those that fail, though the share is right."""


@dataclass(frozen=True, slots=True)
class Failing:
    """Which requests fail, and how. `method` None: of any method."""

    path: str
    method: str | None
    status: int
    share: float

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the toxic that the proxy is asked for."""
        problem = {"type": INJECTED_TYPE, "title": "Injected by a drill", "status": self.status}
        method = {} if self.method is None else {"method": self.method}
        answer = {"status": self.status, "body": json.dumps(problem), "content_type": "application/problem+json"}
        return {"path": self.path, "share": self.share, **method, **answer}

    @property
    def probes(self) -> int:
        """How many requests show it."""
        if self.share == 1:
            return PROBES_MIN
        return min(PROBES_MAX, max(PROBES_MIN, math.ceil(math.log(MISSED_ALL) / math.log(1 - self.share))))

    @property
    def spares_health(self) -> bool:
        """Whether `GET /health` passes."""
        return not ("/health".startswith(self.path) and self.method in (None, "GET"))

    def __str__(self) -> str:
        return f"{self.method or 'requests'} {self.path}"


class HttpErrors:
    """Requests that fail, on every one of some links."""

    def __init__(self, links: Links, stack: Stack, hit: list[Link], failing: Failing, target: Target) -> None:
        self.target = target
        self._links = links
        self._stack = stack
        self._hit = hit
        self._failing = failing

    async def begin(self) -> None:
        """Put the toxic on the links."""
        toxic = Toxic("http_status", "downstream", self._failing.attributes)
        await asyncio.to_thread(self._links.begin, self, self._hit, lambda link: Share((toxic,)))

    async def prove(self) -> Effect:
        """Real requests over every link get the error, by its status and the words of ours in it; `GET /health` does not.

        A request of ours that passes does nothing: it has no key, no body and no meaning.
        """
        effects = await asyncio.gather(*(self._prove_one(link) for link in self._hit))
        return next((effect for effect in effects if not effect.proven), effects[0])

    async def held(self) -> Effect:
        """It is so at the end too."""
        return await self.prove()

    async def undo(self) -> str:
        """Every request passes again, as far as the link lets it."""
        await asyncio.to_thread(self._links.end, self)
        return "requests pass again"

    async def _prove_one(self, link: Link) -> Effect:
        seen = await undisturbed(self._links.proxy(link), self, lambda: self._look(link))
        if seen is None:
            return Effect(False, f"other faults came, went or cut {link.name} while it was probed")
        missing = await asyncio.to_thread(self._links.missing, self, [link])
        return seen[0] if missing is None else Effect(False, f"{seen[0].evidence}; {missing}")

    async def _look(self, link: Link) -> Effect:
        url, failing = self._stack.link_url(link.name), self._failing
        async with httpx.AsyncClient(trust_env=False, timeout=PROBE_TIMEOUT_S) as http:
            sent = [
                await self._is_answered(http, failing.method or "GET", url + failing.path)
                for _ in range(failing.probes)
            ]
            health = await self._is_answered(http, "GET", f"{url}/health")
        share = f"{sum(answered is True for answered in sent)} of {len(sent)} probes of {failing} over {link.name}"
        told = f"{share} were answered {failing.status} on their way; GET /health "
        if health is None:
            return Effect(False, f"{told}got no answer")
        as_wished = any(answered is True for answered in sent) and health is not failing.spares_health
        return Effect(as_wished, told + ("failed too" if health else "passed"))

    async def _is_answered(self, http: httpx.AsyncClient, method: str, url: str) -> bool | None:
        """Whether this request got the error of ours; None if it got no answer at all."""
        try:
            answer = await http.request(method, url)
        except httpx.HTTPError:
            return None
        return answer.status_code == self._failing.status and (method == "HEAD" or INJECTED_TYPE in answer.text)
