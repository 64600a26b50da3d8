"""What the model must do whatever the figures are: path identities, and how results move when a scenario is changed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from simulator.model.draws import make_key
from simulator.model.engines import Engine, engine_of
from simulator.model.plan import Plan, make_plan
from simulator.model.records import ABSENT, ARRIVED, DONE, DROPPED, REFUSED, STAYED, Run
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.model.vocabulary import ARGUMENT_BITS, CLASS_SHIFT, CLOUD, NODES, Event, Outcome
from simulator.queueing import vulnerable_band
from simulator.scenario import Scenario, load_scenario, shipped_scenarios, with_changes

SEED = 4


def _run(scenario: Scenario, plan: Plan | None = None, *, traced: bool = False) -> Run:
    key = make_key(SEED, scenario.stores[0].name)
    timetable = draw_timetable(make_recipe(scenario), key)
    from simulator.model.processes.run import run_on_simpy

    return run_on_simpy(make_plan(scenario) if plan is None else plan, timetable, key, traced=traced)


def _shipped(name: str, **changes: Any) -> Scenario:
    scenario = load_scenario(shipped_scenarios()[name])
    return with_changes(scenario, changes) if changes else scenario


def test_what_comes_in_goes_out_and_the_integral_of_the_number_is_the_sum_of_the_stays() -> None:
    """Little's law as an identity: Σ stays = ∫ N dt, to the tick, at the cloud, which gets every request of these diners."""
    everybody = {
        "duration_s": 12,
        "diners": {"channels": {"qr": 0.0, "cashier": 0.0, "mini_program": 1.0}, "behaviours": {"two_doors": 0.0}},
    }
    run = _run(
        _shipped("calm", **everybody, model={"cloud": {"workers": 1, "order_ms": 60, "read_ms": 12}}), traced=True
    )
    assert run.trace is not None
    inside = area = before = 0
    for tick, key in run.trace.tolist():
        event, entity = key >> CLASS_SHIFT, (key >> ARGUMENT_BITS) & 0xFFFFFFFF
        came, went = event in (Event.REQUEST, Event.UP), event == Event.WORKED and entity == CLOUD
        if came or went:
            area += inside * (tick - before)
            inside, before = inside + came - went, tick
    assert inside == 0
    assert area == run.servers[CLOUD][STAYED]
    assert area > run.servers[CLOUD][DONE]


def test_nobody_and_no_request_is_forgotten_when_devices_die() -> None:
    run = _run(_shipped("primary_killed", model={"edge": {"order_ms": 60, "menu_ms": 20}}))
    for node in range(NODES):
        counters = run.servers[node]
        assert counters[ARRIVED] == counters[DONE] + counters[DROPPED] + counters[REFUSED]
    assert run.servers[:, DROPPED].sum() > 0
    assert (run.column("outcome") != Outcome.INSIDE).all()
    assert (run.column("left") != ABSENT).all()


def test_every_order_that_was_told_yes_is_committed_shown_served_and_stored_in_that_order() -> None:
    for name in ("lunch_rush", "wan_outage"):
        run = _run(_shipped(name, diners={"arrivals": {"rate_per_s": 6}}))
        told = run.column("told") != ABSENT
        assert told.any()
        for which in (0, 1):
            mine = told & (run.column("which") == which)
            committed, shown = run.column(f"committed_{which}")[mine], run.column(f"shown_{which}")[mine]
            assert (committed != ABSENT).all()
            assert (shown >= committed).all()
            assert (run.column(f"served_{which}")[mine] > shown).all()
            assert (run.column(f"stored_{which}")[mine] != ABSENT).all()


TABLES = """\
name: tables
duration_s: 60
stores: [{name: s1, tables: %d}]
diners: {arrivals: {rate_per_s: 5, profile: lunch}, channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}}
model: {visit: table_only, seating: {dining_s: 4, dining_shape: lognormal, patience_shape: endless}}
"""


def test_with_more_tables_nobody_waits_longer() -> None:
    waits = []
    for tables in (16, 19, 22):
        run = _run(load_scenario(TABLES % tables))
        waits.append(run.column("seated") - run.column("at"))
    assert waits[0].max() > waits[2].max()
    assert (waits[0] >= waits[1]).all()
    assert (waits[1] >= waits[2]).all()


