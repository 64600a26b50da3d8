"""Links lose, delay, repeat and reorder as they are told, and nothing else."""

from __future__ import annotations

from simulator.cluster.clock import MS, Clock
from simulator.cluster.links import Link


def reliable(clock: Clock, name: str = "l", *, ordered: bool = False) -> Link:
    link = Link(clock, name, ordered=ordered)
    link.heal()
    return link


def test_a_healed_link_carries_everything_once() -> None:
    clock, got = Clock(1), []
    link = reliable(clock)
    for number in range(500):
        link.send(got.append, number)
    clock.run_until(1_000 * MS)
    assert sorted(got) == list(range(500))


def test_a_connection_keeps_the_order_and_another_may_not() -> None:
    clock = Clock(2)
    in_order, any_order = [], []
    ordered, loose = reliable(clock, "o", ordered=True), reliable(clock, "u")
    for number in range(300):
        ordered.send(in_order.append, number)
        loose.send(any_order.append, number)
    clock.run_until(1_000 * MS)
    assert in_order == list(range(300))
    assert any_order != in_order
    assert sorted(any_order) == in_order


def test_a_cut_link_carries_nothing_until_every_cut_has_ended() -> None:
    clock, got = Clock(3), []
    link = reliable(clock)
    link.cut(10 * MS)
    link.cut(30 * MS)
    clock.run_until(20 * MS)
    link.send(got.append, "during")
    clock.run_until(31 * MS)
    link.send(got.append, "after")
    clock.run_until(1_000 * MS)
    assert got == ["after"]


def test_a_broken_connection_loses_what_was_under_way_or_brings_it_late() -> None:
    clock, got = Clock(4), []
    link = reliable(clock, ordered=True)
    for number in range(200):
        link.send(got.append, number)
    link.reconnect()
    link.send(got.append, "fresh")
    clock.run_until(2_000 * MS)
    assert got[0] == "fresh", "what was under way can only come late"
    assert 50 < len(got) < 150
    assert got[1:] != sorted(got[1:]), "and in any order"


def test_links_lose_and_repeat_at_the_rates_they_drew() -> None:
    totals = []
    for number in range(60):
        clock, got = Clock(number), []
        link = Link(clock, "l")
        for message in range(400):
            link.send(got.append, message)
        clock.run_until(5_000 * MS)
        totals.append((400 - len(set(got)), len(got) - len(set(got))))
    assert any(lost > 8 for lost, _ in totals), "some links lose 5 %"
    assert any(repeated > 2 for _, repeated in totals), "some links repeat 2 %"
    assert any(pair == (0, 0) for pair in totals), "some do neither"


def test_a_slow_link_delays_for_its_time_only() -> None:
    clock, slow, fast = Clock(5), [], []
    link = reliable(clock)
    link.slow(500 * MS, 100 * MS)
    for _ in range(50):
        link.send(lambda: slow.append(clock.now_us))
    clock.run_until(1_000 * MS)
    for _ in range(50):
        link.send(lambda: fast.append(clock.now_us - 1_000 * MS))
    clock.run_until(3_000 * MS)
    assert max(slow) > 100 * MS
    assert max(fast) <= 8 * MS
