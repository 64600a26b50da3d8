"""Whatever the run, taking an acknowledged order away is found as lost, and doubling one as duplicated."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.judge import Verdict, judge_run

ORDERS = st.lists(st.sampled_from(["R2", "R1", "RC", "indefinite"]), min_size=1, max_size=12)
FEW = settings(max_examples=15)


def build(make_run: Any, kinds: list[str], folder: str) -> tuple[Any, list[str]]:
    """A run with one order of each of `kinds`; returns it with the acknowledged orders."""
    run, acknowledged = make_run(Path(folder)), []
    for number, kind in enumerate(kinds):
        if kind == "indefinite":
            run.order(number, outcome="indefinite", level=None, status=None, completed_at_us=None, seq=None)
        else:
            order = run.cloud_order(number) if kind == "RC" else run.order(number, level=kind)
            acknowledged.append(order)
    return run, acknowledged


def subjects(verdict: Verdict, name: str) -> set[str]:
    return {finding.subject for finding in verdict.audit.by_class[name]}


@FEW
@given(kinds=ORDERS, data=st.data())
def test_an_acknowledged_order_taken_from_any_places_is_found_as_lost(
    make_run: Any, kinds: list[str], data: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, acknowledged = build(make_run, [*kinds, "R2"], folder)
        order = data.draw(st.sampled_from(acknowledged))
        places = data.draw(st.sets(st.sampled_from(["edge", "cloud", "kitchen"]), min_size=1))
        run.drop(order, *places)
        verdict = judge_run(run.write())
        assert subjects(verdict, "lost") == {order}
        assert {place for row in verdict.audit.lost_by.values() for place in row} == places
        assert verdict.verdict == "fail"


@FEW
@given(kinds=ORDERS, data=st.data())
def test_a_doubled_order_is_found_as_duplicated(make_run: Any, kinds: list[str], data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, _ = build(make_run, kinds, folder)
        epoch, record = data.draw(st.sampled_from(run.records))
        run.records.append((epoch, dict(record)))
        verdict = judge_run(run.write())
        assert subjects(verdict, "duplicated") == {record["order_id"]}
        assert verdict.verdict == "fail"


@FEW
@given(kinds=ORDERS)
def test_a_run_that_kept_everything_shows_nothing_that_always_fails(make_run: Any, kinds: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, acknowledged = build(make_run, kinds, folder)
        verdict = judge_run(run.write())
        expected = "pass" if acknowledged else "unknown"
        assert (verdict.verdict, sum(verdict.audit.acknowledged.values())) == (expected, len(acknowledged)), (
            verdict.cause
        )
        assert verdict.counts["surfaced"] == len(kinds) - len(acknowledged)
