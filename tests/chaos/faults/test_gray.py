"""Requests that fail on their way while health is fine: proven over the link, spared elsewhere, undone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from chaos.faults import held_proxy
from chaos.faults.base import Target
from chaos.faults.gray import INJECTED_TYPE, Failing, HttpErrors
from chaos.faults.held_proxy import Share
from chaos.faults.networks import Links, cut
from chaos.faults.toxics import Toxic

pytestmark = pytest.mark.slow

ORDERS = Failing("/v1/orders", "POST", 503, 1.0)


def over_link(store: Any, method: str, path: str) -> httpx.Response:
    url = f"{store.link_url('diner_edge.s1.a')}{path}"
    return httpx.request(method, url, json={} if method == "POST" else None, trust_env=False, timeout=5)


def errors(store: Any, links: Links, failing: Failing) -> HttpErrors:
    hit = links.matching("diner_edge", "s1")
    return HttpErrors(links, store, hit, failing, Target("diner_edge", "diner_edge"))


def test_how_many_probes_show_a_share() -> None:
    assert Failing("/", None, 503, 1.0).probes == 3
    assert Failing("/", None, 503, 0.5).probes == 14
    assert Failing("/", None, 503, 0.0001).probes == 300
    assert (1 - 0.1) ** Failing("/", None, 503, 0.1).probes < 1e-4
    assert Failing("/v1", None, 503, 1.0).spares_health
    assert Failing("/", "POST", 503, 1.0).spares_health
    assert not Failing("/", None, 503, 1.0).spares_health
    assert not Failing("/hea", "GET", 503, 1.0).spares_health


def test_orders_fail_while_health_and_other_requests_pass(store: Any, links: Links) -> None:
    fault = errors(store, links, ORDERS)

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven, effect.evidence
        assert "3 of 3 probes of POST /v1/orders over diner_edge.s1." in effect.evidence
        assert effect.evidence.endswith("were answered 503 on their way; GET /health passed")
        refused = await asyncio.to_thread(over_link, store, "POST", "/v1/orders")
        assert (refused.status_code, refused.json()["type"]) == (503, INJECTED_TYPE)
        assert (await asyncio.to_thread(over_link, store, "GET", "/v1/menu")).status_code == 200
        assert (await fault.held()).proven
        assert await fault.undo() == "requests pass again"

    asyncio.run(conversation())
    assert INJECTED_TYPE not in over_link(store, "POST", "/v1/orders").text


def test_a_share_of_requests_fails(store: Any, links: Links) -> None:
    fault = errors(store, links, Failing("/v1/menu", None, 502, 0.5))

    async def conversation() -> set[int]:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven, effect.evidence
        async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
            url = f"{store.link_url('diner_edge.s1.a')}/v1/menu"
            seen = {(await http.get(url)).status_code for _ in range(30)}
        await fault.undo()
        return seen

    assert asyncio.run(conversation()) == {200, 502}


def test_errors_that_are_not_there_or_hit_health_too_prove_nothing(
    store: Any, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = errors(store, links, ORDERS)
    effect = asyncio.run(fault.prove())
    assert not effect.proven
    assert effect.evidence.startswith("0 of 3 probes")
    assert effect.evidence.endswith("the proxy of diner_edge.s1.a does not have what was asked for")

    async def conversation() -> None:
        every = Share((Toxic("http_status", "downstream", {**ORDERS.attributes, "path": "/", "method": ""}),))
        await asyncio.to_thread(links.begin, fault, links.matching("diner_edge", "s1"), lambda link: every)
        effect = await fault.prove()
        assert not effect.proven
        assert effect.evidence.endswith("GET /health failed too")
        await fault.undo()

    asyncio.run(conversation())


def test_a_link_that_is_cut_proves_nothing(store: Any, links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_proxy, "DISTURBED_S", 0.3)
    fault = errors(store, links, ORDERS)
    links.begin("cut", links.matching("diner_edge", "s1"), lambda link: cut(link, "both"))
    asyncio.run(fault.begin())
    effect = asyncio.run(fault.prove())
    assert not effect.proven
    assert effect.evidence == "other faults came, went or cut diner_edge.s1.a while it was probed"
    asyncio.run(fault.undo())
