"""Parties, formats and pre-orders: what is drawn has the scenario's proportions, and the timetable keeps all of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_rules import FORMATS
from simulator.diners import Diner, make_timetable, read_timetable, write_timetable
from simulator.formats import ITEMS_MEAN, menu_of
from simulator.parties import ADD_ON_UNTIL, Visit
from simulator.scenario import Scenario, ScenarioError, find_scenario, load_scenario, with_changes

SEED = 20_261


def many(scenario: Scenario, rate_per_s: float, duration_s: float = 100.0) -> list[Diner]:
    return make_timetable(scenario, menu_of(scenario), SEED, rate_per_s, duration_s)


def shipped(name: str) -> Scenario:
    return load_scenario(find_scenario(name))


def visits(diners: list[Diner]) -> list[Visit]:
    return [diner.visit for diner in diners if diner.visit is not None]


def test_hotpot_parties_have_the_proportions_that_the_scenario_says() -> None:
    scenario = shipped("holiday_hotpot")
    diners = many(scenario, 20.0)
    found = visits(diners)
    assert fmean(visit.size for visit in found) == pytest.approx(3.15, abs=0.15)
    assert fmean(len(visit.add_ons) for visit in found) == pytest.approx(2.4, abs=0.2), "2.5, cut off at 8"
    minutes = [visit.dining_us * scenario.time_scale / 60e6 for visit in found]
    assert fmean(minutes) == pytest.approx(86, abs=5), "90 by the size of the party, of which most are small"
    assert stdev(minutes) == pytest.approx(26, abs=5)
    alone, long = ([visit.dining_us for visit in found if visit.size in sizes] for sizes in ((1,), range(6, 13)))
    assert fmean(long) / fmean(alone) == pytest.approx(69.9 / 40.5, rel=0.12), "larger parties stay longer"
    splits = Counter(visit.split for visit in found)
    assert splits["evenly"] / len(found) == pytest.approx(0.08 * 0.9, abs=0.02)
    assert {diner.channel for diner in diners if diner.visit is None} == {"cashier"}
    assert max(minutes) <= 2 * 90.01


def test_a_tables_first_order_has_one_broth_and_no_later_one_any() -> None:
    scenario = shipped("holiday_hotpot")
    broths = {item.item_id for item in MENUS["hotpot"].items if item.station == "broth"}
    for diner in many(scenario, 2.0):
        assert diner.items[0][0] in broths
        assert diner.items[0][1] == 1
        assert not broths & {item_id for item_id, _ in diner.items[1:]}
        assert diner.total_minor == MENUS["hotpot"].total_minor(diner.items)
        for visit in visits([diner]):
            ordered = [diner.items, *(add_on.items for add_on in visit.add_ons)]
            waiting = [
                place for place, items in enumerate(ordered) if {"ice-jelly", "pulled-noodles"} & dict(items).keys()
            ]
            assert visit.calls == tuple((place, 3) for place in waiting), "staples and desserts are called for"
            for add_on in visit.add_ons:
                assert not broths & {item_id for item_id, _ in add_on.items}
                assert add_on.total_minor == MENUS["hotpot"].total_minor(add_on.items)
                assert 0 <= add_on.member < visit.size
                assert add_on.after_us <= ADD_ON_UNTIL * visit.dining_us + 1


@pytest.mark.parametrize("kind", FORMATS)
def test_orders_of_a_format_hold_about_as_many_items_as_it_says(kind: Any) -> None:
    changes = {"stores": [{"name": "s1", "format": kind}], "diners": {"basket": {"by_format": True, "lines_max": 100}}}
    scenario = with_changes(shipped("calm"), changes)
    items = fmean(sum(quantity for _, quantity in diner.items) for diner in many(scenario, 10.0))
    most = len(MENUS[kind].items) * 1.25
    assert min(0.5 * most, 0.6 * ITEMS_MEAN[kind]) < items < 1.15 * ITEMS_MEAN[kind]


def test_who_orders_ahead_comes_later_and_only_by_mini_program() -> None:
    scenario = shipped("tea_surge")
    diners = many(scenario, 20.0)
    ahead = [diner for diner in diners if diner.pickup_us]
    assert {diner.channel for diner in ahead} == {"mini_program"}
    of_channel = sum(diner.channel == "mini_program" for diner in diners)
    assert len(ahead) / of_channel == pytest.approx(0.5, abs=0.05)
    assert fmean(diner.pickup_us / 1e6 for diner in ahead) == pytest.approx(10, rel=0.1)
    assert {diner.channel for diner in diners} == {"qr", "cashier", "kiosk", "mini_program"}


def test_a_timetable_with_parties_is_read_as_it_was_written(tmp_path: Path) -> None:
    diners = [*many(shipped("holiday_hotpot"), 1.0), *many(shipped("tea_surge"), 1.0)]
    write_timetable(tmp_path / "timetable.json", diners)
    assert read_timetable(tmp_path / "timetable.json") == diners


def test_a_party_is_the_same_whoever_else_comes() -> None:
    scenario = shipped("holiday_hotpot")
    few, more = many(scenario, 1.0), many(scenario, 3.0)
    shared = min(len(few), len(more))

    def drawn(diner: Diner) -> object:
        """All but the tables, which depend on who sits where."""
        return diner.items, diner.visit and replace(diner.visit, moves_to="")

    assert [drawn(diner) for diner in few[:shared]] == [drawn(diner) for diner in more[:shared]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"diners": {"parties": {"sizes": [0.5, 0.4]}}}, "all sizes together must sum to 1"),
        (
            {"diners": {"parties": {"habits": {"splits_evenly": 0.7, "splits_by_line": 0.7}}}},
            "splits_evenly and splits_by_line are more than 1 together",
        ),
        ({"stores": [{"name": "s1", "format": "tea"}, {"name": "s2"}]}, "is none, and the first store's tea"),
    ],
)
def test_what_does_not_fit_together_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        with_changes(shipped("holiday_hotpot"), changes)
    assert said in str(told.value)


def test_parties_sit_at_free_tables_as_long_as_there_are_any() -> None:
    scenario = shipped("holiday_hotpot")
    diners = many(scenario, 2.0)
    stays: list[tuple[int, int, str]] = []
    for diner in diners:
        if diner.visit is not None:
            leaves_us = diner.intended_us + diner.visit.dining_us
            moves_us = diner.intended_us + diner.visit.moves_after_us if diner.visit.moves_to else leaves_us
            stays.append((diner.intended_us, moves_us, diner.table))
            stays.append((moves_us, leaves_us, diner.visit.moves_to))
    at_once = max(sum(begin <= at_us < end for begin, end, _ in stays) for at_us, _, _ in stays)
    assert 30 < at_once <= scenario.stores[0].tables, "the restaurant is full, and not more than full"
    for number, (begin, end, table) in enumerate(stays):
        shared = [other for other in stays[:number] if other[2] == table and begin < other[1] and other[0] < end]
        assert table == "" or not shared


def test_a_restaurant_that_is_more_than_full_seats_parties_together() -> None:
    scenario = with_changes(shipped("holiday_hotpot"), {"stores": [{"name": "s1", "tables": 3, "format": "hotpot"}]})
    tables = Counter(diner.table for diner in many(scenario, 2.0) if diner.visit is not None)
    assert set(tables) == {"T1", "T2", "T3"}
    assert min(tables.values()) > 30
