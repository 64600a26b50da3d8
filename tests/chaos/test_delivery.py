"""People at the delivery platform: drawn from the seed, by number; each orders once, whatever the platform answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import chaos.delivery
from chaos.delivery import draw_wishes, order_at_platform
from chaos.observer import now_us
from refsystem.ordering.menu import DEMO_MENU
from simulator.scenario import Scenario, load_scenario

SCENARIO = """
name: mine
duration_s: 400
time_scale: 100
stores: [{name: s1}, {name: s2}]
diners: {arrivals: {rate_per_s: 1}}
delivery: {orders_per_s: 2, cancel_share: 0.25, cancel_after_s: 50}
"""


def scenario(text: str = SCENARIO) -> Scenario:
    return load_scenario(text)


@pytest.mark.parametrize("seed", [11])
def test_wishes_belong_to_the_seed_and_come_as_the_scenario_says(seed: int) -> None:
    wishes = draw_wishes(scenario(), DEMO_MENU, seed, "run")
    assert wishes == draw_wishes(scenario(), DEMO_MENU, seed, "run")
    assert wishes != draw_wishes(scenario(), DEMO_MENU, seed + 1, "run")
    assert abs(len(wishes) - 800) < 4 * 800**0.5
    assert [wish.at_us for wish in wishes] == sorted(wish.at_us for wish in wishes)
    assert len({wish.key for wish in wishes}) == len({wish.note for wish in wishes}) == len(wishes)
    assert min(Counter(wish.store for wish in wishes).values()) > 300
    waits_us = [wish.cancel_after_us for wish in wishes if wish.cancel_after_us is not None]
    assert abs(len(waits_us) - 200) < 4 * 150**0.5
    assert 350_000 < sum(waits_us) / len(waits_us) < 650_000, "50 s, a hundred times as fast"
    assert all(wish.total_minor == DEMO_MENU.total_minor(wish.items) for wish in wishes)
    assert draw_wishes(scenario(SCENARIO.partition("delivery")[0]), DEMO_MENU, seed, "run") == []


def test_an_order_is_sent_again_under_its_key_until_the_platform_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos.delivery, "TRY_AGAIN_S", 0.001)
    seen: list[tuple[str, str | None]] = []
    answers = iter((None, 201, 503, 409))

    def platform(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers.get("Idempotency-Key")))
        if "cancellation" in request.url.path:
            return httpx.Response(200, json={"state": "cancelled"})
        status = next(answers)
        if status is None:
            raise httpx.ConnectError("away")
        return httpx.Response(status, json={"number": 7})

    client: Any = httpx.AsyncClient
    transport = httpx.MockTransport(platform)
    monkeypatch.setattr(httpx, "AsyncClient", lambda **given: client(transport=transport, base_url=given["base_url"]))
    first, second, third = draw_wishes(scenario(), DEMO_MENU, 1, "run")[:3]
    wishes = [
        replace(wish, at_us=at_us, cancel_after_us=wait)
        for wish, at_us, wait in ((first, 0, 1_000), (second, 50_000, None), (third, 100_000, None))
    ]
    asyncio.run(order_at_platform("http://platform", wishes, now_us(), tmp_path / "delivery.json"))
    assert [key for path, key in seen if path == "/v1/orders"] == [first.key, first.key, second.key, third.key]
    assert ("/v1/orders/7/cancellation", None) in seen
    tally = json.loads((tmp_path / "delivery.json").read_text())
    assert tally == {"wanted": 3, "placed": 1, "paused": 1, "sold_out": 1, "gave_up": 0, "cancelled": 1}
