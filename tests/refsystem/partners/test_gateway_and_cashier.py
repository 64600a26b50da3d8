"""The store's cashier (P16) against the gateway's process: its calls over real sockets, under misbehaviour and kills."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from refsystem.gateway_messages import COUPON_TENDERS, GATEWAY_TENDERS, REFUSALS, SUCCEEDED, answer_of, request_of
from refsystem.ordering.book import Book
from refsystem.ordering.book_steps import OfflineLimits, PaymentRules
from refsystem.ordering.check_acts import Act, CancelPayment, Comp, Content, GiveRefund, Pay, Reopen
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.ordering.payment import PaymentState, RefundState
from refsystem.partners.payment_gateway import problems
from refsystem.protocol.downlink import order_record
from refsystem.protocol.payment_calls import Answer, Call, CashierLimits, Op, Result
from refsystem.protocol.payments import Cashier

from .conftest import PATIENCE_S, GatewayProcess, mix, new_id

RULES = PaymentRules(OfflineLimits(0, 0), (("platform", 600), ("brand", 300)))
LIMITS = CashierLimits(
    wallet_stop_ms=10_000,
    reverse_after_ms=20,
    call_timeout_ms=400,
    retry_ms=10,
    retry_max_ms=80,
    ask_again_ms=20,
    offline_after_ms=60_000,
    # As many calls as the till has threads: one that waits for a thread longer than its time-out is never answered in time.
    calls_max=4,
)


class Till:
    """One device without a standby: what is logged is committed; calls are made by threads and answered when they are."""

    def __init__(self, gateway: GatewayProcess, limits: CashierLimits = LIMITS) -> None:
        self._limits = limits
        self.gateway = gateway
        self.log: list[dict[str, Any]] = []
        self.goals: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(2 * limits.calls_max)
        self.restart()

    def restart(self) -> None:
        """A new life: only the log is known."""
        self.book = Book(DEMO_MENU, RULES)
        for seq, record in enumerate(self.log, 1):
            self.book.apply(seq, record)
        self.cashier = Cashier(self.book, self._limits)
        self.cashier.lead(1)
        self._calls: list[tuple[Call, Future[Answer]]] = []

    def close(self) -> None:
        self._threads.shutdown()

    def append(self, record: dict[str, Any]) -> None:
        self.log.append(record)
        self.book.apply(len(self.log), record)

    def do(self, content: Content) -> str:
        act = Act(new_id(), "Li", content)
        self.append(self.book.decide(act, now_ms()))
        return act.act_id

    def sell(self, tender: str, instrument: str) -> str:
        items = (("mapo-tofu", 2),)
        order_id = new_id()
        record = order_record(Order(order_id, "qr", "4", items, DEMO_MENU.total_minor(items)), "edge")
        record["check_id"] = self.book.order_check(order_id)
        self.append(record)
        return self.do(Pay(order_id, tender, DEMO_MENU.total_minor(items), 0, instrument))  # type: ignore[arg-type]

    def turn(self) -> None:
        for call, answer in [each for each in self._calls if each[1].done()]:
            self._calls.remove((call, answer))
            self.goals[f"{call.op} {answer.result().result}"] += 1
            self.cashier.answered(call.call_id, answer.result(), now_ms())
        ready = self.cashier.take_ready(len(self.log), now_ms())
        for act in ready.acts:
            self.append(self.book.decide(act, now_ms()))
        self._calls += [(call, self._threads.submit(self._make, call)) for call in ready.calls]

    def run_until(self, condition, what: str) -> None:
        deadline_s = time.monotonic() + 2 * PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited in vain: {what}; {self.goals}"
            self.turn()
            time.sleep(0.002)

    def settled(self) -> bool:
        return not self.book.at_gateway()

    def _make(self, call: Call) -> Answer:
        request = request_of(call, "s1")
        headers = {"Idempotency-Key": request.key} if request.key else None
        try:
            answer = self.gateway.client.request(
                request.method, request.path, json=request.body, headers=headers, timeout=call.timeout_ms / 1000
            )
        except httpx.HTTPError:
            return Answer(Result.NO_ANSWER)
        return answer_of(call, answer.status_code, answer.json())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def moved(gateway: GatewayProcess, attempt_id: str) -> dict[str, int]:
    rows = [row for row in gateway.ledger() if row["attempt_id"] == attempt_id]
    kinds = Counter(row["kind"] for row in rows)
    assert kinds["capture"] <= 1
    assert kinds["reversal"] <= 1
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["kind"]] = sums.get(row["kind"], 0) + row["amount_minor"]
    return sums


def test_a_card_and_a_wallet_code_are_taken_split_and_given_back(gateway):
    till = Till(gateway)
    try:
        card, wallet = till.sell("card", "card-1"), till.sell("wallet_code", f"{random.getrandbits(56):018d}")
        till.run_until(till.settled, "both are settled")
        for attempt_id in (card, wallet):
            payment = till.book.payment(attempt_id)
            assert payment.state is PaymentState.CAPTURED
            assert moved(gateway, attempt_id) == {"capture": 5600, "split": 336 + 168}
        check_id = till.book.check_of_payment(card).check_id
        till.do(Reopen(check_id, "cold"))
        refund_id = till.do(GiveRefund(card, 2800, "cold"))
        till.do(Comp(check_id, check_id, 0, 1, "cold"))
        till.run_until(till.settled, "the refund is done")
        _, payment = till.book.check_of_refund(refund_id)
        assert [refund.state for refund in payment.refunds] == [RefundState.DONE]
        assert moved(gateway, card)["refund"] == 2800
        assert "split_return" in moved(gateway, card)
    finally:
        till.close()


def test_what_the_gateway_can_never_take_is_declined(gateway):
    till = Till(gateway)
    try:
        bad_code = till.sell("wallet_code", "no digits")
        till.run_until(till.settled, "it is settled")
        assert till.book.payment(bad_code).state is PaymentState.DECLINED
        assert moved(gateway, bad_code) == {}
    finally:
        till.close()


@pytest.mark.parametrize(
    ("op", "status", "body", "result"),
    [
        (Op.QUERY, 404, {"type": "urn:rushproof:problem:payment-unknown", "definite": True}, Result.UNKNOWN),
        (Op.CAPTURE, 404, {"type": "urn:rushproof:problem:payment-unknown", "definite": True}, Result.REFUSED),
        (Op.REVERSE, 409, {"type": "urn:rushproof:problem:reverse-too-early", "definite": True}, Result.REFUSED),
        (Op.REVERSE, 409, {"type": "urn:rushproof:problem:reverse-too-late", "definite": True}, Result.IRREVERSIBLE),
        (Op.REFUND, 409, {"type": "urn:rushproof:problem:split-not-returned", "definite": True}, Result.REFUSED),
        (Op.REFUND, 409, {"type": "urn:rushproof:problem:refund-too-large", "definite": True}, Result.DECLINED),
        (Op.CAPTURE, 503, {"type": "urn:rushproof:problem:overloaded", "definite": True}, Result.REFUSED),
        (Op.CAPTURE, 503, {"type": "urn:rushproof:problem:outcome-unknown", "definite": False}, Result.NO_ANSWER),
        (Op.CAPTURE, 500, {"definite": True}, Result.NO_ANSWER),
        (Op.CAPTURE, 404, None, Result.NO_ANSWER),
        (Op.CAPTURE, 200, [], Result.NO_ANSWER),
        (Op.CAPTURE, 200, {"attempt_id": "other", "status": "succeeded"}, Result.NO_ANSWER),
        (Op.QUERY, 200, {"attempt_id": "a", "status": "expired"}, Result.DECLINED),
        (Op.QUERY, 200, {"attempt_id": "a", "status": "new"}, Result.NO_ANSWER),
        (Op.SALE, 202, {"attempt_id": "a", "status": "pending"}, Result.WAITING),
        (Op.SALE, 200, {"attempt_id": "a", "status": "declined", "decline_code": "reversed"}, Result.REVERSED),
    ],
)
def test_an_answer_means_what_the_cashier_expects(op, status, body, result):
    assert answer_of(Call(1, op, "a", "k", "card"), status, body).result is result


def test_every_call_but_a_query_has_a_meaning_of_success_and_refusals_are_the_gateways_own():
    assert set(SUCCEEDED) == set(Op) - {Op.QUERY}
    slugs = {problem.slug for problem in vars(problems).values() if hasattr(problem, "slug")}
    assert {slug for _, slug in REFUSALS} <= slugs
    with pytest.raises(AssertionError, match="cash"):
        request_of(Call(1, Op.SALE, "a", "k", "cash"), "s1")
    assert not GATEWAY_TENDERS & COUPON_TENDERS


@pytest.mark.slow
def test_under_misbehaviour_and_kills_the_log_and_the_ledger_say_the_same(tmp_path):
    """P16 with the real cashier: nothing is taken twice, and what the log says of each payment is what the ledger says."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    draws = random.Random(seed)
    rules = mix(
        ("slow", 0.1, 30),
        ("timeout_before", 0.1, 2000),
        ("timeout_after", 0.2, 2000),
        ("error_before", 0.1, 0),
        ("error_after", 0.1, 0),
        ("declined", 0.15, 0),
        ("unconfirmed", 0.2, 0),
        ("unknown", 0.4, 150),
    )
    gateway = GatewayProcess(tmp_path, RUSHPROOF_GATEWAY_WALLET_SECONDS="20")
    till = Till(gateway, replace(LIMITS, wallet_stop_ms=500))
    try:
        gateway.start()
        gateway.misbehave(*rules, seed=seed)
        attempts = [
            till.sell(*(("card", f"card-{number}") if number % 2 else ("wallet_code", f"{number:018d}")))
            for number in range(24)
        ]
        for attempt_id in attempts[::6]:
            till.do(CancelPayment(attempt_id, "the diner has left"))
        for kill in (draws.uniform(0.3, 1.0), draws.uniform(0.3, 1.0)):
            end_s = time.monotonic() + kill
            till.run_until(lambda end_s=end_s: time.monotonic() > end_s, "some time passes")
            till.restart()
            gateway.restart()
            gateway.misbehave(*rules, seed=seed)
        till.run_until(till.settled, "every payment is settled")
        gateway.behave()
        states: Counter[str] = Counter()
        for attempt_id in attempts:
            payment, money = till.book.payment(attempt_id), moved(gateway, attempt_id)
            states[payment.state] += 1
            net = money.get("capture", 0) - money.get("reversal", 0) - money.get("refund", 0)
            assert net == (5600 if payment.state is PaymentState.CAPTURED else 0), (payment, money)
            if payment.state is PaymentState.CAPTURED:
                assert money["split"] == 336 + 168
        assert gateway.client.get("/v1/audit/balances").json()["sum_minor"] == 0
        assert states[PaymentState.CAPTURED] >= 5, states
        assert states[PaymentState.DECLINED] + states[PaymentState.REVERSED] >= 5, states
        assert till.goals["capture no_answer"] + till.goals["authorize no_answer"] > 0
    finally:
        till.close()
        gateway.close()
