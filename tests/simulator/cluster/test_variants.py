"""Every broken variant is found: by some tens of schedules, or, if it is rare, by a test that tells its schedule line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.cluster.run import run_schedule
from simulator.cluster.schedule import draw_schedule
from simulator.cluster.variants import VARIANTS

SEEDS = 80
TESTS = Path(__file__).parents[2]

RARE = {
    "restart-skips-reconciling": ("refsystem/protocol", "test_p11_a_restart_does_not_skip_the_comparison"),
    "answer-own-log-end": (
        "refsystem/protocol",
        "test_p2_the_answer_is_what_was_checked_in_this_epoch_and_not_the_own_logs_end",
    ),
    "any-epoch-any-role": ("refsystem/protocol", "test_p3_an_answer_of_an_earlier_epoch_is_not_counted"),
    "appended-without-node-id": (
        "refsystem/protocol",
        "test_p2_a_late_answer_of_a_disk_that_is_gone_is_not_counted_for_its_replacement",
    ),
    "cursor-outside-transaction": ("refsystem/cloud", "test_a_crash_within_a_batch_leaves_either_all_of_it_or_nothing"),
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in RARE])
def test_a_variant_is_found_in_some_tens_of_schedules(variant: str) -> None:
    runs = (run_schedule(draw_schedule(seed), variant) for seed in range(1, SEEDS + 1))
    assert next((run for run in runs if run.broken is not None), None) is not None


@pytest.mark.parametrize("variant", RARE)
def test_a_rare_variant_has_a_directed_test(variant: str) -> None:
    folder, test = RARE[variant]
    assert any(f"def {test}(" in path.read_text(encoding="utf-8") for path in (TESTS / folder).glob("test_*.py"))
