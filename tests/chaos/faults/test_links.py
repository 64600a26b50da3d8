"""Faults of links on a real store: each takes effect, its proof can fail, and it is undone."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos.faults.base import Target
from chaos.faults.held_proxy import Share
from chaos.faults.link_checks import LinkCheckError, check_links
from chaos.faults.links import LinkCut, LinkWeakened
from chaos.faults.networks import Direction, Links
from chaos.faults.probes import SHOWN_MS
from chaos.faults.toxics import RATE_SLACK_MS, Toxic, least_round_trip_ms, toxics_of
from chaos.faults.toxiproxy import ProxyServer, ToxiproxyError
from chaos.proxy.toxics import TOXIC_TYPES
from simulator.network import BUILT_IN_PROFILES, LinkProfile, symmetric
from simulator.scenario import Scenario, find_scenario, load_scenario, with_changes

SLOW = symmetric("slow", 120, 20, None, "this test")
NARROW = symmetric("narrow", 0, 0, 800, "this test")
TARGET = Target("link", "links")
PROBED_KINDS = ("diner_edge", "edge_edge", "edge_arbiter", "edge_kds")


def weak(links: Links, kind: str, profile: LinkProfile) -> LinkWeakened:
    return LinkWeakened(links, links.matching(kind, "s1"), profile, TARGET)


def cut(links: Links, kind: str, direction: Direction) -> LinkCut:
    return LinkCut(links, links.matching(kind, "s1"), direction, TARGET)


def round_trip_ms(stack: Any, link: str) -> float:
    began_s = time.monotonic()
    httpx.get(f"{stack.link_url(link)}/health", trust_env=False, timeout=10, verify=False)  # no certificates to load
    return (time.monotonic() - began_s) * 1000


def best_round_trip_ms(stack: Any, link: str) -> float:
    """Of three: a busy machine makes one slow, a weak link all of them."""
    return min(round_trip_ms(stack, link) for _ in range(3))


def carries(links: Links, name: str) -> bool:
    (link,) = [link for link in links.matching(name.split(".")[0], "s1") if link.name == name]
    return asyncio.run(links.probe_ms(link, 0.5)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROBED_KINDS)
def test_a_weak_link_is_proven_and_undone(store: Any, links: Links, kind: str) -> None:
    fault = weak(links, kind, SLOW)

    async def conversation() -> None:
        assert not (await fault.prove()).proven, "nothing was done yet"
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven, effect.evidence
        assert "latency_upstream" in effect.evidence
        await fault.undo()
        assert not (await fault.prove()).proven

    asyncio.run(conversation())


@pytest.mark.slow
def test_a_weak_link_slows_those_who_use_it_down(store: Any, links: Links) -> None:
    fault = weak(links, "diner_edge", SLOW)
    asyncio.run(fault.begin())
    assert all(round_trip_ms(store, f"diner_edge.s1.{slot}") >= 200 for slot in "ab")
    asyncio.run(fault.undo())
    assert all(best_round_trip_ms(store, f"diner_edge.s1.{slot}") < 200 for slot in "ab")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["diner_edge", "edge_edge"])
def test_a_link_that_is_only_narrow_is_proven_by_what_a_long_request_takes(store: Any, links: Links, kind: str) -> None:
    fault = weak(links, kind, NARROW)
    assert not asyncio.run(fault.prove()).proven
    asyncio.run(fault.begin())
    effect = asyncio.run(fault.prove())
    assert effect.proven, effect.evidence
    assert "bandwidth_downstream, bandwidth_upstream" in effect.evidence
    took_ms, least_ms = (int(figure) for figure in re.findall(r"(\d+) ms", effect.evidence))
    assert took_ms >= least_ms >= SHOWN_MS - RATE_SLACK_MS - 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["weak", "cut", "one way"])
def test_what_somebody_mends_meanwhile_has_not_held(store: Any, links: Links, what: str) -> None:
    made = {"weak": weak(links, "edge_kds", SLOW), "cut": cut(links, "edge_kds", "both")}
    fault = made.get(what) or cut(links, "edge_kds", "from")

    async def conversation() -> None:
        await fault.begin()
        assert (await fault.prove()).proven
        effect = await fault.held()
        assert effect.proven, effect.evidence
        for link in links.matching("edge_kds", "s1"):
            links._server.remove_toxics(links.proxy(link).name)
            links._server.set_enabled(links.proxy(link).name, True)
        effect = await fault.held()
        assert not effect.proven
        assert effect.evidence.startswith("at the end ")
        await fault.undo()

    asyncio.run(conversation())


@pytest.mark.slow
def test_a_weak_link_is_not_proven_while_one_of_its_proxies_is_not(store: Any, links: Links) -> None:
    fault = weak(links, "diner_edge", SLOW)
    asyncio.run(fault.begin())
    links._server.remove_toxics("test-diner_edge.s1.b")
    effect = asyncio.run(fault.prove())
    assert not effect.proven
    assert "diner_edge.s1.b" in effect.evidence


@pytest.mark.slow
def test_undoing_returns_to_the_standing_state(store: Any, links: Links) -> None:
    try:
        links.set_standing("diner_edge", symmetric("standing", 60, 0, None, "this test"))
        fault = weak(links, "diner_edge", SLOW)
        asyncio.run(fault.begin())
        asyncio.run(fault.undo())
        assert 115 <= best_round_trip_ms(store, "diner_edge.s1.a") < 200
    finally:
        links.set_standing("diner_edge", symmetric("none", 0, 0, None, "this test"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROBED_KINDS)
@pytest.mark.parametrize("direction", ["both", "to", "from"])
def test_a_cut_link_is_proven_and_undone(store: Any, links: Links, kind: str, direction: Direction) -> None:
    fault = cut(links, kind, direction)

    async def conversation() -> None:
        assert not (await fault.prove()).proven, "nothing was done yet"
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven, effect.evidence
        await fault.undo()
        assert not (await fault.prove()).proven

    asyncio.run(conversation())


@pytest.mark.slow
def test_a_one_way_cut_between_the_devices_lets_the_other_way_stand(store: Any, links: Links) -> None:
    fault = cut(links, "edge_edge", "to")
    asyncio.run(fault.begin())
    assert (carries(links, "edge_edge.s1.a"), carries(links, "edge_edge.s1.b")) == (False, True)
    asyncio.run(fault.undo())
    assert (carries(links, "edge_edge.s1.a"), carries(links, "edge_edge.s1.b")) == (True, True)


@pytest.mark.slow
def test_a_one_way_cut_swallows_answers_and_lets_requests_through(store: Any, links: Links) -> None:
    fault = cut(links, "edge_arbiter", "from")
    asyncio.run(fault.begin())
    url = f"{store.link_url('edge_arbiter.s1.a')}/v1/register"
    asked = _register_requests(store)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, content=b"{}", trust_env=False, timeout=0.5)
    assert _register_requests(store) == asked + 1
    asyncio.run(fault.undo())
    assert httpx.post(url, content=b"{}", trust_env=False, timeout=5).status_code == 422


@pytest.mark.slow
def test_a_cut_upon_a_weak_link_and_back(store: Any, links: Links) -> None:
    slow, down = weak(links, "diner_edge", SLOW), cut(links, "diner_edge", "both")
    asyncio.run(slow.begin())
    asyncio.run(down.begin())
    assert asyncio.run(down.prove()).proven
    asyncio.run(down.undo())
    assert asyncio.run(slow.prove()).proven
    asyncio.run(down.begin())
    asyncio.run(slow.undo())
    assert asyncio.run(down.prove()).proven
    asyncio.run(down.undo())
    assert best_round_trip_ms(store, "diner_edge.s1.a") < 200


@pytest.mark.slow
def test_faults_of_one_link_at_the_same_moment_do_not_disturb_each_other(store: Any, links: Links) -> None:
    slow, down = weak(links, "diner_edge", SLOW), cut(links, "diner_edge", "from")

    async def conversation() -> None:
        for _ in range(5):
            await asyncio.gather(slow.begin(), down.begin())
            (link, _) = links.matching("diner_edge", "s1")
            assert links.proxy(link).toxic_names() == ["latency_downstream", "latency_upstream", "timeout_downstream"]
            await asyncio.gather(slow.undo(), down.undo())
            assert links.proxy(link).toxic_names() == []

    asyncio.run(conversation())


@pytest.mark.slow
@pytest.mark.parametrize("lists", [True, False])
def test_a_proxy_that_ignores_what_it_is_told_proves_nothing(store: Any, bad_server: Any, lists: bool) -> None:
    bad_server.lists = lists
    routes = dict(store._routes)
    try:
        links = Links(ProxyServer(bad_server.url), store)
        links.create()
        faults = (
            weak(links, "diner_edge", SLOW),
            weak(links, "diner_edge", NARROW),
            cut(links, "diner_edge", "both"),
            cut(links, "diner_edge", "from"),
            cut(links, "edge_edge", "to"),
        )
        for fault in faults:
            asyncio.run(fault.begin())
            effect = asyncio.run(fault.prove())
            assert not effect.proven
            assert " ms" in effect.evidence
            asyncio.run(fault.undo())
    finally:
        store._routes = routes


@pytest.mark.slow
def test_a_server_that_fails_half_way_is_an_error_and_can_be_undone_later(store: Any, bad_server: Any) -> None:
    routes = dict(store._routes)
    try:
        links = Links(ProxyServer(bad_server.url), store)
        links.create()
        fault = cut(links, "diner_edge", "both")
        bad_server.status = 500
        with pytest.raises(ToxiproxyError, match="500"):
            asyncio.run(fault.begin())
        bad_server.status = None
        assert asyncio.run(fault.undo()) == "link open again"
    finally:
        store._routes = routes


@pytest.mark.parametrize("profile", list(BUILT_IN_PROFILES.values()), ids=lambda profile: str(profile.name))
def test_every_profile_becomes_toxics_that_allow_what_its_proof_expects(profile: LinkProfile) -> None:
    toxics = toxics_of(profile)
    assert toxics
    assert len({toxic.name for toxic in toxics}) == len(toxics)
    least_ms = {"upstream": 0, "downstream": 0}
    for toxic in toxics:
        TOXIC_TYPES[toxic.kind](**toxic.attributes)
        if toxic.kind == "latency":
            least_ms[toxic.stream] = toxic.attributes["latency"] - toxic.attributes["jitter"]
        elif toxic.kind == "bandwidth":
            assert toxic.attributes["rate"] >= 1
    assert least_round_trip_ms(profile, "diner_edge") <= sum(least_ms.values()) + 1
    assert least_round_trip_ms(profile, "edge_edge") <= least_ms["upstream"] + 1


def test_a_lossy_profile_loses_in_both_directions_before_the_rate_and_with_its_own_round_trip() -> None:
    toxics = toxics_of(BUILT_IN_PROFILES["edge_lossy"])
    assert [toxic.name for toxic in toxics] == [
        f"{kind}_{stream}" for stream in ("upstream", "downstream") for kind in ("latency", "burst_loss", "bandwidth")
    ]
    assert toxics[1].attributes == toxics[4].attributes == {"loss_percent": 1, "rto_ms": 1040, "rtt_ms": 840}


def test_a_rate_is_exact_where_whole_kilobytes_are_not() -> None:
    found = {
        toxic.stream: toxic.attributes
        for toxic in toxics_of(BUILT_IN_PROFILES["2g_rural"])
        if toxic.kind == "bandwidth"
    }
    assert found == {
        "upstream": {"rate": 2, "rate_bytes_s": 2250},
        "downstream": {"rate": 2, "rate_bytes_s": 2500},
    }
    assert toxics_of(NARROW)[0].attributes == {"rate": 100}


def test_a_recording_stands_in_place_of_the_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toxics = toxics_of(BUILT_IN_PROFILES["cellular_lte"].replaying("lte.up", "lte.down"))
    found = {toxic.name: toxic.attributes.get("path") for toxic in toxics if toxic.kind != "latency"}
    assert found == {"trace_upstream": str(tmp_path / "lte.up"), "trace_downstream": str(tmp_path / "lte.down")}


def a_scenario(**changes: Any) -> Scenario:
    return with_changes(load_scenario(find_scenario("calm")), changes)


LOSSY_FAULT = {"fault": "link_weak", "link": "diner_edge", "at_s": 1, "for_s": 2, "loss_percent": 5}
ERRORS = {"fault": "http_errors", "link": "diner_edge", "at_s": 1, "for_s": 2}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"links": {"edge_cloud": {"profile": "edge_lossy"}}}, "links.edge_cloud needs the toxic burst_loss, which"),
        ({"faults": [LOSSY_FAULT]}, "fault 'link_weak diner_edge at 1 s' needs the toxic burst_loss, which"),
        ({"faults": [ERRORS]}, "fault 'http_errors diner_edge at 1 s' needs the toxic http_status, which"),
    ],
)
def test_what_another_server_cannot_render_is_told_before_anything_starts(
    bad_server: Any, proxy_url: str, changes: dict[str, Any], says: str
) -> None:
    scenario = a_scenario(**changes)
    with pytest.raises(LinkCheckError, match="leave --toxiproxy out") as error:
        check_links(scenario, bad_server.url)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    check_links(scenario, None)
    check_links(scenario, proxy_url)
    check_links(a_scenario(), bad_server.url)


def test_a_recording_that_cannot_be_read_is_told_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "lte"
    scenario = a_scenario(links={"edge_cloud": {"profile": "cellular_lte", "trace": str(path)}})
    with pytest.raises(LinkCheckError, match=r"links.edge_cloud: .* cannot be read: No such file"):
        check_links(scenario, None)
    path.write_text("1\n5\n")
    check_links(scenario, None)


@pytest.mark.slow
def test_a_lossy_recorded_link_is_proven_and_undone(store: Any, links: Links, tmp_path: Path) -> None:
    path = tmp_path / "slots"
    path.write_text("".join(f"{ms}\n" for ms in range(1, 50)))
    profile = symmetric("bad", 30, 0, None, "this test", loss_percent=10).replaying(str(path), str(path))
    fault = LinkWeakened(links, links.matching("diner_edge", "s1"), profile, TARGET)
    asyncio.run(fault.begin())
    effect = asyncio.run(fault.prove())
    assert effect.proven, effect.evidence
    assert "burst_loss_upstream" in effect.evidence
    assert "trace_downstream" in effect.evidence
    asyncio.run(fault.undo())
    assert not asyncio.run(fault.prove()).proven


@pytest.mark.slow
def test_requests_over_a_link_are_answered_on_their_way_and_a_cut_and_a_weakness_stay(store: Any, links: Links) -> None:
    hit = links.matching("diner_edge", "s1")
    asyncio.run(weak(links, "diner_edge", SLOW).begin())
    answers = Share((Toxic("http_status", "downstream", {"path": "/v1/status", "status": 500}),))
    links.begin("answers", hit, lambda link: answers)
    assert httpx.get(f"{store.link_url('diner_edge.s1.a')}/v1/status", trust_env=False).status_code == 500
    assert httpx.get(f"{store.link_url('diner_edge.s1.a')}/health", trust_env=False).status_code == 200
    assert round_trip_ms(store, "diner_edge.s1.a") >= 200
    links.end("answers")
    assert httpx.get(f"{store.link_url('diner_edge.s1.a')}/v1/status", trust_env=False).status_code == 200


def _register_requests(store: Any) -> int:
    metrics = httpx.get(f"{store.url('s1.arbiter')}/metrics", trust_env=False).text
    lines = [line for line in metrics.splitlines() if line.startswith("rushproof_requests_total") and '"422"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)
