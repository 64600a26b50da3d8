"""Links of the user's own on a Toxiproxy server: weakened and cut beside whatever toxics are there, and put back as they were."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.base import Effect, FaultError, Target
from chaos.faults.networks import SILENCE_PROBE_S, Direction, Toxic, least_round_trip_ms, toxics_of
from chaos.faults.toxiproxy import Attached, ProxyServer
from chaos.inject.targets import LinkTarget
from simulator.network import LinkProfile

PROBE_TIMEOUT_S = 10.0
SLACK_MS = 1.0
_KIND = "own"


@dataclass
class OwnLink:
    """A link: its proxy as it was found, how it is probed, and what a probe took before any fault (None: no answer)."""

    name: str
    target: LinkTarget
    found: Attached
    before_ms: float | None = None

    async def time_before(self) -> None:
        """See what a probe takes while nothing is wrong."""
        self.before_ms = await self.probe_ms()

    def check_answers(self) -> None:
        """Raises `FaultError` if it did not answer before: nothing would be seen of a fault."""
        if self.before_ms is None:
            raise FaultError(f"{self.name} answered no probe before, so that nothing would be seen of a fault on it")

    async def probe_ms(self, timeout_s: float = PROBE_TIMEOUT_S) -> float | None:
        """The time of one exchange over the link, in ms; None if there was no answer in time or no connection."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(self.found.host, self.found.port)
                try:
                    writer.write(self._asked())
                    answer = await reader.read(1)
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return None
        return (time.monotonic() - began_s) * 1000 if answer else None

    def _asked(self) -> bytes:
        if self.target.send is not None:
            return self.target.send.encode()
        return f"GET {self.target.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


class OwnLinks:
    """The proxies of a server; one call at a time."""

    def __init__(self, server: ProxyServer) -> None:
        self.server = server
        self._lock = threading.Lock()

    async def add(self, link: OwnLink, toxics: Sequence[Toxic], names: Sequence[str]) -> None:
        """Put toxics on a link, under these names."""

        def call() -> None:
            with self._lock:
                for toxic, name in zip(toxics, names, strict=True):
                    self.server.add_toxic(link.target.proxy, name, toxic.kind, toxic.stream, toxic.attributes)

        await asyncio.to_thread(call)

    async def restore(self, proxy: str, names: Sequence[str], *, enabled: bool | None) -> None:
        """Take toxics off, those that are there, and open the proxy if `enabled` says so."""

        def call() -> None:
            with self._lock:
                for name in self.server.toxic_names(proxy):
                    if name in names:
                        self.server.remove_toxic(proxy, name)
                if enabled is not None:
                    self.server.set_enabled(proxy, enabled)

        await asyncio.to_thread(call)

    async def set_enabled(self, proxy: str, enabled: bool) -> None:
        """Open or close a proxy."""

        def call() -> None:
            with self._lock:
                self.server.set_enabled(proxy, enabled)

        await asyncio.to_thread(call)

    async def listed(self, proxy: str) -> list[str]:
        """The toxics on a proxy, as the server lists them."""

        def call() -> list[str]:
            with self._lock:
                return self.server.toxic_names(proxy)

        return await asyncio.to_thread(call)


class OwnLinkWeakened:
    """A link gets the toxics of a profile, beside those that it has."""

    def __init__(self, links: OwnLinks, link: OwnLink, profile: LinkProfile, names: str, target: Target) -> None:
        self.target = target
        self._links = links
        self._link = link
        self._profile = profile
        self._toxics = toxics_of(profile)
        self.names = [f"{names}_{toxic.name}" for toxic in self._toxics]

    async def begin(self) -> None:
        """Add the toxics; raises `FaultError` if the link did not answer before."""
        self._link.check_answers()
        await self._links.add(self._link, self._toxics, self.names)

    async def prove(self) -> Effect:
        """The server lists the toxics, and an exchange takes at least what the profile says."""
        least_ms = least_round_trip_ms(self._profile, _KIND)
        took_ms = await self._link.probe_ms()
        listed = await self._links.listed(self._link.target.proxy)
        before = f"{self._link.before_ms:.0f} ms before"
        if took_ms is None:
            return Effect(False, f"a probe of {self._link.name} got no answer ({before})")
        seen = (
            f"a probe of {self._link.name} took {took_ms:.0f} ms ({before}), at least {least_ms:.0f} ms were expected"
        )
        there = set(self.names) <= set(listed)
        lists = "the server lists the toxics" if there else "the server does not list all toxics"
        return Effect(there and took_ms + SLACK_MS >= least_ms, f"{seen}; {lists}")

    async def held(self) -> Effect:
        """The server lists the toxics at the end, too."""
        missing = sorted(set(self.names) - set(await self._links.listed(self._link.target.proxy)))
        if missing:
            return Effect(False, f"at the end the server did not list {', '.join(missing)}")
        return Effect(True, "at the end the server still listed them")

    async def undo(self) -> str:
        """Take off what was put on."""
        await self._links.restore(self._link.target.proxy, self.names, enabled=None)
        return "the toxics are off"


class OwnLinkCut:
    """A link carries nothing: its proxy is closed, or swallows one direction."""

    def __init__(self, links: OwnLinks, link: OwnLink, direction: Direction, names: str, target: Target) -> None:
        self.target = target
        self._links = links
        self._link = link
        stream = {"to": "upstream", "from": "downstream"}.get(direction)
        self._toxics = [] if stream is None else [Toxic("timeout", stream, {"timeout": 0})]
        self.names = [f"{names}_{toxic.name}" for toxic in self._toxics]

    async def begin(self) -> None:
        """Cut; raises `FaultError` if the link did not answer before."""
        self._link.check_answers()
        if self._toxics:
            await self._links.add(self._link, self._toxics, self.names)
        else:
            await self._links.set_enabled(self._link.target.proxy, False)

    async def prove(self) -> Effect:
        """A probe gets no answer."""
        took_ms = await self._link.probe_ms(SILENCE_PROBE_S)
        if took_ms is not None:
            return Effect(False, f"a probe of {self._link.name} was answered after {took_ms:.0f} ms")
        return Effect(True, f"no probe of {self._link.name} was answered")

    async def held(self) -> Effect:
        """A probe gets no answer at the end, too."""
        effect = await self.prove()
        return Effect(effect.proven, f"at the end {effect.evidence}")

    async def undo(self) -> str:
        """Open it as it was."""
        await self._links.restore(self._link.target.proxy, self.names, enabled=None if self._toxics else True)
        return "the link is open again"
