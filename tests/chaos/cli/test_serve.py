"""`rushproof serve`: what it says when it cannot, and the addresses that it prints. The store itself: tests/refsystem/web."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos.cli import main
from chaos.serving.addresses import SHIFT_S, addresses
from chaos.serving.deliveries import Deliveries
from chaos.serving.store import CHANNEL_RULES
from refsystem.access import person_of
from refsystem.ordering.channel_rules import read_channel_rules
from refsystem.ordering.menu_formats import MENUS
from refsystem.partners.delivery_platform.problems import STORE_PAUSED
from refsystem.problems import problem_response

SECRET = b"0123456789abcdef"
MENU = MENUS["casual"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tables", "0"], "--tables must be a number from 1 to 200, not 0"),
        (["--kitchen-seconds", "-1"], "--kitchen-seconds must be from 0 to 3600"),
        (["--delivery-every", "-1"], "--delivery-every must be from 0 to 3600"),
        (["--format", "pizza"], "invalid choice: 'pizza'"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(arguments, said, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["serve", "--data", str(tmp_path)]) == 2
    assert "not empty; name a new or empty folder" in capsys.readouterr().err


def test_every_address_holds_the_token_of_whom_it_is_for() -> None:
    told = addresses("s1", {"a": "http://h:1", "b": "http://h:2"}, "http://h:3", ("1", "2"), SECRET, 1_000)
    for table, url in told.tables.items():
        address, _, token = url.partition("#")
        assert address == "http://h:1/order"
        assert person_of(SECRET, "s1", f"Bearer {token}", 1_000).table == table
    for link in told.staff:
        address, _, token = link.url.partition("#")
        assert address == f"http://h:1/{link.page}"
        assert person_of(SECRET, "s1", f"Bearer {token}", 1_000 + SHIFT_S - 1).role == link.role
    text = "\n".join(told.lines())
    assert all(url in text for url in (*told.tables.values(), told.kiosk, told.kitchen))


def test_somebody_orders_at_the_platform_and_is_told_once_why_not() -> None:
    wishes: list[dict[str, Any]] = []
    told: list[str] = []

    def platform(request: httpx.Request) -> httpx.Response:
        wishes.append(json.loads(request.content))
        if len(wishes) in (2, 3):
            refusal = problem_response(STORE_PAUSED, "too many tickets")
            return httpx.Response(refusal.status_code, content=refusal.body)
        if len(wishes) == 5:
            raise httpx.ConnectError("gone")
        return httpx.Response(201)

    async def until_told(count: int) -> None:
        done = asyncio.Event()

        def say(text: str) -> None:
            told.append(text)
            if len(told) == count:
                done.set()

        deliveries = Deliveries("http://platform", "s1", MENU, 0.001, httpx.MockTransport(platform))
        working = asyncio.ensure_future(deliveries.run(say))
        await asyncio.wait_for(done.wait(), 5)
        working.cancel()

    asyncio.run(until_told(3))
    assert told[:3] == [
        "delivery platform: too many tickets",
        "delivery platform: orders are taken again",
        "delivery platform: it does not answer (ConnectError)",
    ]
    for wish in wishes:
        assert wish["store"] == "s1"
        assert (
            wish["total_minor"] == MENU.total_minor((line["item_id"], line["quantity"]) for line in wish["items"]) > 0
        )


def test_the_channels_of_a_served_store_can_pause() -> None:
    rules = read_channel_rules(json.dumps(CHANNEL_RULES))
    assert rules is not None
    assert rules.rule("delivery").queue_max is not None
    assert rules.rule("cashier").queue_max is None
