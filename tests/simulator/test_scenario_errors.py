from __future__ import annotations

from pathlib import Path

import pytest

from simulator.scenario import ScenarioError, load_scenario

HEAD = """\
name: small
duration_s: 30
diners:
  arrivals: {rate_per_s: 5}
"""
POINTS = """\
name: small
duration_s: 30
diners:
  arrivals:
    rate_per_s: 5
    profile: points
    points: """
KILLED = "{fault: process_killed, process: primary, at_s: 4, for_s: 3}"

BAD = {
    "unknown field": (
        HEAD + "durations: 3\n",
        5,
        "durations: is not a field here (did you mean 'duration_s'?); the fields are name,",
    ),
    "unknown field of a fault": (
        HEAD
        + "faults:\n  - fault: process_killed\n    process: primary\n    link: edge_edge\n    at_s: 4\n    for_s: 2\n",
        8,
        "faults[0].link: is not a field here; the fields are name, at_s, store, fault, process, for_s",
    ),
    "clock that is right": (
        HEAD + "faults:\n  - {fault: clock_offset, process: primary, offset_s: 0, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].offset_s: is 0, which changes no clock; give another number",
    ),
    "clock that does not drift": (
        HEAD + "faults:\n  - {fault: clock_drift, process: cloud, drift_ppm: 0, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].drift_ppm: is 0, which changes no clock; give another number",
    ),
    "clock of the database": (
        HEAD + "faults:\n  - {fault: clock_offset, process: postgres, offset_s: 5, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].process: 'postgres' is not known; choose one of primary, standby,",
    ),
    "disk of the cloud": (
        HEAD + "faults:\n  - {fault: disk_full, process: cloud, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].process: 'cloud' is not known; choose one of primary, standby, edge_a, edge_b, arbiter, kitchen",
    ),
    "loop of one restart": (
        HEAD + "faults:\n  - {fault: restart_loop, process: cloud, every_s: 3, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].every_s: is 3, so that one kill is all; it must be below for_s, 3",
    ),
    "errors that are the client's": (
        HEAD + "faults:\n  - {fault: http_errors, link: diner_edge, status: 404, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].status: is 404; it must be at least 500",
    ),
    "errors on a link without HTTP": (
        HEAD + "faults:\n  - {fault: http_errors, link: edge_edge, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].link: 'edge_edge' is not known",
    ),
    "printer where there is none": (
        HEAD + "faults:\n  - {fault: printer_trouble, trouble: jam, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].process: printer is there only in a store with a printer; add `printer: true` to the store",
    ),
    "receipts without a printer": (
        HEAD + "stores:\n  - {name: s1, receipts: true}\n",
        6,
        "stores[0].receipts: needs a printer; add `printer: true` to the store",
    ),
    "path that is none": (
        HEAD + "faults:\n  - {fault: http_errors, link: diner_edge, path: orders, at_s: 4, for_s: 3}\n",
        6,
        "faults[0].path: 'orders' is no path of a request; begin with /, as in /v1/orders",
    ),
    "two troubles of one device at once": (
        HEAD
        + "faults:\n  - {fault: disk_slow, process: primary, at_s: 4, for_s: 3}\n"
        + "  - {fault: process_slow, process: edge_a, at_s: 6, for_s: 3}\n",
        7,
        "faults[1]: hits edge_a while 'disk_slow primary at 4 s' still lasts",
    ),
    "text for a number": (HEAD + "seed: many\n", 5, "seed: must be a whole number, not 'many'"),
    "fraction for a whole number": (HEAD + "seed: 1.5\n", 5, "seed: must be a whole number, not 1.5"),
    "yes for a number": (HEAD + "seed: true\n", 5, "seed: must be a whole number, not true"),
    "one value for a list": (HEAD + "stores: 3\n", 5, "stores: must be a list, not 3"),
    "nothing for a group": (
        HEAD + "links:\n  edge_edge:\n",
        6,
        "links.edge_edge: must be a group of `field: value` lines, not nothing",
    ),
    "no store": (HEAD + "stores: []\n", 5, "stores: has 0 entries; give at least 1"),
    "infinite": (HEAD + "time_scale: .inf\n", 5, "time_scale: must be a finite number, not inf"),
    "below its bound": (HEAD + "least_exposed: -1\n", 5, "least_exposed: is -1; it must be at least 0"),
    "missing field": (
        "name: small\ndiners:\n  arrivals: {rate_per_s: 5}\n",
        1,
        "duration_s: is missing; give it: how long load is offered, in real seconds",
    ),
    "name with spaces": (
        HEAD.replace("small", "Lunch Rush"),
        1,
        "name: 'Lunch Rush' cannot be a name; use small letters",
    ),
    "shares": (
        HEAD + "  channels:\n    qr: 0.6\n    cashier: 0.2\n    mini_program: 0.3\n",
        5,
        "diners.channels: the shares sum to 1.1; all channels together must sum to 1",
    ),
    "behaviours": (
        HEAD + "  behaviours: {double_tap: 0.6, two_doors: 0.6}\n",
        5,
        "diners.behaviours: double_tap and two_doors are more than 1",
    ),
    "backoff": (
        HEAD + "  retries: {backoff_ms: 500, backoff_max_ms: 100}\n",
        5,
        "diners.retries.backoff_max_ms: is below backoff_ms",
    ),
    "too many diners": (
        HEAD.replace("30", "86400").replace("rate_per_s: 5", "rate_per_s: 100"),
        4,
        "diners.arrivals.rate_per_s: makes 8640000 diners over duration_s; lower one of them",
    ),
    "fault after the end": (
        HEAD + f"faults:\n  - {KILLED}\n  - {{fault: link_down, link: edge_cloud, at_s: 40}}\n",
        7,
        "faults[1].at_s: 40 is after the end of the load; it must be below duration_s, 30",
    ),
    "fault too long": (
        HEAD + f"faults: [{KILLED.replace('3}', '60}')}]\n",
        5,
        "faults[0].for_s: the fault would end at 64 s, after the load; 26",
    ),
    "unknown link": (
        HEAD + "faults:\n  - {fault: link_down, link: edge_egde, at_s: 4}\n",
        6,
        "faults[0].link: 'edge_egde' is not known (did you mean 'edge_edge'?); choose one of diner_edge, diner_cloud, edge_edge,",
    ),
    "unknown standing link": (
        HEAD + "links:\n  wan: {profile: dsl}\n",
        6,
        "links.wan: 'wan' is not known; choose one of diner_edge,",
    ),
    "unknown process": (
        HEAD + f"faults:\n  - {KILLED.replace('primary', 'primery')}\n",
        6,
        "faults[0].process: 'primery' is not known (did you mean 'primary'?); choose one of primary, standby,",
    ),
    "unknown profile": (
        HEAD + "links:\n  edge_cloud:\n    profile: fiber\n",
        7,
        "links.edge_cloud.profile: 'fiber' is not known (did you mean 'fibre'?); choose one of store_wifi_good,",
    ),
    "unknown fault": (
        HEAD + f"faults: [{KILLED.replace('process_killed', 'process_kiled')}]\n",
        5,
        "faults[0].fault: 'process_kiled' is not known (did you mean 'process_killed'?); choose one of link_weak,",
    ),
    "no kind of fault": (
        HEAD + "faults: [{process: primary, at_s: 4}]\n",
        5,
        "faults[0].fault: is missing; choose one of",
    ),
    "no length": (
        HEAD + "faults:\n\n  # a comment\n  - {fault: process_killed, process: primary, at_s: 4}\n",
        8,
        "faults[0].for_s: is missing; give it: how long the process is gone, in real seconds",
    ),
    "power cut of the cloud": (
        HEAD + "faults: [{fault: power_cut, process: cloud, at_s: 4, for_s: 3}]\n",
        5,
        "faults[0].process: 'cloud' is not known; choose one of primary, standby, edge_a, edge_b, store",
    ),
    "two faults at once": (
        HEAD + f"faults:\n  - {KILLED}\n  - {{fault: process_paused, process: primary, at_s: 6, for_s: 3}}\n",
        7,
        "faults[1]: hits primary while 'process_killed primary at 4 s' still lasts; let one end before the other begins",
    ),
    "perhaps the same device": (
        HEAD + f"faults:\n  - {KILLED}\n  - {{fault: disk_lost, process: edge_b, at_s: 6, for_s: 3}}\n",
        7,
        "faults[1]: hits edge_b while 'process_killed primary at 4 s' still lasts",
    ),
    "the standby that was the primary": (
        HEAD + f"faults:\n  - {KILLED}\n  - {{fault: disk_dead, process: standby, at_s: 6, for_s: 3}}\n",
        7,
        "faults[1]: hits standby while 'process_killed primary at 4 s' still lasts",
    ),
    "the store around a device": (
        HEAD + f"faults:\n  - {KILLED}\n  - {{fault: power_cut, process: store, at_s: 6, for_s: 3}}\n",
        7,
        "faults[1]: hits store while",
    ),
    "one link twice": (
        HEAD
        + "faults:\n  - {fault: link_down, link: edge_edge, at_s: 2}\n"
        + "  - {fault: link_down, link: edge_edge, at_s: 9, for_s: 1}\n",
        7,
        "faults[1]: hits edge_edge while 'link_down edge_edge at 2 s' still lasts",
    ),
    "one name twice": (
        HEAD + "faults:\n  - {name: x, fault: link_down, link: edge_edge, at_s: 2, for_s: 1}\n"
        "  - {name: x, fault: link_down, link: edge_cloud, at_s: 2, for_s: 1}\n",
        7,
        "faults[1].name: the name 'x' is taken by another fault; give each its own",
    ),
    "a weak link of no kind": (
        HEAD + "faults: [{fault: link_weak, link: edge_edge, at_s: 2}]\n",
        5,
        "faults[0]: says nothing about the link",
    ),
    "profile and figures": (
        HEAD + "links: {edge_edge: {profile: dsl, latency_ms: 3}}\n",
        5,
        "links.edge_edge.profile: stands beside figures",
    ),
    "built-in profile": (
        HEAD + "profiles: {dsl: {latency_ms: 3}}\n",
        5,
        "profiles.dsl: is the name of a built-in profile; choose another name",
    ),
    "stores of one name": (
        HEAD + "stores:\n  - name: a\n  - name: a\n",
        7,
        "stores[1].name: the name 'a' is taken by another store",
    ),
    "which store": (
        HEAD + f"stores: [{{name: a}}, {{name: b}}]\nfaults:\n  - {KILLED}\n",
        7,
        "faults[0]: does not say which store; add `store:` with one of a, b",
    ),
    "unknown store": (
        HEAD + f"faults:\n  - {KILLED.replace('at_s', 'store: s2, at_s')}\n",
        6,
        "faults[0].store: 's2' is not known",
    ),
    "points not sorted": (
        POINTS + "[[0, 1], [0.6, 2],\n      [0.5, 2]]\n",
        8,
        "diners.arrivals.points[2]: comes before the point above it",
    ),
    "point beyond the end": (
        POINTS + "[[0, 1], [1.6, 2]]\n",
        7,
        "diners.arrivals.points[1][0]: is 1.6; it must be at most 1",
    ),
    "one point": (POINTS + "[[0, 1]]\n", 7, "diners.arrivals.points: profile 'points' needs at least two points"),
    "no arrivals ever": (POINTS + "[[0, 0], [1, 0]]\n", 7, "diners.arrivals.points: never has a rate above 0"),
    "points unused": (
        POINTS.replace("profile: points", "profile: lunch") + "[[0, 1], [1, 1]]\n",
        7,
        "diners.arrivals.points: is not used by profile",
    ),
    "field twice": (HEAD + "duration_s: 40\n", 5, "duration_s: stands here a second time; keep one of the two"),
    "bracket left open": (
        "name: small\nstores: [1,\n",
        3,
        "this is not YAML (expected the node content, but found '<stream end>')",
    ),
    "tab": ("name: small\n\tduration_s: 3\n", 2, "this is not YAML ("),
    "no alias": (HEAD + "links: *x\n", 5, "this is not YAML (found undefined alias 'x')"),
    "code in a tag": ("name: !!python/name:os.system\n", 1, "this is not YAML (could not determine a constructor"),
    "a list": ("- name\n- seed\n", 1, "is a list; a scenario is a list of `field: value` lines"),
    "a list as a name": (HEAD + "? [a, b]\n: 3\n", 5, "a field's name is no text; use plain names"),
    "an anchor in itself": (HEAD + "x: &x [*x]\n", 1, "is too large or nested too deeply"),
    "deep nesting": ("[" * 1500 + "\n", 1, "is nested too deeply"),
    "only a comment": ("# later\n\n", 1, "is empty; a scenario"),
}