def test_twice_as_fast_in_half_the_time_is_the_same_evening() -> None:
    slow, fast = load_scenario(TABLES % 18), load_scenario((TABLES % 18).replace("duration_s: 60", "duration_s: 30"))
    fast = with_changes(fast, {"time_scale": 2.0, "diners": {"arrivals": {"rate_per_s": 10}}})
    one, other = _run(slow), _run(fast)
    assert len(one.rows) == len(other.rows)
    assert np.abs(one.column("seated") - 2 * other.column("seated")).max() <= 2 * len(one.rows)


def test_a_fault_changes_nothing_before_it_begins() -> None:
    calm = _shipped("calm", duration_s=14)
    killed = with_changes(calm, {"faults": [{"fault": "process_killed", "process": "primary", "at_s": 8, "for_s": 2}]})
    one, other = _run(calm, traced=True), _run(killed, traced=True)
    assert one.trace is not None
    assert other.trace is not None
    early = [trace[trace[:, 0] < 8_000_000] for trace in (one.trace, other.trace)]
    assert np.array_equal(*early)
    assert one.hash != other.hash


STORM = {
    "name": "storm",
    "duration_s": 40,
    "stores": [{"name": "s1"}],
    "diners": {
        "arrivals": {"rate_per_s": 25}, "channels": {"qr": 0.0, "cashier": 0.0, "mini_program": 1.0}, "polls_max": 0,
        "think_s": 0, "patience_s": 30, "attempt_timeout_ms": 400,
        "retries": {"attempts_max": 4, "backoff_ms": 100, "backoff_max_ms": 400},
        "behaviours": {"double_tap": 0.0, "two_doors": 0.0, "reorders": 0.0},
    },
    "faults": [{"fault": "process_slow", "process": "cloud", "at_s": 5, "for_s": 5, "slow_factor": 20}],
    "model": {
        "cloud": {"workers": 1, "menu_ms": 0, "order_ms": 20, "ingest_ms": 0, "shape": "exponential"},
        "database": {"transaction_ms": 1, "connections": 50},
    },
}  # fmt: skip
REMEDIES = {"queue_max": 30, "waiting_ms": 200, "deadline": True, "retry_budget": 0.1, "retry_after_ms": 200}


def _told_yes(engine: Engine, rate: float, remedies: dict[str, Any], duration_s: int, seed: int) -> tuple[float, float]:
    """The share of orders told yes before the trigger, and of those of the last ten seconds."""
    scenario = with_changes(
        load_scenario(json.dumps(STORM, indent=1)),
        {"duration_s": duration_s, "diners": {"arrivals": {"rate_per_s": rate}}, "model": {"overload": remedies}},
    )
    key = make_key(seed, scenario.stores[0].name)
    run = engine(make_plan(scenario), draw_timetable(make_recipe(scenario), key), key)
    meant, told = run.column("meant") / 1e6, run.column("told") != ABSENT
    before, after = (
        float(told[(meant >= begin) & (meant < end)].mean())
        for begin, end in ((1, 5), (duration_s - 10, duration_s))
    )  # fmt: skip
    print(f"seed {seed}, {rate}/s: share of orders told yes {before:.3f} before, {after:.3f} at the end")  # noqa: T201
    return before, after


@pytest.mark.parametrize(
    ("rate", "remedies", "recovers"), [(25, {}, False), (8, {}, True), (25, REMEDIES, True)],
    ids=["in the band", "below it", "with remedies"],
)  # fmt: skip
def test_a_retry_storm_outlives_its_trigger_in_the_vulnerable_band_only(
    rate: float, remedies: dict[str, Any], recovers: bool
) -> None:
    least, most = vulnerable_band(service=50.0, servers=1, attempts=4)
    assert (least < rate < most) == (rate == 25)
    before, after = _told_yes(engine_of("simpy"), rate, remedies, 40, SEED)
    assert before > 0.95
    assert after > 0.95 if recovers else after < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_band_of_retry_storms_ends_where_theory_says(compiled_engine: Engine, seed: int) -> None:
    """Just below it a storm goes on for some time (of all attempts, little capacity is left to catch up), but not for 85 s."""
    least, most = vulnerable_band(service=50.0, servers=1, attempts=4)
    for rate in (8.0, 11.0, 14.0, 25.0):
        before, after = _told_yes(compiled_engine, rate, {}, 100, seed)
        assert before > 0.9
        assert after < 0.05 if least < rate < most else after > 0.95
    for rate in (14.0, 25.0):
        assert _told_yes(compiled_engine, rate, REMEDIES, 100, seed)[1] > 0.95


def test_an_engine_that_is_not_there_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.model.engines.HAS_NUMBA", False)
    with pytest.raises(Exception, match=r"needs numba; install the extra"):
        engine_of("compiled")
