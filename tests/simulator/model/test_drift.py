"""How much longer waits became, and what stores and messages do not share."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.model.drift import drift
from simulator.model.replications import Forecast, Replications
from simulator.model.unshared import unshared
from simulator.replaced_fields import with_field
from simulator.scenario import load_scenario

CHAIN = """\
name: chain
duration_s: 5
stores: [{name: s1}, {name: s2}]
diners: {arrivals: {rate_per_s: 1}}
profiles: {ours: {rate_kbit_s: 90}}
links: {edge_cloud: {latency_ms: 20}}
faults: [{fault: link_weak, link: diner_edge, store: s1, profile: ours, at_s: 1, for_s: 1}]
"""


def test_waits_drift_by_what_comes_beyond_what_is_served_however_long_they_are() -> None:
    came = np.arange(0, 200, 2) * 1_000_000
    served_at_most = came + came // 4
    assert drift(came, served_at_most) == pytest.approx(0.25), "every 2 s one comes, every 2.5 s one is served"
    shuffled = np.random.default_rng(7).permutation(len(came))
    assert drift(came[shuffled], served_at_most[shuffled]) == pytest.approx(0.25)
    assert drift(came, came + 900_000_000) == 0
    assert drift(came, served_at_most[::-1] + came) == pytest.approx(-1.25)
    assert drift(came[:9], served_at_most[:9]) is None
    assert drift(came[:1].repeat(20), served_at_most[:20]) is None, "all at once: there is no later"


def test_a_cloud_for_each_store_and_a_rate_for_each_message_are_named() -> None:
    chain = load_scenario(CHAIN)
    cloud, link = Forecast(Replications(chain), ()).not_modelled()
    assert "each of the 2 has one of its own" in cloud
    assert "(diner_edge): each message has all of it" in link
    alone = with_field(
        load_scenario(
            CHAIN.replace("{name: s1}, {name: s2}", "{name: s1}").replace(
                "profile: ours", "profile: store_wifi_crowded"
            )
        ),
        "seed",
        3,
    )
    assert unshared(alone) == []
    (said,) = unshared(with_field(alone, "links.edge_cloud.rate_kbit_s", 90))
    assert "(edge_cloud)" in said
