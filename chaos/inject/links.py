"""Links of the user's own on a Toxiproxy server: weakened and cut beside whatever toxics are there, and put back as they were."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.base import Effect, FaultError, Target
from chaos.faults.held_proxy import HeldProxy, Share, undisturbed, weakness
from chaos.faults.networks import Direction
from chaos.faults.probes import ANSWER_BYTES_MAX, SILENCE_PROBE_S, Exchange
from chaos.faults.toxics import Toxic, least_latency_ms, least_transfer_ms
from chaos.faults.toxiproxy import Attached, ProxyServer
from chaos.inject.targets import LinkTarget
from simulator.network import LinkProfile

PROBE_TIMEOUT_S = 10.0
PROBES = 3
REST_TIMEOUT_S = 0.5
"""How long the rest of an answer is waited for."""
SLACK_MS = 1.0
_KIND = "own"


@dataclass
class OwnLink:
    """A link: its proxy as it was found, how it is probed, and what a probe took before any fault (None: no answer)."""

    name: str
    target: LinkTarget
    found: Attached
    proxy: HeldProxy
    before_ms: float | None = None

    async def time_before(self) -> None:
        """See what a probe takes while nothing is wrong: the shortest of a few."""
        took_ms = [await self.probe_ms()]
        while took_ms[-1] is not None and len(took_ms) < PROBES:
            took_ms.append(await self.probe_ms())
        self.before_ms = min((each for each in took_ms if each is not None), default=None)

    def check_answers(self) -> None:
        """Raises `FaultError` if it did not answer before: nothing would be seen of a fault."""
        if self.before_ms is None:
            raise FaultError(f"{self.name} answered no probe before, so that nothing would be seen of a fault on it")

    async def probe_ms(self, timeout_s: float = PROBE_TIMEOUT_S) -> float | None:
        """The time of one exchange over the link, in ms; None if there was no answer in time or no connection."""
        found = await self.exchange(timeout_s)
        return None if found is None else found.took_ms

    async def exchange(self, timeout_s: float = PROBE_TIMEOUT_S) -> Exchange | None:
        """One exchange over the link, as far as it was answered; None if there was no answer in time or no connection."""
        began_s, asked = time.monotonic(), self._asked()
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(self.found.host, self.found.port)
                try:
                    writer.write(asked)
                    received_bytes, at_s = await self._answer(reader)
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return None
        return Exchange((at_s - began_s) * 1000, len(asked), received_bytes) if received_bytes else None

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, float]:
        """How many bytes came, and when the last of them. What is not HTTP may not end: there the first will do."""
        received_bytes, at_s = len(await reader.read(ANSWER_BYTES_MAX)), time.monotonic()
        while received_bytes < ANSWER_BYTES_MAX and self.target.send is None:
            try:
                part = await asyncio.wait_for(reader.read(ANSWER_BYTES_MAX), REST_TIMEOUT_S)
            except (OSError, TimeoutError):
                break
            if not part:
                break
            received_bytes, at_s = received_bytes + len(part), time.monotonic()
        return received_bytes, at_s

    def _asked(self) -> bytes:
        if self.target.send is not None:
            return self.target.send.encode()
        return f"GET {self.target.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def restore(server: ProxyServer, proxy: str, names: Sequence[str], *, reopen: bool) -> None:
    """Take toxics off that an inject has left, those that are there, and open the proxy if it is to be. Blocks."""
    for name in server.toxic_names(proxy):
        if name in names:
            server.remove_toxic(proxy, name)
    if reopen:
        server.set_enabled(proxy, True)


class OwnLinkWeakened:
    """A link gets the toxics of a profile, beside those that it has."""

    def __init__(self, link: OwnLink, profile: LinkProfile, prefix: str, target: Target) -> None:
        self.target = target
        self._link = link
        self._profile = profile
        self._share = weakness(profile)
        self._prefix = f"{prefix}_"
        self.names = [self._prefix + toxic.name for toxic in self._share.toxics]

    async def begin(self) -> None:
        """Add the toxics; raises `FaultError` if the link did not answer before."""
        self._link.check_answers()
        await asyncio.to_thread(self._link.proxy.begin, self, self._share, self._prefix)

    async def prove(self) -> Effect:
        """The server lists the toxics, and an exchange takes what it took before and what the profiles on the link add.

        Of a few exchanges one has to: what was on the link before may have made those before it slow by chance.
        """
        for _ in range(PROBES):
            effect = await self._prove_once()
            if effect.proven:
                break
        return effect

    async def held(self) -> Effect:
        """The server lists the toxics at the end, too."""
        missing = await asyncio.to_thread(self._link.proxy.missing, self)
        if missing:
            return Effect(False, f"at the end the server did not list {', '.join(missing)}")
        return Effect(True, "at the end the server still listed them")

    async def undo(self) -> str:
        """Take off what was put on."""
        await asyncio.to_thread(self._link.proxy.end, self)
        return "the toxics are off"

    async def _prove_once(self) -> Effect:
        seen = await undisturbed(self._link.proxy, self, self._link.exchange)
        missing = await asyncio.to_thread(self._link.proxy.missing, self)
        before_ms = self._link.before_ms or 0.0
        if seen is None:
            return Effect(False, f"other faults came, went or cut {self._link.name} while it was probed")
        found, condition = seen
        if found is None:
            return Effect(False, f"a probe of {self._link.name} got no answer ({before_ms:.0f} ms before)")
        profiles = condition.profiles or [self._profile]
        transfers_ms = [least_transfer_ms(each, found.sent_bytes, found.received_bytes) for each in profiles]
        least_ms = sum(least_latency_ms(each, _KIND) for each in profiles) + max(before_ms, *transfers_ms)
        times = f"{found.took_ms:.0f} ms ({before_ms:.0f} ms before), at least {least_ms:.0f} ms were expected"
        lists = "the server does not list all toxics" if missing else "the server lists the toxics"
        as_wished = not missing and found.took_ms + SLACK_MS >= least_ms
        return Effect(as_wished, f"a probe of {self._link.name} took {times}; {lists}")


class OwnLinkCut:
    """A link carries nothing: its proxy is closed, or swallows one direction."""

    def __init__(self, link: OwnLink, direction: Direction, prefix: str, target: Target) -> None:
        self.target = target
        self._link = link
        stream = {"to": "upstream", "from": "downstream"}.get(direction)
        self._share = Share(closes=True) if stream is None else Share((Toxic("timeout", stream, {"timeout": 0}),))
        self._prefix = f"{prefix}_"
        self.names = [self._prefix + toxic.name for toxic in self._share.toxics]

    async def begin(self) -> None:
        """Cut; raises `FaultError` if the link did not answer before."""
        self._link.check_answers()
        await asyncio.to_thread(self._link.proxy.begin, self, self._share, self._prefix)

    async def prove(self) -> Effect:
        """A probe gets no answer, by no other fault's doing, and the server says that the link is cut."""
        seen = await undisturbed(self._link.proxy, self, lambda: self._link.probe_ms(SILENCE_PROBE_S))
        if seen is None:
            return Effect(False, f"other faults came, went or cut {self._link.name} while it was probed")
        return await self._told(seen[0])

    async def held(self) -> Effect:
        """A probe gets no answer at the end, too."""
        effect = await self._told(await self._link.probe_ms(SILENCE_PROBE_S))
        return Effect(effect.proven, f"at the end {effect.evidence}")

    async def undo(self) -> str:
        """Open it as it was."""
        await asyncio.to_thread(self._link.proxy.end, self)
        return "the link is open again"

    async def _told(self, took_ms: float | None) -> Effect:
        if took_ms is not None:
            return Effect(False, f"a probe of {self._link.name} was answered after {took_ms:.0f} ms")
        missing = await asyncio.to_thread(self._link.proxy.missing, self)
        if missing:
            return Effect(False, f"the proxy of {self._link.name} does not have {', '.join(missing)}")
        return Effect(True, f"no probe of {self._link.name} was answered")
