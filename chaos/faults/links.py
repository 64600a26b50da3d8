"""Faults of links: weak, or down both ways or one way."""

from __future__ import annotations

import asyncio
import time

from chaos.faults.base import Effect, Target
from chaos.faults.networks import (
    PROBE_TIMEOUT_S,
    SILENCE_PROBE_S,
    STALLING_PROBE_TIMEOUT_S,
    Direction,
    Links,
    carries,
    least_round_trip_ms,
    stalls,
    toxics_of,
)
from refsystem.stack import Link
from simulator.network import LinkProfile

UPSTREAM_BACK_S = 10.0
"""How long a proof waits for a process that was killed or restarted beside the cut."""
UPSTREAM_LOOK_S = 0.1


class LinkWeakened:
    """A link gets a profile in place of its standing state."""

    def __init__(self, links: Links, hit: list[Link], profile: LinkProfile, target: Target) -> None:
        self.target = target
        self._links = links
        self._hit = hit
        self._profile = profile

    async def begin(self) -> None:
        """Change the toxics."""
        await asyncio.to_thread(self._links.weaken, self._hit, self._profile)

    async def prove(self) -> Effect:
        """The proxy of every link lists the toxics, and a round trip takes at least what the profile says."""
        effects = await asyncio.gather(*(self._prove_one(link) for link in self._hit))
        return next((effect for effect in effects if not effect.proven), effects[0])

    async def _prove_one(self, link: Link) -> Effect:
        least_ms = least_round_trip_ms(self._profile, link.kind)
        timeout_s = STALLING_PROBE_TIMEOUT_S if stalls(self._profile) else PROBE_TIMEOUT_S
        took_ms = await self._links.probe_ms(link, timeout_s)
        listed = await asyncio.to_thread(self._links.toxic_names, link)
        toxics = f"its proxy lists {', '.join(listed) or 'no toxics'}"
        if took_ms is None:
            return Effect(False, f"a probe of {link.name} got no answer; {toxics}")
        took = f"a probe of {link.name} took {took_ms:.0f} ms, at least {least_ms:.0f} ms were to be expected"
        as_wished = {toxic.name for toxic in toxics_of(self._profile)} <= set(listed)
        return Effect(as_wished and took_ms >= least_ms, f"{took}; {toxics}")

    async def undo(self) -> str:
        """Back to the standing state."""
        await asyncio.to_thread(self._links.weaken, self._hit, None)
        return "standing state restored"


class LinkCut:
    """A link carries nothing."""

    def __init__(self, links: Links, hit: list[Link], direction: Direction, target: Target) -> None:
        self.target = target
        self._links = links
        self._hit = hit
        self._direction = direction

    async def begin(self) -> None:
        """Close the proxies, or swallow one direction."""
        await asyncio.to_thread(self._links.cut, self._hit, self._direction)

    async def prove(self) -> Effect:
        """A probe gets no answer. A hang-up says nothing unless somebody listens behind the link before and after: then again."""
        links = self._cut_links()
        deadline_s = time.monotonic() + UPSTREAM_BACK_S
        while True:
            listening = all(await asyncio.gather(*(_listens(link) for link in links)))
            times_ms = await asyncio.gather(*(self._links.probe_ms(link, SILENCE_PROBE_S) for link in links))
            if all(took_ms is None for took_ms in times_ms) or time.monotonic() > deadline_s:
                break
            if listening and all(await asyncio.gather(*(_listens(link) for link in links))):
                break
            await asyncio.sleep(UPSTREAM_LOOK_S)
        for link, took_ms in zip(links, times_ms, strict=True):
            if took_ms is not None:
                return Effect(False, f"a probe of {link.name} was answered after {took_ms:.0f} ms")
        return Effect(True, f"no probe of {', '.join(link.name for link in links)} was answered")

    async def undo(self) -> str:
        """Back to the standing state, or to a weakness that is still in force."""
        await asyncio.to_thread(self._links.cut, self._hit, None)
        return "link open again"

    def _cut_links(self) -> list[Link]:
        """A one-way cut between the devices closes one of the two connections."""
        if self._direction == "both" or self._hit[0].kind != "edge_edge":
            return self._hit
        return [link for link in self._hit if carries(link, self._direction)]


async def _listens(link: Link) -> bool:
    """Whether the end that the link leads to takes connections."""
    try:
        async with asyncio.timeout(SILENCE_PROBE_S):
            _, writer = await asyncio.open_connection(link.upstream_host, link.upstream_port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True
