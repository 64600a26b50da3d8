"""The menu: what can be ordered, at what price, which station makes it, in which course, and what it takes of the stock.

Prices are integers in minor units (cents, fen).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from refsystem.ordering import fields
from refsystem.ordering.errors import ITEM_UNKNOWN, OrderRejected
from refsystem.ordering.fields import FieldError, given
from refsystem.ordering.money import AMOUNT_MINOR_MAX
from refsystem.ordering.recipe import ID, NAME, QUANTITY, Ingredient
from refsystem.ordering.stock_scan import check_digit

ITEMS_MAX = 2_000
COURSE_MAX = 9
RECIPE_MAX = 30
COURSE = fields.whole(1, COURSE_MAX)


@dataclass(frozen=True, slots=True)
class Station:
    """A place in the kitchen."""

    station_id: str = given(ID)
    name: str = given(NAME)
    name_zh: str = given(NAME)


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One thing that can be ordered; `name_zh` is its Chinese name, `station` the kitchen place that makes it.

    Courses are fired one after the other, as the store's rules say. `recipe` holds `(ingredient_id, quantity)` of one portion.
    """

    item_id: str = given(fields.text(80, 1))
    name: str = given(fields.text(200, 1))
    name_zh: str = given(fields.text(200, 1))
    price_minor: int = given(fields.whole(0, AMOUNT_MINOR_MAX))
    station: str = given(ID)
    course: int = given(COURSE, default=1)
    recipe: tuple[tuple[str, int], ...] = given(fields.list_of(fields.row_of(ID, QUANTITY), RECIPE_MAX), default=())


@dataclass(frozen=True)
class Menu:
    """A store's menu. A station that no entry of `stations` names goes by its id."""

    items: tuple[MenuItem, ...] = given(fields.list_of(fields.object_of(MenuItem), ITEMS_MAX))
    currency: str = given(fields.text(3, 3), default="CNY")
    stations: tuple[Station, ...] = given(fields.list_of(fields.object_of(Station), 100), default=())
    ingredients: tuple[Ingredient, ...] = given(fields.list_of(fields.object_of(Ingredient), ITEMS_MAX), default=())

    def __post_init__(self) -> None:
        _unique("items", [item.item_id for item in self.items])
        _unique("stations", [station.station_id for station in self.stations])
        _unique("ingredients", [ingredient.ingredient_id for ingredient in self.ingredients])
        _unique("barcodes", [ingredient.barcode for ingredient in self.ingredients if ingredient.barcode])
        stocked = {ingredient.ingredient_id for ingredient in self.ingredients}
        for item in self.items:
            _unique(f"the recipe of {item.item_id}", [ingredient_id for ingredient_id, _ in item.recipe])
            for ingredient_id, _ in item.recipe:
                if ingredient_id not in stocked:
                    raise FieldError(
                        f"the recipe of {item.item_id}", f"of ingredients that are there, not {ingredient_id!r}"
                    )

    @cached_property
    def by_id(self) -> dict[str, MenuItem]:
        """The items by their id."""
        return {item.item_id: item for item in self.items}

    @cached_property
    def ingredients_by_id(self) -> dict[str, Ingredient]:
        """The ingredients by their id."""
        return {ingredient.ingredient_id: ingredient for ingredient in self.ingredients}

    @cached_property
    def recipes(self) -> dict[str, tuple[tuple[str, int], ...]]:
        """The recipes of the items that have one."""
        return {item.item_id: item.recipe for item in self.items if item.recipe}

    @cached_property
    def all_stations(self) -> tuple[Station, ...]:
        """Every station that makes something: the named ones first, in their order."""
        named = {station.station_id: station for station in self.stations}
        used = {
            item.station: named.get(item.station, Station(item.station, item.station, item.station))
            for item in self.items
        }
        return tuple(
            {station_id: station for station_id, station in (named | used).items() if station_id in used}.values()
        )

    def total_minor(self, lines: Iterable[tuple[str, int]]) -> int:
        """The price of `(item_id, quantity)` lines; raises `OrderRejected` for an item that is not on the menu."""
        total = 0
        for item_id, quantity in lines:
            item = self.by_id.get(item_id)
            if item is None:
                raise OrderRejected(ITEM_UNKNOWN, f"there is no item {item_id!r} on the menu", item_id)
            total += item.price_minor * quantity
        return total

    def to_json(self) -> str:
        """The menu as JSON, as `GET /v1/menu` serves it and `read_menu` reads it."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read_menu(path: Path) -> Menu:
    """The menu stored in the JSON file `path`; raises `ValueError` that names the file if it cannot be read."""
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise FieldError("a menu", "a JSON object with items")
        return fields.read_fields(Menu, raw)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a menu file ({error})") from error


def _unique(what: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise FieldError(what, f"different ones, but {one!r} is there twice")
        seen.add(one)


def dish(
    item_id: str, name: str, name_zh: str, price_minor: int, station: str, course: int = 1, recipe: str = ""
) -> MenuItem:
    """One line of a menu; `recipe` is written as `beef:120 noodles:1`."""
    taken = (part.split(":") for part in recipe.split())
    return MenuItem(
        item_id, name, name_zh, price_minor, station, course, tuple((each, int(many)) for each, many in taken)
    )


def stock(
    ingredient_id: str, name: str, name_zh: str, unit: str, par: int, policy: str = "edge_owned", shelf_days: int = 0
) -> Ingredient:
    """One line of the list of what is kept in stock. Its barcode is one of GS1's for use within a company (prefix 20)."""
    digits = f"20{zlib.crc32(ingredient_id.encode()):010d}"
    return Ingredient(ingredient_id, name, name_zh, unit, par, policy, shelf_days, digits + check_digit(digits))


