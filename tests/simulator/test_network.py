from __future__ import annotations

import pytest

from simulator.network import BUILT_IN_PROFILES, symmetric


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
