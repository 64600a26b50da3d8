"""The stages of the toxics that the original does not have, by themselves and in virtual time."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from toxic_stages import SEED, data, run, stage_of, times

from chaos.proxy.toxics import (
    TOXIC_TYPES,
    Attributes,
    Bandwidth,
    BurstLoss,
    Chunk,
    Closing,
    HalfOpen,
    SlowConnect,
    Trace,
)
from chaos.proxy.toxics.burst_loss import BurstLossStage

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
