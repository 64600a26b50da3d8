"""The stages by themselves, in virtual time."""

from __future__ import annotations

from random import Random

import pytest

from chaos.proxy.toxics import (
    Attributes,
    Bandwidth,
    Chunk,
    Closing,
    Item,
    Latency,
    LimitData,
    Noop,
    ResetPeer,
    Slicer,
    SlowClose,
    Stage,
    Timeout,
)


def stage_of(attributes: Attributes, seed: int = 1) -> Stage[Attributes]:
    return attributes.stage(Random(seed), 0.0)


def run(stage: Stage[Attributes], until: float, now: float = 0.0) -> list[tuple[float, Item]]:
    """Everything that leaves up to `until`, and when, asking only when the stage says that it is due."""
    out: list[tuple[float, Item]] = []
    while now <= until:
        item = stage.take(now)
        if item is not None:
            out.append((now, item))
            continue
        due = stage.due()
        if due is None or due > until:
            break
        now = max(due, now + 1e-6)
    return out


def times(out: list[tuple[float, Item]]) -> list[float]:
    return [at for at, _item in out]


def data(out: list[tuple[float, Item]]) -> bytes:
    return b"".join(item.data for _at, item in out if isinstance(item, Chunk))


def test_latency_counts_from_when_the_proxy_received_a_chunk() -> None:
    stage = stage_of(Latency(latency=100))
    stage.put(Chunk(b"a", 0.0), 0.03)
    stage.put(Chunk(b"b", 0.05), 0.05)
    stage.put(Closing.HALF, 0.06)
    assert [(at, getattr(item, "data", item)) for at, item in run(stage, 1.0)] == [
        (pytest.approx(0.1), b"a"),
        (pytest.approx(0.15), b"b"),
        (pytest.approx(0.15), Closing.HALF),
    ]


def test_two_latencies_add_up() -> None:
    first, second = stage_of(Latency(latency=100)), stage_of(Latency(latency=50))
    first.put(Chunk(b"a", 0.0), 0.0)
    ((at, item),) = run(first, 1.0)
    second.put(item, at)
    assert times(run(second, 1.0, at)) == [pytest.approx(0.15)]


def test_jitter_lies_around_the_latency_and_comes_from_the_draws() -> None:
    def delays(seed: int) -> list[float]:
        stage = stage_of(Latency(latency=100, jitter=40), seed)
        found = []
        for number in range(300):
            stage.put(Chunk(b"x", float(number)), float(number))
            ((at, _item),) = run(stage, number + 0.9, float(number))
            found.append(at - number)
        return found

    first = delays(1)
    assert first == delays(1)
    assert first != delays(2)
    assert 0.06 <= min(first) < 0.07
    assert 0.13 < max(first) <= 0.1401
    assert 0.095 < sum(first) / 300 < 0.105


def test_a_jitter_above_the_latency_never_makes_a_delay_negative() -> None:
    stage = stage_of(Latency(latency=1, jitter=1000))
    for number in range(50):
        stage.put(Chunk(b"x", float(number)), float(number))
        due = stage.due()
        assert due is not None
        assert due >= number
        stage.flush()
        stage = stage_of(Latency(latency=1, jitter=1000), number)


def test_the_delay_line_is_bounded() -> None:
    stage = stage_of(Latency(latency=1000))
    count = 0
    while not stage.full:
        stage.put(Chunk(bytes(32768), 0.0), 0.0)
        count += 1
    assert 100 <= count <= 1024


def test_bandwidth_sends_at_its_rate_however_late_it_is_asked() -> None:
    stage = stage_of(Bandwidth(rate=10))  # 10,000 bytes a second: pieces of at most 1,000
    stage.put(Chunk(bytes(2500), 0.0), 0.0)
    assert times(run(stage, 10.0)) == [pytest.approx(0.1), pytest.approx(0.2), pytest.approx(0.25)]
    stage = stage_of(Bandwidth(rate=10))
    stage.put(Chunk(bytes(2500), 0.0), 0.0)
    late = 0.0
    sent = b""
    while len(sent) < 2500:
        late += 0.07
        while (item := stage.take(late)) is not None:
            assert isinstance(item, Chunk)
            sent += item.data
    assert late == pytest.approx(0.28)


def test_bandwidth_earns_nothing_while_idle() -> None:
    stage = stage_of(Bandwidth(rate=10))
    stage.put(Chunk(bytes(500), 50.0), 50.0)
    assert times(run(stage, 100.0, 50.0)) == [pytest.approx(50.05)]


def test_bandwidth_earns_nothing_while_its_rate_is_zero() -> None:
    stage = stage_of(Bandwidth(rate=0))
    stage.put(Chunk(bytes(500), 0.0), 0.0)
    assert stage.due() is None
    stage.update(Bandwidth(rate=10), 50.0)
    assert times(run(stage, 100.0, 50.0)) == [pytest.approx(50.05)]


