"""Checks and payments as the cloud tells them, from the entries that came up."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace

from refsystem.cloud.checks import BookView
from refsystem.feed_messages import batch_json
from refsystem.ordering.book import Book
from refsystem.ordering.check_acts import Act, Pay, Split, Void
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order, parse_order
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.downlink import order_record
from refsystem.protocol.log import GENESIS, Log, chain, encode_record
from refsystem.protocol.uplink import Batch


def new_id():
    return str(uuid.uuid4())


class Store:
    """A store's log and its book, as a primary makes them."""

    def __init__(self):
        self.book, self.entries = Book(DEMO_MENU), ()

    def log(self, record, epoch=1):
        after = self.entries[-1].cursor if self.entries else GENESIS
        (entry,) = chain(epoch, after, [encode_record(record)])
        self.entries = (*self.entries, entry)
        self.book.apply(entry.seq, entry.content())

    def order(self, check_id=""):
        order_id = new_id()
        self.log(order_record(Order(order_id, "qr", "4", (("mapo-tofu", 2),), 5600, "", check_id), "edge"))
        return order_id

    def act(self, content):
        act = Act(new_id(), "waiter Li", content)
        self.log(self.book.decide(act, 1_700_000_000_000))
        return act.act_id

    def batch(self, from_seq=1, epoch=1):
        previous = self.entries[from_seq - 2].hash if from_seq > 1 else ""
        return Batch("s1", epoch, "node-a", from_seq, previous, self.entries[from_seq - 1 :])


def test_acts_come_up_without_alarm_and_checks_are_told_as_the_store_knows_them(with_cloud):
    async def conversation(cloud):
        store = Store()
        check_id = store.order()
        added = store.order(check_id)
        for _ in range(2):
            await cloud.client.post("/v1/stores/s1/uplink", json=batch_json(store.batch()))
            told = await cloud.get("/v1/audit/checks", store="s1")
            assert told["known_seq"] == len(store.entries)
            paid = store.act(Pay(check_id, "cash", 1000, 1000))
        store.act(Split(check_id, ways=2))
        await cloud.client.post("/v1/stores/s1/uplink", json=batch_json(store.batch(3)))
        told = await cloud.get("/v1/audit/checks", store="s1")
        by_id = {check["check_id"]: check for check in told["checks"]}
        assert set(by_id) == {check.check_id for check in store.book.checks}
        assert [line["order_id"] for line in by_id[check_id]["lines"]] == [check_id, added]
        assert paid in {payment["attempt_id"] for payment in by_id[check_id]["payments"]}
        assert sum(check["total_minor"] for check in by_id.values()) == 11_200
        assert told["passed_over"] == []
        first = (await cloud.get("/v1/audit/checks", store="s1", limit=1))["checks"]
        rest = (await cloud.get("/v1/audit/checks", store="s1", after=first[0]["check_id"]))["checks"]
        assert [check["check_id"] for check in (*first, *rest)] == sorted(by_id)
        assert await cloud.alarms() == []
        assert (await cloud.client.get("/v1/audit/checks", params={"store": "nowhere"})).status_code == 404

    with_cloud(conversation)


def test_an_order_with_a_check_is_refused_at_the_clouds_door_and_keeps_its_check_on_the_way_back(with_cloud):
    """P19: an order of a branch that was left goes back to the store, and its hash must fit what its diner sends again."""

    async def conversation(cloud):

        refused = await cloud.order(new_id(), check_id=new_id())
        assert (refused.status_code, refused.json()["type"][-13:]) == (422, "order-invalid")
        left = Store()
        check_id = left.order()
        added = left.order(check_id)
        paid = left.act(Pay(check_id, "cash", 1000, 1000))
        assert paid
        await cloud.client.post("/v1/stores/s1/uplink", json=batch_json(left.batch()))
        followed = Store()
        followed.entries = left.entries[:1]
        followed.book.apply(1, left.entries[0].content())
        word = BreakGlass(("node-a",), "Li", "burnt")
        followed.log(fork_record(word, 2, left.entries[0].hash, "unreachable"), epoch=2)
        batch = followed.batch(1, 2)
        batch = replace(batch, forks=Log(followed.entries).forks)
        answer = await cloud.client.post("/v1/stores/s1/uplink", json=batch_json(batch))
        assert answer.json()["cursor"]["seq"] == 2
        (back,) = (await cloud.get("/v1/stores/s1/downlink"))["orders"]
        items = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in back["items"]]
        order = parse_order(back["order_id"], {**back, "items": items})
        assert (order.order_id, order.check_id, order.body_hash) == (added, check_id, back["body_hash"])
        told = await cloud.get("/v1/audit/checks", store="s1")
        (check,) = told["checks"]
        assert (told["known_seq"], check["payments"], check["total_minor"]) == (2, [], 5600)

    with_cloud(conversation)


def test_two_readers_at_once_follow_the_log_once(with_cloud):
    async def conversation(cloud):
        store = Store()
        for _ in range(20):
            store.order()
        await cloud.client.post("/v1/stores/s1/uplink", json=batch_json(store.batch()))
        pages = await asyncio.gather(*(cloud.get("/v1/audit/checks", store="s1") for _ in range(8)))
        assert all(len(page["checks"]) == 20 for page in pages)
        assert all(page == pages[0] for page in pages)

    with_cloud(conversation)


def test_pages_and_what_stands_are_found_without_walking_the_whole_log_each_time():
    walked = 0

    class Watched(Book):
        @property
        def checks(self):
            nonlocal walked
            walked += 1
            return super().checks

    store, view = Store(), BookView(Watched(DEMO_MENU))
    orders = [store.order() for _ in range(40)]
    cancelled, split_off, merely_late = orders[0], orders[1], new_id()
    store.act(Split(split_off, ((split_off, 0, 2),)))
    store.act(Void(cancelled, cancelled, 0, 2, "cancelled there"))
    fed = 0

    def feed():
        nonlocal fed
        for entry in store.entries[fed:]:
            view.follow(entry, entry.content())
        fed = len(store.entries)

    feed()
    asked = {cancelled, split_off, merely_late}
    assert view.standing(asked) == {split_off}, "it stands on the check that it was split off to"
    (new_check,) = {check.check_id for check in store.book.checks} - set(orders)
    store.act(Void(new_check, split_off, 0, 2, "cancelled there"))
    feed()
    assert view.standing(asked) == frozenset()
    walked = 0
    assert [view.standing(asked) for _ in range(50)] == [frozenset()] * 50
    assert walked == 0, "what is voided is looked for once"
    pages, after = [], ""
    while page := view.checks_after(after, 7):
        pages += [check.check_id for check in page]
        after = pages[-1]
    assert pages == sorted(check.check_id for check in store.book.checks)
    assert walked == 1, "sorted once for all pages"
    late = store.order()
    feed()
    assert view.standing({late}) == {late}
    assert late in {check.check_id for check in view.checks_after("", 100)}
