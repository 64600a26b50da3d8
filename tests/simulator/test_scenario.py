from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from refsystem.ordering.menu import DEMO_MENU
from simulator.diners import make_timetable, read_timetable, write_timetable
from simulator.network import BUILT_IN_PROFILES
from simulator.scenario import (
    DEFAULT_SCENARIO,
    LINKS,
    LinkDown,
    LinkWeak,
    PowerCut,
    ProcessKilled,
    Scenario,
    ScenarioError,
    Store,
    dump_scenario,
    fault_end_s,
    fault_label,
    fault_target,
    find_scenario,
    load_scenario,
    scenario_schema,
    shipped_scenarios,
    with_changes,
)

RELAXED = settings(max_examples=50)
SMALL = "name: small\nduration_s: 30\ndiners: {arrivals: {rate_per_s: 5}}\n"
SHIPPED = shipped_scenarios()
NAMES = [
    "arbiter_lost",
    "calm",
    "cloud_restarted",
    "lunch_rush",
    "primary_killed",
    "primary_paused",
    "standby_lost",
    "store_link_cut",
    "store_power_cut",
    "wan_outage",
    "weak_wifi",
]


def test_every_promised_scenario_is_shipped_under_its_own_name() -> None:
    assert set(NAMES) <= set(SHIPPED)
    assert DEFAULT_SCENARIO in SHIPPED
    assert {name: load_scenario(path).name for name, path in SHIPPED.items()} == {name: name for name in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED.values(), ids=SHIPPED.keys())
def test_a_shipped_scenario_fits_the_published_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(scenario_schema()).validate(
        YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    )


@pytest.mark.parametrize("path", SHIPPED.values(), ids=SHIPPED.keys())
def test_a_shipped_scenario_says_what_it_shows_and_leaves_the_store_time_to_recover(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.title
    assert scenario.description
    if scenario.overload is None and not any(store.format for store in scenario.stores):
        assert scenario.diners.channels.mini_program >= 0.2, "orders come through both doors"
    assert all(fault.name for fault in scenario.faults)
    assert all(fault_end_s(fault, scenario.duration_s) <= scenario.duration_s - 6 for fault in scenario.faults)


def test_the_default_drill_hits_the_primary_three_times_with_time_to_rejoin_and_orders_on_their_way() -> None:
    scenario = load_scenario(find_scenario(DEFAULT_SCENARIO))
    hits = [fault for fault in scenario.faults if fault_target(fault) == "primary"]
    slow = [fault for fault in scenario.faults if isinstance(fault, LinkWeak) and fault.link == "edge_edge"]
    assert [fault.fault for fault in hits] == ["process_killed", "process_paused", "power_cut"]
    for before, after in pairwise(hits):
        assert after.at_s - fault_end_s(before, scenario.duration_s) >= 9
    for hit, weak in zip(hits, slow, strict=True):
        assert 2 <= hit.at_s - weak.at_s <= 3
        assert 1.5 <= fault_end_s(weak, scenario.duration_s) - hit.at_s <= 2.5
    assert scenario.budgets.loss_rate == 0.002


def test_the_schema_is_valid_and_describes_every_field() -> None:
    schema = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    silent = [
        f"{model}.{field}"
        for model, definition in {"Scenario": schema, **schema["$defs"]}.items()
        for field, said in definition.get("properties", {}).items()
        if not _description(said, schema)
    ]
    assert silent == []


def _description(said: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in said:
        said = {**schema["$defs"][said["$ref"].rsplit("/", 1)[1]], **said}
    options = [said, *said.get("anyOf", [])]
    return next((str(option["description"]) for option in options if "description" in option), "")


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    validator = jsonschema.Draft202012Validator(scenario_schema())
    good = {"name": "x", "duration_s": 5, "diners": {"arrivals": {"rate_per_s": 1}}}
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "durations": 5})
    assert not validator.is_valid({**good, "links": {"edge_egde": {"latency_ms": 3}}})
    assert not validator.is_valid({**good, "faults": [{"fault": "process_killed", "process": "primary", "at_s": 1}]})


def test_a_short_scenario_gets_one_store_and_sensible_defaults(small: Scenario) -> None:
    assert small.stores == (Store(name="s1"),)
    assert small.diners.channels.shares == {"qr": 0.6, "cashier": 0.2, "mini_program": 0.2}
    assert small.budgets.loss_rate is None
    assert small.faults == ()
    assert small.scaled_us(60) == 1_000_000


