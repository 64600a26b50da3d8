"""What a scenario's stores have in stock when diners come."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.recipe import QUANTITY_MAX

if TYPE_CHECKING:
    from simulator.scenario_model import Scenario

StockLevels = dict[Annotated[str, Field(min_length=1, max_length=40)], Annotated[int, Field(ge=1, le=QUANTITY_MAX)]]
"""Quantities by ingredient."""


def stock_flaws(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is to be in stock and is no ingredient of a store's menu, as path and message."""
    for store in scenario.stores:
        menu = MENUS[store.format] if store.format is not None else DEMO_MENU
        for name in scenario.stock:
            if name not in menu.ingredients_by_id:
                close = get_close_matches(name, menu.ingredients_by_id, n=1)
                known = f"did you mean {close[0]!r}?" if close else f"they are {', '.join(menu.ingredients_by_id)}"
                yield ("stock", name), f"is no ingredient of the menu of store {store.name}; {known}"
