"""The rules by which a store's kitchen and stock go, as data: courses, colours, time-outs, thresholds, guards; for eight formats.

Times are whole seconds of business time: `scaled` divides them by a scenario's `time_scale`. Figures without a source are
guesses, marked [G].
"""

# ruff: noqa: RUF009 (each of these calls returns a `dataclasses.field`)

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from refsystem.ordering import fields
from refsystem.ordering.fields import FieldError, given
from refsystem.ordering.menu import COURSE, COURSE_MAX
from refsystem.ordering.money import BASIS_POINTS
from refsystem.ordering.recipe import ID, NAME

Format = Literal["hotpot", "casual", "fast_food", "tea", "coffee", "bakery", "barbecue", "canteen"]
Fires = Literal["at_once", "after_previous", "by_person"]
Routing = Literal["one_slip", "by_station"]
FORMATS: tuple[Format, ...] = get_args(Format)
FIRES: tuple[Fires, ...] = get_args(Fires)
ROUTINGS: tuple[Routing, ...] = get_args(Routing)
ONE_STATION = "kitchen"
SECONDS_MAX = 7 * 24 * 3600
PRIORITY_MAX = 9

SECONDS = fields.whole(0, SECONDS_MAX)
POINTS = fields.whole(0, BASIS_POINTS)


@dataclass(frozen=True, slots=True)
class CourseRule:
    """When a course is fired: with the order; when all earlier ones of its check are done; or when a person says so.

    `at_latest_s` after its order came it is fired in any case; 0: never by itself.
    """

    course: int = given(COURSE)
    name: str = given(NAME)
    name_zh: str = given(NAME)
    fires: Fires = given(fields.one_of(*FIRES), default="at_once")
    at_latest_s: int = given(SECONDS, default=0)


@dataclass(frozen=True, slots=True)
class KitchenRules:
    """How orders become tickets, and how tickets age: yellow, red, then told to the front (`escalate_s`; 0: never).

    `one_slip` puts a whole order on one ticket of station `kitchen`, as in a kitchen of one place. `priorities` are what an order
    of a channel starts with; a ticket of higher priority stands before those of lower, whatever their age, until these are red.
    """

    routing: Routing = given(fields.one_of(*ROUTINGS), default="by_station")
    courses: tuple[CourseRule, ...] = given(fields.list_of(fields.object_of(CourseRule), COURSE_MAX), default=())
    yellow_s: int = given(SECONDS, default=600)
    red_s: int = given(SECONDS, default=900)
    escalate_s: int = given(SECONDS, default=0)
    pickup_lead_s: int = given(SECONDS, default=600)
    """How long before its pick-up a pre-order is fired. [G]"""
    priorities: tuple[tuple[str, int], ...] = given(
        fields.list_of(fields.row_of(ID, fields.whole(0, PRIORITY_MAX)), 20), default=()
    )

    def __post_init__(self) -> None:
        if not self.yellow_s <= self.red_s or 0 < self.escalate_s < self.red_s:
            raise FieldError("yellow_s, red_s and escalate_s", "in rising order")
        if len({rule.course for rule in self.courses}) < len(self.courses):
            raise FieldError("courses", "different ones")

    def fires(self, course: int) -> Fires:
        """When `course` is fired; at once if no rule names it."""
        return next((rule.fires for rule in self.courses if rule.course == course), "at_once")

    def at_latest_s(self, course: int) -> int:
        """Seconds after its order in which `course` is fired in any case; 0: never."""
        return next((rule.at_latest_s for rule in self.courses if rule.course == course), 0)

    def priority(self, channel: str) -> int:
        """What an order of `channel` starts with."""
        return dict(self.priorities).get(channel, 0)


@dataclass(frozen=True, slots=True)
class StockRules:
    """Shares of `par`, in basis points, at or below which an ingredient is low or critical, and when a lot's end is near.

    `cloud_share_basis_points` of what an escrowed ingredient has left is the cloud's to promise (P18).
    """

    low_basis_points: int = given(POINTS, default=2_500)
    critical_basis_points: int = given(POINTS, default=1_000)
    expiry_warning_s: int = given(SECONDS, default=24 * 3600)
    cloud_share_basis_points: int = given(POINTS, default=2_000)

    def __post_init__(self) -> None:
        if self.critical_basis_points > self.low_basis_points:
            raise FieldError("critical_basis_points", "at most low_basis_points")