def test_a_profile_may_be_named_or_given_in_figures() -> None:
    scenario = load_scenario(
        SMALL
        + "profiles: {my_wifi: {latency_ms: 9, rate_kbit_s: 800}}\n"
        + "links: {diner_edge: {profile: my_wifi}, edge_cloud: {profile: dsl}, edge_edge: {latency_ms: 7, jitter_ms: 2}}\n"
    )
    mine = scenario.link_profile(scenario.links["diner_edge"])
    assert (mine.name, mine.latency_to_ms, mine.latency_from_ms, mine.rate_to_kbit_s) == ("my_wifi", 9, 9, 800)
    assert scenario.link_profile(scenario.links["edge_cloud"]) is BUILT_IN_PROFILES["dsl"]
    figures = scenario.link_profile(scenario.links["edge_edge"], "edge_edge")
    assert (figures.name, figures.latency_to_ms, figures.jitter_ms, figures.rate_from_kbit_s) == (
        "edge_edge",
        7,
        2,
        None,
    )


def test_a_fault_knows_its_target_its_end_and_its_label() -> None:
    killed = ProcessKilled(fault="process_killed", process="primary", at_s=4, for_s=2.5)
    cut = LinkDown(fault="link_down", link="edge_cloud", at_s=3, name="WAN outage")
    assert (fault_target(killed), fault_end_s(killed, 30), fault_label(killed)) == (
        "primary",
        6.5,
        "process_killed primary at 4 s",
    )
    assert (fault_target(cut), fault_end_s(cut, 30), fault_label(cut)) == ("edge_cloud", 30, "WAN outage")


def test_a_scenario_built_in_code_is_checked_too(small: Scenario) -> None:
    late = PowerCut(fault="power_cut", process="store", at_s=40, for_s=2)
    with pytest.raises(ValidationError, match="after the end of the load"):
        Scenario(name="late", duration_s=30, diners=small.diners, faults=(late,))


def test_a_scenario_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(dump_scenario(load_scenario(SHIPPED["calm"])), encoding="utf-8")
    assert find_scenario("calm") == SHIPPED["calm"]
    assert find_scenario(str(own)) == own
    assert find_scenario("own", folder=tmp_path) == own
    with pytest.raises(ScenarioError, match=r"lunch_rsh: .*did you mean 'lunch_rush'.*choose one of .*calm"):
        find_scenario("lunch_rsh")
    with pytest.raises(ScenarioError, match=r"absent\.yaml: there is no such file"):
        find_scenario(str(tmp_path / "absent.yaml"))
    with pytest.raises(ScenarioError, match=r"/dev/null: is a device or a pipe, not a file; give the path"):
        find_scenario("/dev/null")


FIGURES: dict[str, dict[str, tuple[float, float]]] = {
    "process_slow": {"slow_factor": (1.5, 50)},
    "restart_loop": {"every_s": (0.2, 0.9)},
    "disk_full": {},
    "disk_slow": {"delay_ms": (0.1, 60_000)},
    "disk_erring": {},
    "disk_dead": {},
    "clock_offset": {"offset_s": (0.001, 1e9)},
    "clock_drift": {"drift_ppm": (-1e6, -1)},
    "descriptors_exhausted": {},
    "memory_exhausted": {"spare_mb": (0, 1000)},
}
"""Faults of one device with a length, and the figures that they need or may have."""


