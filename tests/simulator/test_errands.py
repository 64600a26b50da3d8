"""The staff's errands: drawn by the seed, each within its span, and nothing that diners do is drawn anew because of them."""

from __future__ import annotations

from collections import Counter

import pytest

from refsystem.ordering.menu_formats import MENUS
from simulator.diners import make_timetable
from simulator.errands import DELIVERY_SPREAD, SPANS, draw_errands
from simulator.model.conditions import sections_not_modelled
from simulator.scenario import Scenario, ScenarioError, find_scenario, load_scenario, with_changes

MENU = MENUS["hotpot"]
MANY = {"sold_out": 40, "recalls": 5, "rushes": 6, "receives": 40, "counts": 7, "wastes": 8}


def hotpot(**staff: object) -> Scenario:
    return with_changes(load_scenario(find_scenario("holiday_hotpot")), {"staff": staff})


def test_errands_belong_to_the_seed_and_come_as_the_scenario_says() -> None:
    stores = [{"name": name, "format": "hotpot"} for name in ("s1", "s2")]
    scenario = with_changes(hotpot(**MANY), {"stores": stores, "faults": []})
    errands = draw_errands(scenario, MENU, 7)
    assert errands == draw_errands(scenario, MENU, 7)
    assert errands != draw_errands(scenario, MENU, 8)
    assert Counter(errand.store for errand in errands) == {"s1": 106, "s2": 106}
    assert {(errand.store, errand.number) for errand in errands} == {(s, n) for s in ("s1", "s2") for n in range(106)}
    for errand in errands:
        least, most = SPANS[errand.kind]
        assert least * 30e6 <= errand.at_us <= most * 30e6
    gone = [errand for errand in errands if errand.kind == "sold_out"]
    assert len({errand.what for errand in gone}) > 5
    assert not any(MENU.by_id[errand.what].station == "broth" for errand in gone), "a table's first order needs a broth"
    assert sum(errand.for_us for errand in gone) / len(gone) == pytest.approx(900e6 / 240, rel=0.15)
    for errand in errands:
        if errand.kind == "receive":
            pars = errand.amount / MENU.ingredients_by_id[errand.what].par
            assert 10 * (1 - DELIVERY_SPREAD) - 0.1 <= pars <= 10 * (1 + DELIVERY_SPREAD) + 0.1


def test_a_scenario_without_staff_has_no_errands_and_with_them_the_same_diners() -> None:
    shipped = load_scenario(find_scenario("holiday_hotpot"))
    without = Scenario.model_validate(shipped.model_dump() | {"staff": None})
    assert draw_errands(without, MENU, 1) == ()
    assert make_timetable(without, MENU, 1) == make_timetable(shipped, MENU, 1)
    assert "staff" in sections_not_modelled(shipped)
    assert "staff" not in sections_not_modelled(without)
    gateway = load_scenario(find_scenario("gateway_timeouts"))
    assert {"payments.accepts_unverified", "payments.disputes"} <= set(sections_not_modelled(gateway))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"staff": {"receives": 0}},
            "needs something that is kept in stock; set `receives` to 1 or more, or add `stock`",
        ),
        ({"payments": {"tenders": {"card": 0, "cash": 0.4}, "disputes": 0.1}}, "only cards are disputed"),
        ({"payments": {"tenders": {"wallet_code": 0, "cash": 0.7}, "accepts_unverified": 0.1}}, "only wallet codes"),
    ],
)
def test_what_would_have_nothing_to_do_is_said(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ScenarioError, match=sentence):
        with_changes(load_scenario(find_scenario("holiday_hotpot")), changes)
