from __future__ import annotations

import math

import numpy as np
import pytest

from simulator import queueing


def test_known_values() -> None:
    assert queueing.erlang_b(10, 8.0) == pytest.approx(0.121661, abs=1e-6)  # tables of the telephone companies
    assert queueing.MMc(2.0, 1.0, 3).waits == pytest.approx(4 / 9)
    assert queueing.MMc(0.5, 1.0, 1).wait == pytest.approx(1.0)
    assert queueing.mmck(1.0, 1.0, 1, 3) == (pytest.approx(0.25), pytest.approx(1.0))
    assert queueing.mg1_wait(0.5, (1.0, 2.0, 6.0))[0] == pytest.approx(queueing.MMc(0.5, 1.0, 1).wait)
    assert queueing.vulnerable_band(50.0, 2, 4) == (25.0, 100.0)


def test_formulas_agree_where_one_model_is_another() -> None:
    mmc = queueing.MMc(6.0, 1.0, 8)
    assert queueing.MMcM(6.0, 1.0, 8, 1e-6).waits == pytest.approx(mmc.waits, rel=1e-4)
    assert queueing.mmck(6.0, 1.0, 8, 8)[0] == pytest.approx(queueing.erlang_b(8, 6.0))
    assert queueing.mmck(6.0, 1.0, 8, 300)[1] == pytest.approx(mmc.wait, rel=1e-6)
    assert queueing.mg1_priority_waits([0.5], [(1.0, 2.0)])[0] == pytest.approx(queueing.MMc(0.5, 1.0, 1).wait)
    assert mmc.wait_beyond(mmc.wait_quantile(0.9)) == pytest.approx(0.1)
    near = queueing.MMc(3.0, 1.0, 4 - 0)
    assert near.stay_beyond(1.0) == pytest.approx(queueing.MMc(3.0 + 1e-6, 1.0, 4).stay_beyond(1.0), rel=1e-4)


def test_the_mean_stay_is_the_integral_of_its_tail() -> None:
    queue = queueing.MMc(3.0, 1.25, 3)
    grid = np.linspace(0, 80, 80_001)
    tail = np.array([queue.stay_beyond(float(at)) for at in grid])
    assert np.trapezoid(tail, grid) == pytest.approx(queue.wait + 0.8, rel=1e-5)


def test_a_queue_that_varies_settles_at_its_stationary_law() -> None:
    chances = queueing.varying_queue(lambda at: 6.0, 1.0, [(0.0, 5)], 0.5, [60.0], places=60)[0, 0]
    assert chances.sum() == pytest.approx(1.0, abs=1e-6)
    waiting = float(np.maximum(0, np.arange(61) - 5) @ chances)
    assert waiting == pytest.approx(6.0 * queueing.MMcM(6.0, 1.0, 5, 0.5).wait, rel=1e-5)


def test_servers_that_vary_are_the_plain_queue_while_none_is_added_or_taken_away() -> None:
    def rate(at: float) -> float:
        return 4.0 + 3.0 * math.sin(0.3 * at)

    times = [2.0, 5.0, 9.0]
    plain = queueing.varying_queue(rate, 1.0, [(0.0, 3)], 0.5, times, places=50)[:, 0]
    same = queueing.varying_queue(rate, 1.0, [(0.0, 3), (4.0, 3)], 0.5, times, places=50)
    assert same.shape == (3, 1, 51)
    assert same[:, 0] == pytest.approx(plain, abs=1e-5)
    more = queueing.varying_queue(rate, 1.0, [(0.0, 3), (5.0, 40)], 0.5, times, places=50)
    assert more[:2, 0] == pytest.approx(plain[:2], abs=1e-5)
    assert more[2].sum(axis=0) @ np.arange(51) < plain[2] @ np.arange(51) - 1


def test_who_is_served_where_servers_are_taken_away_is_served_to_the_end() -> None:
    times = [3.0, 4.0, 6.0]
    found = queueing.varying_queue(
        lambda at: 3.0 if at < 3.0 else 0.0, 1.0, [(0.0, 30), (3.0, 1)], 0.5, times, places=40
    )
    means = found.sum(axis=1) @ np.arange(41)
    full = 3.0 * (1 - math.exp(-3.0))
    assert means == pytest.approx([full, full * math.exp(-1.0), full * math.exp(-3.0)], rel=1e-4)
    beyond = found.sum(axis=2) @ np.arange(30)
    assert beyond[0] == pytest.approx(full - 1 + math.exp(-full), rel=1e-4), "all that are served but one"


def test_a_server_of_speeds_is_the_plain_queue_at_one_speed_and_keeps_what_it_began() -> None:
    times = [2.0, 5.0, 9.0]
    plain = queueing.varying_queue(lambda at: 0.8, 1.0, [(0.0, 1)], 0.0, times, places=50)[:, 0]
    same = queueing.server_of_speeds(0.8, [(0.0, 1.0), (4.0, 1.0)], times, places=50)
    assert same == pytest.approx(plain, abs=1e-6)
    # From 4 on nothing that begins ever ends: one service may still end, and whoever comes then finds the server stuck.
    arrivals, busy = (
        0.8,
        1 - float(queueing.varying_queue(lambda at: 0.8, 1.0, [(0.0, 1)], 0.0, [4.0], places=50)[0, 0, 0]),
    )
    before, after = queueing.server_of_speeds(arrivals, [(0.0, 1.0), (4.0, 0.0)], [4.0, 60.0], places=120)
    numbers = np.arange(121)
    assert float((after - before) @ numbers) == pytest.approx(arrivals * 56 - busy, rel=1e-6)


def test_infinite_servers_by_the_integral_and_in_closed_form() -> None:
    def rate(at: float) -> float:
        return 5.0 + 3.0 * math.sin(0.3 * at)

    closed = queueing.infinite_servers_sinusoid(5.0, 3.0, 0.3, 2.0, 50.0)
    assert queueing.infinite_servers(rate, lambda time: math.exp(-time / 2.0), 50.0) == pytest.approx(closed, rel=1e-4)


def test_networks() -> None:
    assert queueing.jackson_flows([1.0, 0.0], [[0.0, 1.0], [0.5, 0.0]]) == pytest.approx([2.0, 2.0])
    assert queueing.closed_throughput(1, [1.0, 2.0], 3.0) == pytest.approx(1 / 6)
    assert queueing.closed_throughput(200, [1.0, 2.0], 3.0) == pytest.approx(0.5, rel=1e-6)
    most, knee = queueing.closed_bounds(4, [1.0, 2.0], 3.0)
    assert (most, knee) == (0.5, 3.0)


def test_recursions_give_the_same_for_one_server() -> None:
    arrivals, services = [0, 3, 4, 20, 21], [5, 5, 1, 2, 2]
    begins = queueing.kiefer_wolfowitz(arrivals, services, 1)
    assert begins == [0, 5, 10, 20, 22]
    assert queueing.lindley(arrivals, services) == [begin - at for begin, at in zip(begins, arrivals, strict=True)]
    assert queueing.kiefer_wolfowitz([0, 0, 0], [4, 2, 1], 2) == [0, 0, 2]