def _seconds(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False).map(lambda value: round(value, 3))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    faults: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 4))):
        at_s = number * 20 + draw(_seconds(0, 5))
        kind = draw(
            st.sampled_from(
                ["link_weak", "link_down", "process_paused", "process_restarted", "disk_lost", "power_cut", *FIGURES]
            )
        )
        fault: dict[str, Any] = {"fault": kind, "at_s": at_s}
        if kind.startswith("link"):
            fault |= {"link": draw(st.sampled_from(LINKS)), "for_s": draw(_seconds(0.1, 10))}
        else:
            fault |= {"process": draw(st.sampled_from(["primary", "edge_b"]))}
        if kind == "link_weak":
            fault |= draw(
                st.sampled_from([{"profile": "dsl"}, {"latency_ms": 3.5, "jitter_ms": 1}, {"rate_kbit_s": 64}])
            )
        if not kind.startswith("link") and kind != "process_restarted":
            fault |= {"for_s": draw(_seconds(1, 10))}
        for name, (least, most) in FIGURES.get(kind, {}).items():
            fault |= {name: draw(_seconds(least, most))}
        faults.append(fault)
    qr = draw(st.integers(0, 100)) / 100
    content = {
        "name": draw(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)),
        "title": draw(st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp", "Cn", "Co"]), max_size=40)),
        "description": draw(st.sampled_from(["", "one\ntwo: three\n", "# no comment", "null", "一 二", "'\""])),
        "seed": draw(st.integers(0, 2**63 - 1)),
        "duration_s": 100,
        "time_scale": draw(st.floats(0.1, 1000)),
        "stores": [
            {
                "name": draw(st.sampled_from(["s1", "1", "007", "no"])),
                "policy": draw(st.sampled_from(["available", "require_r2"])),
                "printer": draw(st.booleans()) or any(fault.get("link") == "edge_printer" for fault in faults),
            }
        ],
        "diners": {
            "arrivals": {
                "rate_per_s": draw(st.floats(0.01, 100)),
                "profile": draw(st.sampled_from(["constant", "ramp", "lunch"])),
            },
            "channels": {"qr": qr, "cashier": 1 - qr, "mini_program": 0},
            "think_s": draw(st.floats(0, 1000)),
        },
        "faults": faults,
        "budgets": {"loss_rate": draw(st.none() | st.floats(0.001, 0.5))},
    }
    hit = {fault.get("link") for fault in faults}
    if draw(st.booleans()) or "partner_cloud" in hit:
        content["delivery"] = {"orders_per_s": draw(st.floats(0.01, 10)), "misbehaviour": [{"kind": "webhook_twice"}]}
        content["pauses"] = {"channels": {"delivery": {"share_percent": draw(st.integers(0, 100))}}}
    if draw(st.booleans()) or hit & {"partner_gateway", "partner_coupon"}:
        card = draw(st.integers(0, 100)) / 100
        coupon = (1 - card) / 2 if "partner_coupon" in hit else 0
        rule = {"kind": "slow", "share": draw(st.floats(0, 1)), "operations": ["sale", "query"]}
        content["payments"] = {
            "tenders": {"cash": 1 - card - coupon, "wallet_code": 0, "card": card, "coupon": coupon},
            "misbehaviour": draw(st.sampled_from([[], [rule]])),
        }
    return Scenario.model_validate_json(json.dumps(content))


def test_a_scenario_without_payments_has_the_same_timetable_and_no_gateway_to_be_hit() -> None:
    calm = load_scenario(SHIPPED["calm"])
    paying = with_changes(calm, {"payments": {}})
    plain, paid = make_timetable(calm, DEMO_MENU, 1), make_timetable(paying, DEMO_MENU, 1)
    assert [replace(diner, tender=None, pay_patience_us=0) for diner in paid] == plain
    assert all((diner.tender is None) == (diner.channel == "mini_program") for diner in paid)
    assert {diner.tender for diner in paid} == {None, "cash", "wallet_code", "card"}
    with pytest.raises(ScenarioError, match="only in a scenario with payments"):
        with_changes(calm, {"faults": [{"fault": "link_down", "link": "partner_gateway", "at_s": 1, "for_s": 1}]})
    with pytest.raises(ScenarioError, match="sum to 1"):
        with_changes(calm, {"payments": {"tenders": {"cash": 0.5}}})


def test_a_timetable_without_payments_is_written_as_it_was(tmp_path: Path) -> None:
    for changes, named in (({}, False), ({"payments": {}}, True)):
        diners = make_timetable(with_changes(load_scenario(SHIPPED["calm"]), changes), DEMO_MENU, 1)
        write_timetable(tmp_path / "timetable.json", diners)
        assert ('"tender"' in (tmp_path / "timetable.json").read_text("utf-8")) is named
        assert read_timetable(tmp_path / "timetable.json") == diners


@given(scenarios())
@RELAXED
def test_a_scenario_written_and_read_again_is_the_same(scenario: Scenario) -> None:
    assert load_scenario(dump_scenario(scenario)) == scenario


@given(scenarios())
@RELAXED
def test_a_written_scenario_fits_the_schema(scenario: Scenario) -> None:
    data = YAML(typ="safe", pure=True).load(dump_scenario(scenario))
    jsonschema.Draft202012Validator(scenario_schema()).validate(data)
