"""The stock's rules as stories: lots, recipes, policies, voids, counts, waste, levels, and who may promise what (P18)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from till import AT_MS, order, uuid

from refsystem.ordering.errors import OrderRejected, Problem
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.kitchen_errors import (
    COUNT_STALE,
    INGREDIENT_UNKNOWN,
    ITEM_SOLD_OUT,
    LOT_KNOWN,
    LOT_UNKNOWN,
    RIGHTS_FROZEN,
    RIGHTS_NOT_FROZEN,
    RIGHTS_TOO_LOW,
    STOCK_TOO_LOW,
)
from refsystem.ordering.menu import Menu, dish, stock
from refsystem.ordering.stock import Stock
from refsystem.ordering.stock_acts import (
    AskRights,
    Count,
    GrantRights,
    Receive,
    ReturnRights,
    SettleRights,
    ThawRights,
    Waste,
)
from refsystem.ordering.stock_days import StockDays
from refsystem.ordering.stock_item import FIRST, Lot
from refsystem.ordering.stock_rights import CloudRights, WantsNumber, balance, balancing_act
from refsystem.ordering.store_acts import StoreAct, from_downlink
from refsystem.ordering.store_rules import DEMO_RULES, StockRules

MENU = Menu(
    (
        dish("fish", "Fish", "鱼", 6800, "wok", 1, "fish:1 oil:20"),
        dish("fish-platter", "Fish platter", "鱼拼盘", 9800, "wok", 1, "fish:2"),
        dish("tofu", "Tofu", "豆腐", 2000, "wok", 1, "tofu:300"),
        dish("tea", "Tea", "茶", 500, "bar", 1, "leaves:5"),
        dish("air", "Air", "空气", 0, "bar"),
    ),
    ingredients=(
        stock("fish", "Fish", "鱼", "piece", 20, "escrow", 1),
        stock("tofu", "Tofu", "豆腐", "g", 6_000, "edge_owned", 3),
        stock("leaves", "Leaves", "茶叶", "g", 500, "optimistic"),
        stock("oil", "Oil", "油", "ml", 5_000, "optimistic"),
    ),
)
RULES = StockRules(2_500, 1_000)


class Pantry:
    """A stock with its kitchen and its log."""

    def __init__(self) -> None:
        self.kitchen = Kitchen(MENU)
        self.stock = Stock(MENU, RULES, self.kitchen.is_made)
        self.log: list[dict[str, Any]] = []
        self.count = 0

    def new_id(self) -> str:
        self.count += 1
        return uuid(self.count)

    def append(self, record: dict[str, Any], epoch: int = 1) -> None:
        self.log.append(record)
        self.kitchen.apply(len(self.log), record)
        self.stock.apply(len(self.log), record, epoch)

    def do(self, content: Any) -> dict[str, Any]:
        self.append(self.stock.decide(StoreAct(self.new_id(), "Li", content), AT_MS))
        return self.log[-1]

    def refuses(self, problem: Problem, content: Any) -> str:
        before = self.stock.items
        with pytest.raises(OrderRejected) as rejection:
            self.do(content)
        assert rejection.value.problem is problem
        assert self.stock.items == before
        return rejection.value.detail

    def order(self, items: dict[str, int], *, number: int = 0) -> str:
        """Take an order; with a `number` it came by the downlink."""
        self.stock.check_order(items.items(), from_cloud=bool(number))
        order_id = self.new_id()
        origin = {"origin": "cloud", "downlink_number": number} if number else {"origin": "edge"}
        record = order(order_id, items, menu=MENU) | origin | self.stock.order_fields(items.items())
        self.append(record)
        return order_id

    def has_no(self, items: dict[str, int], **how: Any) -> str:
        with pytest.raises(OrderRejected) as rejection:
            self.order(items, **how)
        assert rejection.value.problem is ITEM_SOLD_OUT
        return rejection.value.detail

    def void(self, order_id: str, line: int, quantity: int) -> None:
        self.append({"kind": "act", "act": "void", "order_id": order_id, "line": line, "quantity": quantity})

    def lots(self, name: str) -> dict[str, int]:
        return {lot.lot_id: lot.quantity for lot in self.stock.item(name).lots if lot.quantity}


@pytest.fixture
def pantry():
    return Pantry()


# --- lots ------------------------------------------------------------------------------------------------------------


def test_what_expires_first_is_used_first(pantry):
    pantry.do(Receive("tofu", "late", 1_000, 20261130))
    pantry.do(Receive("tofu", "soon", 500, 20261123))
    pantry.do(Receive("tofu", "keeps", 900))
    pantry.order({"tofu": 2})
    assert pantry.lots("tofu") == {"late": 900, "keeps": 900}
    assert [lot.lot_id for _, lot in pantry.stock.lots_by(20261130)] == ["late"]
    assert pantry.stock.lots_by(20261129) == ()


@pytest.mark.parametrize(
    ("hour", "state"), [("2026-11-29T19:59", "ok"), ("2026-11-29T20:00", "expiring"), ("2026-12-01T00:00", "expired")]
)
def test_a_lot_is_warned_of_so_long_before_its_last_day_begins(hour, state):
    days = StockDays.at(datetime.fromisoformat(hour), DEMO_RULES["tea"].stock)
    assert days.state(Lot("L1", 5, 20261130, 1)) == state
    used_up, keeps, found = Lot("L2", 0, 20261130, 2), Lot("L3", 5, 0, 3), Lot("", 5, FIRST, 4)
    assert {days.state(lot) for lot in (used_up, keeps, found)} == {"ok"}


def test_a_delivery_that_is_scanned_twice_counts_once(pantry):
    pantry.do(Receive("tofu", "a", 300))
    assert "received already" in pantry.refuses(LOT_KNOWN, Receive("tofu", "a", 300))
    pantry.order({"tofu": 1})
    pantry.refuses(LOT_KNOWN, Receive("tofu", "a", 300))
    pantry.refuses(INGREDIENT_UNKNOWN, Receive("gold", "a", 1))


def test_the_orders_that_a_bad_lot_went_into_are_known(pantry):
    pantry.do(Receive("tofu", "a", 450, 20261123))
    pantry.do(Receive("tofu", "b", 900, 20261124))
    first, second, third = (pantry.order({"tofu": 1}) for _ in range(3))
    assert pantry.stock.orders_with("tofu", "a") == (first, second)
    assert pantry.stock.orders_with("tofu", "b") == (second, third)


def test_waste_is_of_one_lot_or_of_what_is_next_and_never_more_than_there_is(pantry):
    pantry.do(Receive("tofu", "a", 500, 20261123))
    pantry.do(Receive("tofu", "b", 500, 20261124))
    pantry.do(Waste("tofu", 200, "dropped", "b"))
    pantry.do(Waste("tofu", 100, "smells"))
    assert pantry.lots("tofu") == {"a": 400, "b": 300}
    assert pantry.stock.item("tofu").wasted == 300
    assert "300 of tofu are there, not 301" in pantry.refuses(STOCK_TOO_LOW, Waste("tofu", 301, "?", "b"))
    pantry.refuses(STOCK_TOO_LOW, Waste("tofu", 701, "?"))
    pantry.refuses(LOT_UNKNOWN, Waste("tofu", 1, "?", "c"))


def test_a_count_says_what_was_missing(pantry):
    pantry.do(Receive("tofu", "a", 1_000))
    record = pantry.do(Count("tofu", 940))
    assert record["expected"] == 1_000
    item = pantry.stock.item("tofu")
    assert (item.on_hand, item.missing) == (940, 60)
    pantry.do(Count("tofu", 1_100))
    item = pantry.stock.item("tofu")
    assert (item.on_hand, item.missing, item.edge_rights) == (1_100, -100, 1_100)


# --- policies (P18) --------------------------------------------------------------------------------------------------


def test_what_is_edge_owned_is_sold_until_it_is_gone_and_the_cloud_asks_the_store(pantry):
    pantry.do(Receive("tofu", "a", 700))
    pantry.order({"tofu": 1}, number=1)
    assert "tofu is sold out: 400 of tofu are left" in pantry.has_no({"tofu": 2})
    pantry.has_no({"tofu": 2}, number=2)
    pantry.order({"tofu": 1})
    assert pantry.stock.run_out() == ("fish", "fish-platter", "tofu")
    assert pantry.stock.portions("tofu") == 0


def test_orders_that_are_decided_together_see_each_other(pantry):
    pantry.do(Receive("tofu", "a", 700))
    needs = pantry.stock.check_order([("tofu", 2)], from_cloud=True)
    assert needs == {"tofu": 600}
    with pytest.raises(OrderRejected):
        pantry.stock.check_order([("tofu", 1)], from_cloud=True, besides=needs)


def test_what_is_optimistic_is_oversold_counted_and_made_good(pantry):
    pantry.do(Receive("leaves", "a", 12))
    order_id = pantry.order({"tea": 4})
    assert pantry.stock.oversold() == {"leaves": 8}
    assert pantry.stock.portions("tea") is None
    assert pantry.stock.portions("air") is None
    pantry.void(order_id, 0, 1)
    assert pantry.stock.oversold() == {"leaves": 3}
    pantry.do(Receive("leaves", "b", 500))
    assert pantry.stock.oversold() == {}
    assert pantry.lots("leaves") == {"b": 497}


def test_the_store_sells_only_what_it_has_not_granted(pantry):
    pantry.do(Receive("fish", "a", 10, 20261123))
    pantry.do(GrantRights("fish", 6))
    item = pantry.stock.item("fish")
    assert (item.on_hand, item.edge_rights, item.cloud_rights) == (10, 4, 6)
    pantry.order({"fish": 4})
    assert "fish-platter is sold out" in pantry.has_no({"fish-platter": 1})
    pantry.order({"fish": 6}, number=1)
    assert pantry.stock.item("fish").on_hand == 0
    assert pantry.stock.item("fish").edge_rights == 0
    pantry.refuses(RIGHTS_TOO_LOW, GrantRights("fish", 1))


def test_the_cloud_promises_what_it_was_granted_once(pantry):
    cloud = CloudRights()
    pantry.do(Receive("fish", "a", 10))
    cloud.apply(pantry.do(GrantRights("fish", 6)), 1)
    cloud.reserve(1, {"fish": 4, "oil": 80}, ["fish"])
    with pytest.raises(OrderRejected, match="2 of fish are left"):
        cloud.reserve(2, {"fish": 3}, ["fish"])
    assert (cloud.rights, cloud.reserved) == ({"fish": 2}, {1: {"fish": 4}})
    assert cloud.apply({"kind": "duplicate_of", "order_id": uuid(1), "downlink_number": 1}, 1) == ()
    assert cloud.rights == {"fish": 6}, "the store sold it by its own rights"
    cloud.apply({"kind": "duplicate_of", "order_id": uuid(1), "downlink_number": 1}, 1)
    assert cloud.rights == {"fish": 6}, "nothing is given back twice"
    cloud.reserve(3, {"fish": 6}, ["fish"])
    cloud.apply({"kind": "order", "order_id": uuid(1), "downlink_number": 3}, 1)
    assert (cloud.rights, cloud.reserved) == ({"fish": 0}, {})


def test_the_store_asks_for_rights_and_the_cloud_gives_what_it_can_spare(pantry):
    cloud = CloudRights()
    pantry.do(Receive("fish", "a", 10))
    cloud.apply(pantry.do(GrantRights("fish", 6)), 1)
    (wants,) = cloud.apply(pantry.do(AskRights("fish", 9)), 1)
    assert cloud.rights == {"fish": 0}
    assert cloud.apply(pantry.log[-1], 1) == (), "nothing is left to give"
    act = from_downlink(wants.content(7))
    assert act == from_downlink(ReturnRights("fish", 6, 7))
    pantry.append(pantry.stock.decide(act, AT_MS))
    assert pantry.stock.item("fish").edge_rights == 10


def test_after_a_fork_the_store_promises_nothing_escrowed_until_the_cloud_has_settled(pantry):
    """P19: the branch that was left had granted six more, and the cloud has sold five of them."""
    cloud = CloudRights({"fish": 6})
    cloud.reserve(1, {"fish": 5}, ["fish"])
    pantry.do(Receive("fish", "a", 10))
    pantry.append({"kind": "fork", "from_seq": 2}, epoch=4)
    pantry.has_no({"fish": 1})
    pantry.refuses(RIGHTS_FROZEN, GrantRights("fish", 1))
    pantry.order({"fish": 5}, number=1)
    (wants,) = cloud.apply({"kind": "fork", "from_seq": 2}, 4)
    assert wants == WantsNumber(fork_epoch=4)
    assert (cloud.rights, cloud.reserved) == ({}, {})
    pantry.append(from_downlink(SettleRights(2, 3)).record(0))
    pantry.has_no({"fish": 1})
    pantry.append(from_downlink(wants.content(3)).record(0))
    assert pantry.stock.item("fish").edge_rights == 5
    pantry.order({"fish": 5})
    pantry.has_no({"fish": 1})


def test_a_person_may_sell_before_the_cloud_has_settled_and_what_is_oversold_is_counted(pantry):
    pantry.refuses(RIGHTS_NOT_FROZEN, ThawRights("?"))
    pantry.do(Receive("fish", "a", 10))
    pantry.append({"kind": "fork", "from_seq": 2}, epoch=4)
    pantry.do(ThawRights("no cloud since noon"))
    pantry.refuses(RIGHTS_FROZEN, GrantRights("fish", 1))
    pantry.order({"fish": 9})
    pantry.order({"fish": 4}, number=1)
    assert pantry.stock.oversold()["fish"] == 3
    pantry.append({"kind": "fork", "from_seq": 6}, epoch=5)
    pantry.has_no({"fish": 1})
    pantry.stock.set_aside(6)
    assert pantry.stock.item("fish").edge_rights == 1
    pantry.has_no({"fish": 1})
    pantry.append(from_downlink(SettleRights(2, 4)).record(0))
    assert (pantry.stock.item("fish").edge_rights, pantry.stock.fork_epoch) == (-3, 0)
    pantry.stock.set_aside(2)
    pantry.order({"fish": 1})


def test_what_is_thrown_away_beyond_the_stores_rights_is_asked_back(pantry):
    pantry.do(Receive("fish", "a", 10))
    pantry.do(GrantRights("fish", 8))
    pantry.do(Waste("fish", 5, "dead"))
    item = pantry.stock.item("fish")
    assert (item.on_hand, item.edge_rights) == (5, -3)
    pantry.has_no({"fish": 1})
    assert balance(item, MENU.ingredients_by_id["fish"], 5_000) == AskRights("fish", 6)


@pytest.mark.parametrize(
    ("there", "granted", "share", "expected"),
    [
        (10, 0, 5_000, GrantRights("fish", 5)),
        (10, 3, 5_000, None),
        (10, 2, 5_000, GrantRights("fish", 3)),
        (10, 9, 5_000, AskRights("fish", 4)),
        (10, 10, 0, AskRights("fish", 10)),
        (1, 0, 5_000, None),
        (10, 0, 0, None),
    ],
)
def test_rights_follow_the_cloud_s_share(pantry, there, granted, share, expected):
    pantry.do(Receive("fish", "a", there))
    if granted:
        pantry.do(GrantRights("fish", granted))
    item = pantry.stock.item("fish")
    found = balance(item, MENU.ingredients_by_id["fish"], share)
    assert found == expected
    if expected is not None:
        pantry.append(pantry.stock.decide(balancing_act(item, expected), AT_MS))
        again = pantry.stock.item("fish")
        repeated = balance(again, MENU.ingredients_by_id["fish"], share)
        assert repeated is None or balancing_act(again, repeated) == balancing_act(item, expected), "asked for once"


# --- voids -----------------------------------------------------------------------------------------------------------


def test_a_void_before_it_is_made_puts_back_what_it_took_and_after_it_is_waste(pantry):
    pantry.do(Receive("fish", "a", 3, 20261123))
    pantry.do(Receive("fish", "b", 3, 20261124))
    order_id = pantry.order({"fish": 5})
    assert pantry.lots("fish") == {"b": 1}
    pantry.void(order_id, 0, 3)
    assert pantry.lots("fish") == {"a": 1, "b": 3}
    assert pantry.stock.item("fish").edge_rights == 4
    pantry.append({"kind": "bump", "order_id": order_id, "version": 2, "station": "kitchen"})
    pantry.void(order_id, 0, 1)
    item = pantry.stock.item("fish")
    assert (item.on_hand, item.edge_rights, item.sold, item.wasted) == (4, 4, 1, 1)
    pantry.void(order_id, 0, 9)
    item = pantry.stock.item("fish")
    assert (item.on_hand, item.sold, item.wasted) == (4, 0, 2), "no more than there was"
    pantry.void(uuid(99), 0, 1)
    pantry.void(order_id, 7, 1)
    assert pantry.stock.item("fish") == item


# --- levels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_hand", "level"), [(6_000, "ok"), (1_501, "ok"), (1_500, "low"), (601, "low"), (600, "critical"), (0, "out")]
)
def test_levels_are_shares_of_what_the_store_wants_to_have(pantry, on_hand, level):
    if on_hand:
        pantry.do(Receive("tofu", "a", on_hand))
    assert pantry.stock.level("tofu") == level


def test_the_log_says_what_a_portion_took_whatever_the_menu_says_later(pantry):
    pantry.do(Receive("tofu", "a", 900))
    pantry.order({"tofu": 1})
    other = Stock(
        Menu(
            (dish("tofu", "Tofu", "豆腐", 2000, "wok", 1, "beans:1"),), ingredients=(stock("beans", "B", "豆", "g", 1),)
        )
    )
    for seq, record in enumerate(pantry.log, start=1):
        other.apply(seq, record, 1)
    assert other.passed_over[0].seq == 1, "it has no tofu"
    assert other.item("tofu").owed == 300


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "order"},
        {"kind": "order", "order_id": uuid(1), "items": [["tofu", "x"]]},
        {"kind": "act", "act": "receive", "ingredient_id": "tofu", "lot_id": "a", "quantity": 0},
        {"kind": "act", "act": "void", "order_id": [], "line": 0, "quantity": 1},
        {"kind": "act", "act": "settle_rights", "number": 1},
    ],
)
def test_a_damaged_entry_changes_nothing_and_is_named(pantry, record):
    before = pantry.stock.items
    pantry.append(record)
    assert [passed.seq for passed in pantry.stock.passed_over] == [1]
    assert pantry.stock.items == before


def test_a_count_that_comes_late_makes_nothing_of_what_was_sold_meanwhile(pantry):
    """Typed at ten, then the tablet was offline while eight were sold: two are there, whenever the count arrives."""
    pantry.do(Receive("fish", "a", 10))
    known_seq = len(pantry.log)
    pantry.order({"fish": 8})
    record = pantry.do(Count("fish", 9, known_seq))
    item = pantry.stock.item("fish")
    assert (record["expected"], item.on_hand, item.missing, pantry.stock.available("fish")) == (10, 1, 1, 1)
    detail = pantry.refuses(COUNT_STALE, Count("fish", 9, known_seq))
    assert "entry 3" in detail
    again = Stock(MENU, RULES, pantry.kitchen.is_made)
    for seq, each in enumerate(pantry.log, 1):
        again.apply(seq, each, 1)
    assert again.items == pantry.stock.items
    pantry.do(Waste("fish", 1, "dropped"))
    pantry.refuses(COUNT_STALE, Count("fish", 1, len(pantry.log) - 1))
    assert pantry.do(Count("fish", 4))["expected"] == 0
    assert pantry.stock.item("fish").on_hand == 4


def test_a_count_without_its_moment_has_the_hash_that_it_had() -> None:
    assert StoreAct("", "", Count("fish", 9)).body_hash == "c3c35c79d8530cd8"
    assert StoreAct("", "", Count("fish", 9, 4)).body_hash != StoreAct("", "", Count("fish", 9, 5)).body_hash
