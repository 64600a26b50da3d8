"""What strikes do, when they count, and for which row: hand-made schedules, each with the one strike that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from refsystem.protocol.messages import Register, RegisterRead, RegisterState, RegisterSwap
from refsystem.protocol.returns import Returns
from simulator.cluster.clock import MS, Clock
from simulator.cluster.goals import Row
from simulator.cluster.outcome import ClusterRun
from simulator.cluster.run import Cluster, run_schedule
from simulator.cluster.schedule import PlannedOrder, Schedule, Strike, draw_schedule
from simulator.cluster.strikes import Strikes
from simulator.cluster.variants import SOUND_VARIANT

SEED = 7
WINDOW_US = 2_500 * MS
AT_US = 1_200 * MS


def struck(*strikes: tuple[str, int, int], target: str = "a", at_us: int = AT_US, **changes: Any) -> Schedule:
    """A store that takes an order each 20 ms, and `strikes` (kind, how long in ms, amount) at one moment."""
    orders = tuple(PlannedOrder(number, number * 20 * MS, 0, "edge", 1) for number in range(110))
    planned = tuple(
        Strike(number, at_us, kind, 0, target, for_ms * MS, amount)
        for number, (kind, for_ms, amount) in enumerate(strikes)
    )
    return replace(Schedule(SEED, 1, "available", "in_store", WINDOW_US, planned, orders), **changes)


def rows_of(run: ClusterRun) -> set[str]:
    assert run.end == "converged", run.broken
    return {name.removeprefix("row: ") for name, times in run.goals.items() if name.startswith("row: ") and times}


def of_both(schedule: Schedule) -> Iterator[ClusterRun]:
    """The schedule on the primary and on the standby: which is which is not known beforehand."""
    for target in "ab":
        yield run_schedule(replace(schedule, strikes=tuple(replace(each, target=target) for each in schedule.strikes)))


@pytest.mark.parametrize(
    ("strike", "row"),
    [
        (("device crash", 600, 0), Row.ONE_OF_TWO),
        (("device paused", 600, 0), Row.ONE_OF_TWO),
        (("store power cut", 10, 0), Row.WHOLE_STORE),
        (("wan cut", 400, 0), Row.WAN_CUT),
        (("arbiter down", 400, 1), Row.ARBITER_DOWN),
        (("break glass", 500, 0), Row.ONLY_MEMBER_DESTROYED),
    ],
)
def test_a_fault_counts_for_its_row_when_its_effect_was_seen(strike: tuple[str, int, int], row: Row) -> None:
    assert all(row in rows_of(run) for run in of_both(struck(strike)))


@pytest.mark.parametrize("strike", [("device paused", 1, 0), ("device paused", 30, 0), ("peer reconnect", 10, 0)])
def test_a_fault_that_was_over_before_anybody_noticed_counts_for_none(strike: tuple[str, int, int]) -> None:
    for run in of_both(struck(strike)):
        assert rows_of(run) == set()
        assert [record["took_effect"] for record in run.faults] == [True]


def test_a_cut_that_nothing_wanted_to_pass_counts_for_none() -> None:
    nobody = replace(struck(("wan cut", 300, 0)), orders=())
    assert rows_of(run_schedule(nobody)) == set()
    assert rows_of(run_schedule(replace(nobody, strikes=(replace(nobody.strikes[0], kind="arbiter down"),)))) == set()


def test_links_between_devices_count_when_one_of_them_went_on_alone() -> None:
    counted = Counter[bool]()
    for seed in range(1, 5):
        for for_ms in (20, 700):
            run = run_schedule(replace(struck(("peer cut", for_ms, 0)), seed=seed))
            counted[Row.PEER_CUT in rows_of(run)] += for_ms == 700
            assert for_ms == 700 or Row.PEER_CUT not in rows_of(run)
    assert counted[True] > 0


def test_rows_of_two_faults_at_once() -> None:
    """The arbiter is down and then a device stops; the only member stops while the other one runs."""
    both = struck(("arbiter down", 700, 1), ("device crash", 600, 0))
    assert any(Row.ARBITER_DOWN_THEN_DEVICE in rows_of(run) for run in of_both(both))
    apart = struck(("peer cut", 1_200, 0), ("device crash", 500, 0))
    apart = replace(apart, strikes=(apart.strikes[0], replace(apart.strikes[1], at_us=AT_US + 600 * MS)))
    runs = (run for seed in range(1, 9) for run in of_both(replace(apart, seed=seed)))
    assert any(Row.ONLY_MEMBER_DOWN in rows_of(run) for run in runs)


@pytest.mark.parametrize(("kind", "amount"), [("disk lost", 0), ("disk lost", 1), ("break glass", 0)])
def test_a_fault_that_waits_for_its_moment_takes_effect_then_or_never(kind: str, amount: int) -> None:
    last = struck((kind, 700, amount), at_us=WINDOW_US - 1 * MS)
    for run in of_both(last):
        (record,) = [record for record in run.faults if record["kind"] == kind.replace(" ", "_")]
        assert record["took_effect"] is False
        assert record["disk_lost_node_ids"] == []
        assert not run.goals[f"fault {kind}"]
    for run in of_both(struck((kind, 300, amount), at_us=600 * MS)):
        (record,) = [record for record in run.faults if record["kind"] == kind.replace(" ", "_")]
        assert record["took_effect"] is True
        assert run.goals[f"fault {kind}"] == 1
        assert record["started_at_us"] >= 600 * MS
        assert kind == "break glass" or record["disk_lost_node_ids"] == [record["resolved"]]


# --- the cluster itself ----------------------------------------------------------------------------------------------


def running(schedule: Schedule, until_ms: int) -> tuple[Cluster, Clock]:
    clock = Clock(schedule.seed)
    cluster = Cluster(clock, schedule, SOUND_VARIANT)
    cluster.begin()
    clock.run_until(until_ms * MS)
    return cluster, clock


@pytest.mark.parametrize("arbiter", ["in_store", "in_cloud"])
def test_a_power_cut_takes_everything_in_the_store(arbiter: Any) -> None:
    cluster, clock = running(struck(arbiter=arbiter), 800)
    (store,) = cluster.stores
    assert all(device.machine is not None for device in store.devices)
    assert store.arbiter.up
    assert store.kitchen.up
    Strikes(clock).cut_power(store, clock.generator("test"))
    assert all(device.machine is None for device in store.devices)
    assert not store.kitchen.up
    assert store.arbiter.up == (arbiter == "in_cloud")
    clock.run_until(clock.now_us + 410 * MS)
    assert all(device.machine is not None for device in store.devices)
    assert store.kitchen.up
    assert store.arbiter.up


def test_only_the_lost_answer_to_a_claim_that_won_is_one() -> None:
    cluster, clock = running(struck(), 800)
    (store,) = cluster.stores
    device = store.device("a")
    register = store.register
    device.links["from arbiter"].cut(10**9)
    claim = RegisterSwap("1", "x", 1, Register(9, "x", ("x",), "claim"))
    for request, state in (
        (RegisterRead("1", "x"), register),
        (claim, register),
        (claim, claim.register),
    ):
        assert clock.goals["an answer to a claim lost"] == 0
        device.driver._answer_of_arbiter(device.life, request)(RegisterState("1", state))
    assert clock.goals["an answer to a claim lost"] == 1


def test_an_isolated_device_runs_and_is_reached_by_nobody_until_it_has_learned_what_happened() -> None:
    goals = Counter[str]()
    for seed in range(1, 6):
        run = run_schedule(replace(struck(("break glass", 500, 2), at_us=500 * MS), seed=seed))
        assert run.end == "converged", run.broken
        goals.update(run.goals)
        assert not run.goals["the only member switched off"]
    assert goals["the only member isolated"] >= 4
    assert goals["a device comes back after it was replaced"] >= 4


def test_a_fork_is_followed_half_for_batches_are_short() -> None:
    """So that whatever happens then does happen between two batches of a fork."""
    device = running(struck(), 800)[0].stores[0].device("a")
    assert device.machine is not None
    assert {feed.batch_max for feed in device.machine.feeds.values()} == {2}


@pytest.mark.slow
def test_a_device_that_denies_what_the_cloud_may_send_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Returns, "outstanding", property(lambda _: False))
    found = []
    for seed in range(1, 400):
        schedule = draw_schedule(seed)
        if any(strike.kind == "break glass" for strike in schedule.strikes):
            asking = tuple(replace(order, asks_at_us=schedule.window_us - 1) for order in schedule.orders)
            run = run_schedule(replace(schedule, orders=asking))
            found += [run.broken.invariant] if run.broken is not None else []
            if found:
                break
    assert found == ["404 only when not there"]


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(660, id="a receiver beyond the record of a fork that was not committed yet"),
        pytest.param(21_512, id="a device isolated while it broke glass, and another named in its place"),
    ],
)
def test_seeds_that_found_something_pass(seed: int) -> None:
    schedule = draw_schedule(seed)
    late = tuple(
        replace(order, asks_at_us=min(schedule.window_us - 1, order.at_us + 900 * MS)) for order in schedule.orders
    )
    for each in (schedule, replace(schedule, orders=late)):
        run = run_schedule(each)
        assert run.end == "converged", run.broken
