"""When a run says nothing it is unknown and says why; worst wins; budgets decide what they are for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.judge import Verdict, judge_run
from chaos.judge.verdict import Check, worst

SECOND_US = 1_000_000


def check(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def unknown_because(verdict: Verdict, name: str, words: str) -> None:
    """Asserts that the run is unknown, that this check is the reason, and that the cause says so in these words."""
    assert verdict.verdict == "unknown", verdict.cause
    assert check(verdict, name).verdict == "unknown"
    assert words in check(verdict, name).detail
    assert words.lower() in verdict.cause.lower() or name in verdict.cause


def test_worst_wins() -> None:
    passed, failed, open_ = Check("a", "pass", ""), Check("b", "fail", ""), Check("c", "unknown", "")
    skipped = Check("d", "not_exercised", "")
    assert worst([passed, skipped]) == ("pass", ())
    assert worst([passed, open_, skipped]) == ("unknown", (open_,))
    assert worst([passed, open_, failed]) == ("fail", (failed,))


# --- no data and broken files


def test_an_empty_folder_is_unknown(tmp_path: Path) -> None:
    verdict = judge_run(tmp_path)
    assert verdict.verdict == "unknown"
    assert "scenario" in verdict.cause
    assert (verdict.scenario, verdict.seed) == ("unknown", None)


def test_what_is_no_folder_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="not a run folder"):
        judge_run(tmp_path / "nothing")


def test_a_run_without_orders_has_no_data(run: Any) -> None:
    run.attempts.clear()
    unknown_because(judge_run(run.write()), "data", "the history holds no order")


def test_a_run_without_an_acknowledgement_has_no_data(run: Any) -> None:
    refused = {"outcome": "fail", "status": 503, "level": None}
    run.attempts = [replace(attempt, **refused) for attempt in run.attempts]
    run.records, run.cloud_orders, run.shown, run.downlink_number = [], [], {}, 0
    unknown_because(judge_run(run.write()), "data", "no order was acknowledged")


@pytest.mark.parametrize(
    ("name", "check_name", "words"),
    [
        ("environment.json", "data", "environment.json is missing"),
        ("scenario.yaml", "data", "the scenario of the run cannot be read"),
        ("history/load-1.jsonl", "data", "the history holds no order"),
        ("metrics/load-load-1.json", "load_generator", "0 of 1 left their metrics"),
        ("reads/convergence.json", "convergence", "convergence.json is missing"),
        ("reads/2/s1/edge_a.json", "places", "edge_a.json is missing"),
        ("reads/2/s1/edge_b.json", "places", "edge_b.json is missing"),
        ("reads/2/s1/cloud.json", "places", "cloud.json is missing"),
        ("reads/2/s1/kitchen.json", "places", "kitchen.json is missing"),
        ("reads/1/s1/kitchen.json", "places", "in read 1"),
    ],
)
def test_a_missing_file_makes_the_run_unknown(run: Any, name: str, check_name: str, words: str) -> None:
    run.write()
    (run.path / name).unlink()
    unknown_because(judge_run(run.path), check_name, words)


@pytest.mark.parametrize("content", ["", "[1, 2", "5", '{"status": 1}', '{"error": "the connection was refused"}'])
def test_a_broken_read_is_an_unreadable_place_and_no_loss(run: Any, content: str) -> None:
    run.write()
    for name in ("edge_a", "edge_b", "cloud", "kitchen"):
        (run.path / "reads" / "2" / "s1" / f"{name}.json").write_text(content)
    verdict = judge_run(run.path)
    assert (verdict.verdict, verdict.counts["lost"]) == ("unknown", 0)
    assert check(verdict, "places").verdict == "unknown"
    assert check(verdict, "lost").verdict == "unknown"


def test_a_failed_read_tells_its_own_error(run: Any) -> None:
    run.write()
    run.edit("reads/2/s1/cloud.json", lambda read: {"error": "the connection was refused"})
    unknown_because(judge_run(run.path), "places", "the connection was refused")


@pytest.mark.parametrize("line", ["{", "5", '{"name": "half"}'])
@pytest.mark.parametrize("name", ["faults.jsonl", "history/load-1.jsonl"])
def test_a_broken_line_in_the_middle_makes_the_run_unknown(run: Any, name: str, line: str) -> None:
    run.fault()
    run.write()
    path = run.path / name
    path.write_text(line + "\n" + path.read_text())
    verdict = judge_run(run.path)
    assert verdict.verdict == "unknown", verdict.cause
    assert check(verdict, "data").verdict == "unknown"


def test_a_torn_last_sample_is_noted_and_harms_nothing(run: Any) -> None:
    run.write()
    path = run.path / "metrics" / "stack.jsonl"
    path.write_text(path.read_text() + '{"at_us": 12')
    verdict = judge_run(run.path)
    assert verdict.verdict == "pass"
    assert "stack.jsonl" in verdict.notes[0]


# --- convergence


def test_convergence_not_reached_is_unknown(run: Any) -> None:
    run.write()
    run.edit("reads/convergence.json", lambda read: read.update(reached=False, detail="the cloud lags"))
    unknown_because(judge_run(run.path), "convergence", "the cloud lags")


@pytest.mark.parametrize(
    ("place", "change", "words"),
    [
        ("edge_a", {"role": "fenced"}, "neither device is primary"),
        ("edge_a", {"members": ["n-a"]}, "n-a is the only member"),
        ("edge_a", {"members": ["n-a", "n-c"]}, "n-b is not a member"),
        ("edge_a", {"waiting": 2}, "2 orders still wait"),
        ("edge_a", {"commit_seq": 99}, "entries end before entry 99"),
        ("edge_a", {"commit_seq": 5}, "orders were still being committed"),
        ("edge_a", {"downlink_cursor": 0}, "0 of 2 orders from the cloud"),
        ("edge_b", {"commit_seq": 3}, "behind the primary"),
        ("cloud", {"cursor": {"seq": 3, "hash": "x"}}, "the cloud stands at entry 3"),
        ("kitchen", {"cursor": {"seq": 3, "hash": "x"}}, "the kitchen stands at entry 3"),
    ],
)
def test_reads_that_contradict_convergence_are_unknown(
    run: Any, place: str, change: dict[str, Any], words: str
) -> None:
    run.write()
    run.edit_reads(place, lambda read: read["status"].update(change))
    unknown_because(judge_run(run.path), "convergence", words)


def test_reads_that_disagree_are_unknown(run: Any) -> None:
    run.write()
    run.edit("reads/1/s1/kitchen.json", lambda read: read.update(tickets=read["tickets"][1:]))
    unknown_because(judge_run(run.path), "reads_agree", "s1/kitchen holds other orders")


# --- load generator


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"late_starts": 1}, "1 of 40 starts late or dropped"),
        ({"dropped_starts": 1}, "1 of 40 starts late or dropped"),
        ({"finished": False}, "did not finish its timetable"),
        ({"late_starts": 1, "planned": 1000, "cpu_percent_max": 99.0}, "was saturated (99 % CPU"),
    ],
)
def test_a_load_generator_that_missed_its_schedule_is_unknown(run: Any, change: dict[str, Any], words: str) -> None:
    run.write()
    run.edit("metrics/load-load-1.json", lambda load: load.update(change))
    unknown_because(judge_run(run.path), "load_generator", words)


def test_a_busy_processor_without_a_late_start_is_fine(run: Any) -> None:
    run.write()
    run.edit("metrics/load-load-1.json", lambda load: load.update(cpu_percent_max=99.0))
    assert judge_run(run.path).verdict == "pass"


def test_a_missing_worker_is_unknown(run: Any) -> None:
    run.write()
    run.edit("environment.json", lambda environment: environment.update(workers=2))
    unknown_because(judge_run(run.path), "load_generator", "1 of 2 left their metrics")


# --- faults


def test_a_fault_that_did_not_take_effect_is_unknown(run: Any) -> None:
    run.fault(took_effect=False, evidence="the port still answers")
    unknown_because(judge_run(run.write()), "faults", "the port still answers")


def test_a_fault_that_was_not_undone_is_unknown(run: Any) -> None:
    run.fault(undone=False, undo_detail="the process did not start")
    unknown_because(judge_run(run.write()), "faults", "the process did not start")


def test_a_planned_fault_that_never_ran_is_unknown(run: Any) -> None:
    run.fault()
    run.faults.clear()
    unknown_because(judge_run(run.write()), "faults", "0 of 1 are on record")


# --- exposure and sample


def test_too_few_exposed_orders_are_unknown(run: Any) -> None:
    run.fault()
    run.scenario["least_exposed"] = 2
    run.attempt(4, completed_at_us=run.attempts[4].completed_at_us)
    unknown_because(judge_run(run.write()), "exposure", "the scenario asks for 2")


def test_orders_in_flight_when_a_fault_strikes_are_exposed_once(run: Any) -> None:
    moment_us = run.attempts[4].invoked_at_us + 5
    run.fault(started_at_us=moment_us)
    run.fault(started_at_us=moment_us + 1, hits_primary=False)
    verdict = judge_run(run.write(), {"least_exposed": 1})
    assert (verdict.verdict, verdict.counts["exposed"]) == ("pass", 1), verdict.cause
    assert [len(effect.exposed) for effect in verdict.effects] == [1, 1]


@pytest.mark.parametrize("change", [{"kind": "link_weak"}, {"took_effect": False}, {"store": "s2"}])
def test_a_fault_that_does_not_strike_exposes_nobody(run: Any, change: dict[str, Any]) -> None:
    run.fault(started_at_us=run.attempts[4].invoked_at_us + 5, **change)
    assert judge_run(run.write()).counts["exposed"] == 0


def test_an_order_first_told_yes_after_the_fault_is_exposed(run: Any) -> None:
    first = run.attempts[4]
    earlier = replace(first, op=99, outcome="indefinite", level=None, completed_at_us=first.invoked_at_us + 100)
    later = replace(first, attempt=2, invoked_at_us=first.invoked_at_us + 900)
    run.attempts[4] = later
    run.attempts.append(earlier)
    run.fault(started_at_us=first.invoked_at_us + 500)
    assert judge_run(run.write()).counts["exposed"] == 1


def test_too_few_acknowledged_orders_are_unknown(run: Any) -> None:
    run.scenario["least_acknowledged"] = 100
    unknown_because(judge_run(run.write()), "sample", "14, and the scenario asks for 100")


def test_a_bound_over_the_budget_without_a_loss_is_unknown_and_says_how_many_orders_are_enough(run: Any) -> None:
    verdict = judge_run(run.write(), {"loss_rate": 0.002})
    unknown_because(verdict, "loss_rate", "1497 orders")
    assert verdict.statistics.orders_enough == 1497


def test_a_bound_over_the_budget_with_a_loss_fails(run: Any) -> None:
    run.drop(run.order(20), "kitchen")
    verdict = judge_run(run.write(), {"loss_rate": 0.002})
    assert check(verdict, "loss_rate").verdict == "fail"


def test_a_bound_within_the_budget_passes(run: Any) -> None:
    verdict = judge_run(run.write(), {"loss_rate": 0.3})
    assert (verdict.verdict, check(verdict, "loss_rate").verdict) == ("pass", "pass")


# --- failover


def failed_over(run: Any, after_us: int) -> None:
    """The primary is killed; the other device answers at a higher epoch `after_us` later."""
    last = run.attempts[11].completed_at_us
    run.fault(started_at_us=last + 10)
    run.order(20, epoch=4, node_id="n-b", completed_at_us=last + 10 + after_us)


def test_failover_lasts_from_the_fault_to_the_first_yes_of_a_higher_epoch(run: Any) -> None:
    failed_over(run, 5 * SECOND_US)
    verdict = judge_run(run.write(), {"failover_ms_p50": 5_000})
    assert (verdict.failover_ms, verdict.verdict) == ([5_000], "pass"), verdict.cause
    assert "bounds the rate per failover only at 95%" in verdict.statistics.sentence


def test_a_failover_slower_than_its_budget_fails(run: Any) -> None:
    failed_over(run, 5 * SECOND_US)
    verdict = judge_run(run.write(), {"failover_ms_p50": 4_999})
    assert (verdict.verdict, check(verdict, "failover_ms_p50").verdict) == ("fail", "fail")


def test_a_fault_of_the_primary_after_which_nobody_answers_fails_the_budget(run: Any) -> None:
    run.fault(started_at_us=run.attempts[-1].completed_at_us + 10)
    assert judge_run(run.write()).verdict == "pass"
    assert check(judge_run(run.path, {"failover_ms_p50": 1_000}), "failover_ms_p50").verdict == "fail"


def test_a_fault_of_the_primary_that_caused_no_failover_leaves_the_budget_unknown(run: Any) -> None:
    run.fault()
    unknown_because(judge_run(run.write(), {"failover_ms_p50": 1_000}), "failover_ms_p50", "under a higher epoch")


def test_five_failovers_without_a_loss_bound_the_rate_at_45_percent(run: Any) -> None:
    last = run.attempts[11].completed_at_us
    for number in range(5):
        run.fault(started_at_us=last + number, epoch_before=3)
    run.order(20, epoch=4, node_id="n-b", completed_at_us=last + SECOND_US)
    assert (
        "5 failovers without a loss bound the rate per failover only at 45%"
        in judge_run(run.write()).statistics.sentence
    )


# --- notes


def test_a_broken_variant_and_alarms_are_noted(run: Any) -> None:
    run.write()
    run.edit("environment.json", lambda environment: environment.update(broken_variant="no-claim"))
    alarm = {"at": "2026-01-01T00:00:00+00:00", "kind": "entry-unknown", "detail": ""}
    run.edit_reads("cloud", lambda read: read["alarms"].append(alarm))
    assert judge_run(run.path).notes == (
        "the stack ran as the broken variant no-claim",
        "s1: the cloud raised 1 alarms (entry-unknown)",
    )


def test_the_time_an_order_stood_in_the_store_alone_comes_from_the_samples_of_its_store(run: Any) -> None:
    run.write()
    verdict = judge_run(run.path)
    assert verdict.offline.count == 12
    assert verdict.offline.max is not None
    assert verdict.offline.max > 0
    path = run.path / "metrics" / "stack.jsonl"
    path.write_text(path.read_text().replace('"at_us"', '"store": "s2", "at_us"'))
    assert judge_run(run.path).offline.count == 0


def test_a_cut_of_the_wan_drains_until_the_cloud_stands_at_the_primary_again(run: Any) -> None:
    start_us = run.attempts[0].intended_at_us
    run.fault(kind="link_down", target="edge_cloud", hits_primary=False, ended_at_us=start_us + 5 * SECOND_US)
    (effect,) = judge_run(run.write()).effects
    assert effect.drain_ms == 5_000
