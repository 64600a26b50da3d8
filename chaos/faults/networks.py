"""The links of a stack behind proxies: their standing state, weakening, cutting, and probes that prove what they do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from chaos.faults.toxiproxy import ProxyServer
from refsystem.stack import Link, Stack
from simulator.network import LinkProfile

Direction = Literal["both", "to", "from"]

PROBE_TIMEOUT_S = 8.0
SILENCE_PROBE_S = 1.0
KBIT_PER_KB = 8
POSTGRES_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
OVERLONG_FRAME = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Toxic:
    """A toxic to be put on a stream of a proxy."""

    kind: str
    stream: str
    attributes: dict[str, int]

    @property
    def name(self) -> str:
        """Its name on the server."""
        return f"{self.kind}_{self.stream}"


def toxics_of(profile: LinkProfile) -> list[Toxic]:
    """The toxics that render a profile. `to` is the upstream direction of the proxy, `from` the downstream."""
    toxics: list[Toxic] = []
    for stream, latency_ms, rate_kbit_s in (
        ("upstream", profile.latency_to_ms, profile.rate_to_kbit_s),
        ("downstream", profile.latency_from_ms, profile.rate_from_kbit_s),
    ):
        if latency_ms or profile.jitter_ms:
            toxics.append(
                Toxic(
                    "latency",
                    stream,
                    {"latency": round(latency_ms), "jitter": round(min(profile.jitter_ms, latency_ms))},
                )
            )
        if rate_kbit_s is not None:
            toxics.append(Toxic("bandwidth", stream, {"rate": max(1, round(rate_kbit_s / KBIT_PER_KB))}))
    return toxics


def least_round_trip_ms(profile: LinkProfile, kind: str) -> float:
    """The shortest round trip of a probe that a profile allows; a peer's connection carries data one way only."""
    jitter_ms = min(profile.jitter_ms, profile.latency_to_ms)
    to_ms = max(0.0, round(profile.latency_to_ms) - jitter_ms)
    from_ms = 0.0 if kind == "edge_edge" else max(0.0, round(profile.latency_from_ms) - jitter_ms)
    return to_ms + from_ms


@dataclass(slots=True)
class LinkCondition:
    """What is on a link: its standing profile, a weaker one while that fault lasts, and a cut while that one lasts."""

    standing: LinkProfile | None = None
    weak: LinkProfile | None = None
    cut: Direction | None = None


class Links:
    """All links of a stack, each behind a proxy of its own."""

    def __init__(self, server: ProxyServer, stack: Stack, prefix: str = "") -> None:
        self._server = server
        self._stack = stack
        self._prefix = prefix
        self._links: dict[str, Link] = {}
        self._addresses: dict[str, tuple[str, int]] = {}
        self._states: dict[str, LinkCondition] = {}
        self._lock = threading.Lock()

    def create(self) -> None:
        """Put a proxy before every link and route the stack through them."""
        for link in self._stack.links():
            host, port = self._server.create(self._prefix + link.name, f"{link.upstream_host}:{link.upstream_port}")
            self._links[link.name] = link
            self._states[link.name] = LinkCondition()
            self._addresses[link.name] = (host, port)
            self._stack.route(link.name, host, port)

    def matching(self, kind: str, store: str | None) -> list[Link]:
        """The links of a kind; of one store, if given."""
        return [
            link
            for link in self._links.values()
            if link.kind == kind and (store is None or link.store in (store, None))
        ]

    def set_standing(self, kind: str, profile: LinkProfile) -> None:
        """The state of a link when no fault is on it."""
        for link in self.matching(kind, None):
            self._states[link.name].standing = profile
            self._apply(link)

    def weaken(self, links: Iterable[Link], profile: LinkProfile | None) -> None:
        """A profile in place of the standing state; None goes back to it. A cut that is in force stays."""
        for link in links:
            self._states[link.name].weak = profile
            self._apply(link)

    def cut(self, links: Iterable[Link], direction: Direction | None) -> None:
        """Carry nothing: refuse connections (both), or swallow what goes one way and let the other way stand.

        None mends the cut; a weakness that is in force stays.
        """
        for link in links:
            self._states[link.name].cut = direction
            self._apply(link)

    def toxic_names(self, link: Link) -> list[str]:
        """What the proxy server says is on this link."""
        return self._server.toxic_names(self._prefix + link.name)

    async def probe_ms(self, link: Link, timeout_s: float = PROBE_TIMEOUT_S) -> float | None:
        """The time of one exchange over the link, in ms; None if there was no answer in time or no connection."""
        host, port = self._addresses[link.name]
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(_probe_bytes(link.kind))
                    answer = await _read_answer(reader)
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return None
        if not answer and link.kind != "edge_edge":
            return None
        return (time.monotonic() - started_s) * 1000

    def _apply(self, link: Link) -> None:
        """Make the proxy what the link's state says."""
        proxy = self._prefix + link.name
        with self._lock:
            state = self._states[link.name]
            profile = state.weak or state.standing
            self._server.remove_toxics(proxy)
            for toxic in [*(toxics_of(profile) if profile is not None else []), *_swallowing(link, state.cut)]:
                self._server.add_toxic(proxy, toxic.name, toxic.kind, toxic.stream, toxic.attributes)
            self._server.set_enabled(proxy, state.cut != "both")


def _swallowing(link: Link, cut: Direction | None) -> list[Toxic]:
    """The toxic of a one-way cut; between the devices each direction is a connection of its own."""
    if cut not in ("to", "from"):
        return []
    if link.kind == "edge_edge":
        return [Toxic("timeout", "upstream", {"timeout": 0})] if carries(link, cut) else []
    return [Toxic("timeout", "upstream" if cut == "to" else "downstream", {"timeout": 0})]


def carries(link: Link, direction: Direction) -> bool:
    """Whether a link between the devices carries this direction: device a dials for `to`, device b for `from`."""
    return direction == "both" or link.name.endswith(".a" if direction == "to" else ".b")


def _probe_bytes(kind: str) -> bytes:
    """Something that every upstream of this kind answers, or hangs up on, at once."""
    if kind == "edge_edge":
        return OVERLONG_FRAME
    if kind == "cloud_database":
        return POSTGRES_SSL_REQUEST
    return b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1)
    except ConnectionResetError:
        return b""