@dataclass(frozen=True, slots=True)
class GuardRules:
    """When an order is worth a question before it is cooked: see `order_guards.py`."""

    repeat_s: int = given(SECONDS, default=60)
    quantity_factor: int = given(fields.whole(1, 1_000), default=3)
    """How many times the usual most of an item is odd."""
    quantity_without_history: int = given(fields.whole(1, 999), default=10)
    companion_orders_min: int = given(fields.whole(1, 10**6), default=30)
    companion_basis_points: int = given(POINTS, default=9_000)


@dataclass(frozen=True, slots=True)
class StoreRules:
    """All rules of a store."""

    format: Format = given(fields.one_of(*FORMATS))
    kitchen: KitchenRules = given(fields.object_of(KitchenRules), default=KitchenRules())
    stock: StockRules = given(fields.object_of(StockRules), default=StockRules())
    guards: GuardRules = given(fields.object_of(GuardRules), default=GuardRules())


ONE_SLIP = KitchenRules(routing="one_slip")
"""A kitchen of one place: one ticket for each order, nothing held back."""


def scaled(rules: KitchenRules, time_scale: float) -> KitchenRules:
    """The rules with every time divided by `time_scale`, and none that was there gone."""

    def less(seconds: int) -> int:
        return max(1, round(seconds / time_scale)) if seconds else 0

    courses = tuple(replace(rule, at_latest_s=less(rule.at_latest_s)) for rule in rules.courses)
    return replace(
        rules,
        courses=courses,
        yellow_s=less(rules.yellow_s),
        red_s=less(rules.red_s),
        escalate_s=less(rules.escalate_s),
        pickup_lead_s=less(rules.pickup_lead_s),
    )


def read_store_rules(path: Path) -> StoreRules:
    """The rules in the JSON file `path`; raises `ValueError` that names the file and the field."""
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise FieldError("rules", "a JSON object with a format")
        return fields.read_fields(StoreRules, raw)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a file of store rules ({error})") from error


_SLOW = KitchenRules(yellow_s=600, red_s=900, escalate_s=1_200)
"""10 and 15 minutes: one vendor's defaults for the display; 20 until the front is told [G]."""
_FAST = KitchenRules(yellow_s=300, red_s=480, escalate_s=600, pickup_lead_s=300)
"""5 and 8 minutes: another vendor's defaults; 10 until the front is told [G]."""
_PLATFORM_FIRST = (("platform", 2), ("mini_program", 1))
_COLD_THEN_HOT = (
    CourseRule(1, "Cold dishes and drinks", "凉菜和饮品"),
    CourseRule(2, "Hot dishes", "热菜"),
    CourseRule(3, "Staples and desserts", "主食和甜点", "after_previous", 1_800),
)
_BASE_FIRST = (
    CourseRule(1, "Broth and drinks", "锅底和饮品"),
    CourseRule(2, "Dishes", "菜品", "after_previous", 600),
    CourseRule(3, "Staples and desserts", "主食和甜点", "by_person", 5_400),
)
_SKEWERS = (
    CourseRule(1, "Cold dishes and drinks", "凉菜和饮品"),
    CourseRule(2, "From the fire", "烧烤"),
    CourseRule(3, "Staples", "主食", "by_person", 3_600),
)

DEMO_RULES: dict[Format, StoreRules] = {
    # Shares of stock that the cloud may promise follow the channels: tea by a chain's prospectus (35.0 % pickup and 36.8 %
    # delivery); the others, all thresholds and all courses' time limits are guesses [G].
    "hotpot": StoreRules("hotpot", replace(_SLOW, courses=_BASE_FIRST), StockRules(2_500, 1_000, 24 * 3600, 1_000)),
    "casual": StoreRules(
        "casual",
        replace(_SLOW, courses=_COLD_THEN_HOT, priorities=_PLATFORM_FIRST),
        StockRules(2_500, 1_000, 24 * 3600, 2_000),
    ),
    "fast_food": StoreRules(
        "fast_food",
        replace(_FAST, priorities=_PLATFORM_FIRST),
        StockRules(3_000, 1_500, 12 * 3600, 4_000),
    ),
    "tea": StoreRules("tea", _FAST, StockRules(3_000, 1_500, 4 * 3600, 7_200)),
    "coffee": StoreRules("coffee", _FAST, StockRules(3_000, 1_500, 12 * 3600, 6_000)),
    "bakery": StoreRules("bakery", _FAST, StockRules(2_000, 1_000, 6 * 3600, 3_000)),
    "barbecue": StoreRules(
        "barbecue",
        replace(_SLOW, courses=_SKEWERS),
        StockRules(2_500, 1_000, 12 * 3600, 2_000),
        GuardRules(quantity_without_history=60),
    ),
    "canteen": StoreRules("canteen", _FAST, StockRules(2_000, 800, 6 * 3600, 500)),
}
