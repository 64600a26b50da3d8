from __future__ import annotations

import re
from typing import Any

import pytest

from simulator.batches.runner import Runner
from simulator.batches.series import Values
from simulator.model.replications import Forecast, Replications, forecast, interval, paired
from simulator.model.stopping import AT_LEAST, floor_of, watched_of
from simulator.replaced_fields import FieldError, read_values, with_field, with_fields
from simulator.scenario import Scenario, load_scenario
from simulator.sweeps import Budget, SweepError, lacking, plan, read_budget, rows, sweep, with_implied

EVENING = """\
name: evening
duration_s: 60
stores: [{name: s1, tables: 20}, {name: s2, tables: 20}]
diners: {arrivals: {rate_per_s: 10}, channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}}
model:
  visit: table_only
  seating: {dining_s: 4, patience_s: 3}
  kitchen: [{name: wok, cooks: 1, setup_s: 1}, {name: cold, cooks: 2}]
"""


@pytest.fixture
def evening() -> Scenario:
    return load_scenario(EVENING)


def test_a_field_is_named_as_in_the_file_and_in_a_list_it_is_that_of_all_or_of_one(evening: Scenario) -> None:
    assert [store.tables for store in with_field(evening, "stores.tables", 7).stores] == [7, 7]
    assert [store.tables for store in with_field(evening, "stores.s2.tables", 7).stores] == [20, 7]
    model = with_field(evening, "model.kitchen.cold.cooks", 9).model
    assert model is not None
    assert [station.cooks for station in model.kitchen] == [1, 9]
    fresh = with_field(
        load_scenario("name: x\nduration_s: 9\ndiners: {arrivals: {rate_per_s: 1}}"), "model.edge.workers", 3
    )
    assert fresh.model is not None
    assert fresh.model.edge.workers == 3


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("nosuch", 1, "there is no field 'nosuch' in a scenario; the fields there are name, title"),
        (
            "diners.arivals.rate_per_s",
            1,
            "'arivals' in diners (did you mean 'arrivals'?); the fields there are arrivals, ",
        ),
        ("delivery.order_per_s", 1, "'order_per_s' in delivery (did you mean 'orders_per_s'?)"),
        ("stores.s2.table", 1, "'table' in stores.s2 (did you mean 'tables'?)"),
        ("stores.s3.tables", 1, "'s3' in stores.s1, nor a member of stores with this name"),
        ("stores.s3.tables", 1, "and the members are s1, s2"),
        ("stores.s2", 1, "'s2' is a whole member of a list; name one of its fields"),
        ("model.seating", {"dining": 4}, "model.seating: there is no field 'dining' in model.seating"),
        ("stores.tables", -1, "stores.tables=-1: stores.s1.tables: is -1; it must be at least 1"),
        ("model.kitchen.wok.cooks", [1, 2], "cooks=[1, 2]: must be a whole number, not a list"),
        ("model.seating.party_shares.0", 1, "is inside a list of values, which is given as a whole"),
        ("name.x", 1, "name is a single value and has no field 'x'"),
        ("faults.at_s", 1, "the list is empty"),
    ],
)
def test_a_field_that_cannot_be_is_said_in_a_sentence(evening: Scenario, path: str, value: Any, said: str) -> None:
    with pytest.raises(FieldError, match=re.escape(said)) as found:
        with_field(evening, path, value)
    assert str(found.value).startswith(path)


def test_values_are_written_as_in_the_file_lists_too_and_fit_together_in_the_end(evening: Scenario) -> None:
    assert read_values("1, 2.5,true,dsl,2018-04-29") == [1, 2.5, True, "dsl", "2018-04-29"]
    assert read_values("[0.5,0.5],[0.2, 0.8]") == [[0.5, 0.5], [0.2, 0.8]]
    for wrong in ("[", "1,,2", "", ".nan", "&a [*a]"):
        with pytest.raises(FieldError):
            read_values(wrong)
    points = read_values("[[0,1],[1,3]]")[0]
    with pytest.raises(FieldError, match="is not used by profile 'constant'"):
        with_field(evening, "diners.arrivals.points", points)
    found = with_fields(evening, {"diners.arrivals.points": points, "diners.arrivals.profile": "points"})
    assert found.diners.arrivals.curve == ((0, 1), (1, 3))


