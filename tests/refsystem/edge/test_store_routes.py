"""Kitchen and stock over HTTP: who may do what, what is sold out, and what the kitchen display asks for."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from refsystem.access import staff_token, table_token
from refsystem.ordering.menu import DEMO_MENU, read_menu

from .conftest import ACCESS_SECRET

PREFIX = "urn:rushproof:problem:"
FAR_S = 4_000_000_000
TABLE = table_token(ACCESS_SECRET, "s1", "7")
WAITER, MANAGER, COOK, STOREKEEPER = (
    staff_token(ACCESS_SECRET, "s1", "Li", role, FAR_S)  # type: ignore[arg-type]
    for role in ("waiter", "manager", "kitchen", "stock")
)
FISH = {"items": [{"item_id": "pickled-fish", "quantity": 1}], "total_minor": 6800}


def key() -> str:
    return str(uuid.uuid4())


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("type", "").removeprefix(PREFIX)


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


def test_what_is_received_is_sold_until_it_is_gone_and_a_known_key_is_told_all_the_same(run_alone: Any) -> None:
    async def conversation(alone: Any) -> None:
        assert (await alone.post(key(), **FISH)).status_code == 201, "what nobody has received is not kept in stock"
        delivery = {"ingredient_id": "fish", "lot_id": "L1", "quantity": 2, "use_by": 20991231}
        for token in (TABLE, WAITER, COOK):
            assert told(await alone.act(token, "receive", **delivery)) == (403, "not-allowed")
        act_id = key()
        taken = await alone.act(STOREKEEPER, "receive", act_id, **delivery)
        assert (taken.status_code, taken.json()["result"]["quantity"]) == (201, 2)
        again = await alone.act(STOREKEEPER, "receive", act_id, **delivery)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
        assert told(await alone.act(STOREKEEPER, "receive", **delivery)) == (409, "lot-known")
        keys = [key(), key(), key()]
        answers = [await alone.post(each, **FISH) for each in keys]
        assert [told(each) for each in answers] == [(201, ""), (201, ""), (409, "item-sold-out")]
        assert answers[2].json()["item_id"] == "pickled-fish"
        assert (await alone.post(keys[0], **FISH)).headers["Idempotency-Replayed"] == "true"
        menu = (await alone.get("", "/v1/menu")).json()
        assert menu["sold_out"] == [{"item_id": "pickled-fish", "by": "stock", "reason": ""}]
        assert menu["portions"] == {"pickled-fish": 0}
        assert told(await alone.get(TABLE, "/v1/stock")) == (403, "not-allowed")
        stock = (await alone.get(WAITER, "/v1/stock")).json()
        (fish,) = [row for row in stock["ingredients"] if row["kept"]]
        assert (fish["ingredient_id"], fish["on_hand"], fish["available"], fish["level"]) == ("fish", 0, 0, "out")
        assert (fish["received"], fish["sold"], fish["oversold"]) == (2, 2, 0)
        counted = await alone.act(STOREKEEPER, "count", ingredient_id="fish", counted=1)
        assert counted.json()["result"]["expected"] == 0
        known_seq = (await alone.get(WAITER, "/v1/stock")).json()["known_seq"]
        assert (await alone.post(key(), **FISH)).status_code == 201
        late = {"ingredient_id": "fish", "counted": 1, "known_seq": known_seq}
        assert (await alone.act(STOREKEEPER, "count", **late)).json()["result"]["expected"] == 1
        assert told(await alone.post(key(), **FISH)) == (409, "item-sold-out"), "one was counted, and that one is sold"
        assert told(await alone.act(STOREKEEPER, "count", **late)) == (409, "count-stale")

    run_alone(conversation)


def test_what_the_kitchen_says_is_sold_out_cannot_be_ordered_until_it_is_restored(run_alone: Any) -> None:
    async def conversation(alone: Any) -> None:
        assert told(await alone.act(WAITER, "eighty_six", item_id="pickled-fish")) == (403, "not-allowed")
        assert told(await alone.act(COOK, "eighty_six", item_id="no-such-thing")) == (422, "item-unknown")
        assert (await alone.act(COOK, "eighty_six", item_id="pickled-fish", reason="burnt")).status_code == 201
        refused = await alone.post(key(), **FISH)
        assert (told(refused), refused.json()["item_id"]) == ((409, "item-sold-out"), "pickled-fish")
        menu = (await alone.get("", "/v1/menu")).json()
        assert menu["sold_out"] == [{"item_id": "pickled-fish", "by": "kitchen", "reason": "burnt"}]
        assert (await alone.act(MANAGER, "restore", item_id="pickled-fish")).status_code == 201
        order_id = key()
        assert (await alone.post(order_id, **FISH)).status_code == 201
        assert (await alone.act(WAITER, "rush", order_id=order_id, priority=5)).status_code == 201
        kitchen = (await alone.get("", f"/v1/kitchen/orders/{order_id}")).json()
        assert (kitchen["priority"], kitchen["served"]) == (5, False)
        assert [(t["station"], t["state"]) for t in kitchen["tickets"]] == [("kitchen", "open")]
        assert told(await alone.get("", f"/v1/kitchen/orders/{key()}"))[0] in (404, 503)

    run_alone(conversation)


def test_the_menu_that_is_served_can_be_read_back(run_alone: Any, tmp_path: Any) -> None:
    async def conversation(alone: Any) -> None:
        menu = (await alone.get("", "/v1/menu")).json()
        told_besides = {name: menu.pop(name) for name in ("sold_out", "portions")}
        assert told_besides == {"sold_out": [], "portions": {}}
        (tmp_path / "menu.json").write_text(json.dumps(menu), encoding="utf-8")
        assert read_menu(tmp_path / "menu.json") == DEMO_MENU

    run_alone(conversation)


def test_the_front_is_told_what_waits_too_long_what_is_served_and_what_must_be_used_first(run_alone: Any) -> None:
    async def conversation(alone: Any) -> None:
        assert told(await alone.get(TABLE, "/v1/alerts")) == (403, "not-allowed")
        today = int(datetime.now().astimezone().strftime("%Y%m%d"))
        lot = {"ingredient_id": "fish", "lot_id": "L1", "quantity": 2, "use_by": today}
        assert (await alone.act(STOREKEEPER, "receive", **lot)).status_code == 201
        assert (
            await alone.act(STOREKEEPER, "receive", **lot | {"lot_id": "L0", "use_by": 20200101})
        ).status_code == 201
        order_id = key()
        assert (await alone.post(order_id, **FISH, table="7")).status_code == 201
        nothing = (await alone.get(WAITER, "/v1/alerts")).json()
        assert (nothing["late"], nothing["served"], nothing["stock"]["expiring"]) == ([], [], ["fish"])
        assert (nothing["stock"]["expired"], nothing["stock"]["out"]) == (["fish"], [])
        (fish,) = [row for row in (await alone.get(WAITER, "/v1/stock")).json()["ingredients"] if row["kept"]]
        assert {lot["lot_id"]: lot["state"] for lot in fish["lots"]} == {"L0": "expired", "L1": "expiring"}

        ticket = {"order_id": order_id, "version": 1, "station": "kitchen"}
        act = {"act_id": key(), "who": "kitchen display", "body": {"act": "escalate", **ticket}}
        answer = {"cursor": {"seq": 0, "hash": ""}, "bumps": [], "acts": [act], "orders": [], "last_number": 0}
        alone.others.body = answer
        log = alone.driver.device.replica.log
        await until(lambda: log.key(act["act_id"]) is not None)
        (late,) = (await alone.get(WAITER, "/v1/alerts")).json()["late"]
        assert late == {**ticket, "check_id": order_id, "table": "7", "channel": "qr", "items": [["pickled-fish", 1]]}
        alone.others.body = answer | {"acts": [], "bumps": [ticket]}
        await until(lambda: log.bump_seq(order_id, 1, "kitchen") is not None)
        done = (await alone.get(WAITER, "/v1/alerts")).json()
        assert (done["late"], done["served"]) == ([], [order_id])
        assert (
            await alone.act(STOREKEEPER, "waste", ingredient_id="fish", quantity=3, reason="old")
        ).status_code == 201
        gone = (await alone.get(WAITER, "/v1/alerts")).json()["stock"]
        assert gone == {"out": ["fish"], "critical": [], "low": [], "expiring": [], "expired": []}

    run_alone(conversation)


def test_acts_of_the_display_enter_the_log_once_and_refusals_come_back_with_the_next_batch(run_alone: Any) -> None:
    """P17: what a cook asks for is asked again until it comes back through the log, or is refused."""

    async def conversation(alone: Any) -> None:
        wanted, refused, strange = key(), key(), key()

        def act(act_id: str, **body: Any) -> dict[str, Any]:
            return {"act_id": act_id, "who": "kitchen display", "body": body}

        acts = [
            act(wanted, act="eighty_six", item_id="pickled-fish"),
            act(refused, act="restore", item_id="beer"),
            act(strange, act="receive", ingredient_id="fish", lot_id="L1", quantity=1),
        ]
        cursor = {"seq": 0, "hash": ""}
        alone.others.body = {"cursor": cursor, "bumps": [], "acts": acts, "orders": [], "last_number": 0}
        log = alone.driver.device.replica.log
        await until(lambda: log.key(wanted) is not None)
        await until(lambda: any(b'"refused"' in said for said in alone.others.said))
        batches = [json.loads(said) for said in alone.others.said if b'"refused"' in said]
        told_why = {row["act_id"]: row["why"] for batch in batches for row in batch["refused"]}
        assert told_why.keys() == {refused, strange}, "what is in the log already is not refused"
        assert told_why[refused] == "beer is not sold out"
        assert told_why[strange].startswith("a kitchen may fire, ")
        acts_in_log = [c for n in range(1, len(log) + 1) if (c := log.entry(n).content())["kind"] == "act"]
        assert [each["act"] for each in acts_in_log] == ["eighty_six"]
        assert told(await alone.post(key(), **FISH)) == (409, "item-sold-out")

    run_alone(conversation)
