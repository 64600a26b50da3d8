"""Kitchen and stock as views of a log: what an order's record says, what the downlink makes, and going back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from refsystem.ordering.book import Book
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.ordering.stock_acts import GrantRights, Receive, ReturnRights, SettleRights
from refsystem.ordering.store_acts import StoreAct
from refsystem.ordering.store_rules import DEMO_RULES, StoreRules
from refsystem.protocol.downlink import Downlink, DownlinkOrder, PromisedOrder, order_record
from refsystem.protocol.log import Log, chain, encode_record
from refsystem.protocol.store_views import StoreViews

AT_MS = 1_700_000_000_000


def order(number: int, *items: tuple[str, int]) -> Order:
    lines = items or (("pickled-fish", 1),)
    return Order(str(UUID(int=number)), "mini_program", "4", lines, DEMO_MENU.total_minor(lines))


class Kept:
    """A log with its views, and the downlink into it."""

    def __init__(self, rules: StoreRules | None = None) -> None:
        self.log = Log()
        self.views = StoreViews(self.log, DEMO_MENU, rules)
        self.downlink = Downlink(self.log, DEMO_MENU, Book(DEMO_MENU), self.views)

    def adds(self, *records: dict[str, Any], epoch: int = 1) -> None:
        self.log.extend(chain(epoch, self.log.last, [encode_record(record) for record in records]))

    def act(self, number: int, content: Any) -> None:
        self.adds(self.views.decide(StoreAct(str(UUID(int=number)), "Li", content), AT_MS))

    def takes(self, *sent: DownlinkOrder) -> list[dict[str, Any]]:
        records = self.downlink.records(sent, AT_MS)
        self.adds(*records)
        return records


def test_without_rules_and_stock_a_record_says_nothing_more_than_before() -> None:
    kept = Kept()
    assert kept.views.order_fields(order(1)) == {}
    (record,) = kept.takes((1, PromisedOrder(order(1), ())))
    assert record == order_record(order(1), "cloud", 1)
    with_rules = Kept(DEMO_RULES["casual"]).views.order_fields(order(1, ("pickled-fish", 1), ("beer", 2)))
    assert with_rules["stations"] == ["wok", "drinks"]
    assert "recipes" not in with_rules


def test_what_the_cloud_has_reserved_is_taken_though_the_store_itself_may_promise_nothing() -> None:
    kept = Kept()
    kept.act(101, Receive("fish", "L1", 3))
    kept.act(102, GrantRights("fish", 3))
    with pytest.raises(OrderRejected, match="sold out"):
        kept.views.check_order(order(1))
    reserved, unreserved = PromisedOrder(order(1), ("fish",)), PromisedOrder(order(2), ())
    records = kept.takes((1, reserved), (2, unreserved))
    assert [(r["kind"], r.get("reserved")) for r in records] == [("order", ["fish"]), ("refused", None)]
    fish = kept.views.stock.item("fish")
    assert (fish.on_hand, fish.edge_rights, fish.cloud_rights) == (2, 0, 2)


def test_what_the_cloud_took_before_it_knew_of_the_stock_takes_the_stores_rights_one_batch_at_a_time() -> None:
    kept = Kept()
    kept.act(101, Receive("fish", "L1", 2))
    sent = [(number, PromisedOrder(order(number), ())) for number in (1, 2, 3)]
    assert [record["kind"] for record in kept.takes(*sent)] == ["order", "order", "refused"]
    assert kept.views.stock.item("fish").edge_rights == 0
    assert kept.takes((4, order(4)))[0]["kind"] == "order", (
        "an order that comes back after a fork was promised as a whole"
    )


def test_rights_that_come_back_are_the_one_record_of_their_number_and_leave_with_it() -> None:
    kept = Kept()
    kept.act(101, Receive("fish", "L1", 3))
    kept.act(102, GrantRights("fish", 2))
    kept.takes((1, ReturnRights("fish", 2, 1)), (2, SettleRights(2, 9)), (4, order(4)))
    assert kept.log.downlink_cursor == 2
    assert kept.views.stock.item("fish").edge_rights == 3
    kept.log.set_aside(3)
    assert (kept.log.downlink_cursor, kept.views.stock.item("fish").edge_rights) == (0, 1)
    (again,) = kept.takes((1, ReturnRights("fish", 2, 1)))
    assert (again["act"], again["number"], kept.log.downlink_cursor) == ("return_rights", 1, 1)


def test_an_order_of_several_stations_is_served_with_its_last_bump() -> None:
    kept = Kept(DEMO_RULES["casual"])
    two = order(1, ("pickled-fish", 1), ("beer", 1), ("red-bean-buns", 1))
    kept.adds(order_record(two, "edge") | kept.views.order_fields(two))
    tickets = [(1, "wok"), (1, "drinks"), (2, "steam")]  # the last course is fired when the others are done
    for number, (version, station) in enumerate(tickets, 1):
        bump = {"kind": "bump", "order_id": two.order_id, "version": version, "station": station}
        fields = kept.views.bump_fields(two.order_id, version, station)
        assert fields == {"order_served": number == len(tickets)}
        kept.adds(bump | fields)
        assert kept.views.is_served(two.order_id, len(kept.log)) is (number == len(tickets))
        assert not kept.views.is_served(two.order_id, len(kept.log) - 1), "its bump has not committed"
    assert kept.views.bump_fields(two.order_id, 9, "wok") == {"order_served": False}
    assert Kept().views.bump_fields(two.order_id, 1, "kitchen") == {}


def test_nothing_of_what_is_not_kept_in_stock_is_counted() -> None:
    kept = Kept()
    kept.adds(order_record(order(1, ("pickled-fish", 2), ("beer", 1)), "edge"))
    kept.act(101, Receive("beer", "L1", 5))
    kept.adds(order_record(order(2, ("pickled-fish", 1), ("beer", 2)), "edge"))
    stock = kept.views.stock
    assert (stock.item("beer").on_hand, stock.item("fish").owed, stock.oversold()) == (3, 0, {})
    assert (stock.portions("pickled-fish"), stock.portions("beer"), stock.run_out()) == (None, 3, ())
