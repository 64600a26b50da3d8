"""The diners' journeys over real sockets, driven in a process of their own by gevent, without Locust."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from loadtests.plan import Retries, StoreTargets, monotonic_us
from refsystem.ordering.errors import NOT_PRIMARY, OUTCOME_UNKNOWN, OVERLOADED, PRICE_CHANGED
from simulator.diners import marker, order_id
from simulator.history import Attempt

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from conftest import Ground, MakeDiner, ScriptedStack, Seen


def orders(history: list[Attempt]) -> list[Attempt]:
    return [attempt for attempt in history if attempt.kind == "order"]


def test_a_diner_looks_at_the_menu_orders_and_asks_until_served(ground: Ground, make_diner: MakeDiner) -> None:
    history = ground.drive([make_diner(0)])
    by_kind = {attempt.kind: attempt for attempt in history}
    assert list(by_kind) == ["menu", "order", "read"]
    assert all(attempt.outcome == "ok" for attempt in by_kind.values())
    order = by_kind["order"]
    assert (order.level, order.node_id, order.epoch, order.marker) == ("R2", "edge_a", 1, "rp-r1-0-0")
    assert by_kind["read"].served
    assert ground.stack.submissions[-1].body["note"] == "rp-r1-0-0"


def test_every_moment_comes_from_the_timetable(ground: Ground, make_diner: MakeDiner) -> None:
    diner = make_diner(0, at_us=30_000, think_us=40_000)
    history = ground.drive([diner])
    start_us = json.loads((ground.folder / "load.json").read_text())["start_us"]
    menu, order = history[0], orders(history)[0]
    assert menu.intended_at_us == start_us + 30_000
    assert order.intended_at_us == start_us + 70_000
    assert 0 <= menu.invoked_at_us - menu.intended_at_us < 100_000
    assert 0 <= order.invoked_at_us - order.intended_at_us < 100_000


def test_a_slow_menu_delays_the_order_but_not_its_intended_start(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    def slow_menu(stack: ScriptedStack, seen: Seen) -> Any:
        answer = stack.serve(seen)
        return act(answer.status, answer.document, after_s=0.3 if seen.path == "/v1/menu" else 0)

    ground.stack.behave = slow_menu
    (order,) = orders(ground.drive([make_diner(0, think_us=10_000)]))
    assert order.invoked_at_us - order.intended_at_us >= 280_000


def test_a_diner_whose_menu_never_loads_orders_all_the_same(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    ground.stack.behave = lambda stack, seen: act(None) if seen.path == "/v1/menu" else stack.serve(seen)
    history = ground.drive([make_diner(0, think_us=200_000)])
    assert {attempt.outcome for attempt in history if attempt.kind == "menu"} == {"indefinite"}
    assert [attempt.outcome for attempt in orders(history)] == ["ok"]


def test_diners_find_the_primary_from_either_device(ground: Ground, make_diner: MakeDiner) -> None:
    history = ground.drive([make_diner(number, at_us=number * 5000) for number in range(30)])
    assert {seen.device for seen in ground.stack.seen} == {"edge_a", "edge_b"}
    assert sum(attempt.outcome == "ok" for attempt in orders(history)) == 30
    assert {attempt.node_id for attempt in orders(history) if attempt.outcome == "ok"} == {"edge_a"}
    menus = [attempt for attempt in history if attempt.kind == "menu" and attempt.outcome == "fail"]
    assert menus, "no diner started at the standby"
    assert {attempt.problem for attempt in menus} == {"not-primary"}


def test_a_hint_to_an_unknown_place_is_not_followed(
    ground: Ground, make_diner: MakeDiner, refusal: Callable[..., Any]
) -> None:
    def hint_away(stack: ScriptedStack, seen: Seen) -> Any:
        return refusal(NOT_PRIMARY, "http://127.0.0.1:9") if seen.device == "edge_b" else stack.serve(seen)

    ground.stack.behave = hint_away
    history = ground.drive([make_diner(number) for number in range(10)])
    assert len({attempt.order_id for attempt in orders(history) if attempt.outcome == "ok"}) == 10
    assert {seen.device for seen in ground.stack.seen} == {"edge_a", "edge_b"}


@pytest.mark.parametrize(
    ("trouble", "outcome", "text"),
    [
        ("drop", "indefinite", "connection-lost"),
        ("hang", "indefinite", "timeout"),
        ("garbage", "indefinite", "reply-unreadable"),
    ],
)
def test_after_trouble_the_order_goes_to_the_other_device_under_the_same_key(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any], trouble: str, outcome: str, text: str
) -> None:
    def first_time_trouble(stack: ScriptedStack, seen: Seen) -> Any:
        if not seen.is_order or len(stack.submissions) > 1:
            return stack.serve(seen)
        acts = {"drop": act(None), "hang": act(201, after_s=30), "garbage": act(201, raw=b"SMTP 9\r\n\r\n")}
        return acts[trouble]

    ground.stack.behave = first_time_trouble
    attempts = orders(ground.drive([make_diner(0)]))
    assert [(attempt.outcome, attempt.problem) for attempt in attempts] == [(outcome, text), ("ok", None)]
    assert len({attempt.order_id for attempt in attempts}) == 1
    first, second = ground.stack.submissions
    assert first.key == second.key == attempts[0].order_id
    assert first.body == second.body
    assert first.device != second.device


def test_a_reply_cut_in_its_middle_is_indefinite(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    def cut(stack: ScriptedStack, seen: Seen) -> Any:
        if not seen.is_order or len(stack.submissions) > 1:
            return stack.serve(seen)
        return act(201, raw=b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{")

    ground.stack.behave = cut
    attempts = orders(ground.drive([make_diner(0)]))
    assert [attempt.outcome for attempt in attempts] == ["indefinite", "ok"]


def test_a_refused_connection_is_a_definite_failure(ground: Ground, make_diner: MakeDiner) -> None:
    nobody = StoreTargets(("http://127.0.0.1:1",))
    attempts = orders(ground.drive([make_diner(0)], targets={"s1": nobody}))
    assert {(attempt.outcome, attempt.problem) for attempt in attempts} == {("fail", "connection-refused")}
    assert len(attempts) == 4
    assert ground.metrics("progress-locust-0.json")["fail"] == 1


def test_the_other_statuses_leave_the_diner_at_the_device_and_wait_as_told(
    ground: Ground, make_diner: MakeDiner, refusal: Callable[..., Any]
) -> None:
    def busy_once(stack: ScriptedStack, seen: Seen) -> Any:
        busy = seen.is_order and len(stack.submissions) == 1
        return refusal(OVERLOADED, Retry_After="1") if busy else stack.serve(seen)

    ground.stack.behave = busy_once
    first, second = orders(ground.drive([make_diner(0)], retries=Retries(4, 20, 300)))
    assert (first.outcome, first.problem, second.outcome) == ("fail", "overloaded", "ok")
    assert len({seen.device for seen in ground.stack.submissions}) == 1
    assert first.completed_at_us is not None
    assert second.invoked_at_us - first.completed_at_us >= 300_000  # the hint says 1 s; the plan allows 0.3


def test_nobody_asks_again_after_a_refusal_of_the_order_itself(
    ground: Ground, make_diner: MakeDiner, refusal: Callable[..., Any]
) -> None:
    ground.stack.behave = lambda stack, seen: refusal(PRICE_CHANGED) if seen.is_order else stack.serve(seen)
    attempts = orders(ground.drive([make_diner(0, behaviour="reorders")]))
    assert [(attempt.outcome, attempt.problem) for attempt in attempts] == [("fail", "price-changed")]


def test_retries_are_bounded_by_their_number(
    ground: Ground, make_diner: MakeDiner, refusal: Callable[..., Any]
) -> None:
    ground.stack.behave = lambda stack, seen: refusal(OUTCOME_UNKNOWN)
    attempts = orders(ground.drive([make_diner(0)], retries=Retries(3, 10, 20)))
    assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
    assert ground.metrics("progress-locust-0.json")["indefinite"] == 1


def test_nobody_asks_beyond_patience(ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]) -> None:
    ground.stack.behave = lambda stack, seen: act(200, after_s=30)
    diner = make_diner(0, think_us=0, patience_us=900_000)
    attempts = orders(ground.drive([diner], retries=Retries(50, 10, 20)))
    deadline_us = attempts[0].intended_at_us + diner.patience_us
    assert len(attempts) in (1, 2)
    assert all(attempt.completed_at_us is not None for attempt in attempts)
    assert max(attempt.completed_at_us or 0 for attempt in attempts) < deadline_us + 100_000


def test_a_double_tap_sends_one_key_twice_at_once(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    def slow(stack: ScriptedStack, seen: Seen) -> Any:
        answer = stack.serve(seen)
        return act(answer.status, answer.document, after_s=0.2 if seen.is_order else 0)

    ground.stack.behave = slow
    attempts = orders(ground.drive([make_diner(0, behaviour="double_tap")]))
    assert [(attempt.attempt, attempt.outcome) for attempt in attempts] == [(1, "ok"), (2, "ok")]
    assert len({attempt.order_id for attempt in attempts}) == 1
    assert attempts[1].invoked_at_us < (attempts[0].completed_at_us or 0)
    assert len(ground.stack.submissions) == 2
    assert ground.metrics("progress-locust-0.json")["ok"] == 1


def test_two_doors_send_one_key_to_the_edge_and_to_the_cloud_at_once(ground: Ground, make_diner: MakeDiner) -> None:
    attempts = orders(ground.drive([make_diner(0, behaviour="two_doors")]))
    assert {attempt.level for attempt in attempts if attempt.outcome == "ok"} == {"R2", "RC"}
    assert len({attempt.order_id for attempt in attempts}) == 1
    bodies = {seen.device: seen.body for seen in ground.stack.submissions if seen.device != "edge_b"}
    assert bodies["cloud"].pop("store") == "s1"
    assert bodies["cloud"] == bodies["edge_a"]


def test_a_diner_at_two_doors_is_content_with_one_yes(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    ground.stack.behave = lambda stack, seen: act(None) if seen.device == "cloud" else stack.serve(seen)
    history = ground.drive([make_diner(0, behaviour="two_doors")])
    assert sum(seen.device == "cloud" for seen in ground.stack.submissions) == 1  # no retry after the edge said yes
    assert ground.metrics("progress-locust-0.json")["ok"] == 1
    assert any(attempt.kind == "read" and attempt.served for attempt in history)


def test_a_mini_program_keeps_to_the_cloud_whatever_happens(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    ground.stack.behave = lambda stack, seen: act(None) if seen.device == "cloud" else stack.serve(seen)
    attempts = orders(ground.drive([make_diner(0, channel="mini_program", table="pickup")]))
    assert {seen.device for seen in ground.stack.seen} == {"cloud"}
    assert [attempt.outcome for attempt in attempts] == ["indefinite"] * 4


def test_who_reorders_makes_a_second_order_under_the_same_intent(
    ground: Ground, make_diner: MakeDiner, refusal: Callable[..., Any]
) -> None:
    diner = make_diner(3, behaviour="reorders")

    def unknown_at_first(stack: ScriptedStack, seen: Seen) -> Any:
        return refusal(OUTCOME_UNKNOWN) if seen.is_order and len(stack.submissions) <= 4 else stack.serve(seen)

    ground.stack.behave = unknown_at_first
    attempts = orders(ground.drive([diner]))
    start_unix_ms = json.loads((ground.folder / "load.json").read_text())["start_unix_ms"]
    keys = [order_id(diner, start_unix_ms), order_id(diner, start_unix_ms, which=1)]
    assert [attempt.order_id for attempt in attempts] == [keys[0]] * 4 + [keys[1]]
    assert [uuid.UUID(key).version for key in keys] == [7, 7]
    assert {attempt.intent_id for attempt in attempts} == {"r1-3"}
    assert {attempt.marker for attempt in attempts} == {marker("r1", diner), marker("r1", diner, 1)}
    assert attempts[4].outcome == "ok"
    assert attempts[4].intended_at_us >= (attempts[3].completed_at_us or 0)
    assert ground.metrics("progress-locust-0.json")["ok"] == 1


def test_who_does_not_reorder_leaves_it_at_one_order(
    ground: Ground, make_diner: MakeDiner, refusal: Callable[..., Any]
) -> None:
    ground.stack.behave = lambda stack, seen: refusal(OUTCOME_UNKNOWN)
    history = ground.drive([make_diner(0)])
    assert len({attempt.order_id for attempt in orders(history)}) == 1
    assert not [attempt for attempt in history if attempt.kind == "read"]


def test_the_row_is_on_disk_before_the_server_sees_the_request(ground: Ground, make_diner: MakeDiner) -> None:
    early: list[Seen] = []

    def check(stack: ScriptedStack, seen: Seen) -> Any:
        rows = [json.loads(line) for line in (ground.folder / "history" / "locust-0.jsonl").read_text().splitlines()]
        invoked = [row for row in rows if row["event"] == "invoke"]
        if len(invoked) < len(stack.seen) or (seen.is_order and seen.key not in {row["order_id"] for row in invoked}):
            early.append(seen)
        return stack.serve(seen)

    ground.stack.behave = check
    history = ground.drive([make_diner(number, at_us=number * 3000) for number in range(20)])
    assert early == []
    assert len(ground.stack.seen) == len(history) == 60


def test_a_connection_closed_while_the_diner_thinks_is_opened_again(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    def close_after_each(stack: ScriptedStack, seen: Seen) -> Any:
        answer = stack.serve(seen)
        body = json.dumps(answer.document).encode()
        head = f"HTTP/1.1 {answer.status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        stack.close_next.add(seen.device)
        return act(answer.status, raw=head + body)

    ground.stack.behave = close_after_each
    history = ground.drive([make_diner(0, think_us=150_000)])
    assert [attempt.outcome for attempt in history] == ["ok", "ok", "ok"]


def test_a_start_beyond_the_limit_is_dropped_and_counted(
    ground: Ground, make_diner: MakeDiner, act: Callable[..., Any]
) -> None:
    def slow(stack: ScriptedStack, seen: Seen) -> Any:
        return act(200, stack.serve(seen).document, after_s=0.4)

    ground.stack.behave = slow
    ground.drive([make_diner(number, at_us=number * 1000) for number in range(10)], in_flight_max=4)
    metrics = ground.metrics("load-locust-0.json")
    assert (metrics["planned"], metrics["started"], metrics["dropped_starts"]) == (10, 4, 6)
    assert metrics["finished"]
    assert len({seen.key for seen in ground.stack.submissions}) == 4


def test_late_starts_are_counted(ground: Ground, make_diner: MakeDiner) -> None:
    diners = [make_diner(number, at_us=number * 1000) for number in range(8)]
    diners.append(make_diner(8, at_us=4_000_000))
    ground.drive(diners, start_us=monotonic_us() - 1_000_000)  # the load comes a second too late to its own start
    metrics = ground.metrics("load-locust-0.json")
    assert metrics["late_starts"] == 8
    assert metrics["lateness_ms_max"] >= 990
    assert (metrics["started"], metrics["dropped_starts"], metrics["late_after_ms"]) == (9, 0, 100)


def test_proxies_of_the_environment_are_never_used(
    ground: Ground, make_diner: MakeDiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert [attempt.outcome for attempt in orders(ground.drive([make_diner(0)]))] == ["ok"]


def test_who_orders_ahead_says_when_and_looks_only_from_then_on(ground: Ground, make_diner: MakeDiner) -> None:
    ahead = make_diner(0, channel="mini_program", table="pickup", pickup_us=600_000)
    history = ground.drive([ahead])
    plan = json.loads((ground.folder / "load.json").read_text())
    order, read = (next(row for row in history if row.kind == kind) for kind in ("order", "read"))
    at_s = (plan["start_unix_ms"] + 20 + 600) // 1000
    assert (order.table, ground.stack.submissions[-1].body["pickup_at_s"]) == ("pickup", at_s)
    assert read.invoked_at_us - order.intended_at_us >= 600_000
