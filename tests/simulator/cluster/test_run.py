"""Whole schedules: sound ones converge, the same schedule goes the same way, and each broken rule is found by name."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from simulator.cluster.run import run_schedule
from simulator.cluster.schedule import PlannedOrder, Strike, draw_schedule
from simulator.cluster.schedule_checks import ScheduleError
from simulator.cluster.variants import VARIANTS

CAUGHT_SOON = {
    "acknowledge-before-standby": "flushed on every member",
    "repeated-key-answered-at-once": "nothing before its commit",
    "kitchen-before-commit": "nothing before its commit",
    "uplink-before-commit": "nothing before its commit",
    "two-doors": "one order for each key",
    "no-claim": "acts by its own claim",
}


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_sound_cluster_converges_with_every_order_answered(seed: int) -> None:
    run = run_schedule(draw_schedule(seed))
    assert run.broken is None, run.broken
    assert run.end == "converged"
    settled = {
        row.order_id for row in run.attempts if row.kind == "order" and (row.outcome == "ok" or row.status == 422)
    }
    assert len(settled) == len(run.schedule.orders)
    assert set(run.reads) == {f"s{number + 1}" for number in range(run.schedule.stores)}


def test_the_same_schedule_goes_the_same_way() -> None:
    schedule = draw_schedule(11)
    first, second, traced = run_schedule(schedule), run_schedule(schedule), run_schedule(schedule, tracing=True)
    assert first.trace_hash == second.trace_hash == traced.trace_hash
    assert first.attempts == second.attempts
    assert not first.trace
    assert len(traced.trace) > 500


def test_another_process_with_another_hash_seed_goes_the_same_way() -> None:
    code = (
        "from simulator.cluster.run import run_schedule as run;from simulator.cluster.schedule import draw_schedule;"
        "print(run(draw_schedule(12)).trace_hash)"
    )
    hashes = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        hashes.add(done.stdout.strip())
    assert hashes == {run_schedule(draw_schedule(12)).trace_hash}


def test_an_order_less_leaves_the_keys_of_the_others_as_they_were() -> None:
    schedule = draw_schedule(13)
    fewer = replace(schedule, orders=schedule.orders[:5] + schedule.orders[6:])
    keys = {row.intent_id: row.order_id for row in run_schedule(schedule).attempts}
    assert {row.intent_id: row.order_id for row in run_schedule(fewer).attempts} == {
        intent: key for intent, key in keys.items() if intent != "intent-5"
    }


def test_what_clients_were_told_is_in_the_final_reads() -> None:
    run = run_schedule(draw_schedule(4))
    told = {row.order_id for row in run.attempts if row.kind == "order" and row.outcome == "ok" and row.level == "R2"}
    assert told
    for store, places in run.reads.items():
        kept = {entry["record"].get("order_id") for entry in places["edge_a"]["entries"]}
        of_store = {row.order_id for row in run.attempts if row.store == store}
        assert told & of_store <= kept
        assert places["edge_a"]["entries"] == places["edge_b"]["entries"]


@pytest.mark.parametrize(("variant", "invariant"), CAUGHT_SOON.items())
def test_a_broken_rule_is_found_by_the_promise_it_breaks(variant: str, invariant: str) -> None:
    found = next(
        run.broken for seed in range(1, 20) if (run := run_schedule(draw_schedule(seed), variant)).broken is not None
    )
    assert found.invariant == invariant


def test_every_variant_says_what_it_breaks_and_a_failure_repeats() -> None:
    assert all(variant.breaks.startswith("P") for variant in VARIANTS.values())
    schedule = draw_schedule(1)
    runs = [run_schedule(schedule, "two-doors") for _ in range(2)]
    assert runs[0].broken == runs[1].broken
    assert runs[0].broken is not None
    assert runs[0].trace_hash == runs[1].trace_hash
    assert runs[0].reads == {}


def test_a_variant_that_is_not_known_is_an_error_of_the_schedule() -> None:
    with pytest.raises(ScheduleError, match="no-such-variant"):
        run_schedule(draw_schedule(1), "no-such-variant")


@pytest.mark.parametrize(
    "bad",
    [
        {"window_us": "3"},
        {"stores": 0},
        {"policy": "whatever"},
        {"strikes": None},
        {"strikes": ({},)},
        {"strikes": (Strike(1, 5, "wan cut", 0, "a", None),)},  # type: ignore[arg-type]
        {"strikes": (Strike(1, 5, "wan cut", 0, "a", 10**30),)},
        {"orders": (PlannedOrder(1, "5", 0, "edge", 1),)},  # type: ignore[arg-type]
        {"orders": (PlannedOrder(1, 5, 0, "window", 1),)},  # type: ignore[arg-type]
    ],
)
def test_a_schedule_that_cannot_be_run_raises_that_and_nothing_else(bad: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError):
        run_schedule(replace(draw_schedule(1), **bad))
