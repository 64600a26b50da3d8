"""The menu: what can be ordered, and at what price. Prices are integers in minor units (cents, fen)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from refsystem.ordering.errors import ITEM_UNKNOWN, OrderRejected


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One thing that can be ordered; `name_zh` is its Chinese name, `station` the kitchen place that makes it."""

    item_id: str
    name: str
    name_zh: str
    price_minor: int
    station: str


@dataclass(frozen=True)
class Menu:
    """A store's menu."""

    items: tuple[MenuItem, ...]
    currency: str = "CNY"

    @cached_property
    def by_id(self) -> dict[str, MenuItem]:
        """The items by their id."""
        return {item.item_id: item for item in self.items}

    def total_minor(self, lines: Iterable[tuple[str, int]]) -> int:
        """The price of `(item_id, quantity)` lines; raises `OrderRejected` for an item that is not on the menu."""
        total = 0
        for item_id, quantity in lines:
            item = self.by_id.get(item_id)
            if item is None:
                raise OrderRejected(ITEM_UNKNOWN, f"there is no item {item_id!r} on the menu")
            total += item.price_minor * quantity
        return total

    def to_json(self) -> str:
        """The menu as JSON, as `GET /v1/menu` serves it and `read_menu` reads it."""
        return json.dumps(
            {"currency": self.currency, "items": [asdict(item) for item in self.items]}, ensure_ascii=False
        )


def read_menu(path: Path) -> Menu:
    """The menu stored in the JSON file `path`; raises `ValueError` that names the file if it cannot be read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Menu(tuple(MenuItem(**item) for item in raw["items"]), raw.get("currency", "CNY"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a menu file ({error})") from error


def _item(item_id: str, name: str, name_zh: str, price_minor: int, station: str) -> MenuItem:
    return MenuItem(item_id, name, name_zh, price_minor, station)


DEMO_MENU = Menu(
    (
        _item("beef-noodles", "Braised beef noodles", "红烧牛肉面", 3200, "noodles"),
        _item("dan-dan-noodles", "Dan dan noodles", "担担面", 2200, "noodles"),
        _item("wonton-soup", "Wonton soup", "馄饨汤", 2400, "noodles"),
        _item("cold-noodles", "Cold sesame noodles", "麻酱凉面", 1800, "cold"),
        _item("fried-rice", "Yangzhou fried rice", "扬州炒饭", 2600, "wok"),
        _item("kung-pao-chicken", "Kung pao chicken", "宫保鸡丁", 3800, "wok"),
        _item("mapo-tofu", "Mapo tofu", "麻婆豆腐", 2800, "wok"),
        _item("twice-cooked-pork", "Twice-cooked pork", "回锅肉", 4200, "wok"),
        _item("tomato-egg", "Tomatoes with egg", "番茄炒蛋", 2400, "wok"),
        _item("green-beans", "Dry-fried green beans", "干煸四季豆", 2600, "wok"),
        _item("pickled-fish", "Fish with pickled greens", "酸菜鱼", 6800, "wok"),
        _item("sweet-sour-ribs", "Sweet and sour ribs", "糖醋排骨", 5200, "wok"),
        _item("cucumber-salad", "Smashed cucumber", "拍黄瓜", 1400, "cold"),
        _item("saliva-chicken", "Chicken in chilli oil", "口水鸡", 3400, "cold"),
        _item("wood-ear", "Wood ear salad", "凉拌木耳", 1600, "cold"),
        _item("pork-dumplings", "Pork dumplings", "猪肉水饺", 2400, "steam"),
        _item("soup-dumplings", "Soup dumplings", "小笼包", 2800, "steam"),
        _item("steamed-rice", "Steamed rice", "米饭", 300, "steam"),
        _item("scallion-pancake", "Scallion pancake", "葱油饼", 1200, "steam"),
        _item("red-bean-buns", "Red bean buns", "豆沙包", 1200, "steam"),
        _item("soy-milk", "Soy milk", "豆浆", 600, "drinks"),
        _item("plum-juice", "Sour plum juice", "酸梅汤", 900, "drinks"),
        _item("lemon-tea", "Iced lemon tea", "冰柠檬茶", 1200, "drinks"),
        _item("beer", "Beer", "啤酒", 1500, "drinks"),
    )
)
