"""What a restaurant's format means for its diners: the menu, how much one order holds, and what an order begins with.

Items an order are guesses [G], as are all formats' menus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refsystem.ordering.menu import DEMO_MENU, Menu
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_rules import DEMO_RULES, Format
from simulator.scenario_model import Scenario

ITEMS_MEAN: dict[Format, float] = {
    "hotpot": 14.0,
    "casual": 6.0,
    "fast_food": 3.0,
    "tea": 1.6,
    "coffee": 1.5,
    "bakery": 2.5,
    "barbecue": 10.0,
    "canteen": 3.0,
}
"""Items of one order, quantities counted. [G]"""
BASES: dict[Format, str] = {"hotpot": "broth"}
"""The station of which a table's first order has exactly one item, and no later one any."""


def format_of(scenario: Scenario) -> Format | None:
    """The format of the scenario's stores, which is one for all."""
    return scenario.stores[0].format


def menu_of(scenario: Scenario) -> Menu:
    """The menu of the scenario's stores."""
    kind = format_of(scenario)
    return DEMO_MENU if kind is None else MENUS[kind]


def bases(menu: Menu, kind: Format | None) -> Sequence[str]:
    """The items of which a table's first order has one; empty for most formats."""
    station = BASES.get(kind) if kind is not None else None
    return [item.item_id for item in menu.items if item.station == station]


def called_for(menu: Menu, kind: Format | None) -> Mapping[str, int]:
    """The items that wait until the table calls for them, and their course; none in most formats."""
    if kind is None:
        return {}
    rules = DEMO_RULES[kind].kitchen
    return {item.item_id: item.course for item in menu.items if rules.fires(item.course) == "by_person"}


def lines_mean(scenario: Scenario, quantity_mean: float) -> float:
    """The mean number of lines of an order: as the scenario says, or as many as make up the format's items."""
    kind = format_of(scenario)
    basket = scenario.diners.basket
    if kind is None or not basket.by_format:
        return basket.lines_mean
    return max(1.0, ITEMS_MEAN[kind] / quantity_mean)
