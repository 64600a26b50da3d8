"""A gateway that misbehaves on request: what its callers hear, and that its books stay right whatever they hear."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import httpx
import pytest

from .conftest import PATIENCE_S, GatewayProcess, Merchant, mix, new_id, wait_until

FAST_S = 0.3


def kinds(gateway: GatewayProcess, attempt_id: str) -> list[str]:
    return [row["kind"] for row in gateway.ledger() if row["attempt_id"] == attempt_id]


def test_a_time_out_after_success_has_captured_and_the_same_id_finds_out(gateway):
    attempt_id, capture_id = new_id(), new_id()
    gateway.authorize(attempt_id)
    gateway.misbehave({"kind": "timeout_after", "operations": ["capture"], "ms": 60_000, "times": 1})
    with pytest.raises(httpx.ReadTimeout):
        gateway.capture(attempt_id, key=capture_id, timeout_s=FAST_S)
    assert gateway.payment(attempt_id)["status"] == "captured"
    again = gateway.capture(attempt_id, key=capture_id)
    assert (again.json()["status"], again.headers["Idempotency-Replayed"]) == ("succeeded", "true")
    assert kinds(gateway, attempt_id) == ["capture"]
    assert gateway.behave()["timeout_after"] >= 1


def test_a_time_out_before_has_done_nothing(gateway):
    attempt_id = new_id()
    gateway.misbehave({"kind": "timeout_before", "operations": ["authorize"], "ms": 60_000, "times": 1})
    with pytest.raises(httpx.ReadTimeout):
        gateway.authorize(attempt_id, timeout_s=FAST_S)
    assert gateway.client.get(f"/v1/payments/{attempt_id}").status_code == 404
    gateway.behave()
    assert "Idempotency-Replayed" not in gateway.authorize(attempt_id).headers


def test_who_waits_long_enough_is_told_504_and_500_tells_nothing(gateway):
    for before, after, status in (("timeout_before", "timeout_after", 504), ("error_before", "error_after", 500)):
        for kind_, done in ((before, False), (after, True)):
            attempt_id = new_id()
            gateway.misbehave({"kind": kind_, "ms": 10, "operations": ["authorize"], "times": 1})
            told = gateway.authorize(attempt_id)
            assert (told.status_code, told.json()["definite"]) == (status, False)
            assert (gateway.client.get(f"/v1/payments/{attempt_id}").status_code == 200) == done
    gateway.behave()


def test_a_refusal_can_be_lost_like_any_answer(gateway):
    gateway.misbehave({"kind": "error_after", "operations": ["refund"], "times": 1})
    assert gateway.refund(new_id(), 5).status_code == 500
    gateway.behave()
    assert gateway.refund(new_id(), 5).status_code == 404


def test_unknown_for_a_while_although_the_same_id_is_known(gateway):
    attempt_id = new_id()
    gateway.misbehave({"kind": "unknown", "ms": 300})
    assert gateway.authorize(attempt_id).status_code == 200
    assert gateway.client.get(f"/v1/payments/{attempt_id}").status_code == 404
    assert gateway.client.get(f"/v1/requests/{attempt_id}").status_code == 404
    assert gateway.authorize(attempt_id).headers["Idempotency-Replayed"] == "true"
    wait_until(lambda: gateway.client.get(f"/v1/payments/{attempt_id}").status_code == 200, "the copy has caught up")
    assert gateway.client.get(f"/v1/requests/{attempt_id}").json()["status"] == "succeeded"
    assert gateway.behave()["unknown"] >= 2


def test_a_decline_is_final_and_a_share_of_them_is_drawn_from_the_seed(gateway):
    ids = [new_id() for _ in range(40)]
    gateway.misbehave({"kind": "declined", "share": 0.5, "operations": ["authorize"]}, seed=7)
    told = {attempt_id: gateway.authorize(attempt_id).json() for attempt_id in ids}
    counted = Counter(answer["status"] for answer in told.values())
    assert 8 <= counted["declined"] <= 32, "half of 40, within 3.8 standard deviations"
    stored = gateway.authorize(new_id(), stored_offline=True)
    assert stored.json()["status"] == "succeeded", "the rule is for others"
    struck = gateway.behave()["declined"]
    assert {attempt_id: gateway.authorize(attempt_id).json() for attempt_id in ids} == told
    assert gateway.behave()["declined"] == struck, "a repetition is not drawn again"
    declined = next(attempt_id for attempt_id in ids if told[attempt_id]["status"] == "declined")
    assert told[declined]["decline_code"] == "insufficient-funds"
    assert gateway.capture(declined).status_code == 409
    assert gateway.payment(declined)["decline_code"] == "insufficient-funds"


def test_a_diner_who_never_confirms_is_declined_in_the_end(gateway):
    attempt_id = new_id()
    gateway.misbehave({"kind": "unconfirmed", "times": 1})
    assert gateway.sale(attempt_id).json()["status"] == "pending"
    wait_until(lambda: gateway.payment(attempt_id)["status"] == "declined", "the wallet gives up")
    assert gateway.sale(attempt_id).json()["decline_code"] == "not-confirmed"
    assert kinds(gateway, attempt_id) == []
    gateway.behave()


def test_a_pending_payment_that_is_reversed_is_never_taken(gateway):
    attempt_id = new_id()
    gateway.misbehave({"kind": "unconfirmed"})
    gateway.sale(attempt_id)
    wait_until(lambda: gateway.reverse(attempt_id).status_code == 200, "it may be reversed")
    assert gateway.payment(attempt_id)["status"] == "reversed"
    told = gateway.sale(attempt_id).json()
    assert (told["status"], told["decline_code"]) == ("declined", "reversed")
    gateway.behave()


def callbacks_of(gateway: GatewayProcess) -> list[dict]:
    rows: list[dict] = gateway.client.get("/v1/audit/callbacks", params={"limit": 5000}).json()["callbacks"]
    return rows


def register(gateway: GatewayProcess, merchant: Merchant) -> str:
    store = f"s-{new_id()}"
    gateway.client.put(f"/v1/merchants/{store}/callback", json={"url": merchant.url}).raise_for_status()
    return store


def test_callbacks_come_twice_late_and_out_of_order(gateway, merchant):
    store = register(gateway, merchant)
    gateway.misbehave({"kind": "callback_twice", "times": 1})
    gateway.authorize(new_id(), merchant=store)
    wait_until(lambda: merchant.events == ["payment.authorized"] * 2, "it comes twice")
    assert merchant.received[0][0] == merchant.received[1][0]
    merchant.received.clear()

    gateway.misbehave({"kind": "callback_out_of_order", "times": 1, "ms": 60_000})
    attempt_id = new_id()
    gateway.authorize(attempt_id, merchant=store)
    gateway.capture(attempt_id)
    wait_until(lambda: len(merchant.received) == 2, "both came")
    assert merchant.events == ["payment.captured", "payment.authorized"]
    assert [body["payment"]["version"] for body, _, _ in merchant.received] == [2, 1]
    merchant.received.clear()

    gateway.misbehave({"kind": "callback_late", "times": 1, "ms": 400})
    gateway.authorize(new_id(), merchant=store)
    wait_until(lambda: merchant.received, "it comes late")
    late_id = merchant.received[0][0]["event_id"]
    row = wait_until(
        lambda: next((row for row in callbacks_of(gateway) if row["event_id"] == late_id and row["delivered"]), None),
        "it is noted as taken",
    )
    assert row["first_delivered_at_us"] - row["made_at_us"] >= 400_000
    struck = gateway.behave()
    assert min(struck[kind] for kind in ("callback_twice", "callback_out_of_order", "callback_late")) >= 1


def test_a_slow_gateway_waits_and_a_wrong_rule_is_named(gateway):
    gateway.misbehave({"kind": "slow", "ms": 300, "operations": ["query"], "times": 1})
    attempt_id = gateway.captured()
    with pytest.raises(httpx.ReadTimeout):
        gateway.client.get(f"/v1/payments/{attempt_id}", timeout=0.1)
    assert gateway.payment(attempt_id)["status"] == "captured"
    gateway.behave()
    answer = gateway.client.put("/v1/operator/misbehaviour", json={"rules": [{"kind": "slow", "share": 2}]})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:rushproof:problem:payment-invalid")
    assert "rules.0.share" in answer.json()["detail"]


@pytest.mark.slow
def test_under_any_mix_of_misbehaviour_and_kills_each_payment_is_taken_once_and_the_books_sum_to_zero(
    tmp_path, merchant
):
    """Callers that keep to P16 (the same id until the answer is final) end with exactly what they wanted."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    draws = random.Random(seed)
    rules = mix(
        ("slow", 0.1, 20),
        ("timeout_before", 0.15, 1000),
        ("timeout_after", 0.15, 1000),
        ("error_before", 0.1, 0),
        ("error_after", 0.1, 0),
        ("declined", 0.1, 0),
        ("unknown", 0.3, 200),
        ("callback_twice", 0.2, 0),
        ("callback_late", 0.2, 100),
        ("callback_out_of_order", 0.2, 100),
    )
    gateway = GatewayProcess(tmp_path)
    wanted: dict[str, str] = {}
    lock = threading.Lock()

    def asked(ask) -> dict:
        """Ask under one id until the answer is definite and final."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            try:
                answer = ask()
            except httpx.HTTPError:
                time.sleep(0.005)
                continue
            told = answer.json()
            if answer.status_code < 500 and told.get("status") != "pending" and "too-early" not in told.get("type", ""):
                return told
        raise AssertionError("no final answer")

    def one_payment(number: int, choice: float) -> None:
        attempt_id, capture_id, refund_id, reversal_id = (new_id() for _ in range(4))
        options = {"merchant": "s1", "timeout_s": 0.15}
        paths = f"/v1/payments/{attempt_id}"
        if number % 3 == 0:
            code = {"payment_code": f"{number:018d}"}
            taken = asked(lambda: gateway.ask("/v1/sales", attempt_id, amount_minor=1000, **code, **options))
        else:
            card = {"card_token": f"card-{number}"}
            taken = asked(lambda: gateway.ask("/v1/authorizations", attempt_id, amount_minor=1000, **card, **options))
            if taken["status"] == "succeeded":
                asked(lambda: gateway.ask(f"{paths}/captures", capture_id, 0.15, amount_minor=1000))
        end = taken["status"]
        if end == "succeeded" and choice < 0.3:
            asked(lambda: gateway.ask(f"{paths}/refunds", refund_id, 0.15, amount_minor=400))
            end = "refunded"
        elif choice < 0.5:
            asked(lambda: gateway.ask(f"{paths}/reversals", reversal_id, **options))
            end = "reversed" if end == "succeeded" else end
        with lock:
            wanted[attempt_id] = end

    def payments(part: list[tuple[int, float]]) -> None:
        for number, choice in part:
            one_payment(number, choice)

    try:
        gateway.start()
        gateway.client.put("/v1/merchants/s1/callback", json={"url": merchant.url}).raise_for_status()
        gateway.misbehave(*rules, seed=seed)
        work = [(number, draws.random()) for number in range(40)]
        threads = [threading.Thread(target=payments, args=(part,)) for part in (work[:20], work[20:])]
        for thread in threads:
            thread.start()
        for _ in range(2):
            threads[0].join(draws.uniform(0.5, 1.5))
            gateway.restart()
            gateway.misbehave(*rules, seed=seed)
        for thread in threads:
            thread.join()
        gateway.behave()
        assert len(wanted) == 40
        expected = {
            "succeeded": {"capture": 1000},
            "refunded": {"capture": 1000, "refund": 400},
            "reversed": {"capture": 1000, "reversal": 1000},
            "declined": {},
        }
        moved: dict[str, dict[str, int]] = {attempt_id: {} for attempt_id in wanted}
        for row in gateway.ledger(limit=7):
            assert row["kind"] not in moved[row["attempt_id"]], "moved twice"
            moved[row["attempt_id"]][row["kind"]] = row["amount_minor"]
        assert moved == {attempt_id: expected[end] for attempt_id, end in wanted.items()}
        assert gateway.client.get("/v1/audit/balances").json()["sum_minor"] == 0
        assert Counter(wanted.values()).keys() >= {"succeeded", "refunded", "reversed"}
        wait_until(lambda: all(row["delivered"] for row in callbacks_of(gateway)), "every callback is delivered")
    finally:
        gateway.close()