def places(*rows: tuple[str, str, str]) -> tuple[Station, ...]:
    """Stations from rows of id, name and Chinese name."""
    return tuple(Station(*row) for row in rows)


DEMO_MENU = Menu(
    (
        dish("beef-noodles", "Braised beef noodles", "红烧牛肉面", 3200, "noodles", 2, "noodles:1 beef:120"),
        dish("dan-dan-noodles", "Dan dan noodles", "担担面", 2200, "noodles", 2, "noodles:1 pork:60"),
        dish("wonton-soup", "Wonton soup", "馄饨汤", 2400, "noodles", 2, "wontons:10"),
        dish("cold-noodles", "Cold sesame noodles", "麻酱凉面", 1800, "cold", 1, "noodles:1"),
        dish("fried-rice", "Yangzhou fried rice", "扬州炒饭", 2600, "wok", 2, "rice:250 eggs:2"),
        dish("kung-pao-chicken", "Kung pao chicken", "宫保鸡丁", 3800, "wok", 2, "chicken:250"),
        dish("mapo-tofu", "Mapo tofu", "麻婆豆腐", 2800, "wok", 2, "tofu:300 pork:50"),
        dish("twice-cooked-pork", "Twice-cooked pork", "回锅肉", 4200, "wok", 2, "pork:250"),
        dish("tomato-egg", "Tomatoes with egg", "番茄炒蛋", 2400, "wok", 2, "eggs:3 tomatoes:300"),
        dish("green-beans", "Dry-fried green beans", "干煸四季豆", 2600, "wok", 2, "beans:300 pork:30"),
        dish("pickled-fish", "Fish with pickled greens", "酸菜鱼", 6800, "wok", 2, "fish:1"),
        dish("sweet-sour-ribs", "Sweet and sour ribs", "糖醋排骨", 5200, "wok", 2, "ribs:350"),
        dish("cucumber-salad", "Smashed cucumber", "拍黄瓜", 1400, "cold", 1, "cucumbers:1"),
        dish("saliva-chicken", "Chicken in chilli oil", "口水鸡", 3400, "cold", 1, "chicken:220"),
        dish("wood-ear", "Wood ear salad", "凉拌木耳", 1600, "cold", 1, "wood-ear:100"),
        dish("pork-dumplings", "Pork dumplings", "猪肉水饺", 2400, "steam", 2, "dumplings:12"),
        dish("soup-dumplings", "Soup dumplings", "小笼包", 2800, "steam", 2, "soup-dumplings:6"),
        dish("steamed-rice", "Steamed rice", "米饭", 300, "steam", 2, "rice:150"),
        dish("scallion-pancake", "Scallion pancake", "葱油饼", 1200, "steam", 2, "pancakes:1"),
        dish("red-bean-buns", "Red bean buns", "豆沙包", 1200, "steam", 3, "buns:3"),
        dish("soy-milk", "Soy milk", "豆浆", 600, "drinks", 1, "soy-milk:300"),
        dish("plum-juice", "Sour plum juice", "酸梅汤", 900, "drinks", 1, "plum-juice:300"),
        dish("lemon-tea", "Iced lemon tea", "冰柠檬茶", 1200, "drinks", 1, "tea:5 lemons:1"),
        dish("beer", "Beer", "啤酒", 1500, "drinks", 1, "beer:1"),
    ),
    stations=places(
        ("wok", "Wok", "炒锅"),
        ("noodles", "Noodles", "面档"),
        ("steam", "Steam", "蒸档"),
        ("cold", "Cold dishes", "凉菜"),
        ("drinks", "Drinks", "饮品"),
    ),
    ingredients=(
        stock("beef", "Beef", "牛肉", "g", 6_000, shelf_days=3),
        stock("pork", "Pork", "猪肉", "g", 10_000, shelf_days=3),
        stock("chicken", "Chicken", "鸡肉", "g", 10_000, shelf_days=3),
        stock("ribs", "Pork ribs", "排骨", "g", 7_000, shelf_days=3),
        stock("fish", "Live fish", "活鱼", "piece", 20, "escrow", 1),
        stock("tofu", "Tofu", "豆腐", "g", 9_000, shelf_days=3),
        stock("eggs", "Eggs", "鸡蛋", "piece", 180, "optimistic", 20),
        stock("tomatoes", "Tomatoes", "番茄", "g", 8_000, shelf_days=5),
        stock("beans", "Green beans", "四季豆", "g", 6_000, shelf_days=4),
        stock("cucumbers", "Cucumbers", "黄瓜", "piece", 40, shelf_days=5),
        stock("wood-ear", "Wood ear", "木耳", "g", 3_000, shelf_days=180),
        stock("noodles", "Noodles", "面条", "piece", 150, "optimistic", 3),
        stock("wontons", "Wontons", "馄饨", "piece", 400, shelf_days=2),
        stock("dumplings", "Dumplings", "水饺", "piece", 600, shelf_days=2),
        stock("soup-dumplings", "Soup dumplings", "小笼包", "piece", 240, "escrow", 1),
        stock("pancakes", "Scallion pancakes", "葱油饼", "piece", 40, shelf_days=1),
        stock("buns", "Red bean buns", "豆沙包", "piece", 90, shelf_days=2),
        stock("rice", "Rice", "大米", "g", 25_000, "optimistic", 365),
        stock("soy-milk", "Soy milk", "豆浆", "ml", 15_000, shelf_days=1),
        stock("plum-juice", "Sour plum juice", "酸梅汤", "ml", 12_000, shelf_days=7),
        stock("tea", "Tea leaves", "茶叶", "g", 500, "optimistic", 365),
        stock("lemons", "Lemons", "柠檬", "piece", 60, shelf_days=14),
        stock("beer", "Beer", "啤酒", "piece", 240, shelf_days=180),
    ),
)
"""The demo menu of a casual restaurant. What a recipe takes and what is kept in stock are guesses [G]."""
