from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from simulator.model.conditions import not_modelled, store_segments
from simulator.model.vocabulary import CLOUD, EDGE_A, EDGE_B, Condition
from simulator.scenario import load_scenario

CALM = "name: x\nduration_s: 30\ndiners: {arrivals: {rate_per_s: 1}}\nfaults:\n"


def _course(*faults: str, policy: str = "available") -> list[tuple[float, int, bool]]:
    """When (seconds) which device serves, and whether an entry needs both; -1: nobody."""
    text = CALM + "".join(f"  - {fault}\n" for fault in faults) + f"stores: [{{name: s1, policy: {policy}}}]\n"
    scenario = load_scenario(text)
    found: list[tuple[float, int, bool]] = []
    for each in store_segments(scenario, scenario.stores[0], boot=700_000, join=600_000, open_round_trips=9):
        if not found or found[-1][1:] != (each.primary, each.two):
            found.append((each.at / 1e6, each.primary, each.two))
    return found


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        # P9: the standby is primary after 0.7 s; P8: the other device is a member again when it has started and joined.
        (
            ["{fault: process_killed, process: primary, at_s: 5, for_s: 3}"],
            [(0, 0, True), (5, -1, True), (5.7, 1, False), (9.3, 1, True)],
        ),
        # Back before anybody promoted: P11.
        (["{fault: process_paused, process: primary, at_s: 5, for_s: 0.5}"], [(0, 0, True), (5, -1, True), (5.5, 0, True)]),
        # P7: without its standby the primary goes on alone after 0.9 s.
        (["{fault: process_killed, process: standby, at_s: 5, for_s: 3}"], [(0, 0, True), (5.9, 0, False), (9.3, 0, True)]),
        # Cut from each other, the standby is the first at the register.
        (["{fault: link_down, link: edge_edge, at_s: 5, for_s: 4}"], [(0, 0, True), (5.7, 1, False), (9.6, 1, True)]),
        # Only the answers are cut: the primary is heard, and shrinks.
        (
            ["{fault: link_down, link: edge_edge, direction: from, at_s: 5, for_s: 4}"],
            [(0, 0, True), (5.9, 0, False), (9.6, 0, True)],
        ),
        # Without an arbiter nobody promotes; the primary serves when both are back.
        (
            [
                "{fault: process_killed, process: arbiter, at_s: 4, for_s: 6}",
                "{fault: process_killed, process: primary, at_s: 5, for_s: 2}",
            ],
            [(0, 0, True), (5, -1, True), (10.7, 0, True)],
        ),
    ],
)  # fmt: skip
def test_roles_follow_the_protocol(faults: list[str], expected: list[Any]) -> None:
    assert _course(*faults) == expected


def test_a_process_in_a_restart_loop_is_up_between_its_deaths_and_stays_the_same_one() -> None:
    loop = "fault: restart_loop, at_s: 5, every_s: 1.5, for_s: 4"
    cloud = [(5.0, 5.7), (6.5, 7.2), (8.0, 8.7)]
    assert _down(CLOUD, f"{{{loop}, process: cloud}}") == cloud
    assert _down(CLOUD, "{fault: restart_loop, at_s: 5, every_s: 0.5, for_s: 1, process: cloud}") == [(5.0, 6.2)]
    assert _down(EDGE_A, f"{{{loop}, process: primary}}") == cloud, "device B may be primary meanwhile"
    assert _down(EDGE_B, f"{{{loop}, process: primary}}") == []


def _down(node: int, fault: str) -> list[tuple[float, float]]:
    scenario = load_scenario(CALM + f"  - {fault}\nstores: [{{name: s1}}]\n")
    segments = store_segments(scenario, scenario.stores[0], boot=700_000, join=600_000, open_round_trips=9)
    changes = [segments[0], *(b for a, b in pairwise(segments) if a.condition[node] != b.condition[node])]
    return [(a.at / 1e6, b.at / 1e6) for a, b in pairwise(changes) if a.condition[node] == Condition.DOWN]


def test_what_is_not_modelled_is_named() -> None:
    scenario = load_scenario(
        CALM + "  - {name: wrong clock, fault: clock_offset, process: primary, at_s: 5, for_s: 3, offset_s: 9}\n"
    )
    assert not_modelled(scenario, scenario.stores[0]) == ["wrong clock"]
