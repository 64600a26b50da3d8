"""The clients' side of the remedies against overload: deadlines, budgets, and coming back one after another."""

from __future__ import annotations

import json
import random
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loadtests.client import Device
from loadtests.contract import Answer, ReferenceApi, Reply, Request, Trouble
from loadtests.plan import Retries, monotonic_us
from loadtests.retry_budget import CLIENT_REMEDIES, TOKENS, TOKENS_PER_S, Manners, RetryBudget
from refsystem.ordering.errors import NOT_PRIMARY, OVERLOADED
from refsystem.overload.remedies import REMEDIES

BUSY = Answer("fail", 503, OVERLOADED.slug, retry_after_ms=1_000)
AWAY = Answer("indefinite", problem="connection-lost")
ELSEWHERE = Answer("fail", 503, NOT_PRIMARY.slug)


@given(st.lists(st.integers(0, 5_000_000), max_size=60))
def test_a_budget_gives_no_more_than_it_has(pauses_us: list[int]) -> None:
    budget, now_us, taken = RetryBudget(), 7, 0
    for pause_us in pauses_us:
        now_us += pause_us
        taken += budget.take(now_us)
        assert taken <= TOKENS + (now_us - 7) * TOKENS_PER_S / 1e6 + 1e-6
    assert taken >= min(TOKENS, len(pauses_us))


def test_a_device_asks_again_while_it_has_tokens_and_is_sent_on_for_nothing() -> None:
    manners = Manners(CLIENT_REMEDIES, random.Random(1))
    assert all(manners.may_ask_again(ELSEWHERE, 0) for _ in range(10))
    assert [manners.may_ask_again(BUSY, 0) for _ in range(TOKENS + 1)] == [True] * TOKENS + [False]
    assert manners.may_ask_again(AWAY, round(1.01e6 / TOKENS_PER_S))


def test_a_request_says_for_how_long_its_answer_is_of_use() -> None:
    request = Request("POST", "/v1/orders", {"Idempotency-Key": "k"}, b"{}")
    marked = Manners(["deadline"], random.Random(1)).marked(request, 1_234_999)
    assert marked.headers == {"Idempotency-Key": "k", "X-Deadline-Ms": "1234"}
    assert (marked.path, marked.body) == (request.path, request.body)


def test_those_who_were_sent_away_or_cut_off_come_back_one_after_another() -> None:
    draw = random.Random(2)
    for answer, remedy, most in ((BUSY, "retry_after", 1.5), (AWAY, "paced_drain", 4.0)):
        pauses = [Manners([remedy], draw).pause_ms(1_000, answer) for _ in range(200)]
        assert min(pauses) >= 1_000
        assert max(pauses) <= most * 1_000
        assert max(pauses) - min(pauses) > 0.9 * (most - 1) * 1_000


def test_without_remedies_a_device_behaves_as_ever() -> None:
    manners, request = Manners((), random.Random(3)), Request("GET", "/v1/menu")
    assert manners.marked(request, 1_000_000) is request
    assert all(manners.may_ask_again(BUSY, 0) for _ in range(100))
    assert manners.pause_ms(150, BUSY) == manners.pause_ms(150, AWAY) == 150
    assert set(CLIENT_REMEDIES) < set(REMEDIES)


class Line:
    """A connection that answers every request alike, and keeps what was sent."""

    def __init__(self, reply: Reply | Trouble) -> None:
        self.sent: list[Request] = []
        self._reply = reply

    def exchange(self, request: Request, timeout_us: int) -> Reply | Trouble:
        self.sent.append(request)
        return self._reply


class Rows:
    """Rows that nobody keeps."""

    outcome = "fail"

    def invoke(self, kind: Any, intended_at_us: int) -> Any:
        return SimpleNamespace(act_id="", order_id="o")

    def complete(self, attempt: Any, answer: Answer) -> Any:
        return attempt


def test_a_device_with_remedies_sends_deadlines_and_stops_when_its_budget_is_used_up() -> None:
    said = json.dumps({"type": OVERLOADED.type}).encode()
    refused = Reply(503, {"retry-after": "0"}, said)

    def ask(remedies: Collection[str]) -> Line:
        line, draw = Line(refused), random.Random(4)
        device = Device(ReferenceApi(), "edge", ["http://edge"], 0, Retries(6, 1, 2), 700, draw, remedies)
        device._connections = [line]  # type: ignore[list-item]
        now_us = monotonic_us()
        answer = device.ask("order", Request("POST", "/v1/orders"), Rows(), now_us, now_us + 30_000_000)
        assert (answer.outcome, answer.problem) == ("fail", "overloaded")
        return line

    polite = ask(CLIENT_REMEDIES)
    assert len(polite.sent) == 1 + TOKENS
    assert {request.headers.get("X-Deadline-Ms") for request in polite.sent} == {"700"}
    rude = ask(())
    assert len(rude.sent) == 6
    assert {request.headers.get("X-Deadline-Ms") for request in rude.sent} == {None}
