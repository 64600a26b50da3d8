"""What an order holds: different items of the menu, as many lines as the scenario or the format says, in what quantities."""

from __future__ import annotations

from collections.abc import Sequence

from refsystem.ordering.menu import Menu
from simulator.distributions import distinct, geometric, whole_between
from simulator.formats import bases, format_of, lines_mean
from simulator.scenario_model import Scenario
from simulator.streams import Streams

# Measured on `takeaway-orders.csv.gz`: 1.24 of an item on each line.
QUANTITY_MEAN = 1.25


def draw_basket(scenario: Scenario, streams: Streams, number: int, item_ids: list[str]) -> tuple[tuple[str, int], ...]:
    """What diner `number` orders: different items, as many lines as the basket says and the menu has."""
    basket = scenario.diners.basket
    largest = min(basket.lines_max, len(item_ids))
    lines = geometric(streams.uniform("lines", diner=number), lines_mean(scenario, QUANTITY_MEAN), largest)
    return draw_lines(scenario, streams, number, item_ids, lines, "")


def draw_lines(
    scenario: Scenario, streams: Streams, number: int, item_ids: Sequence[str], lines: int, which: str
) -> tuple[tuple[str, int], ...]:
    """So many different items, each in some quantity; `which` tells the orders of one diner apart."""

    def draw(purpose: str, place: int) -> float:
        return streams.uniform(purpose + which, diner=number, index=place)

    chosen = distinct(lambda place: draw("item", place), item_ids, lines)
    most = scenario.diners.basket.quantity_max
    return tuple(
        (item_id, geometric(draw("quantity", place), QUANTITY_MEAN, most)) for place, item_id in enumerate(chosen)
    )


def first_basket(scenario: Scenario, menu: Menu, streams: Streams, number: int) -> tuple[tuple[str, int], ...]:
    """What diner `number` orders at first; where the format knows bases, one of them comes first."""
    first = bases(menu, format_of(scenario))
    rest = draw_basket(scenario, streams, number, [item.item_id for item in menu.items if item.item_id not in first])
    if not first:
        return rest
    base = first[whole_between(streams.uniform("base", diner=number), 0, len(first) - 1)]
    return ((base, 1), *rest)
