"""How soon orders come to the kitchen, by channel and against a budget; and which tickets a format's rules owe."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from chaos.judge import judge_run, write_outputs
from chaos.judge.verdict import Verdict, verdict_schema
from refsystem.ordering.kitchen_order import kitchen_fields
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.order import body_hash
from refsystem.ordering.store_rules import DEMO_RULES

SECOND_US = 1_000_000
HOTPOT, RULES = MENUS["hotpot"], DEMO_RULES["hotpot"].kitchen


def judged(run: Any, **budgets: Any) -> Verdict:
    run.scenario["budgets"] = {**run.scenario["budgets"], **budgets}
    return judge_run(run.write())


def shown_after(run: Any, number: int, ms: int) -> str:
    attempt = run.attempts[number]
    run.shown[attempt.order_id] = attempt.completed_at_us + ms * 1_000
    return str(attempt.order_id)


def test_a_budget_in_milliseconds_is_real_time_and_replaces_the_scaled_one(run: Any) -> None:
    late = shown_after(run, 0, 1_501)
    shown_after(run, 1, 1_500)
    verdict = judged(run, late_budget_ms=1_500)
    assert {finding.subject for finding in verdict.audit.by_class["late"]} == {late}
    assert verdict.verdict == "fail"
    assert "qr: shown 1.5 s after its first yes" in verdict.cause


def test_a_share_of_the_acknowledged_orders_may_be_late(run: Any) -> None:
    orders = len(run.attempts)
    for number in range(2):
        shown_after(run, number, 3_000)
    assert judged(run, late_budget_ms=2_000, late_allowed=2 / orders).verdict == "pass"
    assert judged(run, late_budget_ms=2_000, late_allowed=1.9 / orders).verdict == "fail"


def test_the_verdict_and_the_reports_tell_it_by_channel(run: Any) -> None:
    shown_after(run, 0, 4_000)
    run.order(40, channel="kiosk", body_hash=_hash("kiosk"))
    run.shown[run.attempts[-1].order_id] = run.attempts[-1].completed_at_us + 70_000
    verdict = judged(run, late_budget_ms=2_000, late=1)
    assert verdict.verdict == "pass"
    write_outputs(run.path, verdict)
    said = json.loads((run.path / "verdict.json").read_text())
    jsonschema.validate(said, verdict_schema())
    times = said["details"]["kitchen_ms_by_channel"]
    assert {channel: (row["count"], row["late"]) for channel, row in times.items()} == {
        "kiosk": (1, 0),
        "qr": (len(run.attempts) - 1, 1),
    }
    assert times["kiosk"]["max"] == 70.0
    assert "| kiosk | 1 | 0 | 70.0 |" in (run.path / "summary.md").read_text()


def test_what_the_adapter_cannot_do_is_noted(run: Any) -> None:
    run.write()
    run.edit("metrics/load-load-1.json", lambda load: load | {"skipped": {"split": 2, "pay": 5}})
    assert "left out: pay (5 times), split (2 times)" in " ".join(judge_run(run.path).notes)


# --- tickets by the rules of a format


def _hash(channel: str) -> str:
    items = (("fried-rice", 1 + 40 % 3), ("cold-noodles", 1))
    return body_hash(channel, "T1", items, 4_400, "rp-built-40-0")


@pytest.fixture
def hotpot(run: Any) -> Any:
    """A run of a hotpot store: the orders so far, with what the admission adds to their records."""
    run.scenario["stores"] = [{"name": "s1", "format": "hotpot"}]
    return run


def order(run: Any, number: int, *item_ids: str) -> str:
    items = tuple((item_id, 1) for item_id in item_ids)
    total_minor, note = HOTPOT.total_minor(items), f"rp-built-{number}-0"
    order_id = run.order(
        number,
        items=items,
        total_minor=total_minor,
        marker=note,
        body_hash=body_hash("qr", "T1", items, total_minor, note),
    )
    epoch, record = run.records[-1]
    run.records[-1] = (epoch, record | kitchen_fields(list(items), "qr", HOTPOT, RULES))
    return str(order_id)


def only(run: Any, *wanted: str) -> None:
    """Leave out the orders that the run was built with: their dishes are not on this menu."""
    run.attempts = [attempt for attempt in run.attempts if attempt.order_id in wanted]
    run.records = [(epoch, record) for epoch, record in run.records if record["order_id"] in wanted]
    run.cloud_orders = [row for row in run.cloud_orders if row["order_id"] in wanted]
    run.shown = {order_id: at_us for order_id, at_us in run.shown.items() if order_id in wanted}


def at_stations(run: Any, order_id: str, *stations: str) -> None:
    """The kitchen has shown the order at these stations, and not on one slip."""

    def change(kitchen: Any) -> None:
        (whole,) = [ticket for ticket in kitchen["tickets"] if ticket["order_id"] == order_id]
        kitchen["tickets"] += [whole | {"station": station} for station in stations]
        kitchen["tickets"].remove(whole)

    run.edit_reads("kitchen", change)


@pytest.mark.parametrize(
    ("stations", "lost"), [(("broth", "drinks"), 0), (("broth",), 1), ((), 1), (("broth", "drinks", "drinks"), 0)]
)
def test_each_station_must_have_shown_its_part_of_an_order(hotpot: Any, stations: tuple[str, ...], lost: int) -> None:
    order_id = order(hotpot, 50, "spicy-base", "plum-juice", "beef-slices")
    only(hotpot, order_id)
    hotpot.write()
    at_stations(hotpot, order_id, *stations)
    counts = judge_run(hotpot.path).counts
    assert counts["lost"] == lost, "the beef waits for the broth, and is not asked for"
    assert counts["duplicated"] == (len(stations) > len(set(stations)))


def test_a_dish_shown_before_its_course_was_fired_is_unbacked(hotpot: Any) -> None:
    order_id = order(hotpot, 50, "spicy-base", "plum-juice", "beef-slices")
    only(hotpot, order_id)
    hotpot.write()
    at_stations(hotpot, order_id, "broth", "drinks", "meat")
    (finding,) = judge_run(hotpot.path).audit.by_class["unbacked"]
    assert "version 1 for meat was shown, and nothing has fired it" in finding.evidence


def test_a_course_that_is_held_back_is_neither_lost_nor_late(hotpot: Any) -> None:
    first = order(hotpot, 50, "spicy-base")
    held = order(hotpot, 51, "ice-jelly")
    only(hotpot, first, held)
    hotpot.shown.pop(held)
    hotpot.write()
    at_stations(hotpot, first, "broth")
    verdict = judge_run(hotpot.path)
    assert (verdict.counts["lost"], verdict.counts["late"]) == (0, 0)
    assert [times.shown.count for times in verdict.audit.kitchen] == [1]
