"""The model's link against the toxics that render the same profile in a drill, in virtual time."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from chaos.faults.toxics import toxics_of
from chaos.proxy.toxics import TOXIC_TYPES, Attributes, BurstLoss, Chunk, Item, Stage
from simulator.model.laws import transfer
from simulator.network import BUILT_IN_PROFILES, LinkProfile, symmetric

SEED = 11
MESSAGES = 800
SLACK_S = 0.035
"""What waits for a lost packet passes a narrow link after it, packet by packet; the model lets it pass before."""
PROFILES = [
    symmetric("lossy", 80, 0, 2_000, "", loss_percent=40),
    symmetric("lossy, without a rate", 10, 0, None, "", loss_percent=20),
    BUILT_IN_PROFILES["very_bad_network"],
    BUILT_IN_PROFILES["edge_lossy"],
]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("size", [500, 8_000])
def test_a_message_takes_as_long_as_through_the_drills_proxy(profile: LinkProfile, size: int) -> None:
    draws = Random(SEED)
    rendered = np.array([_rendered(profile, size, Random(draws.random())) for _ in range(MESSAGES)])
    modelled = np.array([_modelled(profile, size, (number + 0.5) / MESSAGES) for number in range(MESSAGES)])
    timeout = 0.2 + profile.round_trip_ms / 1000
    for late in (0.5 * timeout, 2 * timeout):  # one time-out and more, two and more
        past = modelled.min() + late
        least, its, most = (
            (modelled > past + SLACK_S).mean(),
            (rendered > past).mean(),
            (modelled > past - SLACK_S).mean(),
        )
        spread = 4 * math.sqrt(its * (1 - its) / MESSAGES) + 0.002
        assert least - spread <= its <= most + spread, f"later than {late:.2f} s, seed {SEED}"
    assert rendered.min() == pytest.approx(modelled.min(), abs=SLACK_S), f"seed {SEED}"


@pytest.mark.parametrize("burst_packets", [None, 3.0])
def test_losses_leave_the_sender_the_same_rate(burst_packets: float | None) -> None:
    profile = symmetric("", 50, 0, None, "", loss_percent=5, burst_packets=burst_packets)
    (loss,) = (toxic for toxic in toxics_of(profile) if toxic.name == "burst_loss_upstream")
    bytes_s = BurstLoss(**loss.attributes).rate_bytes_s
    assert bytes_s is not None
    assert profile.rate_with_losses_kbit_s == pytest.approx(8 * bytes_s / 1000)


def _modelled(profile: LinkProfile, size: int, u: float) -> float:
    rates = (profile.rate_to_kbit_s, profile.rate_with_losses_kbit_s)
    byte_ns, paced_ns = (0 if rate is None else round(8e6 / rate) for rate in rates)
    latency, round_trip = (round(1000 * ms) for ms in (profile.latency_to_ms, profile.round_trip_ms))
    return transfer(latency, 0, byte_ns, paced_ns, size, profile.loss_percent / 100, round_trip, 0.5, u) / 1e6


def _rendered(profile: LinkProfile, size: int, draws: Random) -> float:
    """When the last byte of a message is through the toxics of one direction."""
    items: list[tuple[float, Item]] = [(0.0, Chunk(bytes(size), 0.0))]
    for toxic in toxics_of(profile):
        if toxic.stream == "upstream":
            items = _through(TOXIC_TYPES[toxic.kind](**toxic.attributes).stage(draws, 0.0), items)
    return items[-1][0]


def _through(stage: Stage[Attributes], items: list[tuple[float, Item]]) -> list[tuple[float, Item]]:
    out: list[tuple[float, Item]] = []
    now = 0.0
    for at, item in [*items, (math.inf, None)]:
        while True:
            found = stage.take(now)
            if found is not None:
                out.append((now, found))
                continue
            due = stage.due()
            if due is None or due > at:
                break
            now = max(due, now + 1e-6)
        if item is not None:
            now = max(now, at)
            stage.put(item, now)
    return out
