"""People who order at the delivery platform while a drill runs, and some who cancel.

They stand outside of the system: what they were told is what the platform's own list says, which the audit reads at the end.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import httpx

from chaos.observer import now_us
from refsystem.ordering.menu import Menu
from simulator.baskets import draw_basket
from simulator.scenario import Scenario
from simulator.streams import Streams

PURPOSE = "delivery"
FIRST_NUMBER = 10_000_000
"""Numbers of the draws of these diners: none of those who come to the store has such a one."""
ORDERS_MAX = 5_000
TRY_AGAIN_S = 0.3
TRIES_MAX = 40
TIMEOUT_S = 3.0


@dataclass
class Tally:
    """What became of the wishes of these diners at the platform itself."""

    wanted: int = 0
    placed: int = 0
    paused: int = 0
    sold_out: int = 0
    gave_up: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """One order, with everything drawn."""

    number: int
    at_us: int
    store: str
    items: tuple[tuple[str, int], ...]
    total_minor: int
    key: str
    note: str
    cancel_after_us: int | None


def draw_wishes(scenario: Scenario, menu: Menu, seed: int, run: str) -> list[Wish]:
    """All orders of a run, in order of time, drawn by number: the same seed gives the same ones."""
    said = scenario.delivery
    if said is None:
        return []
    streams = Streams(seed)
    wishes: list[Wish] = []
    at_s = 0.0
    while len(wishes) < ORDERS_MAX:
        number = FIRST_NUMBER + len(wishes)

        def draw(purpose: str, diner: int = number) -> float:
            return streams.uniform(f"{PURPOSE} {purpose}", diner=diner)

        at_s += -math.log(draw("gap")) / said.orders_per_s
        if at_s >= scenario.duration_s:
            break
        store = scenario.stores[int(draw("store") * len(scenario.stores))].name
        items = draw_basket(scenario, streams, number, [item.item_id for item in menu.items])
        cancels = draw("cancels") < said.cancel_share
        wait_us = scenario.scaled_us(-math.log(draw("cancel after")) * said.cancel_after_s)
        key = str(UUID(int=streams.bits(128, f"{PURPOSE} key", diner=number), version=4))
        note = f"rp-{run}-p{len(wishes)}"
        wishes.append(
            Wish(
                number,
                round(at_s * 1e6),
                store,
                items,
                menu.total_minor(items),
                key,
                note,
                wait_us if cancels else None,
            )
        )
    return wishes


async def order_at_platform(url: str, wishes: list[Wish], start_us: int, path: Path) -> None:
    """Every wish at its time after `start_us`; what became of them is written to `path`."""
    tally = Tally(wanted=len(wishes))
    try:
        async with (
            httpx.AsyncClient(trust_env=False, base_url=url, timeout=TIMEOUT_S) as http,
            asyncio.TaskGroup() as tasks,
        ):
            for wish in wishes:
                tasks.create_task(_order(http, wish, start_us, tally))
    finally:
        _write(path, tally)


def _write(path: Path, tally: Tally) -> None:
    path.write_text(json.dumps(asdict(tally)) + "\n", encoding="utf-8")


async def _order(http: httpx.AsyncClient, wish: Wish, start_us: int, tally: Tally) -> None:
    await asyncio.sleep(max(0.0, (start_us + wish.at_us - now_us()) / 1e6))
    body = {
        "store": wish.store,
        "items": [{"item_id": item_id, "quantity": quantity} for item_id, quantity in wish.items],
        "total_minor": wish.total_minor,
        "note": wish.note,
    }
    answer = await _persistently(http, "/v1/orders", body, {"Idempotency-Key": wish.key})
    if answer is None:
        tally.gave_up += 1
        return
    if answer.status_code != httpx.codes.CREATED:
        tally.paused += answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        tally.sold_out += answer.status_code == httpx.codes.CONFLICT
        return
    tally.placed += 1
    if wish.cancel_after_us is not None:
        await asyncio.sleep(wish.cancel_after_us / 1e6)
        cancelled = await _persistently(http, f"/v1/orders/{answer.json()['number']}/cancellation", None, {})
        tally.cancelled += cancelled is not None and cancelled.json().get("state") == "cancelled"


async def _persistently(
    http: httpx.AsyncClient, path: str, body: object, headers: Mapping[str, str]
) -> httpx.Response | None:
    """The platform's answer, asked for again while it is away; a 503 of a paused store is an answer."""
    for _ in range(TRIES_MAX):
        try:
            return await http.post(path, json=body, headers=dict(headers))
        except httpx.HTTPError:
            await asyncio.sleep(TRY_AGAIN_S)
    return None
