"""The cloud's side of the escrow (P18) against real PostgreSQL: rights come up, are promised, and go back by number."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from refsystem.feed_messages import batch_json
from refsystem.ordering.kitchen_acts import EightySix
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.stock_acts import AskRights, GrantRights, Receive
from refsystem.ordering.store_acts import StoreAct
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.log import Log, chain, encode_record
from refsystem.protocol.uplink import Batch

FISH = {"items": [{"item_id": "pickled-fish", "quantity": 1}], "total_minor": 6800}
WORD = BreakGlass(("a-1",), "Li", "burnt down")


def new_id() -> str:
    return str(uuid.uuid4())


def act(content: Any) -> dict[str, Any]:
    return StoreAct(new_id(), "Li", content).record(0)


class Store:
    """A store's log and its uplink."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.log = Log()
        self.epoch = 1
        self.sent = 0

    async def says(self, *records: dict[str, Any]) -> None:
        self.log.extend(chain(self.epoch, self.log.last, [encode_record(record) for record in records]))
        await self.sends()

    async def sends(self) -> None:
        entries = self.log.slice(self.sent + 1, len(self.log), 1000)
        prev_hash = self.log.cursor(self.sent).hash
        forks = self.log.forks_told(len(self.log))
        batch = Batch("s1", self.epoch, f"node-{self.epoch}", self.sent + 1, prev_hash, entries, forks)
        answer = await self.cloud.client.post("/v1/stores/s1/uplink", json=batch_json(batch))
        assert answer.status_code == 200, answer.text
        self.sent = len(self.log)

    async def downlink(self, after: int = 0) -> list[dict[str, Any]]:
        page = await self.cloud.get("/v1/stores/s1/downlink", after=after, limit=100)
        rows: list[dict[str, Any]] = page["orders"]
        assert [row["number"] for row in rows] == list(range(after + 1, after + 1 + len(rows)))
        assert page["last_number"] == after + len(rows)
        return rows


async def stock(cloud: Any) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    told = await cloud.get("/v1/audit/stock", store="s1")
    return told["cloud_rights"], told["reserved"]


async def ordered(cloud: Any, **changes: Any) -> tuple[int, str]:
    answer = await cloud.order(new_id(), **{**FISH, **changes})
    return answer.status_code, answer.json().get("type", "").rsplit(":", 1)[-1]


def test_the_cloud_promises_what_it_was_granted_and_no_more_however_many_ask_at_once(with_cloud):
    async def conversation(cloud):
        store = Store(cloud)
        assert await ordered(cloud) == (201, ""), "what nobody has received is not kept in stock"
        await store.says(act(Receive("fish", "L1", 10)))
        assert await ordered(cloud) == (409, "item-sold-out"), "the store has granted nothing yet"
        await store.says(act(GrantRights("fish", 3)))
        answers = await asyncio.gather(*(ordered(cloud) for _ in range(8)))
        assert sorted(answers) == [(201, "")] * 3 + [(409, "item-sold-out")] * 5
        assert await stock(cloud) == ({"fish": 0}, {"2": {"fish": 1}, "3": {"fish": 1}, "4": {"fish": 1}})
        rows = await store.downlink()
        assert [row["reserved"] for row in rows] == [[], ["fish"], ["fish"], ["fish"]]
        menu = await cloud.get("/v1/menu", store="s1")
        assert menu["sold_out"] == [{"item_id": "pickled-fish", "by": "stock", "reason": ""}]
        assert (await cloud.get("/v1/menu"))["sold_out"] == []

    with_cloud(conversation)


def test_what_the_store_alone_promises_is_not_sold_twice_by_the_cloud_itself(with_cloud):
    """The store is silent: the cloud knows what came up, and what it has taken itself since."""

    async def conversation(cloud):
        store = Store(cloud)
        each = dict(DEMO_MENU.recipes["mapo-tofu"])["tofu"]
        tofu = {"items": [{"item_id": "mapo-tofu", "quantity": 1}], "total_minor": 2800}
        await store.says(
            *(act(Receive(name, "L1", 100 * n)) for name, n in DEMO_MENU.recipes["mapo-tofu"] if name != "tofu")
        )
        await store.says(act(Receive("tofu", "L1", 3 * each)))
        answers = await asyncio.gather(*(ordered(cloud, **tofu) for _ in range(6)))
        assert sorted(answers) == [(201, "")] * 3 + [(409, "item-sold-out")] * 3
        first, second, _ = rows = await store.downlink()
        names = ("order_id", "body_hash", "channel", "table", "items", "total_minor", "note")
        taken = {name: first[name] for name in names} | {"kind": "order", "origin": "cloud", "version": 1}
        refused = {"kind": "refused", "order_id": second["order_id"], "downlink_number": 2, "detail": "closed"}
        await store.says(taken | {"downlink_number": 1}, refused)
        answers = [await ordered(cloud, **tofu) for _ in range(2)]
        assert answers == [(201, ""), (409, "item-sold-out")], "what was refused is there again, what was taken is not"
        assert len(rows) == 3

    with_cloud(conversation)


