"""Menus and store rules as data: what the demo holds, and what a file may not say."""

from __future__ import annotations

import json

import pytest

from refsystem.ordering.menu import DEMO_MENU, Menu, MenuItem, read_menu
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_rules import (
    DEMO_RULES,
    FORMATS,
    ONE_SLIP,
    CourseRule,
    KitchenRules,
    read_store_rules,
    scaled,
)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_a_menu_whose_items_are_routed_and_taken_from_stock(form, tmp_path):
    menu, rules = MENUS[form], DEMO_RULES[form]
    assert rules.format == form
    assert {item.station for item in menu.items} == {station.station_id for station in menu.stations}
    assert all(station.name_zh != station.name for station in menu.stations)
    assert all(item.recipe for item in menu.items)
    assert {name for item in menu.items for name, _ in item.recipe} == set(menu.ingredients_by_id)
    assert any(ingredient.policy == "escrow" for ingredient in menu.ingredients) or form == "canteen"
    named = {rule.course for rule in rules.kitchen.courses}
    assert not named or {item.course for item in menu.items} == named
    path = tmp_path / "menu.json"
    path.write_text(menu.to_json(), encoding="utf-8")
    assert read_menu(path) == menu


def test_the_demo_menu_keeps_its_ids_and_prices():
    assert len(DEMO_MENU.items) == 24
    assert sum(item.price_minor for item in DEMO_MENU.items) == 58_500
    assert DEMO_MENU.by_id["mapo-tofu"].price_minor == 2800


def test_a_menu_file_of_an_earlier_version_is_read(tmp_path):
    path = tmp_path / "menu.json"
    item = {"item_id": "x", "name": "X", "name_zh": "某", "price_minor": 5, "station": "wok"}
    path.write_text(json.dumps({"items": [item]}), encoding="utf-8")
    menu = read_menu(path)
    assert menu == Menu((MenuItem("x", "X", "某", 5, "wok"),))
    assert [station.name for station in menu.all_stations] == ["wok"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"price_minor": -1}, r"items\[0\].price_minor must be a whole number"),
        ({"course": 0}, r"items\[0\].course must be a whole number from 1 to 9"),
        ({"recipe": [["nothing", 3]]}, "the recipe of x must be of ingredients that are there, not 'nothing'"),
        ({"colour": "red"}, r"items\[0\].colour must be left out"),
        ({"name": None}, r"items\[0\].name must be a text"),
    ],
)
def test_a_menu_file_that_is_wrong_says_where(tmp_path, changes, named):
    path = tmp_path / "menu.json"
    item = {"item_id": "x", "name": "X", "name_zh": "某", "price_minor": 5, "station": "wok"}
    path.write_text(json.dumps({"items": [item | changes]}), encoding="utf-8")
    with pytest.raises(ValueError, match=named) as refused:
        read_menu(path)
    assert str(path) in str(refused.value)
    path.write_text(json.dumps({"items": [item, item]}), encoding="utf-8")
    with pytest.raises(ValueError, match="'x' is there twice"):
        read_menu(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="a JSON object"):
        read_menu(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"format": "pizza"}, "format must be one of hotpot"),
        ({"format": "tea", "kitchen": {"yellow_s": 700, "red_s": 600}}, "rising order"),
        ({"format": "tea", "kitchen": {"courses": [{"course": 1}]}}, r"kitchen.courses\[0\].name must be there"),
        ({"format": "tea", "stock": {"critical_basis_points": 9_999}}, "at most low_basis_points"),
        ({}, "format must be there"),
    ],
)
def test_a_file_of_rules_that_is_wrong_says_where(tmp_path, content, named):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=named):
        read_store_rules(path)


def test_rules_are_read_and_scaled(tmp_path):
    path = tmp_path / "rules.json"
    base = {"course": 1, "name": "Base", "name_zh": "锅底"}
    dishes = {"course": 2, "name": "Dishes", "name_zh": "菜", "fires": "after_previous", "at_latest_s": 600}
    kitchen = {"courses": [base, dishes], "escalate_s": 1000, "priorities": [["platform", 2]]}
    path.write_text(json.dumps({"format": "hotpot", "kitchen": kitchen}), encoding="utf-8")
    rules = read_store_rules(path).kitchen
    assert rules.courses[1] == CourseRule(2, "Dishes", "菜", "after_previous", 600)
    assert (rules.fires(1), rules.fires(2), rules.fires(3)) == ("at_once", "after_previous", "at_once")
    assert (rules.priority("platform"), rules.priority("qr")) == (2, 0)
    fast = scaled(rules, 60)
    assert (fast.yellow_s, fast.red_s, fast.escalate_s, fast.at_latest_s(2), fast.at_latest_s(1)) == (10, 15, 17, 10, 0)
    assert scaled(ONE_SLIP, 10_000) == KitchenRules("one_slip", yellow_s=1, red_s=1, pickup_lead_s=1)
