"""The explorer over some hundred schedules, and the proof that it can find what it looks for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from explorer import Explorer, explore
from explorer_world import Violation

from refsystem.protocol.broken import PROTOCOL_VARIANTS

SEEDS = 160
SEEDS_SLOW = 3_000
SEEDS_OF_A_VARIANT = 80

# A variant that shows itself in so few schedules that its schedule is told line by line, in `test_traps`.
DIRECTED = {
    "restart-skips-reconciling": "test_p11_a_restart_does_not_skip_the_comparison",
    "answer-own-log-end": "test_p2_the_answer_is_what_was_checked_in_this_epoch_and_not_the_own_logs_end",
    "any-epoch-any-role": "test_p3_an_answer_of_an_earlier_epoch_is_not_counted",
    "appended-without-node-id": "test_p2_a_late_answer_of_a_disk_that_is_gone_is_not_counted_for_its_replacement",
}
# What a campaign must have seen, or it has shown nothing.
GOALS = (
    "a disk lost",
    "a grow",
    "a key waiting across a failover",
    "a promotion",
    "a restart",
    "a shrink",
    "a stale sender refused",
    "an answer of the arbiter lost",
    "entries set aside",
    "one key at two doors",
    "answer key-reused",
    "answer order-unknown",
    "answer outcome-unknown",
    "answer standby-required",
    "ended converged",
)

GOALS_RARE = (*GOALS, "a grow cancelled", "answer overloaded", "ended stuck")


def campaign(first: int, seeds: int) -> Counter[str]:
    goals: Counter[str] = Counter()
    for seed in range(first, first + seeds):
        goals += explore(seed)[1]
    return goals


def test_no_schedule_breaks_a_promise_and_everything_converges_after_healing() -> None:
    goals = campaign(0, SEEDS)
    assert [goal for goal in GOALS if not goals[goal]] == []
    assert goals["ended stuck"] <= SEEDS // 10


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_schedule_of_a_long_campaign_breaks_a_promise() -> None:
    goals = campaign(SEEDS, SEEDS_SLOW)
    assert [goal for goal in GOALS_RARE if not goals[goal]] == []


def failure_of(seed: int, variant: str) -> str:
    try:
        explore(seed, variant)
    except Violation as violation:
        return str(violation)
    return ""


@pytest.mark.parametrize("variant", sorted(set(PROTOCOL_VARIANTS) - set(DIRECTED)))
def test_a_broken_variant_is_found(variant: str) -> None:
    failures = (failure for seed in range(SEEDS_OF_A_VARIANT) if (failure := failure_of(seed, variant)))
    assert f"--trace --variant {variant}" in next(failures, "")


def test_every_variant_that_is_not_found_by_chance_has_a_directed_schedule() -> None:
    here = Path(__file__)
    schedules = "".join(
        here.with_name(name).read_text(encoding="utf-8") for name in ("test_traps.py", "test_break_glass.py")
    )
    for variant, name in DIRECTED.items():
        assert f"def {name}(" in schedules
        assert f'"{variant}"' in schedules


def test_a_seed_replays_to_the_same_end() -> None:
    def play() -> tuple[object, ...]:
        explorer = Explorer(5)
        explorer.run()
        return explorer.clock.now_us, explorer.clock.goals, explorer.arbiter.register, explorer.kitchen.cursor

    assert play() == play()
