"""The errands of a store's staff: who takes an item off, takes a ticket back, receives, counts and throws away, and when.

Drawn before the run, as the diners are, by keys of their own: a scenario with a `staff` section has the same diners as without.
What exactly is hit (which ticket, which ingredient that is kept) depends on the moment; `pick` chooses among what is there then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from refsystem.ordering.menu import Menu
from refsystem.ordering.recipe import QUANTITY_MAX
from simulator.distributions import between, lognormal, whole_between
from simulator.formats import bases, format_of
from simulator.scenario_model import Scenario
from simulator.streams import Streams

ErrandKind = Literal["sold_out", "recall", "rush", "receive", "count", "waste"]
SPANS: Mapping[ErrandKind, tuple[float, float]] = {
    "receive": (0.02, 0.3),
    "sold_out": (0.15, 0.7),
    "rush": (0.2, 0.8),
    "recall": (0.3, 0.8),
    "count": (0.4, 0.9),
    "waste": (0.4, 0.9),
}
"""Within which part of the run each may come: what needs tickets or stock comes later. [G]"""
SOLD_OUT_DEVIATION = 0.3
DELIVERY_SPREAD = 0.2
MISSED_MOST = 0.02
"""Of what should be there at most this share is missing when it is counted. [G]"""
WASTED_LEAST, WASTED_MOST = 0.005, 0.03
"""How much of what is there is thrown away. [G]"""


@dataclass(frozen=True, slots=True)
class Errand:
    """One errand of the staff of `store`, `at_us` after the start of the run; somebody tries it for `patience_us`.

    `what` is the item or the ingredient, where it does not depend on the moment, and `amount` how much of it comes. `pick` and
    `share` lie in (0, 1): which of what is there, and how much of it as a share. What is sold out is put back after `for_us`. A
    delivery keeps for `shelf_days`; 0: it keeps.
    """

    store: str
    number: int
    at_us: int
    kind: ErrandKind
    patience_us: int
    what: str = ""
    amount: int = 0
    pick: float = 0.5
    share: float = 0.0
    for_us: int = 0
    shelf_days: int = 0

    @property
    def ends_by_us(self) -> int:
        """When it is given up at the latest, after the start of the run: each of its steps as long as somebody bears it."""
        return self.at_us + self.for_us + 3 * self.patience_us


def draw_errands(scenario: Scenario, menu: Menu, seed: int) -> tuple[Errand, ...]:
    """All errands of a run, by store and moment; none without a `staff` section."""
    said = scenario.staff
    if said is None:
        return ()
    wanted: dict[ErrandKind, int] = {
        "sold_out": said.sold_out,
        "recall": said.recalls,
        "rush": said.rushes,
        "receive": said.receives,
        "count": said.counts,
        "waste": said.wastes,
    }
    found = []
    for store in scenario.stores:
        made = [
            _errand(scenario, menu, Streams(seed), store.name, kind, place)
            for kind, many in wanted.items()
            for place in range(many)
        ]
        made.sort(key=lambda errand: errand["at_us"])
        found += [Errand(number=number, **errand) for number, errand in enumerate(made)]
    return tuple(found)


def _errand(
    scenario: Scenario, menu: Menu, streams: Streams, store: str, kind: ErrandKind, place: int
) -> dict[str, Any]:
    said = scenario.staff
    assert said is not None, "who has errands has a section that says so"

    def draw(purpose: str) -> float:
        return streams.uniform(f"staff {kind} {purpose}", store=store, index=place)

    errand: dict[str, Any] = {
        "store": store,
        "at_us": round(scenario.duration_s * 1_000_000 * between(draw("at"), *SPANS[kind])),
        "kind": kind,
        "patience_us": max(1, scenario.scaled_us(said.patience_s)),
        "pick": draw("which"),
    }
    match kind:
        case "sold_out":
            first = bases(menu, format_of(scenario))
            items = [item.item_id for item in menu.items if item.item_id not in first]
            away_s = lognormal(draw("away"), said.sold_out_s, SOLD_OUT_DEVIATION * said.sold_out_s)
            errand |= {
                "what": items[whole_between(draw("item"), 0, len(items) - 1)],
                "for_us": scenario.scaled_us(away_s),
            }
        case "receive":
            ingredient = menu.ingredients[whole_between(draw("ingredient"), 0, len(menu.ingredients) - 1)]
            amount = (
                ingredient.par * said.delivery_pars * between(draw("amount"), 1 - DELIVERY_SPREAD, 1 + DELIVERY_SPREAD)
            )
            errand |= {
                "what": ingredient.ingredient_id,
                "amount": min(QUANTITY_MAX, max(1, round(amount))),
                "shelf_days": ingredient.shelf_days,
            }
        case "count":
            errand["share"] = between(draw("missing"), 0.0, MISSED_MOST)
        case "waste":
            errand["share"] = between(draw("wasted"), WASTED_LEAST, WASTED_MOST)
    return errand
