"""A campaign on a stand-in for the cluster: what is counted, what is a failure, and what becomes of the processes."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import stand_in
from stand_in import InOneProcess, simulation

from chaos.campaign.accounts import campaign_counts
from chaos.campaign.campaign import FAILURES_KEPT, Campaign, CampaignPlan, run_campaign
from chaos.campaign.catches import Catch, catch_all
from chaos.campaign.workers import Workers
from chaos.interruption import Interruption
from chaos.worker_pool import WorkersDied
from simulator.cluster.variants import VARIANTS


def in_one_process(run: Any, plan: CampaignPlan) -> Campaign:
    workers: Any = InOneProcess(run)
    return run_campaign(plan, workers.simulation, workers)


def on_workers(run: Any, plan: CampaignPlan, count: int = 2) -> Campaign:
    with Interruption() as interruption, Workers(simulation(run), count, interruption) as workers:
        return run_campaign(plan, simulation(run), workers)


def counts(campaign: Campaign) -> dict[str, Any]:
    return {name: count for name, count in campaign_counts(campaign).items() if name != "seconds"}


def test_seeds_that_all_pass_and_reach_every_goal_pass() -> None:
    campaign = in_one_process(stand_in.sound, CampaignPlan(1, 20))
    assert (campaign.verdict, campaign.failed, campaign.passed) == ("pass", 0, 20)
    found = counts(campaign)
    assert found["goals"] == {
        "a promotion": {"schedules": 20, "times": 40},
        "a rare turn": {"schedules": 2, "times": 2},
    }
    assert found["faults"] == {"device_crash": 100}, "one strike of each six did not take effect"
    assert found["disks_lost"] == 20
    assert found["virtual_seconds"] == 50
    assert found["events"] == 20 * 26


def test_a_goal_never_reached_makes_the_campaign_unknown_and_is_named() -> None:
    campaign = in_one_process(stand_in.sound, CampaignPlan(1, 6))
    assert campaign.verdict == "unknown"
    assert campaign.unreached == ("a rare turn",)
    assert "a rare turn" in campaign.cause


def test_a_broken_variant_that_is_not_caught_passes_whatever_goals_it_reached() -> None:
    campaign = in_one_process(stand_in.sound, CampaignPlan(1, 6, "no-claim", until_caught=True))
    assert campaign.verdict == "pass"
    assert "no-claim was not caught in 6 seeds" in campaign.cause


def test_one_failed_seed_fails_the_campaign_and_the_rest_is_run() -> None:
    campaign = in_one_process(stand_in.broken, CampaignPlan(1, 30))
    assert (campaign.verdict, campaign.seeds, campaign.failed) == ("fail", 30, 3)
    assert [result.seed for result in campaign.failures] == [9, 19, 29]
    assert campaign.failures_by_name == {"commit never goes back": 3}
    assert "seed 9: commit never goes back" in campaign.cause


def test_failures_are_all_counted_and_not_all_kept() -> None:
    campaign = in_one_process(stand_in.broken, CampaignPlan(0, 10 * (FAILURES_KEPT + 5)))
    assert campaign.failed == FAILURES_KEPT + 5
    assert len(campaign.failures) == FAILURES_KEPT


def test_a_search_for_a_broken_variant_ends_at_the_first_seed_that_catches_it() -> None:
    campaign = in_one_process(stand_in.sound, CampaignPlan(1, 50, "no-claim", until_caught=True))
    assert (campaign.verdict, campaign.seeds, campaign.interrupted) == ("fail", 9, False)
    assert "caught by seed 9" in campaign.cause


def test_an_exception_is_a_failure_of_its_seed_alone() -> None:
    campaign = in_one_process(stand_in.raising, CampaignPlan(1, 21))
    (failed,) = campaign.failures
    assert failed.seed == 4
    assert failed.failure is not None
    assert failed.failure.name == "crashed by ZeroDivisionError"
    assert "no such luck (in raising, line" in failed.failure.detail
    assert "/" not in failed.failure.detail, "no path of this machine"


def test_a_drawn_share_of_the_seeds_is_run_twice() -> None:
    plan = CampaignPlan(1, 2_000, check_twice_share=0.02)
    chosen = [seed for seed in range(1, 2_001) if plan.is_checked_twice(seed)]
    assert 20 <= len(chosen) <= 60
    assert in_one_process(stand_in.sound, CampaignPlan(1, 20, check_twice_share=1.0)).checked_twice == 20
    assert in_one_process(stand_in.sound, CampaignPlan(1, 20, check_twice_share=0.0)).checked_twice == 0


def test_the_number_of_workers_changes_nothing() -> None:
    plan = CampaignPlan(1, 41, check_twice_share=0.1)
    one, three = on_workers(stand_in.broken, plan, 1), on_workers(stand_in.broken, plan, 3)
    assert counts(one) == counts(three)
    assert one.failures_by_name == three.failures_by_name
    assert [failed.seed for failed in three.failures] == [9, 19, 29, 39]
    assert one.digest == three.digest != in_one_process(stand_in.broken, CampaignPlan(2, 41)).digest


def test_a_schedule_that_hangs_on_its_process_is_found_by_running_it_twice() -> None:
    campaign = on_workers(stand_in.wandering, CampaignPlan(1, 8, check_twice_share=1.0), 1)
    (failed,) = campaign.failures
    assert failed.seed == 3
    assert failed.failure is not None
    assert failed.failure.name == "not_deterministic"
    assert failed.trace_hash in failed.failure.detail


def test_a_worker_that_dies_ends_the_campaign_with_a_sentence() -> None:
    with pytest.raises(WorkersDied, match="worker process ended"):
        on_workers(stand_in.dying, CampaignPlan(1, 20))


def test_ctrl_c_keeps_what_was_counted() -> None:
    before = signal.getsignal(signal.SIGINT)
    campaign = on_workers(stand_in.interrupting, CampaignPlan(1, 5_000, check_twice_share=0.0))
    assert campaign.interrupted
    assert campaign.verdict == "unknown"
    assert "interrupted after" in campaign.cause
    assert 0 < campaign.seeds < 5_000
    same = in_one_process(stand_in.sound, CampaignPlan(1, campaign.seeds, check_twice_share=0.0))
    assert counts(campaign) == counts(same), "what was counted is the first seeds, whole"
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_the_first_seed_counts_nothing_and_is_no_pass() -> None:
    with Interruption() as interruption, Workers(simulation(stand_in.sound), 1, interruption) as workers:
        interruption.noted = True
        campaign = run_campaign(CampaignPlan(1, 10), simulation(stand_in.sound), workers)
    assert (campaign.seeds, campaign.verdict) == (0, "unknown")


def test_workers_go_on_to_the_next_variant_after_one_was_caught() -> None:
    seen: list[str | None] = []
    with Interruption() as interruption, Workers(simulation(stand_in.sound), 2, interruption) as workers:
        catches = list(
            catch_all(VARIANTS, 1, 60, simulation(stand_in.sound), workers, lambda c: seen.append(c.plan.variant))
        )
    assert [catch.variant for catch in catches] == list(VARIANTS)
    assert set(seen) == set(VARIANTS)
    for catch in catches:
        assert isinstance(catch, Catch)
        assert (catch.caught, catch.seeds, catch.seed) == (True, 9, 9)
        assert catch.breaks == VARIANTS[catch.variant].breaks
