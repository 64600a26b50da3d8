"""A bandwidth that several links share."""

from __future__ import annotations

import pytest
from toxic_stages import data, run, stage_of, times

from chaos.proxy.toxics import Attributes, Bandwidth, Chunk, Stage


def passed_by(stages: list[Stage[Attributes]], until: float) -> list[int]:
    """How much each stage, fed as fast as it takes, lets pass up to a time, asked as each says that it is due."""
    passed = [0] * len(stages)
    now = 0.0
    while True:
        for stage in stages:
            while not stage.full:
                stage.put(Chunk(bytes(20_000), now), now)
        dues = [due for stage in stages if (due := stage.due()) is not None]
        now = max(now, min(dues))
        if now > until:
            return passed
        for number, stage in enumerate(stages):
            while (item := stage.take(now)) is not None:
                assert isinstance(item, Chunk)
                passed[number] += len(item.data)


@pytest.mark.parametrize("rate", [10, 1000, 20_000])
def test_a_shared_rate_is_that_of_all_together_and_each_has_its_turn(rate: int) -> None:
    attributes = Bandwidth(rate=rate, shared=True)
    passed = passed_by([stage_of(attributes) for _ in range(4)], 10.0)
    assert sum(passed) == pytest.approx(10 * rate * 1000, rel=0.02)
    assert max(passed) - min(passed) <= 1500 if rate == 10 else 0.1 * max(passed)


def test_a_rate_that_is_not_shared_is_each_connections_own() -> None:
    passed = passed_by([stage_of(Bandwidth(rate=100)) for _ in range(3)], 10.0)
    assert passed == [pytest.approx(1_000_000, rel=0.02)] * 3


def test_one_connection_alone_has_all_of_a_shared_rate() -> None:
    attributes = Bandwidth(rate=100, shared=True)
    busy, _idle = stage_of(attributes), stage_of(attributes)
    assert passed_by([busy], 10.0) == [pytest.approx(1_000_000, rel=0.02)]


def test_a_shared_rate_earns_nothing_while_idle() -> None:
    stage = stage_of(Bandwidth(rate=10, shared=True))
    stage.put(Chunk(bytes(1000), 50.0), 50.0)
    assert times(run(stage, 100.0, 50.0)) == [pytest.approx(50.1)]


def test_a_new_rate_acts_on_all_who_share_it() -> None:
    slow = Bandwidth(rate=1, shared=True)
    stages = [stage_of(slow) for _ in range(3)]
    for stage in stages:
        stage.put(Chunk(bytes(1000), 0.0), 0.0)
    assert [stage.due() for stage in stages] == [1.0, 2.0, 3.0]
    fast = slow.changed({"rate": 10})
    for stage in stages:
        stage.update(fast, 0.5)
    assert [stage.due() for stage in stages] == [pytest.approx(0.55), pytest.approx(0.65), pytest.approx(0.75)]
    late = stage_of(fast)
    late.put(Chunk(bytes(1000), 0.5), 0.5)
    assert late.due() == pytest.approx(0.85)


def test_a_shared_rate_of_zero_passes_nothing_until_it_is_raised() -> None:
    none = Bandwidth(rate=0, shared=True)
    stages = [stage_of(none) for _ in range(2)]
    for stage in stages:
        stage.put(Chunk(bytes(1000), 0.0), 0.0)
        assert stage.due() is None
    for stage in stages:
        stage.update(none.changed({"rate": 1}), 5.0)
    assert [stage.due() for stage in stages] == [6.0, 7.0]


def test_a_rate_can_become_shared_and_single_again() -> None:
    single = Bandwidth(rate=1)
    stages = [stage_of(single) for _ in range(2)]
    for stage in stages:
        stage.put(Chunk(bytes(300), 0.0), 0.0)
    assert [stage.due() for stage in stages] == [0.1, 0.1]
    shared = single.changed({"shared": True})
    for stage in stages:
        stage.update(shared, 0.05)
    assert [stage.due() for stage in stages] == [pytest.approx(0.35), pytest.approx(0.65)]
    for stage in stages:
        stage.update(shared.changed({"shared": False}), 0.06)
    assert [stage.due() for stage in stages] == [pytest.approx(0.16), pytest.approx(0.16)]


def test_steps_of_a_ramp_never_starve_a_narrow_link() -> None:
    stage = stage_of(Bandwidth(rate=20))
    stage.put(Chunk(bytes(30_000), 0.0), 0.0)
    passed = 0
    for step in range(1, 40):
        now = step * 0.05
        stage.update(Bandwidth(rate=20 - step // 4), now)
        while (item := stage.take(now)) is not None:
            assert isinstance(item, Chunk)
            passed += len(item.data)
    assert passed > 20_000


def test_a_rate_that_falls_goes_on_in_short_pieces() -> None:
    stage = stage_of(Bandwidth(rate=1000))
    stage.put(Chunk(bytes(30_000), 0.0), 0.0)
    stage.update(Bandwidth(rate=1), 0.015)
    out = run(stage, 1.0, 0.015)
    assert len(data(out)) == pytest.approx(15_000 + 985, abs=110)
    assert times(out)[0] < 0.13


def test_a_finer_rate_stands_in_place_of_the_rate_until_another_is_given() -> None:
    fine = Bandwidth(rate=2).changed({"rate_bytes_s": 2250})
    assert fine.shown() == {"rate": 2, "rate_bytes_s": 2250}
    assert passed_by([stage_of(fine)], 100.0) == [pytest.approx(225_000, rel=0.01)]
    assert fine.changed({"rate": 3}) == Bandwidth(rate=3)
    assert fine.ramped(0.5).bytes_s == 4500
    stage = stage_of(fine)
    stage.put(Chunk(bytes(225), 0.0), 0.0)
    assert stage.due() == pytest.approx(0.1)