def test_designs_have_the_same_draws_and_more_tables_lose_fewer(evening: Scenario) -> None:
    points = sweep(evening, {"stores.tables": [14, 20, 30]}, "simpy", replications=3)
    lost = [[value for value in point.found.values["reneged"] if value is not None] for point in points]
    assert [point.found.values["diners"] for point in points] == [points[0].found.values["diners"]] * 3
    assert all(low >= high for low, high in zip(lost[0], lost[2], strict=True))
    difference = paired(lost[0], lost[2])
    assert difference.high is not None
    assert difference.high < 0
    table = list(rows(points, ["reneged"]))
    assert [row["stores.tables"] for row in table] == [14, 20, 30]
    assert table[0]["reneged_low"] < table[0]["reneged"] < table[0]["reneged_high"]


def test_a_plan_finds_the_least_that_keeps_the_budget_and_the_most_load_that_does(evening: Scenario) -> None:
    budget = read_budget("reneged<=0.05")
    found = plan(evening, "stores.tables", 10, 40, [budget], engine="simpy", replications=3)
    assert found.value is not None
    assert 20 < found.value < 40
    kept = {trial.value: trial.keeps for trial in found.trials}
    assert kept[found.value]
    assert not kept.get(found.value - 1, False)
    most = plan(
        evening, "diners.arrivals.rate_per_s", 2, 20, [budget], most=True, step=2, engine="simpy", replications=3
    )
    assert most.value is not None
    assert most.value < 10
    none = plan(evening, "stores.tables", 1, 4, [budget], step=2, engine="simpy", replications=3)
    assert none.value is None
    assert {1, 4} <= {trial.value for trial in none.trials}, "both ends are tried, also after a shorter step"
    runner = Runner()
    with pytest.raises(FieldError, match="it must be at most 2000"):
        plan(evening, "stores.tables", 1, 2001, [budget], engine="simpy", replications=3, runner=runner)
    assert runner.computed == 0


def test_budgets_are_read_and_kept_by_the_whole_interval() -> None:
    assert read_budget(" answer_p95 <= 500 ") == Budget("answer_p95", "<=", 500.0)
    for wrong in ("answer_p95<500", "nonsense<=1", "answer_p95<=.", ""):
        with pytest.raises(SweepError):
            read_budget(wrong)
    found = interval([90.0, 100.0, 110.0])
    assert found.high is not None
    assert found.mean == 100
    assert found.high == pytest.approx(100 + 4.302653 * 10 / 3**0.5)
    assert not Budget("answer_p95", "<=", 110).is_kept(found)
    assert Budget("answer_p95", "<=", 125).is_kept(found)
    assert not Budget("told_yes", ">=", 90).is_kept(found)


DEAD = """\
name: dead
duration_s: 5
diners:
  arrivals: {rate_per_s: 2}
  channels: {qr: 0.0, cashier: 0.0, mini_program: 1.0}
  think_s: 0
  polls_max: 0
  patience_s: 60
  attempt_timeout_ms: 400
  retries: {attempts_max: 2, backoff_ms: 100, backoff_max_ms: 400}
  behaviours: {double_tap: 0.0, two_doors: 0.0, reorders: 0.0}
model:
  cloud: {workers: 1, menu_ms: 0, order_ms: 6000, shape: deterministic}
"""


