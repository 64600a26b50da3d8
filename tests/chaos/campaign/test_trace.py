"""The trace for a person: what the cluster noted and what clients were told, in one order of time."""

from __future__ import annotations

from dataclasses import replace

from chaos.campaign.judging import Failure
from chaos.campaign.trace import excerpt, readable_trace
from simulator.cluster.outcome import ClusterRun
from simulator.cluster.run import run_schedule
from simulator.cluster.schedule import draw_schedule


def a_run() -> ClusterRun:
    schedule = draw_schedule(5)
    return run_schedule(replace(schedule, orders=schedule.orders[:12]), tracing=True)


def stamps(lines: tuple[str, ...]) -> list[float]:
    return [float(line[:10]) for line in lines if line[:10].strip()]


def test_clients_stand_where_they_belong_in_time() -> None:
    run = a_run()
    trace = readable_trace(run)
    clients = [line for line in trace if "client:" in line]
    completed = sum(row.completed_at_us is not None for row in run.attempts)
    assert len(clients) == len(run.attempts) + completed
    assert [line for line in trace if "client:" not in line] == list(run.trace)
    assert stamps(trace) == sorted(stamps(trace))
    assert any("is told R2 by s1-" in line for line in clients)
    assert {line.rpartition("is sent to ")[2] for line in clients if "is sent to " in line} == {
        "s1 device a",
        "s1 device b",
        "the cloud",
    }


def test_a_line_without_a_time_stays_behind_the_one_before_it() -> None:
    run = a_run()
    trace = readable_trace(run)
    before = dict(zip(run.trace[1:], run.trace, strict=False))
    follower = next(line for line in run.trace if not line[:10].strip())
    assert trace[trace.index(follower) - 1] == before[follower]


def test_the_end_of_the_trace_is_shown_of_a_broken_invariant() -> None:
    lines = tuple(f"{n:10.3f} ms  event {n}" for n in range(100))
    assert excerpt(lines, Failure("commit never goes back", "", 99_000), 3) == lines[-3:]


def test_what_names_its_subject_is_shown_of_a_finding_of_the_audit() -> None:
    run = a_run()
    order = next(row for row in run.attempts if row.kind == "order" and row.level == "R2")
    trace = readable_trace(run)
    shown = excerpt(trace, Failure("lost", "", None, order.order_id), 1_000)
    assert [line for line in shown if "client:" in line] == [line for line in trace if order.order_id in line]
    assert any("arbiter:" in line for line in shown)
    assert len(shown) < len(trace) / 5
    assert len(excerpt(trace, Failure("lost", "", None, order.order_id))) <= 40


def test_a_run_that_was_not_traced_has_no_lines() -> None:
    run = a_run()
    assert readable_trace(replace(run, trace=())) == ()
