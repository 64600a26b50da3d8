"""A whole drill of a restaurant's format. `tea_surge` and `fast_food_noon` are run by hand: a run takes a minute and a half."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from simulator.history import read_history

pytestmark = [pytest.mark.slow, pytest.mark.drill, pytest.mark.unhurried, pytest.mark.timeout(900)]


def test_a_holiday_evening_of_hotpot_passes_and_does_what_people_do(drill: Callable[..., Any]) -> None:
    result = drill("holiday_hotpot", "--retry-unknown", "2", timeout_s=800)
    assert result.exit_code == 0, result.explain()
    counts = result.verdict["counts"]
    assert counts["mischarged"] == counts["lost"] == counts["unbacked"] == 0, result.explain()
    history = read_history(result.folder / "history")
    done = Counter(row.act for row in history if row.kind == "act" and row.outcome == "ok")
    staff = ("eighty_six", "restore", "recall", "rush", "receive", "count", "waste")
    for act in ("pay", "fire", "split", "merge", "discount", *staff):
        assert done[act], f"nobody did {act}: {done}"
    edge = json.loads((result.folder / "reads" / "1" / "s1" / "edge_a.json").read_text(encoding="utf-8"))
    orders = [entry["record"] for entry in edge["entries"] if entry["record"]["kind"] == "order"]
    on_a_check = Counter(order.get("check_id") or order["order_id"] for order in orders)
    assert max(on_a_check.values()) > 3, "several people order on one check"
    tickets = json.loads((result.folder / "reads" / "1" / "s1" / "kitchen.json").read_text(encoding="utf-8"))["tickets"]
    kept = {entry["record"]["act_id"] for entry in edge["entries"] if entry["record"].get("act") in staff}
    assert {row.act_id for row in history if row.act in staff and row.outcome == "ok"} <= kept, "all told yes are kept"
    again = {row.order_id for row in history if row.act == "recall" and row.outcome == "ok"}
    assert again <= {ticket["order_id"] for ticket in tickets if ticket["bumped_at_us"]}, (
        "what was recalled is made again"
    )
    assert {ticket["station"] for ticket in tickets} == {"broth", "meat", "vegetables", "drinks"}
    assert max(ticket["version"] for ticket in tickets) > 1, "later courses are fired later"
    times = result.verdict["details"]["kitchen_ms_by_channel"]
    assert set(times) == {"qr", "waiter", "cashier"}
