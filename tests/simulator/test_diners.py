from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import fmean
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order, check_price
from simulator.diners import (
    Diner,
    TimetableError,
    intent_id,
    make_timetable,
    marker,
    order_id,
    read_timetable,
    timetable_length_s,
    write_timetable,
)
from simulator.scenario import Scenario, find_scenario, load_scenario

TEMPLATE = """\
name: small
duration_s: {duration_s}
time_scale: {time_scale}
stores: [{{name: s1, tables: 12}}, {{name: s2, tables: 12}}]
diners:
  arrivals: {{rate_per_s: {rate_per_s}, profile: lunch}}
  basket: {{lines_mean: {lines_mean}, lines_max: {lines_max}, quantity_max: 2}}
"""


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    return load_scenario(
        TEMPLATE.format(
            duration_s=draw(st.integers(1, 20)),
            time_scale=draw(st.sampled_from([1, 7.5, 60])),
            rate_per_s=draw(st.floats(0.1, 10)),
            lines_mean=draw(st.floats(1, 30)),
            lines_max=draw(st.integers(1, 60)),
        )
    )


@given(scenarios(), st.integers(0, 2**40))
@settings(max_examples=40)
def test_one_seed_gives_one_timetable_sorted_numbered_and_right_to_the_cent(scenario: Scenario, seed: int) -> None:
    timetable = make_timetable(scenario, DEMO_MENU, seed)
    assert timetable == make_timetable(scenario, DEMO_MENU, seed)
    assert [diner.diner for diner in timetable] == list(range(len(timetable)))
    assert [diner.at_us for diner in timetable] == sorted(diner.at_us for diner in timetable)
    for diner in timetable:
        _check_diner(diner, scenario)


def _check_diner(diner: Diner, scenario: Scenario) -> None:
    assert 0 <= diner.at_us <= scenario.duration_s * 1_000_000
    ids = [item_id for item_id, _ in diner.items]
    assert 1 <= len(ids) == len(set(ids)) <= min(scenario.diners.basket.lines_max, len(DEMO_MENU.items))
    assert all(1 <= quantity <= 2 for _, quantity in diner.items)
    check_price(Order("", diner.channel, diner.table, diner.items, diner.total_minor), DEMO_MENU)
    assert min(diner.think_us, diner.patience_us, diner.poll_us) > 0


@given(scenarios(), st.integers(0, 2**40))
@settings(max_examples=20)
def test_a_timetable_written_and_read_again_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, scenario: Scenario, seed: int
) -> None:
    timetable = make_timetable(scenario, DEMO_MENU, seed)
    path = tmp_path_factory.mktemp("timetable") / "timetable.json"
    write_timetable(path, timetable)
    assert read_timetable(path) == timetable


def test_another_seed_gives_other_diners(small: Scenario) -> None:
    one, other = (make_timetable(small, DEMO_MENU, seed) for seed in (1, 2))
    assert [diner.items for diner in one[:20]] != [diner.items for diner in other[:20]]
    assert {diner.order_key_bits for diner in one}.isdisjoint(diner.order_key_bits for diner in other)


def test_rate_and_duration_may_be_replaced_and_a_diner_stays_the_same_person(small: Scenario) -> None:
    whole, dense = (
        make_timetable(small, DEMO_MENU, 1),
        make_timetable(small, DEMO_MENU, 1, rate_per_s=20, duration_s=20),
    )
    low, high = stats.poisson.ppf([0.0001, 0.9999], 400)
    assert low <= len(dense) <= high
    assert timetable_length_s(dense) <= 20 + max(diner.think_us for diner in dense) / 1_000_000
    assert [(diner.items, diner.channel, diner.order_key_bits) for diner in dense[:50]] == [
        (diner.items, diner.channel, diner.order_key_bits) for diner in whole[:50]
    ]


def test_the_shares_and_means_of_a_large_timetable_are_those_of_the_scenario() -> None:
    scenario = load_scenario(find_scenario("lunch_rush"))
    timetable = make_timetable(scenario, DEMO_MENU, 11, duration_s=200)
    assert 4500 < len(timetable) < 5100, "24 a second for 200 seconds"
    for share, found in (
        (0.6, sum(diner.channel == "qr" for diner in timetable)),
        (0.2, sum(diner.channel == "mini_program" for diner in timetable)),
        (0.03, sum(diner.behaviour == "double_tap" for diner in timetable)),
        (0.02, sum(diner.behaviour == "two_doors" for diner in timetable)),
        (0.95 * 0.5, sum(diner.behaviour == "reorders" for diner in timetable)),
    ):
        assert stats.binomtest(found, len(timetable), share).pvalue > 0.0005
    assert fmean(len(diner.items) for diner in timetable) == pytest.approx(4, rel=0.05)
    assert fmean(diner.think_us for diner in timetable) == pytest.approx(40 / 60 * 1e6, rel=0.05)
    assert fmean(diner.patience_us for diner in timetable) == pytest.approx(12.5e6, rel=0.02)
    assert fmean(diner.poll_us for diner in timetable) == pytest.approx(1e6, rel=0.02)
    tables = Counter(diner.table for diner in timetable)
    assert len([table for table in tables if table.startswith("T")]) == 40
    assert all((diner.table == "pickup") == (diner.channel == "mini_program") for diner in timetable)


def test_an_order_id_is_a_uuid_version_7_of_its_moment_and_its_diner(small: Scenario) -> None:
    diner = make_timetable(small, DEMO_MENU, 1)[5]
    first, second = (UUID(order_id(diner, 1_700_000_000_000, which)) for which in (0, 1))
    assert first.version == second.version == 7
    assert first.variant == second.variant == "specified in RFC 4122"
    assert first.int >> 80 == 1_700_000_000_000 + diner.intended_us // 1000
    assert first != second
    bits = (first.int >> 64 & 0xFFF) << 62 | first.int & (2**62 - 1)
    assert bits == diner.order_key_bits


def test_no_two_orders_of_a_run_share_a_key_or_a_marker(small: Scenario) -> None:
    timetable = make_timetable(small, DEMO_MENU, 1)
    orders = [(diner, which) for diner in timetable for which in (0, 1)]
    assert len({order_id(diner, 1, 1 if which else 0) for diner, which in orders}) == len(orders)
    assert len({marker("r", diner, 1 if which else 0) for diner, which in orders}) == len(orders)
    assert marker("r7", timetable[3]) == "rp-r7-3-0"
    assert intent_id("r7", timetable[3]) == "r7-3"


@pytest.mark.parametrize("text", ["", "{}x", '[{"diner": 1}]', '[{"items": 3}]', "[3]"])
def test_a_file_that_is_no_timetable_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "timetable.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TimetableError, match=r"timetable\.json: not a timetable"):
        read_timetable(path)


def test_an_empty_timetable_has_no_length(tmp_path: Path) -> None:
    write_timetable(tmp_path / "none.json", [])
    assert timetable_length_s(read_timetable(tmp_path / "none.json")) == 0
