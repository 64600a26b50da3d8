"""What a kitchen keeps in stock, and how much of it a thing on the menu takes. Quantities are whole numbers of a base unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from refsystem.ordering import fields
from refsystem.ordering.fields import given

QUANTITY_MAX = 10**9
SHELF_DAYS_MAX = 3_650
POLICIES = ("escrow", "edge_owned", "optimistic")
UNITS = ("g", "ml", "piece")

ID = fields.text(40, 1)
NAME = fields.text(80, 1)
QUANTITY = fields.whole(1, QUANTITY_MAX)
AMOUNT = fields.whole(0, QUANTITY_MAX)

Needs = Mapping[str, int]
"""Quantities by `ingredient_id`."""


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One thing in stock. `policy` (P18) says who may promise it; a unit is a gram, a millilitre or a piece.

    `par` is what the store wants to have at the start of a day; the rules' shares of it are where it counts as low.
    """

    ingredient_id: str = given(ID)
    name: str = given(NAME)
    name_zh: str = given(NAME)
    unit: str = given(fields.one_of(*UNITS))
    par: int = given(QUANTITY)
    policy: str = given(fields.one_of(*POLICIES), default="edge_owned")
    shelf_days: int = given(fields.whole(0, SHELF_DAYS_MAX), default=0)
    """Days that it keeps when a delivery does not say it; 0: it keeps."""
    barcode: str = given(fields.text(14), default="")


def needs_of(recipes: Mapping[str, Iterable[tuple[str, int]]], lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    """What `lines` of `(item_id, quantity)` take in all, by ingredient; an item without a recipe takes nothing."""
    needs: dict[str, int] = {}
    for item_id, quantity in lines:
        for ingredient_id, each in recipes.get(item_id, ()):
            needs[ingredient_id] = needs.get(ingredient_id, 0) + each * quantity
    return needs


def portions_left(recipe: Iterable[tuple[str, int]], available: Needs) -> int | None:
    """How many portions `available` is enough for; None when the recipe takes nothing."""
    return min((max(0, available.get(ingredient_id, 0)) // each for ingredient_id, each in recipe), default=None)
