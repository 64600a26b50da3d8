"""A one-way cut beside a device that is just being restarted or killed: found by random drills 31 and 40 of calm."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest

from chaos.faults import links as links_module
from chaos.faults.base import Effect, Target
from chaos.faults.held_proxy import HeldProxy
from chaos.faults.links import LinkCut
from refsystem.stack import Link


class OneWay:
    """Stands for the links: while nobody listens behind the link the proxy hangs up, else it is silent (`swallows`) or not."""

    def __init__(self, *, swallows: bool) -> None:
        self.listener: socket.socket | None = None
        self.swallows = swallows
        self.probes = 0
        self.lacks: str | None = None

    def missing(self, *_: Any) -> str | None:
        return self.lacks

    def proxy(self, link: Link) -> HeldProxy:
        return HeldProxy(cast(Any, None), link.name)

    async def probe_ms(self, link: Link, timeout_s: float) -> float | None:
        self.probes += 1
        if self.listener is None:
            if self.probes == 3:
                self.listener = socket.create_server(("127.0.0.1", link.upstream_port), reuse_port=True)
            return 1.0
        return None if self.swallows else 2.0


@pytest.mark.parametrize("swallows", [True, False])
def test_a_hang_up_says_nothing_while_nobody_listens(swallows: bool) -> None:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        link = Link("edge_edge.s1.b", "edge_edge", "s1", "s1.edge_b", "s1.edge_a", port)
        links = OneWay(swallows=swallows)
        cut = LinkCut(cast(Any, links), [link], "from", Target("edge_edge", link.name))
        try:
            effect = asyncio.run(cut.prove())
        finally:
            if links.listener is not None:
                links.listener.close()
    assert (effect.proven, links.probes) == (swallows, 4)


class KilledMeanwhile(OneWay):
    """The device behind the link is killed while the first probe is under way, and the proxy hangs up; it comes back or not."""

    comes_back = True

    async def probe_ms(self, link: Link, timeout_s: float) -> float | None:
        self.probes += 1
        if self.probes == 1 and self.listener is not None:
            self.listener.close()
            self.listener = None
            return 382.0
        if self.probes == 3 and self.comes_back:
            self.listener = socket.create_server(("127.0.0.1", link.upstream_port))
        return None


def test_a_hang_up_says_nothing_when_the_device_is_gone_after_it() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    link = Link("edge_edge.s1.a", "edge_edge", "s1", "s1.edge_a", "s1.edge_b", listener.getsockname()[1])
    links = KilledMeanwhile(swallows=True)
    links.listener = listener
    effect = asyncio.run(LinkCut(cast(Any, links), [link], "to", Target("edge_edge", link.name)).prove())
    assert links.listener is not None
    links.listener.close()
    assert (effect.proven, links.probes) == (True, 4)


def test_silence_says_nothing_where_nobody_listens_and_where_the_server_lists_no_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links_module, "UPSTREAM_BACK_S", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    link = Link("edge_edge.s1.a", "edge_edge", "s1", "s1.edge_a", "s1.edge_b", listener.getsockname()[1])
    links = KilledMeanwhile(swallows=True)
    links.listener, links.comes_back = listener, False
    cut = LinkCut(cast(Any, links), [link], "to", Target("edge_edge", link.name))
    effect = asyncio.run(cut.prove())
    assert not effect.proven
    assert effect.evidence.startswith("a probe of edge_edge.s1.a proves nothing: nobody listened behind it")
    assert asyncio.run(cut.held()).proven, "it was proven at its beginning; the device is gone by another fault"
    with socket.create_server(("127.0.0.1", link.upstream_port)):
        assert asyncio.run(cut.prove()).proven
        links.lacks = "the proxy does not have timeout_upstream"
        assert asyncio.run(cut.prove()) == asyncio.run(cut.prove()) == Effect(False, links.lacks)
        assert asyncio.run(cut.held()) == Effect(False, f"at the end {links.lacks}")


def test_a_link_that_answers_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "UPSTREAM_BACK_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = Link("diner_edge.s1.a", "diner_edge", "s1", "diner", "s1.edge_a", listener.getsockname()[1])
        links = OneWay(swallows=False)
        links.listener = listener
        effect = asyncio.run(LinkCut(cast(Any, links), [link], "both", Target("diner_edge", link.name)).prove())
    assert (effect.proven, links.probes) == (False, 1)


def test_of_two_links_one_is_enough_and_the_one_with_nobody_behind_it_is_named_and_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = Link("edge_edge.s1.b", "edge_edge", "s1", "s1.edge_b", "s1.edge_a", gone.getsockname()[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        alive = Link("edge_edge.s1.a", "edge_edge", "s1", "s1.edge_a", "s1.edge_b", listener.getsockname()[1])
        links = OneWay(swallows=True)
        links.listener = listener
        effect = asyncio.run(LinkCut(cast(Any, links), [alive, dead], "both", Target("edge_edge", "both")).prove())
    assert (effect.proven, links.probes) == (True, 2)
    assert effect.evidence == (
        "no probe of edge_edge.s1.a was answered; a probe of edge_edge.s1.b proves nothing: nobody listened behind it"
    )
