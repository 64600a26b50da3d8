"""The stack with stock: the store and the cloud sell what is in escrow apart, and one kitchen's word closes every door."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.access import staff_token
from refsystem.ordering.menu import DEMO_MENU
from refsystem.stack import Stack
from refsystem.stack_settings import StackSettings, StoreSettings

PATIENCE_S = 30.0
JELLY = {"items": [{"item_id": "ice-jelly", "quantity": 1}], "total_minor": 1000}
SHRIMP = {"items": [{"item_id": "shrimp-paste", "quantity": 1}], "total_minor": 4200}
PORTION, PORTIONS = 180, 40


def key() -> str:
    return str(uuid.uuid4())


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.05)
    return found


class Shop:
    """A hotpot store of the stack, and both its doors."""

    def __init__(self, stack: Stack) -> None:
        self.http = httpx.Client(trust_env=False, timeout=5)
        self.edge, self.cloud, self.kitchen = (stack.url(name) for name in ("s1.edge_a", "cloud", "s1.kitchen"))
        self.operator, self.chain = stack.operator_headers("s1"), stack.chain_headers()
        secret = stack.secret("access").read_bytes().strip()
        self.token = staff_token(secret, "s1", "Li", "manager", int(time.time()) + 3_600)

    def act(self, **body: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key(), "Authorization": f"Bearer {self.token}"}
        return self.http.post(f"{self.edge}/v1/acts", json=body, headers=headers)

    def order(self, door: str, order: dict[str, Any]) -> str:
        """ "ok", or the kind of the problem."""
        body = {"store": "s1", "channel": "qr" if door == self.edge else "mini_program", **order}
        answer = self.http.post(f"{door}/v1/orders", json=body, headers={"Idempotency-Key": key()})
        return "ok" if answer.status_code == 201 else str(answer.json()["type"]).rsplit(":", 1)[-1]

    def stock(self) -> dict[str, Any]:
        """The row of the store's shrimp."""
        rows = self.http.get(f"{self.edge}/v1/audit/stock", headers=self.operator).json()["ingredients"]
        return next(row for row in rows if row["ingredient_id"] == "shrimp")

    def cloud_stock(self) -> dict[str, Any]:
        answer = self.http.get(f"{self.cloud}/v1/audit/stock", params={"store": "s1"}, headers=self.chain)
        told: dict[str, Any] = answer.json()
        return told

    def sold_out(self, door: str) -> dict[str, str]:
        menu = self.http.get(f"{door}/v1/menu", params={"store": "s1"}).json()
        return {each["item_id"]: each["by"] for each in menu["sold_out"]}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    (tmp_path / "menu.json").write_text(DEMO_MENU.to_json(), encoding="utf-8")
    stores = (StoreSettings("s1", kitchen_seconds=0.2, format="hotpot"),)
    stack = Stack(StackSettings(tmp_path, stores, tmp_path / "menu.json", time_scale=60))
    try:
        stack.reserve()
        asyncio.run(stack.start())
        shop = Shop(stack)
        yield shop
        shop.http.close()
    finally:
        stack.stop()


@pytest.mark.slow
def test_both_doors_sell_all_that_is_in_escrow_and_nothing_more_and_close_together(shop: Shop) -> None:
    quantity = PORTION * PORTIONS
    answer = shop.act(act="receive", ingredient_id="shrimp", lot_id="L1", quantity=quantity)
    assert answer.status_code == 201, answer.text
    wait_until(lambda: shop.cloud_stock()["cloud_rights"].get("shrimp"), "rights of the cloud")
    sold = dict.fromkeys((shop.edge, shop.cloud), 0)

    def sell_once() -> bool:
        """Whether both doors said that it is sold out, with nothing on its way."""
        told = [(door, shop.order(door, SHRIMP)) for door in sold]
        for door, said in told:
            assert said in ("ok", "item-sold-out")
            sold[door] += said == "ok"
        return all(said != "ok" for _, said in told) and sum(sold.values()) == PORTIONS

    wait_until(sell_once, f"all {PORTIONS} portions to be sold")
    assert sold[shop.cloud] > 0, sold
    for door in sold:
        wait_until(lambda door=door: shop.sold_out(door).get("shrimp-paste") == "stock", "the menu to say so")
    wait_until(lambda: not shop.cloud_stock()["reserved"], "the cloud's orders in the store")
    row = shop.stock()
    assert (row["received"], row["sold"], row["on_hand"], row["oversold"]) == (quantity, quantity, 0, 0)

    eighty_six = {"act": "eighty_six", "item_id": "ice-jelly", "reason": "melted"}
    headers = {"Idempotency-Key": key(), "Authorization": f"Bearer {shop.token}"}
    asked = shop.http.post(f"{shop.kitchen}/v1/acts", json=eighty_six, headers=headers)
    assert asked.status_code == 200, asked.text
    for door in sold:
        wait_until(lambda door=door: shop.order(door, JELLY) == "item-sold-out", "a kitchen's word at every door")
        assert shop.sold_out(door)["ice-jelly"] == "kitchen"
