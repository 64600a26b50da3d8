"""Faults of one link come and go in any order: what is on its proxy follows from those that are there, at every moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.faults import held_proxy
from chaos.faults.base import Target
from chaos.faults.gray import Failing, HttpErrors
from chaos.faults.held_proxy import HeldProxy, Share, undisturbed, weakness
from chaos.faults.links import LinkCut, LinkWeakened
from chaos.faults.networks import Links
from chaos.faults.toxics import toxics_of
from chaos.faults.toxiproxy import ToxiproxyError
from refsystem.stack_settings import Link
from simulator.network import LinkProfile, symmetric

Fault = LinkCut | LinkWeakened | HttpErrors
Toxics = Counter[str]

STANDING = symmetric("standing", 5, 0, 9_000, "this test")
FOREIGN = "mine"
DEVICES = "ab"
NAMES = {"edge_cloud": ("edge_cloud", "edge_arbiter"), "edge_arbiter": ("edge_arbiter",), "edge_edge": ("edge_edge",)}
"""As in a store whose arbiter stands in the cloud: two names for the way to it."""


class Server:
    """Stands for the proxy server. `watch` looks at it after each change; the one after so many may be refused."""

    def __init__(self) -> None:
        self.toxics: dict[str, dict[str, str]] = {}
        self.open: dict[str, bool] = {}
        self.changed: list[str] = []
        self.watch: Callable[[], None] = lambda: None
        self.fails_after: int | None = None
        self.refused = False

    def create(self, name: str, upstream: str) -> tuple[str, int]:
        self.toxics[name], self.open[name] = {FOREIGN: "of somebody else"}, True
        return "127.0.0.1", 1

    def add_toxic(self, proxy: str, name: str, kind: str, stream: str, attributes: Mapping[str, Any]) -> None:
        self._change(f"+{name}")
        assert name not in self.toxics[proxy]
        self.toxics[proxy][name] = said(kind, stream, attributes)
        self.watch()

    def remove_toxic(self, proxy: str, name: str) -> None:
        self._change(f"-{name}")
        del self.toxics[proxy][name]
        self.watch()

    def toxic_names(self, proxy: str) -> list[str]:
        return sorted(self.toxics[proxy])

    def set_enabled(self, proxy: str, enabled: bool) -> None:
        self._change("open" if enabled else "close")
        assert self.open[proxy] is not enabled or self.refused, "changed though it does not differ"
        self.open[proxy] = enabled
        self.watch()

    def is_open(self, proxy: str) -> bool:
        return self.open[proxy]

    def _change(self, what: str) -> None:
        if self.fails_after is not None:
            self.fails_after -= 1
            if self.fails_after < 0:
                self.fails_after, self.refused = None, True
                raise ToxiproxyError("refused")
        self.changed.append(what)

    def rendered(self, proxy: str) -> tuple[bool, Toxics]:
        """Whether it is open, and what is on it, whatever it is called."""
        return self.open[proxy], Counter(what for name, what in self.toxics[proxy].items() if name != FOREIGN)


class Network:
    """Stands for the stack."""

    def links(self) -> list[Link]:
        return [
            Link(f"{kind}.s1.{slot}", kind, "s1", f"s1.edge_{slot}", "other", 1)
            for kind in ("edge_cloud", "edge_arbiter", "edge_edge")
            for slot in DEVICES
        ]

    def route(self, *_: Any) -> None: ...


def said(kind: str, stream: str, attributes: Mapping[str, Any]) -> str:
    return f"{kind} {stream} {sorted(attributes.items())}"


def rendering(profile: LinkProfile) -> Toxics:
    return Counter(said(toxic.kind, toxic.stream, toxic.attributes) for toxic in toxics_of(profile))


def expected(link: Link, active: Mapping[str, Fault], hit: Mapping[str, str]) -> tuple[bool, Toxics]:
    """What the set of faults says of a link, told anew and without regard to any order."""
    found = [fault for label, fault in active.items() if link.kind in NAMES[hit[label]]]
    weak = [fault for fault in found if isinstance(fault, LinkWeakened)]
    toxics: Toxics = Counter()
    for profile in [fault._profile for fault in weak] or [STANDING]:
        toxics += rendering(profile)
    is_open = True
    for fault in found:
        if isinstance(fault, HttpErrors):
            toxics[said("http_status", "downstream", fault._failing.attributes)] += 1
        elif isinstance(fault, LinkCut):
            is_open = is_open and fault._direction != "both"
            toxics += swallowed(link, fault._direction)
    return is_open, toxics


def swallowed(link: Link, direction: str) -> Toxics:
    if direction == "both":
        return Counter()
    if link.kind == "edge_edge":
        dials = "a" if direction == "to" else "b"
        return Counter([said("timeout", "upstream", {"timeout": 0})] if link.name.endswith(dials) else [])
    return Counter([said("timeout", "upstream" if direction == "to" else "downstream", {"timeout": 0})])


def covers(now: tuple[bool, Toxics], least: tuple[bool, Toxics]) -> bool:
    """Whether a link is at least as bad as this."""
    return (not now[0] or least[0]) and now[1] >= least[1]


KINDS = st.one_of(
    st.tuples(st.just("cut"), st.sampled_from(["both", "to", "from"])),
    st.tuples(st.just("weak"), st.sampled_from([5.0, 40.0, 200.0])),
    st.tuples(st.just("errors"), st.sampled_from([500, 503])),
)
PLANNED = st.lists(st.tuples(st.sampled_from(sorted(NAMES)), KINDS), min_size=1, max_size=6)


def made(links: Links, name: str, kind: tuple[str, Any]) -> Fault:
    hit, target = [link for each in NAMES[name] for link in links.matching(each, "s1")], Target(name, name)
    match kind:
        case ("cut", direction):
            return LinkCut(links, hit, direction, target)
        case ("weak", latency_ms):
            return LinkWeakened(links, hit, symmetric("weak", latency_ms, 0, None, "this test"), target)
    return HttpErrors(links, cast(Any, None), hit, Failing("/", None, kind[1], 1.0), target)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@settings(max_examples=100)
@given(planned=PLANNED, data=st.data())
def test_faults_of_one_link_compose_and_part_in_any_order(
    loop: asyncio.Runner, planned: list[tuple[str, tuple[str, Any]]], data: st.DataObject
) -> None:
    server = Server()
    links = Links(cast(Any, server), cast(Any, Network()))
    links.create()
    for kind in NAMES:
        links.set_standing(kind, STANDING)
    faults = {str(number): made(links, *each) for number, each in enumerate(planned)}
    hit = {str(number): name for number, (name, _) in enumerate(planned)}
    active: dict[str, Fault] = {}
    every = [(link, expected(link, active, hit)) for link in Network().links()]
    start = {link.name: (server.open[link.name], dict(server.toxics[link.name])) for link, _ in every}

    def check_all() -> None:
        for link in Network().links():
            assert server.rendered(link.name) == expected(link, active, hit), link.name

    def step(label: str, *, begins: bool) -> None:
        before = {link.name: expected(link, active, hit) for link in Network().links()}
        if begins:
            active[label] = faults[label]
        else:
            del active[label]
        after = {link.name: expected(link, active, hit) for link in Network().links()}

        def never_less_than_both() -> None:
            for name in before:
                both = (before[name][0] or after[name][0], before[name][1] & after[name][1])
                assert covers(server.rendered(name), both), f"{name} leaks"

        server.watch = never_less_than_both
        fault = faults[label]
        loop.run(fault.begin()) if begins else loop.run(fault.undo())
        server.watch = lambda: None

    for _ in range(data.draw(st.integers(1, 10), label="steps")):
        label = data.draw(st.sampled_from(sorted(faults)), label="fault")
        refused_after = data.draw(st.none() | st.integers(0, 6), label="refused after")
        if refused_after is None:
            step(label, begins=label not in active)
            check_all()
            continue
        server.fails_after = refused_after
        begins = label not in active
        try:
            loop.run(faults[label].begin() if begins else faults[label].undo())
        except ToxiproxyError:
            loop.run(faults[label].undo())  # which makes good what was left half-way
            begins = False
        server.fails_after = None
        if begins:
            active[label] = faults[label]
        else:
            active.pop(label, None)
        check_all()
    for label in data.draw(st.permutations(sorted(active)), label="ends"):
        step(label, begins=False)
        check_all()
    assert {name: (server.open[name], server.toxics[name]) for name in start} == start
    assert all(not links.condition(link).shares for link, _ in every)


def test_a_change_touches_only_what_differs() -> None:
    server = Server()
    server.create("p", "upstream")
    proxy = HeldProxy(cast(Any, server), "p")
    proxy.set_standing(STANDING)
    proxy.begin("one way", Share((cast(Any, toxics_of(STANDING)[0]),), closes=True))
    server.changed.clear()
    proxy.begin("weak", weakness(symmetric("weak", 40, 0, None, "this test")))
    assert server.changed == [
        "+latency_upstream_2",
        "+latency_downstream",
        "-standing_bandwidth_downstream",
        "-standing_bandwidth_upstream",
        "-standing_latency_downstream",
        "-standing_latency_upstream",
    ]
    server.changed.clear()
    proxy.begin("weak", weakness(STANDING))
    proxy.end("unknown")
    assert server.changed == []


def test_a_look_counts_only_while_nobody_comes_or_goes_and_nobody_else_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_proxy, "LOOK_EVERY_S", 0.001)
    server = Server()
    server.create("p", "upstream")
    proxy = HeldProxy(cast(Any, server), "p")
    mine, other = weakness(symmetric("mine", 40, 0, None, "t")), weakness(symmetric("other", 90, 0, None, "t"))
    proxy.begin("mine", mine)
    looks: list[str] = []

    async def look() -> int:
        looks.append("look")
        if len(looks) == 1:
            proxy.begin("other", other)
        elif len(looks) == 2:
            proxy.end("other")
            proxy.begin("other", Share(closes=True))
            asyncio.get_running_loop().call_later(0.05, proxy.end, "other")
        return len(looks)

    found = asyncio.run(undisturbed(proxy, "mine", look))
    assert found is not None
    assert (found[0], found[1].profiles) == (3, [mine.profile])
    monkeypatch.setattr(held_proxy, "DISTURBED_S", 0.02)
    proxy.begin("other", Share(closes=True))
    assert asyncio.run(undisturbed(proxy, "mine", look)) is None
    assert len(looks) == 3, "nothing was looked at while another fault cut the link"
