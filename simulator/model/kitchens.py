"""The stations of a store's kitchen: as the scenario's section `model` says, else as the store's format has them.

A format's stations stand one beside the other for each course; a course that is fired after the one before it, or when the table
calls for it, is a stage of its own. Each ticket takes `kitchen_seconds`, as in a drill, whose cooks never lack hands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from refsystem.ordering.store_rules import DEMO_RULES
from simulator.formats import bases, menu_of
from simulator.model.settings import STATIONS_MAX, ModelSettings, Station
from simulator.scenario_model import Scenario, Store


def stations_of(scenario: Scenario, store: Store) -> tuple[Station, ...]:
    """The stations; none: every ticket takes `kitchen_seconds`."""
    said = scenario.model or ModelSettings()
    if said.kitchen or store.format is None:
        return said.kitchen
    places = _places(scenario, store)
    shares = Counter(places[item_id] for item_id in _chosen(scenario, store))
    stages = _stages(store, sorted({course for _, course in places.values()}))
    return tuple(
        Station(
            name=f"{station} {course}",
            cooks=0,
            setup_s=store.kitchen_seconds,
            shape="deterministic",
            stage=stages[course],
            share=max(shares[station, course], NEVER_CHOSEN),
        )
        for station, course in _in_order(places)
    )


def station_of_items(scenario: Scenario, store: Store) -> Mapping[str, int]:
    """The number of the station that makes an item, in a store with a format."""
    places = _places(scenario, store)
    order = _in_order(places)
    return {item_id: order.index(place) for item_id, place in places.items()}


def base_station(scenario: Scenario, store: Store) -> int:
    """The station of which every first order has one item beside the others (a hotpot's broth); -1 for none."""
    said = scenario.model or ModelSettings()
    if said.kitchen or store.format is None:
        return -1
    found = bases(menu_of(scenario), store.format)
    return station_of_items(scenario, store)[found[0]] if found else -1


NEVER_CHOSEN = 1e-12


def _places(scenario: Scenario, store: Store) -> dict[str, tuple[str, int]]:
    assert store.format is not None, "without a format there are no stations"
    places = {item.item_id: (item.station, item.course) for item in menu_of(scenario).items}
    assert len(set(places.values())) <= STATIONS_MAX, "no format has more stations than the model"
    return places


def _in_order(places: Mapping[str, tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(set(places.values()), key=lambda place: (place[1], place[0]))


def _chosen(scenario: Scenario, store: Store) -> list[str]:
    """The items that are chosen at will."""
    menu = menu_of(scenario)
    first = bases(menu, store.format)
    return [item.item_id for item in menu.items if item.item_id not in first]


def _stages(store: Store, courses: list[int]) -> dict[int, int]:
    assert store.format is not None, "without a format there are no courses"
    found: dict[int, int] = {}
    rules, stage = DEMO_RULES[store.format].kitchen, 1
    for course in courses:
        if found and rules.fires(course) != "at_once":
            stage += 1
        found[course] = 1 if rules.fires(course) == "at_once" else stage
    return found
