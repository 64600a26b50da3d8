"""Faults of links on their timeline: each lasts to its end beside others, and a proof that outlasts it is right."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.faults.base import Effect, Target
from chaos.faults.links import LinkWeakened
from chaos.faults.networks import Links
from chaos.faults.probes import Exchange
from chaos.observer import now_us
from chaos.timeline import Timeline
from refsystem.stack import Link
from simulator.network import symmetric
from simulator.scenario import ScenarioError, load_scenario

HEAD = "name: test\nduration_s: 4\nstores: [{name: s1, arbiter: %s}]\ndiners:\n  arrivals: {rate_per_s: 1}\nfaults:\n"
A = "name: A, fault: link_weak, link: edge_kds, at_s: 0, for_s: 0.1, latency_ms: 200"
B = "name: B, fault: link_weak, link: edge_kds, at_s: 0.2, for_s: 1.5, latency_ms: 50"
WAN = "name: WAN, fault: link_down, link: edge_cloud, at_s: 1, for_s: 2"
ARBITER = "name: arbiter, fault: %s, link: edge_arbiter, at_s: 2, for_s: 1"


class Server:
    """Stands for the proxy server: lists what it was told, and `ignores` some latencies all the same."""

    def __init__(self) -> None:
        self.toxics: dict[str, dict[str, float]] = {}
        self.ignores: float | None = None

    def create(self, name: str, upstream: str) -> tuple[str, int]:
        self.toxics[name] = {}
        return "127.0.0.1", 1

    def add_toxic(self, proxy: str, name: str, kind: str, stream: str, attributes: Any) -> None:
        self.toxics[proxy][name] = attributes["latency"]

    def remove_toxic(self, proxy: str, name: str) -> None:
        del self.toxics[proxy][name]

    def toxic_names(self, proxy: str) -> list[str]:
        return sorted(self.toxics[proxy])

    def took_ms(self, proxy: str) -> float:
        return 2 + sum(latency for latency in self.toxics[proxy].values() if latency != self.ignores)


class Network:
    """Stands for the stack."""

    def links(self) -> list[Link]:
        return [Link("edge_kds.s1.a", "edge_kds", "s1", "s1.edge_a", "s1.kitchen", 1)]

    def route(self, *_: Any) -> None: ...


class TimedLinks(Links):
    """Its probes take as long as the toxics say that are on the link when they begin."""

    def __init__(self, server: Server) -> None:
        super().__init__(cast(Any, server), cast(Any, Network()))
        self.server = server
        self.create()

    async def exchange(self, link: Link, timeout_s: float = 8.0, rate_kbit_s: float | None = None) -> Exchange | None:
        took_ms = self.server.took_ms(link.name)
        await asyncio.sleep(took_ms / 1000)
        return Exchange(took_ms, 60, 100)


def run(folder: Path, server: Server, *faults: str) -> tuple[dict[str, dict[str, Any]], list[dict[str, float]]]:
    """The rows of the faults, and what was on the link near the end of B and after it."""
    links = TimedLinks(server)
    scenario = load_scenario(HEAD % "in_store" + "".join(f"  - {{{fault}}}\n" for fault in faults))
    path, seen = folder / "faults.jsonl", []

    async def course() -> None:
        timeline = Timeline(scenario, cast(Any, None), links, cast(Any, None), path, lambda _: None)
        running = asyncio.create_task(timeline.run(now_us()))
        await asyncio.sleep(1.4)
        seen.append(dict(server.toxics["edge_kds.s1.a"]))
        await running

    asyncio.run(course())
    seen.append(server.toxics["edge_kds.s1.a"])
    return {row["name"]: row for row in map(json.loads, path.read_text().splitlines())}, seen


def test_a_proof_that_outlasts_its_fault_keeps_it_and_leaves_the_next_one_alone(tmp_path: Path) -> None:
    rows, (late, end) = run(tmp_path, Server(), A, B)
    assert all(row["took_effect"] and row["undone"] for row in rows.values()), rows
    assert "s longer than planned, for this proof" in rows["A"]["evidence"]
    assert rows["A"]["ended_at_us"] < rows["B"]["ended_at_us"] - 200_000
    assert (set(late.values()), end) == ({50}, {}), "B's toxics are there after A has gone, and only they"
    assert rows["B"]["evidence"].endswith("at the end its proxies still listed them")


@pytest.mark.parametrize("ignored", [None, 40.0])
def test_a_fault_is_not_believed_for_what_another_does(ignored: float | None) -> None:
    """Both are on the link, and the server lists both; one of them does nothing, and the other is slow enough for it."""
    server = Server()
    links = TimedLinks(server)
    mine, other = (
        LinkWeakened(links, links.matching("edge_kds", "s1"), symmetric("t", ms, 0, None, "t"), Target("x", "x"))
        for ms in (40.0, 90.0)
    )
    server.ignores = ignored

    async def course() -> Effect:
        await other.begin()
        await mine.begin()
        return await mine.prove()

    effect = asyncio.run(course())
    assert effect.proven is (ignored is None), effect
    assert "at least 260 ms were to be expected" in effect.evidence


@pytest.mark.parametrize(
    ("arbiter", "second", "refused"),
    [
        ("in_cloud", "link_down", True),
        ("in_store", "link_down", False),
        ("in_cloud", "http_errors", False),
    ],
)
def test_the_way_to_an_arbiter_in_the_cloud_is_the_wan(arbiter: str, second: str, refused: bool) -> None:
    text = HEAD % arbiter + f"  - {{{WAN}}}\n  - {{{ARBITER % second}}}\n"
    if refused:
        with pytest.raises(ScenarioError, match=r"faults\[1\]: hits edge_arbiter while 'WAN' still lasts"):
            load_scenario(text)
    else:
        load_scenario(text)


@pytest.mark.parametrize(("links", "refused"), [("edge_cloud", True), ("edge_cloud, edge_arbiter", False)])
def test_a_blast_radius_without_the_arbiter_is_too_small_for_a_wan_that_leads_to_it(links: str, refused: bool) -> None:
    text = HEAD % "in_cloud" + f"  - {{{WAN}}}\nblast_radius: {{links: [{links}]}}\n"
    if refused:
        with pytest.raises(ScenarioError, match="'WAN' hits edge_cloud and edge_arbiter of s1, which is outside"):
            load_scenario(text)
    else:
        load_scenario(text)
