from __future__ import annotations

from typing import Any

import pytest

from simulator.network import BUILT_IN_PROFILES, symmetric
from simulator.scenario import LinkState, Scenario, ScenarioError, find_scenario, load_scenario, with_changes


@pytest.mark.parametrize("name", ["store_wifi_good", "store_wifi_crowded", "store_wifi_far_corner", "4g_fallback"])
def test_a_guessed_profile_is_called_a_guess(name: str) -> None:
    assert BUILT_IN_PROFILES[name].source.startswith("[G]")


def test_published_profiles_carry_the_published_figures_in_the_right_direction() -> None:
    edge = BUILT_IN_PROFILES["edge_average"]
    assert (edge.latency_from_ms, edge.latency_to_ms) == (400, 440), "400 ms down, 440 ms up"
    assert (edge.rate_from_kbit_s, edge.rate_to_kbit_s) == (240, 200), "240 kbit/s down, 200 up"
    assert BUILT_IN_PROFILES["3g_average"].rate_from_kbit_s == 780
    assert BUILT_IN_PROFILES["very_bad_network"].latency_to_ms == 500


def test_a_round_trip_is_split_over_both_directions() -> None:
    slow = BUILT_IN_PROFILES["slow_4g"]
    assert slow.latency_to_ms + slow.latency_from_ms == 562.5


def test_every_profile_has_a_source_and_possible_figures() -> None:
    for name, profile in BUILT_IN_PROFILES.items():
        assert profile.name == name
        assert profile.source
        assert min(profile.latency_to_ms, profile.latency_from_ms, profile.jitter_ms, profile.loss_percent) >= 0
        assert profile.jitter_ms <= min(profile.latency_to_ms, profile.latency_from_ms), "no latency can fall below 0"
        assert all(rate is None or rate > 0 for rate in (profile.rate_to_kbit_s, profile.rate_from_kbit_s))


def test_a_symmetric_profile_is_the_same_in_both_directions() -> None:
    profile = symmetric("mine", 7, 2, None, "test")
    assert (profile.latency_to_ms, profile.latency_from_ms, profile.rate_to_kbit_s, profile.rate_from_kbit_s) == (
        7,
        7,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("name", "one_way_ms", "down_up_kbit_s", "loss_percent"),
    [
        ("apple_dsl", 5, (2_000, 256), 0),
        ("apple_cable", 2, (6_000, 1_000), 0),
        ("3g", 150, (1_600, 768), 0),
        ("edge", 420, (240, 200), 0),
        ("2g_urban", 650, (35, 32), 0),
        ("comcast_edge", 300, (250, 250), 1.5),
        ("comcast_3g", 250, (750, 750), 1.5),
        ("comcast_wifi", 40, (30_000, 30_000), 0.2),
        ("2g_rural", 650, (20, 18), 2),
        ("poor_dsl", 70, (2_000, 2_000), 2),
    ],
)
def test_published_figures(
    name: str, one_way_ms: float, down_up_kbit_s: tuple[float, float], loss_percent: float
) -> None:
    profile = BUILT_IN_PROFILES[name]
    assert profile.latency_to_ms == profile.latency_from_ms == one_way_ms
    assert (profile.rate_from_kbit_s, profile.rate_to_kbit_s) == down_up_kbit_s
    assert profile.loss_percent == loss_percent
    assert profile.burst_packets is None, "the source gives the mean only"


def with_link(**state: Any) -> Scenario:
    return with_changes(load_scenario(find_scenario("calm")), {"links": {"edge_kds": state}})


def test_a_link_state_says_how_much_is_lost() -> None:
    scenario = with_link(latency_ms=20, loss_percent=2, burst_packets=3)
    profile = scenario.link_profile(scenario.links["edge_kds"])
    assert (profile.latency_to_ms, profile.loss_percent, profile.burst_packets) == (20, 2, 3)


def test_a_link_state_names_a_recording_for_both_directions_or_for_each() -> None:
    profile = LinkState(trace="a.down").figures("figures")
    assert (profile.trace_to, profile.trace_from) == ("a.down", "a.down")
    scenario = with_link(profile="cellular_umts", trace="a.down", trace_up="a.up")
    profile = scenario.link_profile(scenario.links["edge_kds"])
    assert (profile.trace_to, profile.trace_from, profile.latency_to_ms) == ("a.up", "a.down", 60)
    assert not profile.needs_trace


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"profile": "cellular_lte"}, "cellular_lte replays a recording; name its file as `trace`"),
        ({"profile": "dsl", "trace": "x"}, "does not go with dsl, which has rates; use one of cellular_lte"),
        ({"trace": "x", "rate_kbit_s": 100}, "stands beside a trace"),
        ({"latency_ms": 1, "trace_up": "x"}, "needs `trace`, the recording of the download"),
        ({"burst_packets": 2}, "needs loss_percent"),
        ({"loss_percent": 80, "burst_packets": 2}, "too short for so much loss; it must be at least 4"),
        ({"loss_percent": 91}, "must be at most 90"),
        ({"profile": "dsl", "loss_percent": 1}, "stands beside figures"),
        ({"trace": ""}, "at least 1 character"),
        ({}, "loss_percent or trace"),
    ],
)
def test_link_states_that_do_not_fit_are_refused(state: dict[str, Any], says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        with_link(**state)


def test_a_profile_of_a_scenarios_own_may_lose_packets() -> None:
    calm = load_scenario(find_scenario("calm"))
    scenario = with_changes(calm, {"profiles": {"mine": {"latency_ms": 9, "loss_percent": 4, "burst_packets": 2}}})
    profile = scenario.profile("mine")
    assert (profile.latency_to_ms, profile.loss_percent, profile.burst_packets) == (9, 4, 2)
    with pytest.raises(ScenarioError, match="needs loss_percent"):
        with_changes(calm, {"profiles": {"mine": {"burst_packets": 2}}})
