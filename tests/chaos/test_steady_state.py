"""The steady-state hypothesis and the blast radius: what a scenario may say, what probes see, what the judge makes of it."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chaos.judge.judging import judge_run
from chaos.judge.steady import PlannedProbe, SteadyRow, steady_accounts
from chaos.judge.steady_checks import steady_checks
from chaos.judge.verdict import Check, verdict_schema
from chaos.observer import Sample
from chaos.steady_state.readings import Reading, Settled, probe_client, read_figure, read_http
from chaos.steady_state.watch import SteadyWatch
from simulator.history import Attempt, HistoryWriter
from simulator.scenario import ScenarioError, dump_scenario, find_scenario, load_scenario, shipped_scenarios
from simulator.scenario_steady_state import AnsweredProbe, FigureProbe, radius_of

HEAD = "name: mine\nduration_s: 20\ndiners:\n  arrivals: {rate_per_s: 1}\n"
FAULTS = "faults:\n  - {fault: process_killed, process: primary, at_s: 3, for_s: 2}\n"


# --- what a scenario says ---


def test_a_hypothesis_and_a_blast_radius_are_read_and_written() -> None:
    scenario = load_scenario(
        HEAD + FAULTS + "blast_radius: {stores: [s1], processes: [primary]}\n"
        "steady_state:\n"
        "  - {probe: http, name: door, link: diner_edge, path: /health, within_ms: 300, during: judged}\n"
        "  - {probe: orders_answered, name: diners served, share: 0.9, last_s: 4}\n"
        "  - {probe: figure, name: cloud keeps up, figure: cloud_behind, most: 20}\n"
    )
    assert [probe.name for probe in scenario.steady_state] == ["door", "diners served", "cloud keeps up"]
    assert load_scenario(dump_scenario(scenario)) == scenario


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steady_state:\n  - {probe: http, name: a}\n", ("steady_state[0]", "a URL or a link")),
        ("steady_state:\n  - {probe: http, name: a, url: 'shop'}\n", ("steady_state[0].url", "http://HOST:PORT/PATH")),
        ("steady_state:\n  - {probe: http, name: a, url: 'http://x', link: diner_edge}\n", ("a URL or a link",)),
        ("steady_state:\n  - {probe: figure, name: a, figure: cloud_behnd, most: 1}\n", ("cloud_behind",)),
        ("steady_state:\n  - {probe: ping, name: a}\n", ("'ping'", "http, orders_answered, figure")),
        (
            "steady_state:\n" + "  - {probe: orders_answered, name: a, share: 0.5}\n" * 2,
            ("steady_state[1].name", "another probe"),
        ),
        ("steady_state:\n  - {probe: orders_answered, name: a, share: 2}\n", ("share", "at most 1")),
        (
            "steady_state:\n  - {probe: figure, name: a, figure: cloud_behind, most: 1, store: s9}\n",
            ("steady_state[0].store", "s1"),
        ),
        ("blast_radius: {stores: [s2]}\n", ("blast_radius.stores[0]", "s1")),
        ("blast_radius: {links: [edge_cluod]}\n", ("edge_cloud",)),
    ],
)
def test_what_does_not_fit_is_one_sentence(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ScenarioError) as error:
        load_scenario(HEAD + text)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("fault", "radius", "refused"),
    [
        ("fault: process_killed, process: primary, at_s: 1, for_s: 1", "processes: [primary]", False),
        ("fault: process_killed, process: primary, at_s: 1, for_s: 1", "processes: [edge_a, edge_b]", False),
        ("fault: process_killed, process: primary, at_s: 1, for_s: 1", "processes: [edge_a]", True),
        ("fault: process_killed, process: primary, at_s: 1, for_s: 1", "processes: [standby]", True),
        ("fault: process_killed, process: edge_a, at_s: 1, for_s: 1", "processes: [primary]", True),
        ("fault: power_cut, process: store, at_s: 1, for_s: 1", "processes: [edge_a, edge_b]", True),
        ("fault: power_cut, process: store, at_s: 1, for_s: 1", "processes: [store]", False),
        ("fault: link_down, link: edge_cloud, at_s: 1, for_s: 1", "links: [edge_cloud]", False),
        ("fault: link_down, link: edge_cloud, at_s: 1, for_s: 1", "links: [edge_kds], processes: [cloud]", True),
        ("fault: link_weak, link: edge_cloud, latency_ms: 5, at_s: 1, for_s: 1", "{}", True),
        ("fault: http_errors, link: edge_cloud, at_s: 1, for_s: 1", "links: [edge_cloud]", False),
    ],
)
def test_a_fault_outside_of_the_blast_radius_is_refused(fault: str, radius: str, refused: bool) -> None:
    inside = radius if radius == "{}" else "{" + radius + "}"
    text = f"{HEAD}faults:\n  - {{{fault}}}\nblast_radius: {inside}\n"
    if not refused:
        load_scenario(text)
        return
    with pytest.raises(ScenarioError, match=r"faults\[0\].*outside of the blast radius"):
        load_scenario(text)


def test_without_a_word_the_blast_radius_is_what_the_faults_name() -> None:
    for path in shipped_scenarios().values():
        scenario = load_scenario(path)
        radius = radius_of(scenario)
        assert all(radius.holds(fault, scenario.store_of(fault.store)) for fault in scenario.faults)
        named = {str(getattr(fault, "link", None) or getattr(fault, "process", None)) for fault in scenario.faults}
        assert {*radius.links, *radius.processes} == named
    assert radius_of(load_scenario(find_scenario("calm"))).links == ()


# --- what probes see ---


class Page(http.server.BaseHTTPRequestHandler):
    delay_s = 0.0

    def do_GET(self) -> None:
        time.sleep(self.delay_s)
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str, status: int, within_ms: float) -> Reading:
    async def look() -> Reading:
        async with probe_client() as client:
            return await read_http(client, url, status, within_ms)

    return asyncio.run(look())


def test_a_url_holds_by_status_and_time(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(f"{page}/there", 200, 2_000).holds
    assert ask(f"{page}/absent", 404, 2_000).holds
    absent = ask(f"{page}/absent", 200, 2_000)
    assert (absent.holds, absent.detail.split()[0]) == (False, "404")
    monkeypatch.setattr(Page, "delay_s", 0.2)
    assert ask(f"{page}/there", 200, 50) == Reading(False, None, "no answer within 50 ms")
    assert ask("http://127.0.0.1:9/", 200, 500).holds is False
    assert ask("http://[::1", 200, 500).holds is False


def sample(commit_seq: int = 50, **places: Any) -> Sample:
    primary = {"slot": "a", "role": "primary", "epoch": 3, "commit_seq": commit_seq, "waiting": 4}
    standby = {"slot": "b", "role": "standby", "epoch": 3, "commit_seq": 48}
    made: dict[str, Any] = {
        "edges": {"a": primary, "b": standby},
        "cloud": {"cursor": {"seq": 30}},
        "kitchen": {"cursor": {"seq": 45}, "waiting": 7},
    }
    return Sample(0, "s1", **(made | places))


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("cloud_behind", 20),
        ("kitchen_behind", 5),
        ("standby_behind", 2),
        ("requests_waiting", 4),
        ("tickets_waiting", 7),
    ],
)
def test_figures_of_the_stack(figure: Any, value: int) -> None:
    for most, holds in ((value, True), (value - 1, False)):
        probe = FigureProbe(probe="figure", name="f", figure=figure, most=most)
        assert (read_figure(probe, sample()).holds, read_figure(probe, sample()).value) == (holds, value)
    silent = sample(edges={"a": None, "b": None}, cloud=None, kitchen=None)
    probe = FigureProbe(probe="figure", name="f", figure=figure, most=10_000)
    assert read_figure(probe, silent) == Reading(False, None, f"{figure} is not told")


def test_the_share_of_orders_answered_lately(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, "locust-1")
    settled = Settled(tmp_path, 10_000_000)

    def settle(at_s: float, outcome: Any, *, store: str = "s1", kind: Any = "order", order: str = "") -> None:
        at_us = round(at_s * 1e6)
        op = writer.next_op()
        row = Attempt("locust-1", op, store, "t1", "qr", f"i{op}", order or f"o{op}", 1, kind, at_us, at_us)
        writer.invoke(row)
        writer.complete(
            Attempt(
                **{name: getattr(row, name) for name in row.__slots__} | {"completed_at_us": at_us, "outcome": outcome}
            )
        )

    def read(now_s: float, **changes: Any) -> Reading:
        probe = AnsweredProbe(probe="orders_answered", name="a", share=0.75, last_s=4.0, **changes)
        return settled.read(probe, round(now_s * 1e6))

    assert read(1).holds is None
    settle(1, "fail")
    for at_s in (3, 4, 5):
        settle(at_s, "ok")
    settle(4.9, "fail", order="sent on")
    settle(5, "ok", order="sent on")
    settle(5, "indefinite", order="late")
    settle(5, "indefinite", order="late")
    settle(5, "fail", kind="read")
    assert (read(5.5).holds, read(5.5).value) == (True, 0.8), "what was refused before is too long ago"
    settle(5.4, "fail", store="s2")
    assert read(5.5).value == round(4 / 6, 4)
    assert read(5.5, store="s2").value == 0
    assert read(5.5, store="s1").value == 0.8
    settle(14, "fail", order="sent on")
    assert read(14.5).value == 1, "it had been told yes before"
    assert read(20).holds is None
    writer.close()


def test_the_watch_writes_every_look_down_and_waits_until_all_hold(tmp_path: Path) -> None:
    looks = iter([False, False, True])

    async def coming() -> Reading:
        holds = next(looks, True)
        return Reading(holds, None, "up" if holds else "down")

    async def silent() -> Reading:
        return Reading(None, None, "no orders")

    path = tmp_path / "steady.jsonl"
    watch = SteadyWatch({"coming": coming, "silent": silent}, path)

    async def run() -> tuple[bool, bool]:
        async with watch.asking():
            await asyncio.sleep(0.05)
        assert watch.broken == {"coming": Reading(False, None, "down")}
        return await watch.wait_holding(0.0), await watch.wait_holding(5.0)

    assert asyncio.run(run()) == (False, True)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["holds"] for row in rows if row["probe"] == "coming"] == [False, False, True]
    assert [row["holds"] for row in rows if row["probe"] == "silent"] == [None, None, None]


def test_what_a_probe_said_before_it_said_nothing_holds_up_no_healing() -> None:
    looks = iter([Reading(False, 0.0, "all refused"), Reading(None, None, "no orders")])

    async def ended() -> Reading:
        return next(looks)

    watch = SteadyWatch({"orders": ended})

    async def run() -> None:
        await watch.ask()
        assert set(watch.broken) == {"orders"}
        await watch.ask()

    asyncio.run(run())
    assert not watch.latest


# --- what the judge makes of it ---


def checks(
    rows: list[tuple[float, str, bool | None]], *, judged: bool = False, struck: bool = True
) -> dict[str, Check]:
    """The checks for looks at (second, probe, holds); the faults last from second 10 to 20."""
    probes = [PlannedProbe(name, judged) for name in dict.fromkeys(name for _, name, _ in rows)]
    looks = [SteadyRow(at_us=round(at_s * 1e6), probe=name, holds=holds, detail="seen") for at_s, name, holds in rows]
    accounts = steady_accounts(probes, looks, 10_000_000 if struck else None, 20_000_000 if struck else 0)
    return {check.name.removeprefix("steady_state_"): check for check in steady_checks(accounts, struck=struck)}


def outcomes(rows: list[tuple[float, str, bool | None]], **options: bool) -> dict[str, str]:
    return {name: check.verdict for name, check in checks(rows, **options).items()}


def test_what_holds_before_during_and_after_passes() -> None:
    assert outcomes([(9, "a", True), (15, "a", True), (25, "a", True)]) == dict.fromkeys(
        ("before", "during", "after"), "pass"
    )


def test_a_system_that_was_not_steady_before_makes_the_run_unknown() -> None:
    assert outcomes([(8, "a", True), (9, "a", False), (25, "a", True)])["before"] == "unknown"
    assert outcomes([(9, "a", None), (25, "a", True)])["before"] == "unknown"
    assert outcomes([(8, "a", False), (9, "a", True), (9.5, "a", None), (25, "a", True)])["before"] == "pass"


def test_what_was_not_steady_before_fails_no_run_later() -> None:
    rows: list[tuple[float, str, bool | None]] = [(9, "a", False), (12, "a", False), (25, "a", False)]
    assert outcomes(rows, judged=True) == dict.fromkeys(("before", "during", "after"), "unknown")


def test_while_faults_last_it_is_recorded_or_judged() -> None:
    rows: list[tuple[float, str, bool | None]] = [(9, "a", True), (12, "a", False), (15, "a", True), (25, "a", True)]
    assert outcomes(rows)["during"] == "pass"
    assert checks(rows)["during"].detail == "a did not hold at 1 of 2 looks (first: seen)"
    assert outcomes(rows, judged=True)["during"] == "fail"
    assert outcomes([(9, "a", True), (25, "a", True)], judged=True)["during"] == "unknown"


def test_after_healing_it_must_come_to_hold() -> None:
    assert outcomes([(9, "a", True), (21, "a", False), (25, "a", True)])["after"] == "pass"
    assert outcomes([(9, "a", True), (21, "a", True), (25, "a", False)])["after"] == "fail"
    assert outcomes([(9, "a", True), (15, "a", True)])["after"] == "unknown"
    assert outcomes([(9, "a", True), (25, "a", True), (9, "b", True), (25, "b", None)])["after"] == "unknown"


def test_a_no_after_which_nothing_more_can_be_said_is_not_the_last_word() -> None:
    assert outcomes([(9, "a", True), (21, "a", False), (22, "a", None)])["after"] == "unknown"
    assert outcomes([(9, "a", True), (21, "a", False), (22, "a", None), (23, "a", False)])["after"] == "fail"
    assert outcomes([(9, "a", True), (21, "a", True), (22, "a", None)])["after"] == "pass"


def test_without_faults_only_the_end_is_looked_at_and_without_probes_nothing() -> None:
    assert outcomes([(9, "a", True)], struck=False) == {"after": "pass"}
    assert outcomes([]) == {}


def test_a_run_folder_carries_its_hypothesis_into_the_verdict(tmp_path: Path) -> None:
    text = HEAD + FAULTS + "steady_state:\n  - {probe: orders_answered, name: served, share: 0.9}\n"
    (tmp_path / "scenario.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "metrics").mkdir()
    rows = [{"at_us": at_us, "probe": "served", "holds": at_us < 6, "detail": "d"} for at_us in (1, 4, 6)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics" / "steady_state.jsonl").write_text(lines, encoding="utf-8")
    fault = {"name": "kill", "kind": "process_killed", "started_at_us": 3, "ended_at_us": 5}
    fault |= {"took_effect": True, "undone": True}
    (tmp_path / "faults.jsonl").write_text(json.dumps(fault) + "\n", encoding="utf-8")
    verdict = judge_run(tmp_path)
    said = verdict.to_json()
    jsonschema.validate(said, verdict_schema())
    (account,) = said["details"]["steady_state"]
    assert (account["before"], account["looks_during"], account["after"]) == (True, 1, False)
    assert said["details"]["blast_radius"] == {"stores": ["s1"], "links": [], "processes": ["primary"]}
    assert {check["name"]: check["verdict"] for check in said["checks"]}["steady_state_after"] == "fail"
