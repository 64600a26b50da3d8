from __future__ import annotations

import gzip
from collections import Counter
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.scenario import Scenario, find_scenario, load_scenario
from simulator.trace_table import slug
from simulator.traces import (
    ORDERS_FIT,
    TraceError,
    TraceLine,
    TraceOrder,
    business_date,
    evenings,
    fit_rate_factor,
    read_trace,
    trace_length_s,
    trace_menu,
    trace_timetable,
    trading_times_s,
)

HEADING = "order,ordered_at,item,quantity,unit_price,lines_in_order\n"
ROWS = HEADING + (
    "2,2018-04-28T18:10,Naan,1,2.50,2\n"
    "3,2018-04-28T20:05,Kurma,2,8.95,1\n"
    "2,2018-04-28T18:10,Rice & Peas,3,3,2\n"
    "1,2018-04-27T17:30,Naan,1,2.25,1\n"
    "4,2018-04-29T01:20,Rice - Peas,1,3.00,1\n"
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_lines_are_gathered_into_orders_by_time(table: Path) -> None:
    orders = read_trace(table)
    assert [order.order for order in orders] == ["1", "2", "3", "4"]
    assert orders[1].lines == (TraceLine("Naan", 1, 250), TraceLine("Rice & Peas", 3, 300))
    assert orders[1].total_minor == 1150
    assert orders[1].ordered_at == datetime(2018, 4, 28, 18, 10)


def test_a_table_needs_five_columns_and_others_are_not_read(table: Path, tmp_path: Path) -> None:
    plain, more = tmp_path / "plain.csv", tmp_path / "more.csv"
    lines = ROWS.splitlines()
    plain.write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    more.write_text(
        "\n".join([f"{lines[0]},till", *(f"{line.rpartition(',')[0]},many,2" for line in lines[1:])]), encoding="utf-8"
    )
    assert read_trace(plain) == read_trace(more) == read_trace(table)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_with_semicolons_or_tabs_is_the_same_table_and_may_have_decimal_commas(
    table: Path, tmp_path: Path, separator: str
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(ROWS.replace(",", separator).replace("2.50", "2,50").replace("8.95", '"8,95"'), encoding="utf-8")
    assert read_trace(other) == read_trace(table)
    other.write_text(ROWS.replace(",", separator).replace("2.50", "1.002,50"), encoding="utf-8")
    with pytest.raises(TraceError, match=r"line 2: unit_price: '1\.002,50' is not a price"):
        read_trace(other)
    other.write_text(ROWS.replace(",", "|"), encoding="utf-8")
    with pytest.raises(
        TraceError, match=r"order: is missing in the heading; .* with commas, semicolons or tabs between them"
    ):
        read_trace(other)


def test_a_gzipped_table_is_the_same_table(table: Path) -> None:
    zipped = table.with_suffix(".csv.gz")
    zipped.write_bytes(gzip.compress(table.read_bytes()))
    assert read_trace(zipped) == read_trace(table)


def test_the_menu_has_one_item_for_each_price_so_that_totals_stay_true(table: Path) -> None:
    menu = trace_menu(read_trace(table))
    prices = {item.item_id: item.price_minor for item in menu.items}
    assert prices == {"kurma": 895, "naan-225": 225, "naan-250": 250, "rice-peas": 300, "rice-peas-2": 300}


def test_a_slug_keeps_letters_of_any_script() -> None:
    assert slug("Onion Bhaji (4 pcs.)") == "onion-bhaji-4-pcs"
    assert slug("红烧牛肉面") == "红烧牛肉面"
    assert slug("?!") == "item"


def test_an_order_after_midnight_belongs_to_the_evening_before_and_the_busiest_evening_comes_first(table: Path) -> None:
    orders = read_trace(table)
    assert business_date(orders[3]) == date(2018, 4, 28)
    assert evenings(orders) == [date(2018, 4, 28), date(2018, 4, 27)]


def test_only_trading_hours_count_and_the_minutes_in_them_stay(table: Path) -> None:
    timed = [(at_s, order.order) for at_s, order in trading_times_s(read_trace(table))]
    assert timed == [(600, "2"), (3600 + 300, "3"), (2 * 3600 + 1200, "4"), (3 * 3600 + 1800, "1")]


def test_the_replay_keeps_baskets_and_times_and_is_cut_at_the_duration(table: Path, small: Scenario) -> None:
    orders = read_trace(table)
    assert trace_length_s(orders, 600) == pytest.approx((3 * 3600 + 1800 + 60) / 600)
    timetable = trace_timetable(orders, small, 1, rate_factor=600)
    assert [diner.items[0][0] for diner in timetable] == ["naan-250", "kurma", "rice-peas-2", "naan-225"]
    assert timetable[0].items == (("naan-250", 1), ("rice-peas", 3))
    for diner, trading_s in zip(timetable, (600, 3900, 8400, 12600), strict=True):
        assert trading_s / 600 <= diner.at_us / 1e6 < (trading_s + 60) / 600
    assert len(trace_timetable(orders, small, 1, rate_factor=600, duration_s=10)) == 2


def test_copies_come_beside_each_other_and_not_at_once(table: Path, small: Scenario) -> None:
    orders = read_trace(table)
    timetable = trace_timetable(orders, small, 1, rate_factor=600, copies=5)
    assert len(timetable) == 20
    assert len({diner.at_us for diner in timetable}) == 20
    assert [diner.at_us for diner in timetable] == sorted(diner.at_us for diner in timetable)
    assert len({diner.order_key_bits for diner in timetable}) == 20
    assert trace_timetable(orders, small, 1, rate_factor=600, copies=5) == timetable
    assert trace_timetable(orders, small, 2, rate_factor=600, copies=5) != timetable


BAD = {
    "no heading": ("", 1, "there are no orders below the heading"),
    "only a heading": (HEADING, 1, "there are no orders below the heading"),
    "a column missing": (
        HEADING.replace("unit_price", "price") + "1,2018-04-28T18:10,Naan,1,2.5,1\n",
        1,
        "unit_price: is missing in the heading",
    ),
    "a column twice": (HEADING.replace("unit_price", "item"), 1, "item: stands twice in the heading"),
    "a cell missing": (ROWS + "5,2018-04-29T18:00,Naan,1\n", 7, "has 4 cells; the heading has 6 columns"),
    "no quantity": (ROWS + "5,2018-04-29T18:00,Naan,,2.5,1\n", 7, "quantity: is empty"),
    "half an item": (
        ROWS + "5,2018-04-29T18:00,Naan,0.5,2.5,1\n",
        7,
        "quantity: '0.5' must be a whole number from 1 to 999",
    ),
    "none of an item": (
        ROWS + "5,2018-04-29T18:00,Naan,0,2.5,1\n",
        7,
        "quantity: '0' must be a whole number from 1 to 999",
    ),
    "a price in words": (
        ROWS + "5,2018-04-29T18:00,Naan,1,free,1\n",
        7,
        "unit_price: 'free' is not a price; write it like 3.95",
    ),
    "a fraction of a cent": (
        ROWS + "5,2018-04-29T18:00,Naan,1,2.505,1\n",
        7,
        "unit_price: '2.505' is not a price of two decimals",
    ),
    "no number at all": (ROWS + "5,2018-04-29T18:00,Naan,1,NaN,1\n", 7, "unit_price: 'NaN' is not a price"),
    "a negative price": (ROWS + "5,2018-04-29T18:00,Naan,1,-2,1\n", 7, "unit_price: '-2' is not a price"),
    "another kind of time": (
        ROWS + "5,28/04/2018 18:10,Naan,1,2.5,1\n",
        7,
        "ordered_at: '28/04/2018 18:10' is not a time; write it like",
    ),
    "a time zone": (
        ROWS + "5,2018-04-29T18:00+02:00,Naan,1,2.5,1\n",
        7,
        "ordered_at: '2018-04-29T18:00+02:00' has a time zone",
    ),
    "two times in an order": (
        ROWS + "2,2018-04-29T18:00,Naan,1,2.5,1\n",
        7,
        "ordered_at: order 2 has another time above",
    ),
    "an open quote": (ROWS + '5,2018-04-29T18:00,"Naan,1,2.5,1\n', 7, "is not CSV"),
}


@pytest.mark.parametrize(("text", "line", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_table_is_answered_by_one_sentence_with_line_and_column(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_a_damaged_and_a_foreign_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no such file"):
        read_trace(tmp_path / "no.csv")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(ROWS.encode())[:-12])
    with pytest.raises(TraceError, match="the gzip file is damaged"):
        read_trace(torn)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(HEADING.encode() + b"1,2018-04-28T18:10,Caf\xe9,1,2.5,1\n")
    with pytest.raises(TraceError, match=r"line 2: is not UTF-8"):
        read_trace(latin)


@pytest.mark.parametrize("rate_factor", [0, -1, float("inf"), float("nan")])
def test_a_factor_that_cannot_be_is_refused(table: Path, small: Scenario, rate_factor: float) -> None:
    with pytest.raises(TraceError, match="rate_factor is"):
        trace_timetable(read_trace(table), small, 1, rate_factor=rate_factor)
    with pytest.raises(TraceError, match="copies is 0"):
        trace_timetable(read_trace(table), small, 1, copies=0)


orders_strategy = st.lists(
    st.tuples(st.datetimes(datetime(2018, 1, 1), datetime(2018, 2, 1)), st.integers(1, 9), st.sampled_from([100, 250])),
    min_size=1,
    max_size=60,
).map(
    lambda rows: [
        TraceOrder(str(number), at.replace(second=0, microsecond=0), (TraceLine("Naan", quantity, price),))
        for number, (at, quantity, price) in enumerate(rows)
    ]
)


@given(orders_strategy, st.integers(0, 1000))
@settings(max_examples=50)
def test_the_fitted_factor_replays_every_order_of_a_small_trace_once(orders: list[TraceOrder], seed: int) -> None:
    scenario = load_scenario("name: small\nduration_s: 30\ndiners: {arrivals: {rate_per_s: 1}}\n")
    timetable = trace_timetable(orders, scenario, seed)
    assert sorted(diner.total_minor for diner in timetable) == sorted(order.total_minor for order in orders)
    assert max(diner.at_us for diner in timetable) <= 30_000_000


def test_the_real_table_is_read_whole(takeaway: list[TraceOrder]) -> None:
    assert len(takeaway) == 13_397
    assert len({line.item for order in takeaway for line in order.lines}) == 248
    assert sum(len(order.lines) for order in takeaway) == 74_818
    mean_minor = sum(order.total_minor for order in takeaway) / len(takeaway)
    assert 3_320 < mean_minor < 3_340, "33.3 on average"
    menu = trace_menu(takeaway)
    assert len(menu.by_id) == len(menu.items)


def test_the_default_drill_replays_more_than_fifteen_hundred_real_orders(takeaway: list[TraceOrder]) -> None:
    scenario = load_scenario(find_scenario("lunch_rush"))
    timetable = trace_timetable(takeaway, scenario, 1)
    assert len(timetable) >= max(ORDERS_FIT, scenario.least_acknowledged * 1.1)
    assert timetable[-1].at_us < scenario.duration_s * 1_000_000
    menu = trace_menu(takeaway)
    assert all(diner.total_minor == menu.total_minor(diner.items) for diner in timetable)
    real = Counter(order.total_minor for order in takeaway)
    assert not Counter(diner.total_minor for diner in timetable) - real, "every basket is one that was really sold"


def test_the_busiest_evening_of_the_real_table_comes_first(takeaway: list[TraceOrder]) -> None:
    counts = Counter(business_date(order) for order in takeaway)
    first = evenings(takeaway)[0]
    assert counts[first] == max(counts.values())
    assert {business_date(order) for _, order in trading_times_s(takeaway)[: counts[first]]} == {first}
    assert fit_rate_factor(takeaway, 80) == pytest.approx(fit_rate_factor(takeaway, 40) / 2)
