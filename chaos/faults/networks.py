"""The links of a stack behind proxies: what faults put on them, and probes that prove what they do."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Literal

from chaos.faults.held_proxy import Condition, HeldProxy, Share
from chaos.faults.probes import PROBE_TIMEOUT_S, Exchange, exchange, probe_bytes
from chaos.faults.toxics import Toxic
from chaos.faults.toxiproxy import ProxyServer, ToxiproxyError
from refsystem.stack import Link, Stack
from simulator.network import LinkProfile

Direction = Literal["both", "to", "from"]


class Links:
    """All links of a stack, each behind a proxy of its own. A fault holds its share of them; they part in any order."""

    def __init__(self, server: ProxyServer, stack: Stack, prefix: str = "") -> None:
        self._server = server
        self._stack = stack
        self._prefix = prefix
        self._links: dict[str, Link] = {}
        self._addresses: dict[str, tuple[str, int]] = {}
        self._proxies: dict[str, HeldProxy] = {}

    def create(self) -> None:
        """Put a proxy before every link and route the stack through them."""
        for link in self._stack.links():
            name = self._prefix + link.name
            host, port = self._server.create(name, f"{link.upstream_host}:{link.upstream_port}")
            self._links[link.name] = link
            self._proxies[link.name] = HeldProxy(self._server, name)
            self._addresses[link.name] = (host, port)
            self._stack.route(link.name, host, port)

    def matching(self, kind: str, store: str | None) -> list[Link]:
        """The links of a kind; of one store, if given."""
        return [
            link
            for link in self._links.values()
            if link.kind == kind and (store is None or link.store in (store, None))
        ]

    def proxy(self, link: Link) -> HeldProxy:
        """The proxy of a link."""
        return self._proxies[link.name]

    def set_standing(self, kind: str, profile: LinkProfile) -> None:
        """The state of a link when no fault is on it."""
        for link in self.matching(kind, None):
            self.proxy(link).set_standing(profile)

    def begin(self, holder: Hashable, links: Iterable[Link], share: Callable[[Link], Share]) -> None:
        """`holder` takes its share of each of these links."""
        for link in links:
            self.proxy(link).begin(holder, share(link))

    def end(self, holder: Hashable) -> None:
        """`holder` gives all its shares back, those of other links also where one cannot be; raises the first error."""
        errors: list[ToxiproxyError] = []
        for proxy in self._proxies.values():
            try:
                proxy.end(holder)
            except ToxiproxyError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def missing(self, holder: Hashable, links: Iterable[Link]) -> str | None:
        """What the server does not list of what `holder` asked for, in words; None if all is there."""
        for link in links:
            missing = self.proxy(link).missing(holder)
            if missing:
                return f"the proxy of {link.name} does not have {', '.join(missing)}"
        return None

    def condition(self, link: Link) -> Condition:
        """Who holds a link now."""
        return self.proxy(link).condition

    async def exchange(
        self, link: Link, timeout_s: float = PROBE_TIMEOUT_S, rate_kbit_s: float | None = None
    ) -> Exchange | None:
        """One exchange over the link, so long that it shows a rate if one is given; None if there was no answer in time."""
        host, port = self._addresses[link.name]
        sent = probe_bytes(link.kind, rate_kbit_s)
        to_the_end = rate_kbit_s is not None and link.kind != "edge_printer"  # a printer answers and goes on listening
        found = await exchange(host, port, sent, timeout_s, whole=to_the_end)
        if found is not None and found.received_bytes == 0 and link.kind != "edge_edge":
            return None
        return found

    async def probe_ms(self, link: Link, timeout_s: float = PROBE_TIMEOUT_S) -> float | None:
        """The time of one exchange over the link, in ms; None if there was no answer in time or no connection."""
        found = await self.exchange(link, timeout_s)
        return None if found is None else found.took_ms


def cut(link: Link, direction: Direction) -> Share:
    """What carries nothing: refuses connections (both), or swallows what goes one way and lets the other way stand.

    Between the devices each direction is a connection of its own.
    """
    if direction == "both":
        return Share(closes=True)
    if link.kind == "edge_edge":
        return Share((Toxic("timeout", "upstream", {"timeout": 0}),) if carries(link, direction) else ())
    return Share((Toxic("timeout", "upstream" if direction == "to" else "downstream", {"timeout": 0}),))


def carries(link: Link, direction: Direction) -> bool:
    """Whether a link between the devices carries this direction: device a dials for `to`, device b for `from`."""
    return direction == "both" or link.name.endswith(".a" if direction == "to" else ".b")
