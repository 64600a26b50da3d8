"""Faults of links: weak, or down both ways or one way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from chaos.faults.base import Effect, Target
from chaos.faults.held_proxy import undisturbed, weakness
from chaos.faults.networks import Direction, Links, carries, cut
from chaos.faults.probes import PROBE_TIMEOUT_S, SILENCE_PROBE_S, STALLING_PROBE_TIMEOUT_S, Exchange, listens
from chaos.faults.toxics import least_of_all_ms, stalls
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
        """Put the toxics on."""
        await asyncio.to_thread(self._links.begin, self, self._hit, lambda link: weakness(self._profile))

    async def prove(self) -> Effect:
        """The proxy of every link lists the toxics, and an exchange takes at least what all that is on the link says.

        Only an exchange counts during which no other fault cuts the link, comes or goes.
        """
        effects = await asyncio.gather(*(self._prove_one(link) for link in self._hit))
        return next((effect for effect in effects if not effect.proven), effects[0])

    async def held(self) -> Effect:
        """The proxy of every link lists the toxics at the end, too."""
        missing = await asyncio.to_thread(self._links.missing, self, self._hit)
        if missing is not None:
            return Effect(False, f"at the end {missing}")
        return Effect(True, "at the end its proxies still listed them")

    async def undo(self) -> str:
        """Take off what was put on: back to the standing state, if no other fault stands in its place."""
        await asyncio.to_thread(self._links.end, self)
        return "standing state restored"

    async def _prove_one(self, link: Link) -> Effect:
        timeout_s = STALLING_PROBE_TIMEOUT_S if stalls(self._profile) else PROBE_TIMEOUT_S

        async def look() -> Exchange | None:
            return await self._links.exchange(link, timeout_s, self._profile.rate_to_kbit_s)

        seen = await undisturbed(self._links.proxy(link), self, look)
        missing = await asyncio.to_thread(self._links.missing, self, [link])
        listed = await asyncio.to_thread(self._links.proxy(link).toxic_names)
        toxics = f"its proxy lists {', '.join(listed) or 'no toxics'}"
        if seen is None:
            return Effect(False, f"other faults came, went or cut {link.name} while it was probed; {toxics}")
        found, condition = seen
        if found is None:
            return Effect(False, f"a probe of {link.name} got no answer; {toxics}")
        profiles = condition.profiles or [self._profile]
        least_ms = least_of_all_ms(profiles, link.kind, found.sent_bytes, found.received_bytes)
        took = f"a probe of {link.name} took {found.took_ms:.0f} ms, at least {least_ms:.0f} ms were to be expected"
        return Effect(missing is None and found.took_ms >= least_ms, f"{took}; {toxics}")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A probe of a cut link: what it took (None: no answer), and whether somebody listened behind the link before and after.

    With nobody there neither silence nor a hang-up says anything.
    """

    link: Link
    took_ms: float | None
    listening: bool

    @property
    def silent(self) -> bool:
        return self.listening and self.took_ms is None

    @property
    def answered(self) -> bool:
        return self.listening and self.took_ms is not None

    def __str__(self) -> str:
        if not self.listening:
            return f"a probe of {self.link.name} proves nothing: nobody listened behind it"
        took = "was not answered" if self.took_ms is None else f"was answered after {self.took_ms:.0f} ms"
        return f"a probe of {self.link.name} {took}"


class LinkCut:
    """A link carries nothing."""

    def __init__(self, links: Links, hit: list[Link], direction: Direction, target: Target) -> None:
        self.target = target
        self._links = links
        self._hit = hit
        self._direction = direction

    async def begin(self) -> None:
        """Close the proxies, or swallow one direction."""
        await asyncio.to_thread(self._links.begin, self, self._hit, lambda link: cut(link, self._direction))

    async def prove(self) -> Effect:
        """A probe gets no answer though somebody listens behind the link, and no other fault cuts it.

        Of several links one has to show it, and none the contrary; otherwise again, until `UPSTREAM_BACK_S` are over.
        """
        links = self._cut_links()
        deadline_s = time.monotonic() + UPSTREAM_BACK_S
        while True:
            found = await asyncio.gather(
                *(undisturbed(self._links.proxy(link), self, partial(self._look, link)) for link in links)
            )
            seen = [each[0] for each in found if each is not None]
            if any(each.listening for each in seen) or time.monotonic() > deadline_s:
                break
            await asyncio.sleep(UPSTREAM_LOOK_S)
        if not seen:
            return Effect(False, f"other faults came, went or cut {links[0].name} while it was probed")
        return await self._judged(seen, proven=any(each.silent for each in seen))

    async def held(self) -> Effect:
        """A probe gets no answer at the end, too; where nobody listens, what the proxies say must do."""
        seen = await asyncio.gather(*(self._look(link) for link in self._cut_links()))
        effect = await self._judged(seen, proven=True)
        return Effect(effect.proven, f"at the end {effect.evidence}")

    async def undo(self) -> str:
        """Back to the standing state, or to what other faults still hold."""
        await asyncio.to_thread(self._links.end, self)
        return "link open again"

    async def _judged(self, seen: Sequence[_Seen], *, proven: bool) -> Effect:
        """Not proven if a probe was answered, or a proxy does not list the cut."""
        answered = [each for each in seen if each.answered]
        if answered:
            return Effect(False, str(answered[0]))
        missing = await asyncio.to_thread(self._links.missing, self, self._cut_links())
        if missing is not None:
            return Effect(False, missing)
        silent = ", ".join(each.link.name for each in seen if each.silent)
        told = [f"no probe of {silent} was answered"] if silent else []
        return Effect(proven, "; ".join([*told, *(str(each) for each in seen if not each.listening)]))

    async def _look(self, link: Link) -> _Seen:
        before = await listens(link.upstream_host, link.upstream_port)
        took_ms = await self._links.probe_ms(link, SILENCE_PROBE_S)
        return _Seen(link, took_ms, before and await listens(link.upstream_host, link.upstream_port))

    def _cut_links(self) -> list[Link]:
        """A one-way cut between the devices closes one of the two connections."""
        if self._direction == "both" or self._hit[0].kind != "edge_edge":
            return self._hit
        return [link for link in self._hit if carries(link, self._direction)]
