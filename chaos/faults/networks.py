"""The links of a stack behind proxies: their standing state, weakening, cutting, and probes that prove what they do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chaos.faults.toxiproxy import ProxyServer
from refsystem.ordering.slip import STATUS_REQUESTS
from refsystem.stack import Link, Stack
from simulator.network import LinkProfile

Direction = Literal["both", "to", "from"]

PROBE_TIMEOUT_S = 8.0
STALLING_PROBE_TIMEOUT_S = 20.0
RTO_LEAST_MS = 200  # of Linux: what its retransmission timeout is above the round trip, at least
SILENCE_PROBE_S = 1.0
KBIT_PER_KB = 8
POSTGRES_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
OVERLONG_FRAME = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Toxic:
    """A toxic to be put on a stream of a proxy."""

    kind: str
    stream: str
    attributes: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name on the server."""
        return f"{self.kind}_{self.stream}"


def toxics_of(profile: LinkProfile) -> list[Toxic]:
    """The toxics that render a profile. `to` is the upstream direction of the proxy, `from` the downstream.

    Losses stand before the rate, so that they hit whole packets. A path of a recording is made absolute: the server looks it up.
    """
    toxics: list[Toxic] = []
    for stream, latency_ms, rate_kbit_s, trace in (
        ("upstream", profile.latency_to_ms, profile.rate_to_kbit_s, profile.trace_to),
        ("downstream", profile.latency_from_ms, profile.rate_from_kbit_s, profile.trace_from),
    ):
        if latency_ms or profile.jitter_ms:
            toxics.append(
                Toxic(
                    "latency",
                    stream,
                    {"latency": round(latency_ms), "jitter": round(min(profile.jitter_ms, latency_ms))},
                )
            )
        if profile.loss_percent:
            toxics.append(Toxic("burst_loss", stream, _loss_of(profile)))
        if rate_kbit_s is not None:
            toxics.append(Toxic("bandwidth", stream, _rate_of(rate_kbit_s)))
        if trace is not None:
            toxics.append(Toxic("trace", stream, {"path": str(Path(trace).absolute())}))
    return toxics


def _rate_of(kbit_s: float) -> dict[str, Any]:
    """In whole KB a second, as the original has it; and finer, for a server that knows that, where it makes a difference."""
    rate, bytes_s = max(1, round(kbit_s / KBIT_PER_KB)), max(1, round(kbit_s * 1000 / KBIT_PER_KB))
    return {"rate": rate} if rate * 1000 == bytes_s else {"rate": rate, "rate_bytes_s": bytes_s}


def _loss_of(profile: LinkProfile) -> dict[str, Any]:
    round_trip_ms = round(profile.round_trip_ms)
    burst = {} if profile.burst_packets is None else {"burst_packets": profile.burst_packets}
    timing = {"rto_ms": RTO_LEAST_MS + round_trip_ms, "rtt_ms": round_trip_ms}
    return {"loss_percent": profile.loss_percent, **burst, **timing}


def stalls(profile: LinkProfile) -> bool:
    """Whether a link like this may carry nothing for seconds."""
    return bool(profile.loss_percent or profile.trace_to or profile.trace_from)


def least_round_trip_ms(profile: LinkProfile, kind: str) -> float:
    """The shortest round trip of a probe that a profile allows; a peer's connection carries data one way only."""
    jitter_ms = min(profile.jitter_ms, profile.latency_to_ms)
    to_ms = max(0.0, round(profile.latency_to_ms) - jitter_ms)
    from_ms = 0.0 if kind == "edge_edge" else max(0.0, round(profile.latency_from_ms) - jitter_ms)
    return to_ms + from_ms


@dataclass(slots=True)
class LinkCondition:
    """What is on a link: its standing profile, a weaker one while that fault lasts, a cut while that one lasts.

    `answers`: the attributes of `http_status`, while requests are answered in place of the upstream.
    """

    standing: LinkProfile | None = None
    weak: LinkProfile | None = None
    cut: Direction | None = None
    answers: Mapping[str, Any] | None = None


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

    def answer(self, links: Iterable[Link], attributes: Mapping[str, Any] | None) -> None:
        """Answer requests in place of the upstream, as `http_status` with these attributes does; None ends it."""
        for link in links:
            self._states[link.name].answers = attributes
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
            toxics = [*(toxics_of(profile) if profile is not None else []), *_swallowing(link, state.cut)]
            if state.answers is not None:
                toxics.append(Toxic("http_status", "downstream", state.answers))
            for toxic in toxics:
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
    if kind == "edge_printer":
        return STATUS_REQUESTS
    return b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1)
    except ConnectionResetError:
        return b""