@pytest.mark.parametrize(("text", "line", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_answered_by_one_sentence_with_line_and_field(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: ")
    assert said in message
    assert "\n" not in message
    assert ";" in message, "a complaint says what would be right"


def test_of_several_errors_the_first_in_the_file_is_told_and_the_others_are_counted() -> None:
    with pytest.raises(ScenarioError, match=r"line 2: duration_s: is -3; .* \(and 2 more errors in this file\)$"):
        load_scenario("name: small\nduration_s: -3\nseeed: 4\ndiners:\n  arrivals: {rate_per_s: x}\n")


def test_an_empty_file_is_told_what_a_scenario_needs(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.touch()
    with pytest.raises(ScenarioError, match="line 1: is empty; a scenario needs at least name, duration_s and diners"):
        load_scenario(str(path))


def test_a_file_that_is_not_utf_8_is_told_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: small\ntitle: caf\xe9\n")
    with pytest.raises(ScenarioError, match=r"latin\.yaml, line 2: is not UTF-8 text; save the file as UTF-8"):
        load_scenario(path)


def test_a_missing_file_a_folder_and_a_huge_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no\.yaml: there is no such file"):
        load_scenario(tmp_path / "no.yaml")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(tmp_path)
    huge = tmp_path / "huge.yaml"
    huge.write_text("# x\n" * 300_000, encoding="utf-8")
    with pytest.raises(ScenarioError, match="is larger than"):
        load_scenario(huge)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ScenarioError, match="half of a character"):
        load_scenario(HEAD + 'title: "\\ud800"\n')


def test_an_anchor_may_save_writing() -> None:
    scenario = load_scenario(HEAD + "links:\n  edge_edge: &slow {latency_ms: 9}\n  edge_kds: *slow\n")
    assert scenario.links["edge_kds"].latency_ms == 9