def test_a_cloud_that_answers_nobody_keeps_no_budget_on_answers() -> None:
    dead, fast = load_scenario(DEAD), [read_budget("answer_p95<=1e6")]
    none = plan(dead, "diners.arrivals.rate_per_s", 1, 2, fast, most=True, engine="simpy", replications=2)
    assert none.value is None
    assert none.trials[0].figures["answer_p95"] is None
    assert none.trials[0].lacking == {"answer_p95": 2, "told_yes": 0}
    unsaid = plan(dead, "diners.arrivals.rate_per_s", 1, 2, fast, engine="simpy", replications=2, least_told=0)
    assert unsaid.value is None, "not even without a least share: nobody had an answer, in no replication"
    platform = plan(dead, "diners.arrivals.rate_per_s", 1, 1, [read_budget("platform_late<=0")], engine="simpy")
    assert platform.value == 1, "without a platform none of its orders is late"


PLATFORM = """\
name: platform
duration_s: 20
time_scale: 200
diners: {arrivals: {rate_per_s: 1}, channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}, think_s: 1, polls_max: 0}
delivery: {orders_per_s: 2, cancel_share: 0.0, accepts: cloud}
faults: [{fault: link_down, link: edge_cloud, at_s: 0, for_s: 20}]
"""
QUICK = [Budget("platform_p95", "<=", 1e6)]


def test_a_platform_whose_orders_are_hardly_ever_accepted_keeps_no_budget_on_acceptance() -> None:
    slow = with_field(load_scenario(PLATFORM), "model.cloud.order_ms", 9_000)
    none = plan(slow, "diners.arrivals.rate_per_s", 1, 1, QUICK, engine="simpy", replications=2, least_told=0)
    assert none.value is None
    assert none.trials[0].lacking == {"platform_p95": 2}, "orders came, and none was accepted"
    few = with_field(load_scenario(PLATFORM), "delivery.accepts", "store")
    found = plan(few, "diners.arrivals.rate_per_s", 1, 1, QUICK, engine="simpy", replications=2)
    assert found.value is None
    assert [str(budget) for budget in found.budgets] == ["platform_p95<=1e+06", "platform_late<=0.01"]
    assert found.trials[0].lacking["platform_p95"] == 0
    said = [*QUICK, Budget("platform_late", "<=", 9)]
    assert plan(few, "diners.arrivals.rate_per_s", 1, 1, said, engine="simpy", replications=2).value == 1


def test_few_fast_answers_do_not_keep_a_budget_when_most_diners_give_up() -> None:
    storm = with_field(with_field(load_scenario(DEAD), "model.cloud.order_ms", 100), "diners.arrivals.rate_per_s", 40)
    fast = [read_budget("answer_p95<=1e6")]
    found = plan(storm, "model.cloud.workers", 1, 1, fast, engine="simpy", replications=3)
    assert found.value is None
    assert [str(budget) for budget in found.budgets] == ["answer_p95<=1e+06", "told_yes>=0.99"]
    assert plan(storm, "model.cloud.workers", 1, 1, fast, engine="simpy", replications=3, least_told=0).value == 1
    said = [*fast, read_budget("told_yes>=0.5")]
    assert with_implied(said, storm) == said, "a least share that is said is the one that counts"
    assert with_implied([read_budget("gave_up<=0.1")], storm) == [Budget("gave_up", "<=", 0.1)]


def test_a_wait_for_tables_is_lacking_only_where_somebody_came_for_one(evening: Scenario) -> None:
    series = Replications(evening, "simpy")
    nobody: Values = dict.fromkeys(series.columns, None) | {"diners": 4.0}
    found = Forecast(
        series, [nobody, nobody | {"reneged": 1.0, "balked": 0.0}, nobody | {"reneged": 0.0, "table_wait": 7.0}]
    )
    assert [lacking(found, name) for name in ("table_wait", "reneged", "balked", "answer_p95")] == [1, 0, 0, 3]
    by_app = with_field(evening, "diners.channels", {"qr": 0.0, "cashier": 0.0, "mini_program": 1.0})
    wait = forecast(with_field(by_app, "duration_s", 3), "simpy", 2)
    assert (wait.interval("table_wait"), wait.interval("reneged"), lacking(wait, "table_wait")) == (None, None, 0)


