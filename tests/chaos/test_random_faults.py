"""The drawn timeline: the same for the same seed, right for the scenario's rules, and calm where it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from chaos.cli import main
from chaos.random_faults.draws import Draws
from chaos.random_faults.kinds import KINDS
from chaos.random_faults.timeline import (
    CALM_BEFORE_DESTROYING_S,
    CALM_S,
    FIRST_AT_S,
    LAST_CALM_S,
    LEAD_S,
    draw_timeline,
    random_scenario,
)
from simulator.scenario import (
    Fault,
    LinkWeak,
    Scenario,
    ScenarioError,
    dump_scenario,
    fault_end_s,
    fault_label,
    fault_target,
    find_scenario,
    load_scenario,
    with_changes,
)
from simulator.streams import Streams

SEEDS = range(1, 201)
GAP_S = 1.5
CALM = load_scenario(find_scenario("calm"))
TWO_STORES = with_changes(CALM, {"stores": [{"name": "s1", "tables": 10}, {"name": "s2", "tables": 10}]})


def episodes(faults: tuple[Fault, ...]) -> Iterator[list[Fault]]:
    """The faults in groups, by the gaps that are longer than those within an episode can be."""
    group: list[Fault] = []
    for fault in faults:
        if group and fault.at_s >= max(fault_end_s(other, 1e9) for other in group) + GAP_S:
            yield group
            group = []
        group.append(fault)
    yield group


def test_a_seed_draws_the_same_timeline_as_ever() -> None:
    """These lines hold on any machine; they change only with the kinds and rules of drawing, and then on purpose."""
    drawn = [f"{fault_label(fault)} to {fault_end_s(fault, 30):.1f} s" for fault in draw_timeline(CALM, 7).faults]
    assert drawn == SEED_7


def test_every_drawn_timeline_is_a_right_scenario_with_calm_between_its_episodes() -> None:
    for seed in SEEDS[:80]:
        scenario = random_scenario(CALM, seed)
        assert load_scenario(dump_scenario(scenario)) == scenario, f"seed {seed}"
        assert scenario.faults, f"seed {seed} draws nothing"
        assert scenario.faults[0].at_s >= FIRST_AT_S
        assert max(fault_end_s(fault, 30) for fault in scenario.faults) <= 30 - LAST_CALM_S + 1
        groups = list(episodes(scenario.faults))
        for one, other in pairwise(groups):
            calm_s = other[0].at_s - max(fault_end_s(fault, 30) for fault in one)
            assert calm_s >= CALM_S[0] - 0.01, f"seed {seed}: {calm_s:.1f} s of calm"
            if any(fault.fault in ("disk_lost", "disk_dead") for fault in other):
                assert calm_s >= CALM_BEFORE_DESTROYING_S - 0.01, f"seed {seed}"
        for group in groups:
            check_episode(seed, group)


def check_episode(seed: int, group: list[Fault]) -> None:
    slow = [fault for fault in group if isinstance(fault, LinkWeak)]
    strikes = [fault for fault in group if not isinstance(fault, LinkWeak)]
    assert strikes, f"seed {seed}: only slow links"
    for fault in slow:
        assert min(strike.at_s for strike in strikes) - fault.at_s >= LEAD_S - 0.01, f"seed {seed}"
    targets = {fault_target(fault) for fault in strikes}
    if any(fault.fault in ("disk_lost", "disk_dead") for fault in strikes):
        assert not targets & {"edge_edge", "arbiter", "edge_arbiter"}, f"seed {seed}: the only copy could be lost"
    if "store" in targets:
        assert not targets & {"edge_edge", "edge_arbiter", "edge_kds", "arbiter", "kitchen"}, f"seed {seed}"
    devices = {"primary", "standby", "edge_a", "edge_b"}
    assert sum(fault_target(fault) in devices for fault in strikes) <= 1, f"seed {seed}"


def test_seeds_differ_in_what_they_enable_and_together_draw_every_kind() -> None:
    drawn = {seed: draw_timeline(CALM, seed) for seed in SEEDS}
    enabled = Counter(name for one in drawn.values() for name in one.enabled)
    assert set(enabled) == {name for name, kind in KINDS.items() if not kind.of_printer}, (
        "without a printer none of its own"
    )
    assert max(enabled.values()) < len(SEEDS) * 0.7
    hit = Counter((fault.fault, fault_target(fault)) for one in drawn.values() for fault in one.faults)
    expected = {(draw["fault"], str(draw.get("link") or draw.get("process"))) for draw in every_draw()}
    assert set(hit) == expected
    assert len({one.faults for one in drawn.values()}) == len(SEEDS)


def every_draw() -> Iterator[dict[str, object]]:
    """What each kind makes of many draws."""
    for kind in KINDS.values():
        for number in range(60 * (not kind.of_printer)):
            yield dict(kind.draw(Draws(Streams(number), kind.name)))


def test_with_two_stores_both_are_hit_and_the_scenario_is_right() -> None:
    stores = Counter(
        fault.store for seed in range(1, 41) for fault in random_scenario(TWO_STORES, seed).faults if fault.store
    )
    assert set(stores) == {"s1", "s2"}


def test_a_printers_troubles_are_drawn_where_a_store_has_one() -> None:
    base = with_changes(CALM, {"stores": [{"name": "s1", "tables": 10, "printer": True}, {"name": "s2", "tables": 10}]})
    troubles: Counter[tuple[str | None, str]] = Counter()
    for seed in SEEDS[:60]:
        scenario = random_scenario(base, seed)
        troubles.update((fault.store, fault.trouble) for fault in scenario.faults if fault.fault == "printer_trouble")
        assert any(fault.fault != "printer_trouble" for fault in scenario.faults), f"seed {seed}"
        for group in episodes(scenario.faults):
            assert sum(fault.fault == "printer_trouble" for fault in group) <= 1, (
                f"seed {seed}: two troubles of one printer"
            )
    assert set(troubles) == {("s1", trouble) for trouble in ("paper_out", "jam", "cover_open", "hang", "off")}


def test_where_the_arbiter_stands_in_the_cloud_the_wan_and_the_way_to_it_are_one() -> None:
    base = with_changes(CALM, {"stores": [{"name": "s1", "tables": 10, "arbiter": "in_cloud"}]})
    both = 0
    for seed in SEEDS[:60]:
        scenario = random_scenario(base, seed)
        both += {"edge_cloud", "edge_arbiter"} <= {fault_target(fault) for fault in scenario.faults}
        for group in episodes(scenario.faults):
            cut = {fault_target(fault) for fault in group if fault.fault == "link_down"}
            assert not {"edge_cloud", "edge_arbiter"} <= cut, f"seed {seed}"
    assert both, "no seed draws both, so that nothing is shown"


def test_what_the_base_promises_of_its_faults_falls_away_with_them() -> None:
    base = load_scenario(find_scenario("primary_killed"))
    drawn = random_scenario(base, 3)
    assert (base.budgets.failover_ms_p50, base.least_exposed) == (1500, 3)
    assert (drawn.budgets.failover_ms_p50, drawn.least_exposed) == (None, 0)
    assert 0 < drawn.least_acknowledged < base.least_acknowledged
    assert (drawn.seed, drawn.name, drawn.diners) == (3, "random_primary_killed", base.diners)


def test_what_the_base_declares_as_its_blast_radius_is_kept() -> None:
    base = with_changes(CALM, {"blast_radius": {"links": ["edge_cloud"], "processes": ["cloud"]}})
    inside = {seed: draw_timeline(base, seed).faults for seed in range(1, 41)}
    assert {fault_target(fault) for faults in inside.values() for fault in faults} == {"edge_cloud", "cloud"}
    empty = next(seed for seed, faults in inside.items() if not faults)
    with pytest.raises(ScenarioError, match=f"no fault of seed {empty} is inside of its blast_radius"):
        random_scenario(base, empty)


def test_a_fault_of_a_database_of_ones_own_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUSHPROOF_DATABASE_URL", "postgresql://127.0.0.1:9/none")
    seed = next(
        seed for seed in SEEDS if "postgres" in {fault_target(fault) for fault in draw_timeline(CALM, seed).faults}
    )
    assert main(["drill", "--random-faults", "--seed", str(seed)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"rushproof: seed {seed} draws ")
    assert said.count("\n") == 1


def test_a_scenario_too_short_for_faults_is_refused() -> None:
    with pytest.raises(ScenarioError, match="random faults need 12 s"):
        random_scenario(short(CALM, 8.0), 1)


def short(base: Scenario, duration_s: float) -> Scenario:
    return with_changes(base, {"duration_s": duration_s})


SEED_7: list[str] = [
    "process_killed arbiter at 2.3 s to 6.4 s",
    "restart_loop standby at 2.5 s to 6.7 s",
    "link_down edge_arbiter at 13.2 s to 15.8 s",
    "process_killed cloud at 13.4 s to 16.7 s",
    "link_weak edge_cloud at 22.4 s to 27.5 s",
    "process_paused postgres at 25.3 s to 27.0 s",
]
