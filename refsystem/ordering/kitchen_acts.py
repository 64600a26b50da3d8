"""Acts of the kitchen: what is done to tickets, courses and what is sold out. See `store_acts.py` for how they become records."""

from __future__ import annotations

from dataclasses import dataclass

from refsystem.ordering import fields
from refsystem.ordering.fields import given
from refsystem.ordering.menu import COURSE
from refsystem.ordering.store_rules import PRIORITY_MAX

STATION = fields.text(40, 1)
VERSION = fields.whole(0, 2**62)
ITEM = fields.text(80, 1)
REASON = fields.text(200)


@dataclass(frozen=True, slots=True)
class Fire:
    """A course that is held back is to be made now, and so are the earlier ones of its order."""

    order_id: str = given(fields.uuid)
    course: int = given(COURSE)


@dataclass(frozen=True, slots=True)
class BumpAgain:
    """A ticket is done. `round` says how often it was before: 0 stands for the record of kind `bump`."""

    order_id: str = given(fields.uuid)
    version: int = given(VERSION)
    station: str = given(STATION)
    round: int = given(fields.whole(0, 1_000), default=0)


@dataclass(frozen=True, slots=True)
class Recall:
    """A ticket that was bumped is not done after all."""

    order_id: str = given(fields.uuid)
    version: int = given(VERSION)
    station: str = given(STATION)


@dataclass(frozen=True, slots=True)
class Rush:
    """An order gets another priority; a higher one stands before others."""

    order_id: str = given(fields.uuid)
    priority: int = given(fields.whole(0, PRIORITY_MAX))


@dataclass(frozen=True, slots=True)
class Escalate:
    """A ticket has waited for so long that the front is told."""

    order_id: str = given(fields.uuid)
    version: int = given(VERSION)
    station: str = given(STATION)


@dataclass(frozen=True, slots=True)
class EightySix:
    """An item is sold out, on every channel, until it is restored."""

    item_id: str = given(ITEM)
    reason: str = given(REASON, default="")


@dataclass(frozen=True, slots=True)
class Restore:
    """An item is there again."""

    item_id: str = given(ITEM)


KitchenContent = Fire | BumpAgain | Recall | Rush | Escalate | EightySix | Restore

KITCHEN_ACTS: dict[str, type[KitchenContent]] = {
    "fire": Fire,
    "bump": BumpAgain,
    "recall": Recall,
    "rush": Rush,
    "escalate": Escalate,
    "eighty_six": EightySix,
    "restore": Restore,
}