def test_a_figure_that_one_replication_lacks_keeps_nothing() -> None:
    found = interval([90.0, 100.0, 110.0])
    assert Budget("answer_p95", "<=", 125).is_kept(found, 0)
    assert not Budget("answer_p95", "<=", 125).is_kept(found, 1)
    assert not Budget("answer_p95", ">=", 1).is_kept(found, 1)


def test_replications_end_at_the_first_at_which_tables_are_known_where_nobody_orders(evening: Scenario) -> None:
    small = with_field(with_field(evening, "duration_s", 6), "stores.tables", 14)
    found = forecast(small, "simpy", None, precision=0.25, at_most=120)
    assert found.watched == ("table_wait", "reneged")
    assert AT_LEAST < found.replications < 120, "ten are too few to know how many go away"
    before = [[each for each in found.values[name][:-1] if each is not None] for name in found.watched]
    assert all(found.interval(name).is_narrow(0.25, floor_of(small, name)) for name in found.watched)  # type: ignore[union-attr]
    assert not all(
        interval(values).is_narrow(0.25, floor_of(small, name))
        for name, values in zip(found.watched, before, strict=True)
    )
    assert found.not_known() == []
    content = found.to_json()
    assert content["figures"]["reneged"]["low"] < content["figures"]["reneged"]["mean"]
    assert content["figures"]["answer_p95"]["mean"] is None
    assert (content["watched"], content["not_known"]) == (["table_wait", "reneged"], [])
    short = forecast(small, "simpy", None, precision=0.01, at_most=12, watched=["table_wait", "answer_p95"])
    assert short.replications == 12
    wait, answer = short.not_known()
    assert re.fullmatch(r"table_wait is known to 0\.\d+ of itself only; 0\.01 was wanted", wait)
    assert answer == "nobody had answer_p95, so nothing is known of it"
    assert forecast(small, "simpy", 2).replications == 2


def test_what_a_scenario_is_about_is_watched(evening: Scenario) -> None:
    assert watched_of(evening) == ("table_wait", "reneged")
    ordering = with_field(evening, "model.visit", "order")
    assert watched_of(ordering) == ("told_yes", "answer_p95", "table_wait", "reneged", "meal_p95")
    assert watched_of(load_scenario(DEAD)) == ("told_yes", "answer_p95")
    assert watched_of(with_field(load_scenario(DEAD), "delivery.orders_per_s", 1))[2:] == ("platform_late",)


def test_short_waits_of_a_few_do_not_keep_a_budget_when_most_go_away() -> None:
    full = with_fields(load_scenario(DEAD), {"model.visit": "table_only", "model.seating.patience_s": 1})
    full = with_field(full, "diners.channels", {"qr": 1.0, "cashier": 0.0, "mini_program": 0.0})
    short = [read_budget("table_wait<=60")]
    found = plan(full, "stores.tables", 1, 2, short, engine="simpy", replications=2)
    assert found.value is None
    assert [str(budget) for budget in found.budgets] == ["table_wait<=60", "reneged<=0.05"]
    assert plan(full, "stores.tables", 1, 2, short, engine="simpy", replications=2, most_reneged=1).value == 1
    said = [*short, read_budget("reneged<=9")]
    assert plan(full, "stores.tables", 1, 2, said, engine="simpy", replications=2).value == 1
    meals, ordering = [read_budget("meal_p50<=1")], with_field(full, "model.visit", "order")
    assert [budget.figure for budget in with_implied(meals, ordering)] == ["meal_p50", "told_yes", "reneged"]
    balking = with_field(ordering, "model.seating.queue_max", 3)
    assert [budget.figure for budget in with_implied(meals, balking)][2:] == ["reneged", "balked"]
    endless = with_field(balking, "model.seating.patience_shape", "endless")
    assert [budget.figure for budget in with_implied(meals, endless)][2:] == ["balked"]
    assert [budget.figure for budget in with_implied(meals, load_scenario(DEAD))] == ["meal_p50", "told_yes"]
    with pytest.raises(SweepError, match="table_wait<=60: nobody needs a table in this scenario"):
        with_implied(short, load_scenario(DEAD))
