"""The stages of the toxics that the original does not have, by themselves and in virtual time."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path
from random import Random

import pytest

from chaos.proxy.toxics import (
    TOXIC_TYPES,
    Attributes,
    Bandwidth,
    BurstLoss,
    Chunk,
    Closing,
    HalfOpen,
    Item,
    SlowConnect,
    Stage,
    Trace,
)
from chaos.proxy.toxics.burst_loss import BurstLossStage

SEED = 7  # of every draw in this module, unless a test names another


def stage_of(attributes: Attributes, seed: int = SEED) -> Stage[Attributes]:
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


# -- attributes


@pytest.mark.parametrize("kind", sorted(TOXIC_TYPES))
def test_the_originals_types_show_what_the_original_shows(kind: str) -> None:
    original = {
        "bandwidth": {"rate": 0},
        "latency": {"latency": 0, "jitter": 0},
        "limit_data": {"bytes": 0},
        "noop": {},
        "reset_peer": {"timeout": 0},
        "slicer": {"average_size": 0, "size_variation": 0, "delay": 0},
        "slow_close": {"delay": 0},
        "timeout": {"timeout": 0},
    }
    new = {"burst_loss", "half_open", "http_status", "slow_connect", "trace"}
    assert kind in new or list(TOXIC_TYPES[kind]().shown().items()) == list(original[kind].items())


def test_shared_is_shown_when_it_is_set() -> None:
    assert Bandwidth(rate=1, shared=True).shown() == {"rate": 1, "shared": True}


def test_a_ramp_of_a_loss_grows_the_loss_alone() -> None:
    half = BurstLoss(loss_percent=10, burst_packets=4, rto_ms=50).ramped(0.5)
    assert half == BurstLoss(loss_percent=5, burst_packets=4, rto_ms=50)
    assert BurstLoss(p=0.2, r=0.5).ramped(0.5) == BurstLoss(p=0.1, r=0.5)
    assert Trace(slots=(1,)).ramped(0.5) == Trace(slots=(1,))
    assert HalfOpen(dial=True).ramped(0.1) == HalfOpen(dial=True)


# -- burst_loss


def transmissions(attributes: BurstLoss, packets: int, seed: int) -> list[bool]:
    """Whether each transmission was lost, in the order of the chain, of packets sent one at a time over an idle link."""
    stage = stage_of(attributes, seed)
    lost: list[bool] = []
    rto_s = attributes.rto_ms / 1000
    now = 0.0
    for _ in range(packets):
        stage.put(Chunk(b"x", now), now)
        ((at, item),) = run(stage, now + 1e9, now)
        assert isinstance(item, Chunk)
        losses = round(math.log2((at - now) / rto_s + 1))
        assert at - now == pytest.approx(rto_s * (2**losses - 1), abs=1e-4)
        lost += [True] * losses + [False]
        now = at
    return lost


@pytest.mark.parametrize(("loss_percent", "burst_packets"), [(5, 2), (10, 1.5), (20, 1.5), (10, None)])
def test_the_loss_drawn_is_the_loss_asked_for(loss_percent: float, burst_packets: float | None) -> None:
    attributes = BurstLoss(loss_percent=loss_percent, burst_packets=burst_packets, rto_ms=1)
    lost = transmissions(attributes, 40_000, SEED)
    bursts = [len(list(run_of)) for is_lost, run_of in itertools.groupby(lost) if is_lost]
    burst = burst_packets or 1 / (1 - loss_percent / 100)
    share = loss_percent / 100
    # The spread of each mean: a burst is geometric, and a mean loss counts bursts. Four of them is one in 16,000.
    spread_burst = math.sqrt(burst * (burst - 1) / len(bursts))
    spread_loss = share * math.sqrt((2 * burst - 1) / len(bursts)) / math.sqrt(burst)
    assert sum(lost) / len(lost) == pytest.approx(share, abs=4 * spread_loss), f"seed {SEED}"
    assert sum(bursts) / len(bursts) == pytest.approx(burst, abs=4 * spread_burst), f"seed {SEED}"
    assert 4 * spread_loss < 0.15 * share


def test_the_parameters_of_netem_have_the_mean_that_its_manual_gives() -> None:
    attributes = BurstLoss(p=0.02, r=0.25, loss_bad=0.6, loss_good=0.01, rto_ms=1)
    lost = transmissions(attributes, 40_000, SEED)
    mean = (0.02 * 0.6 + 0.25 * 0.01) / (0.02 + 0.25)
    assert attributes.chain.mean_loss == pytest.approx(mean)
    assert sum(lost) / len(lost) == pytest.approx(mean, rel=0.06), f"seed {SEED}"


@pytest.mark.parametrize(("loss_percent", "burst_packets"), [(1, 3), (5, 8), (20, 2.5)])
def test_long_bursts_hit_the_packets_of_a_flight(loss_percent: float, burst_packets: float) -> None:
    stage = stage_of(BurstLoss(loss_percent=loss_percent, burst_packets=burst_packets))
    assert isinstance(stage, BurstLossStage)
    lost = [stage._is_lost() for _ in range(400_000)]
    bursts = [len(list(run_of)) for is_lost, run_of in itertools.groupby(lost) if is_lost]
    assert sum(lost) / len(lost) == pytest.approx(loss_percent / 100, rel=0.05), f"seed {SEED}"
    assert sum(bursts) / len(bursts) == pytest.approx(burst_packets, rel=0.05), f"seed {SEED}"


def test_netems_defaults() -> None:
    assert BurstLoss(p=0.3).chain == (0.3, 0.7, 1.0, 0.0)
    assert BurstLoss(p=0.1, r=0.4).chain == (0.1, 0.4, 1.0, 0.0)
    assert BurstLoss().chain.mean_loss == 0


def test_a_lost_packet_comes_one_timeout_later_and_each_further_loss_doubles_the_wait() -> None:
    always_three = BurstLoss(p=1, r=0, rto_ms=200)
    stage = stage_of(always_three)
    stage._draws = Scripted([0.0, 1.0] * 3 + [1.0, 1.0])  # lost, and no turn, three times; then through
    stage._chain = always_three.chain._replace(loss_bad=0.5)
    stage.put(Chunk(b"a", 0.0), 0.0)
    assert times(run(stage, 99.0)) == [pytest.approx(0.2 + 0.4 + 0.8)]
    assert stage.acts == {"lost": 3}


class Scripted(Random):
    """Draws that a test decides."""

    def __init__(self, draws: list[float]) -> None:
        super().__init__()
        self.draws = draws

    def random(self) -> float:
        return self.draws.pop(0) if self.draws else 1.0


def test_packets_keep_their_order_and_none_is_missing() -> None:
    stage = stage_of(BurstLoss(loss_percent=30, burst_packets=3, rto_ms=10))
    sent = Random(SEED).randbytes(200_000)
    for number, start in enumerate(range(0, len(sent), 20_000)):
        stage.put(Chunk(sent[start : start + 20_000], number / 100), number / 100)
    stage.put(Closing.HALF, 0.2)
    out = run(stage, 999.0, 0.2)
    assert data(out) == sent
    assert out[-1][1] is Closing.HALF
    assert stage.acts["lost"] > 10


def test_a_packet_that_is_never_heard_ends_the_connection() -> None:
    stage = stage_of(BurstLoss(loss_percent=100))
    stage.put(Chunk(b"a", 0.0), 0.0)
    ((at, item),) = run(stage, 9999.0)
    assert item is Closing.FULL
    assert at == pytest.approx(924.6, abs=1), "fifteen retransmissions and the last wait, as Linux counts them"


def test_losses_bring_the_rate_down_as_mathis_says() -> None:
    attributes = BurstLoss(loss_percent=1, burst_packets=1, rtt_ms=100, rto_ms=1)
    assert attributes.rate_bytes_s == pytest.approx(1500 / 0.1 * math.sqrt(1.5) / math.sqrt(0.01), rel=0.01)
    stage = stage_of(attributes)
    now = 0.0
    passed_bytes = 0
    while passed_bytes < 3_000_000:
        while not stage.full:
            stage.put(Chunk(bytes(15_000), now), now)
        due = stage.due()
        assert due is not None
        now = max(due, now)
        while (item := stage.take(now)) is not None:
            assert isinstance(item, Chunk)
            passed_bytes += len(item.data)
    assert passed_bytes / now == pytest.approx(attributes.rate_bytes_s, rel=0.02)


def test_the_losses_of_one_burst_slow_a_sender_down_once() -> None:
    single = BurstLoss(loss_percent=2, burst_packets=1, rtt_ms=100).rate_bytes_s
    bursty = BurstLoss(loss_percent=2, burst_packets=4, rtt_ms=100).rate_bytes_s
    assert single is not None
    assert bursty is not None
    assert bursty / single == pytest.approx(2, rel=0.02)
    assert BurstLoss(rtt_ms=100).rate_bytes_s is None
    assert BurstLoss(loss_percent=2).rate_bytes_s is None


def test_a_sender_may_go_on_while_a_packet_is_waited_for() -> None:
    stage = stage_of(BurstLoss(p=0, r=1, rtt_ms=1000, loss_good=1e-9, rto_ms=60_000))
    stage._draws = Scripted([0.0, 1.0] + [1.0, 1.0] * 200)  # the first packet is lost, no other
    stage.put(Chunk(bytes(1500), 0.0), 0.0)
    while not stage.full:
        stage.put(Chunk(bytes(15_000), 0.0), 0.0)
    due = stage.due()
    assert due is not None
    assert due < 59
    assert stage.take(due) is None
    assert not stage.full


def test_a_shorter_timeout_acts_on_what_is_lost_already() -> None:
    stage = stage_of(BurstLoss(loss_percent=100, rto_ms=60_000))
    stage._draws = Scripted([0.0, 1.0, 1.0, 1.0])
    stage._chain = stage._chain._replace(loss_bad=0.5)
    stage.put(Chunk(b"a", 0.0), 0.0)
    stage.update(BurstLoss(rto_ms=100), 0.01)
    assert times(run(stage, 99.0, 0.01)) == [pytest.approx(0.1)]


@pytest.mark.parametrize(("rtt_ms", "last_at"), [(0, 1.0), (100, 1.5), (1000, 6.0), (2000, 11.0)])
def test_another_rate_acts_on_what_waits_to_be_sent(rtt_ms: int, last_at: float) -> None:
    """A chunk that takes 6 s at the rate of an RTT of 1 s: 5 s are left when the RTT changes after one."""
    slow = BurstLoss(p=0, r=1, loss_good=0.01, rto_ms=1, rtt_ms=1000)
    assert slow.rate_bytes_s is not None
    length_bytes = round(6 * slow.rate_bytes_s)
    stage = stage_of(slow)
    stage.put(Chunk(bytes(length_bytes), 0.0), 0.0)
    early = run(stage, 1.0)
    stage.update(slow.changed({"rtt_ms": rtt_ms}), 1.0)
    out = early + run(stage, 99.0, 1.0)
    assert len(data(out)) == length_bytes
    assert times(out)[-1] == pytest.approx(last_at, abs=0.02)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"p": 0.1, "loss_percent": 1.0}, "give either loss_percent and burst_packets, or p, r, 1-h and 1-k, not both"),
        ({"r": 0.1}, "need p"),
        ({"loss_bad": 0.1}, "need p"),
        ({"burst_packets": 2.0}, "burst_packets needs loss_percent"),
        ({"loss_percent": 50.0, "burst_packets": 1.0}, None),
        ({"loss_percent": 60.0, "burst_packets": 1.0}, "a loss of 60 % needs bursts of at least 1.5 packets, not 1"),
        ({"loss_percent": 100.0, "burst_packets": 9.0}, "at least inf"),
        ({"loss_percent": 101.0}, "loss_percent must lie between 0 and 100"),
        ({"loss_percent": math.nan}, "loss_percent must lie between 0 and 100"),
        ({"p": 1.5}, "p must lie between 0 and 1"),
        ({"p": 0.1, "loss_good": 2.0}, "1-k must lie between 0 and 1"),
        ({"p": 0.1, "burst_packets": 0.5}, "burst_packets must lie between 1 and"),
        ({"rto_ms": 0}, "rto_ms must lie between 1 and 120000"),
    ],
)
def test_losses_that_cannot_be_are_refused(given: dict[str, float], says: str | None) -> None:
    if says is None:
        BurstLoss(**given)  # type: ignore[arg-type]
        return
    with pytest.raises(ValueError, match=says):
        BurstLoss(**given)  # type: ignore[arg-type]


def test_an_update_may_change_the_way_to_say_how_much_is_lost() -> None:
    means = BurstLoss(loss_percent=5, burst_packets=2, rto_ms=9)
    netem = means.changed({"p": 0.1})
    assert netem == BurstLoss(p=0.1, rto_ms=9)
    assert netem.changed({"loss_percent": 3.0}) == BurstLoss(loss_percent=3, rto_ms=9)
    assert means.changed({"rto_ms": 7}) == BurstLoss(loss_percent=5, burst_packets=2, rto_ms=7)


# -- shared bandwidth


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


# -- trace


def test_a_slot_carries_1500_bytes_and_what_is_not_used_is_lost() -> None:
    stage = stage_of(Trace(slots=(10, 20, 20, 35, 100), start_ms=0))
    stage.put(Chunk(bytes(4000), 0.012), 0.012)
    assert [(at, len(item.data)) for at, item in run(stage, 0.09, 0.012) if isinstance(item, Chunk)] == [
        (pytest.approx(0.02), 3000),
        (pytest.approx(0.035), 1000),
    ]
    stage.put(Chunk(bytes(1), 0.05), 0.05)
    assert times(run(stage, 1.0, 0.05)) == [pytest.approx(0.1)]


def test_bytes_share_a_slot_if_they_were_there_in_time() -> None:
    stage = stage_of(Trace(slots=(10, 40, 100), start_ms=0))
    for _ in range(4):
        stage.put(Chunk(bytes(500), 0.0), 0.0)
    assert times(run(stage, 1.0)) == [
        pytest.approx(0.01),
        pytest.approx(0.01),
        pytest.approx(0.01),
        pytest.approx(0.04),
    ]
    stage.put(Chunk(bytes(500), 0.05), 0.05)
    assert times(run(stage, 1.0, 0.05)) == [pytest.approx(0.1)], "the rest of the slot at 0.04 was lost"


def test_a_recording_begins_anew_at_its_end_and_anywhere() -> None:
    stage = stage_of(Trace(slots=(10, 50), start_ms=0))
    stage.put(Chunk(bytes(7500), 0.0), 0.0)
    assert times(run(stage, 1.0)) == pytest.approx([0.01, 0.05, 0.06, 0.1, 0.11])
    stage = stage_of(Trace(slots=(10, 50), start_ms=30))
    stage.put(Chunk(bytes(3000), 0.0), 0.0)
    assert times(run(stage, 1.0)) == pytest.approx([0.02, 0.03])


def test_the_place_where_a_recording_begins_comes_from_the_draws() -> None:
    def first(seed: int) -> float:
        stage = stage_of(Trace(slots=(0, 10_000)), seed)
        stage.put(Chunk(b"a", 0.0), 0.0)
        ((at, _item),) = run(stage, 99.0)
        return at

    assert first(1) == first(1)
    found = sorted(first(seed) for seed in range(40))
    assert found[0] < 1
    assert found[-1] > 9


def test_a_recording_carries_what_it_holds_however_late_it_is_asked() -> None:
    rng = Random(SEED)
    slots = tuple(sorted(rng.randrange(2000) for _ in range(3000)))
    stage = stage_of(Trace(slots=slots, start_ms=0))
    passed, now = 0, 0.0
    while now < 20.0:
        while not stage.full:
            stage.put(Chunk(bytes(32_768), now), now)
        now += rng.uniform(0.0005, 0.004)
        while (item := stage.take(now)) is not None:
            assert isinstance(item, Chunk)
            passed += len(item.data)
    expected = 1500 * 3000 * now * 1000 / slots[-1]
    assert passed == pytest.approx(expected, rel=0.01), f"seed {SEED}"


def test_a_recording_keeps_order_and_the_end_behind_the_data() -> None:
    stage = stage_of(Trace(slots=(1, 2, 2, 3, 7)))
    sent = Random(SEED).randbytes(100_000)
    for start in range(0, len(sent), 7000):
        stage.put(Chunk(sent[start : start + 7000], 0.0), 0.0)
    stage.put(Closing.HALF, 0.0)
    out = run(stage, 99.0)
    assert data(out) == sent
    assert out[-1][1] is Closing.HALF


def test_another_recording_takes_over_where_it_is_given() -> None:
    stage = stage_of(Trace(slots=(60_000,), start_ms=0))
    stage.put(Chunk(b"a", 0.0), 0.0)
    stage.update(Trace(slots=(10,), start_ms=0), 1.0)
    assert times(run(stage, 99.0, 1.0)) == [pytest.approx(1.01)]


@pytest.mark.parametrize("name", ["lte.up", "lte.up.gz"])
def test_a_recording_is_read_from_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"10\n20\n") if name.endswith("gz") else b"10\r\n20\n\n")
    trace = Trace().changed({"path": str(path)})
    assert trace.recording is not None
    assert trace.recording.slots_ms == [10, 20]
    assert trace.shown() == {"path": str(path)}
    assert trace.changed({"slots": (5,)}).shown() == {"slots": (5,)}
    path.unlink()
    assert trace.changed({"start_ms": 3}).recording is trace.recording


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"", "holds no slots"),
        (b"1\nx\n", "entry 2 is not a time in whole ms"),
        (b"1\n-2\n", "entry 2 is not a time in whole ms"),
        (b"5\n4\n", "its times must rise, and number 2 is less"),
        (b"0\n0\n", "must be above 0"),
        (b"9" * 400, "entry 1 is not a time"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "trace"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as error:
        Trace().changed({"path": str(path)})
    assert str(path) in str(error.value)


def test_a_damaged_or_special_file_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "t.gz"
    damaged.write_bytes(gzip.compress(b"1\n2\n" * 1000)[:-12])
    with pytest.raises(ValueError, match="damaged"):
        Trace().changed({"path": str(damaged)})
    damaged.write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="cannot be read"):
        Trace().changed({"path": str(damaged)})
    with pytest.raises(ValueError, match="is no file"):
        Trace().changed({"path": str(tmp_path)})
    with pytest.raises(ValueError, match="is no file"):
        Trace().changed({"path": "/dev/zero"})


def test_a_trace_needs_one_recording() -> None:
    with pytest.raises(ValueError, match="needs path"):
        Trace().changed({})
    with pytest.raises(ValueError, match="give either path"):
        Trace().changed({"path": "/x", "slots": (1,)})


# -- half_open and slow_connect


def test_a_half_open_stage_is_silent_but_for_the_end_of_the_connection() -> None:
    stage = stage_of(HalfOpen())
    for item in (Chunk(b"a", 0.0), Closing.HALF, Chunk(b"b", 0.0)):
        assert not stage.full
        stage.put(item, 0.0)
    assert run(stage, 9.0) == [(0.0, Closing.SILENT)]
    stage.put(Closing.FULL, 9.0)
    assert run(stage, 10.0, 9.0) == [(9.0, Closing.FULL)]
    assert stage_of(HalfOpen()).flush() == [Closing.FULL]


@pytest.mark.parametrize(
    "attributes",
    [
        Bandwidth(rate=1, shared=True),
        BurstLoss(loss_percent=50, burst_packets=3),
        Trace(slots=(60_000,)),
        SlowConnect(delay_ms=1000),
    ],
)
def test_a_flush_gives_back_every_byte_in_order(attributes: Attributes) -> None:
    stage = stage_of(attributes)
    for item in (Chunk(b"a" * 3000, 0.0), Chunk(b"b", 0.0), Closing.HALF):
        stage.put(item, 0.0)
    flushed = stage.flush()
    assert b"".join(item.data for item in flushed if isinstance(item, Chunk)) == b"a" * 3000 + b"b"
    assert flushed[-1] is Closing.HALF
    assert stage.take(1000.0) is None
    assert stage.due() is None


def test_who_leaves_a_shared_line_gives_back_what_was_not_sent() -> None:
    attributes = Bandwidth(rate=10, shared=True)
    stages = [stage_of(attributes) for _ in range(5)]
    for stage in stages:
        stage.put(Chunk(bytes(1000), 0.0), 0.0)
    assert [stage.due() for stage in stages] == [pytest.approx(0.1 * place) for place in (1, 2, 3, 4, 5)]
    stages[0].leave(0.05)  # half of it is through
    for stage in stages[1:4]:
        stage.leave(0.05)
    late = stage_of(attributes)
    late.put(Chunk(bytes(1000), 0.05), 0.05)
    assert late.due() == pytest.approx(0.25), "behind the one that stays, as much as that takes"