def test_bandwidth_holds_little_at_a_low_rate() -> None:
    stage = stage_of(Bandwidth(rate=1))
    stage.put(Chunk(bytes(32768), 0.0), 0.0)
    assert not stage.full
    stage.put(Chunk(bytes(32768), 0.0), 0.0)
    assert stage.full


@pytest.mark.parametrize(("average", "variation"), [(100, 0), (100, 30), (1, 0), (10, 500), (0, 0)])
def test_slices_have_their_size_and_lose_nothing(average: int, variation: int) -> None:
    stage = stage_of(Slicer(average_size=average, size_variation=variation))
    sent = bytes(range(256)) * 10
    stage.put(Chunk(sent, 0.0), 0.0)
    out = run(stage, 1.0)
    assert data(out) == sent
    sizes = [len(item.data) for _at, item in out if isinstance(item, Chunk)]
    if average == 0:
        assert sizes == [len(sent)]
    else:
        assert all(max(1, average - variation) <= size <= average + variation for size in sizes[:-1])


def test_the_slicer_waits_after_each_piece_and_lets_each_leave_by_itself() -> None:
    stage = stage_of(Slicer(average_size=100, delay=1000))
    stage.put(Chunk(bytes(300), 0.0), 0.0)
    assert times(run(stage, 1.0)) == pytest.approx([0.0, 0.001, 0.002], abs=1e-5)
    stage = stage_of(Slicer(average_size=100))
    stage.put(Chunk(bytes(300), 0.0), 0.0)
    assert len(set(times(run(stage, 1.0)))) == 3


def test_slow_close_delays_only_a_closing() -> None:
    stage = stage_of(SlowClose(delay=500))
    stage.put(Chunk(b"a", 1.0), 1.0)
    assert times(run(stage, 9.0, 1.0)) == [1.0]
    stage.put(Closing.HALF, 2.0)
    assert run(stage, 9.0, 2.0) == [(2.5, Closing.HALF)]


def test_timeout_drops_data_and_closes_once() -> None:
    stage = stage_of(Timeout(timeout=200))
    for at in (0.0, 0.1, 0.19):
        stage.put(Chunk(b"a", at), at)
    assert run(stage, 9.0) == [(0.2, Closing.FULL)]
    assert stage_of(Timeout()).due() is None
    assert stage_of(Timeout()).flush() == [Closing.FULL]


def test_timeout_lets_the_senders_own_close_pass() -> None:
    stage = stage_of(Timeout())
    stage.put(Chunk(b"a", 1.0), 1.0)
    stage.put(Closing.HALF, 1.0)
    assert run(stage, 9.0, 1.0) == [(1.0, Closing.HALF)]


def test_reset_peer_counts_from_the_first_thing_that_comes() -> None:
    stage = stage_of(ResetPeer(timeout=100))
    assert stage.due() is None
    stage.put(Chunk(b"a", 5.0), 5.0)
    assert stage.full
    assert run(stage, 9.0, 5.0) == [(pytest.approx(5.1), Closing.RESET)]


@pytest.mark.parametrize("length", [10, 5, 3])
def test_limit_data_cuts_at_its_limit_whatever_the_chunks(length: int) -> None:
    stage = stage_of(LimitData(bytes=10))
    passed = b""
    for _ in range(10):
        stage.put(Chunk(b"x" * length, 0.0), 0.0)
        out = run(stage, 0.0)
        passed += data(out)
        if out[-1][1] is Closing.FULL:
            break
    assert passed == b"x" * 10


def test_limit_data_counts_on_across_an_update() -> None:
    stage = stage_of(LimitData(bytes=10))
    stage.put(Chunk(b"x" * 8, 0.0), 0.0)
    assert len(data(run(stage, 0.0))) == 8
    stage.update(LimitData(bytes=12), 0.0)
    stage.put(Chunk(b"x" * 8, 0.0), 0.0)
    assert len(data(run(stage, 0.0))) == 4


@pytest.mark.parametrize(
    "attributes", [Noop(), Latency(latency=9), Bandwidth(rate=1), Slicer(average_size=1), SlowClose(delay=1)]
)
def test_a_flush_gives_back_everything_in_order(attributes: Attributes) -> None:
    stage = stage_of(attributes)
    items: list[Item] = [Chunk(b"a", 0.0), Chunk(b"b", 0.0), Closing.HALF]
    for item in items:
        stage.put(item, 0.0)
    assert stage.flush() == items
    assert stage.take(100.0) is None


@pytest.mark.parametrize("value", [-1, 2**63])
def test_attributes_out_of_range_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="rate must lie between"):
        Bandwidth(rate=value)