def test_what_comes_back_settled_is_reserved_no_more_and_what_was_refused_is_given_back(with_cloud):
    async def conversation(cloud):
        store = Store(cloud)
        await store.says(act(Receive("fish", "L1", 10)), act(GrantRights("fish", 3)))
        for _ in range(2):
            assert (await ordered(cloud))[0] == 201
        first, second = await store.downlink()
        taken = {
            **{name: first[name] for name in ("order_id", "body_hash", "channel", "table", "items", "total_minor")},
            "kind": "order",
            "note": first["note"],
            "origin": "cloud",
            "version": 1,
            "downlink_number": 1,
        }
        refused = {"kind": "refused", "order_id": second["order_id"], "downlink_number": 2, "detail": "closed"}
        await store.says(taken, refused)
        assert await stock(cloud) == ({"fish": 2}, {})
        assert await cloud.alarms() == []

    with_cloud(conversation)


def test_what_the_store_asks_back_takes_a_number_and_is_the_clouds_no_more(with_cloud):
    async def conversation(cloud):
        store = Store(cloud)
        await store.says(act(Receive("fish", "L1", 10)), act(GrantRights("fish", 3)), act(AskRights("fish", 5)))
        (sent,) = await store.downlink()
        assert sent == {"number": 1, "return_rights": {"ingredient_id": "fish", "quantity": 3}}
        assert await stock(cloud) == ({"fish": 0}, {})
        await store.sends()  # an empty batch, and then the same entries again, give nothing twice
        store.sent = 0
        await store.sends()
        assert len(await store.downlink()) == 1
        assert await ordered(cloud) == (409, "item-sold-out")

    with_cloud(conversation)


def test_after_a_fork_the_cloud_gives_up_its_rights_and_says_so_under_a_number(with_cloud):
    """P19: what the branch that was left had granted is not in the log any more."""

    async def conversation(cloud):
        store = Store(cloud)
        await store.says(act(Receive("fish", "L1", 10)))
        shared = len(store.log)
        await store.says(act(GrantRights("fish", 3)))
        store.log.set_aside(shared + 1)
        store.epoch, store.sent = 2, shared
        await store.says(fork_record(WORD, shared + 1, store.log.last.hash, "unreachable"))
        assert await store.downlink() == [{"number": 1, "settle_rights": {"fork_epoch": 2}}]
        assert await stock(cloud) == ({"fish": 0}, {})
        assert await ordered(cloud) == (409, "item-sold-out")

    with_cloud(conversation)


def test_what_begins_to_be_kept_after_a_fork_is_settled_at_once(with_cloud):
    async def conversation(cloud):
        store = Store(cloud)
        await store.says(fork_record(WORD, 1, "", "unreachable"))
        assert await store.downlink() == []
        await store.says(act(Receive("fish", "L1", 10)))
        assert await store.downlink() == [{"number": 1, "settle_rights": {"fork_epoch": 1}}]

    with_cloud(conversation)


def test_what_the_kitchen_has_eighty_sixed_is_refused_at_the_cloud_too(with_cloud):
    async def conversation(cloud):
        store = Store(cloud)
        await store.says(act(EightySix("pickled-fish", "burnt")))
        assert await ordered(cloud) == (409, "item-sold-out")
        told = (await cloud.get("/v1/menu", store="s1"))["sold_out"]
        assert told == [{"item_id": "pickled-fish", "by": "kitchen", "reason": "burnt"}]
        await store.says({**act(EightySix("pickled-fish")), "act": "restore"})
        assert await ordered(cloud) == (201, "")

    with_cloud(conversation)


def test_an_entry_that_is_damaged_changes_no_rights_and_alarms(with_cloud):
    async def conversation(cloud):
        store = Store(cloud)
        damaged = act(GrantRights("fish", 3)) | {"quantity": -3}
        await store.says(act(Receive("fish", "L1", 10)), damaged, act(GrantRights("fish", 2)))
        assert await stock(cloud) == ({"fish": 2}, {})
        assert await cloud.alarms() == ["rights-not-applied"]

    with_cloud(conversation)
