"""Payments over HTTP: what a diner is told of them, and what the gateway is asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from refsystem.callback_messages import SIGNATURE_HEADER, sign
from refsystem.ordering.book_steps import OfflineLimits, PaymentRules
from refsystem.ordering.check_acts import derived_id

from .checks import CASHIER, QUICK, TABLE, closed, code, key, opened, told, until
from .conftest import GATEWAY_SECRET

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("tender", ["card", "wallet_code"])
def test_a_diner_pays_and_the_check_is_closed_when_the_gateway_has_captured_it(
    run_alone: Callable[..., None], tender: str
) -> None:
    async def conversation(alone: Any) -> None:
        check_id, attempt_id = await opened(alone), key()
        pay = {"check_id": check_id, "tender": tender, "amount_minor": 5900, "instrument": code()}
        answer = await alone.act(TABLE, "pay", attempt_id, **pay)
        assert answer.json()["result"]["attempt_id"] == attempt_id
        await closed(alone, check_id)
        assert "instrument" not in json.dumps((await alone.get(TABLE, f"/v1/checks/{check_id}")).json())
        async with httpx.AsyncClient(trust_env=False, base_url=alone.gateway_url) as gateway:
            payment = (await gateway.get(f"/v1/payments/{attempt_id}")).json()
        assert (payment["merchant"], payment["captured_minor"]) == ("s1", 5900)
        assert (await alone.client.get("/v1/status")).json()["payments_under_way"] == 0

    run_alone(conversation, limits=QUICK)


def test_a_payment_that_timed_out_after_success_is_asked_about_and_captured_once(
    run_alone: Callable[..., None],
) -> None:
    async def conversation(alone: Any) -> None:
        async with httpx.AsyncClient(trust_env=False, base_url=alone.gateway_url) as gateway:
            lost = [
                {"kind": "timeout_after", "share": 1.0, "ms": 5000, "times": 2, "operations": ["authorize", "capture"]}
            ]
            await gateway.put("/v1/operator/misbehaviour", json={"seed": 1, "rules": lost})
            check_id, attempt_id = await opened(alone), key()
            pay = {"check_id": check_id, "tender": "card", "amount_minor": 5900, "instrument": "card-1"}
            assert (await alone.act(CASHIER, "pay", attempt_id, **pay)).status_code == 201
            second = await alone.act(CASHIER, "pay", **pay | {"amount_minor": 1})
            assert told(second) == (409, "payment-pending")
            await closed(alone, check_id)
            ledger = (await gateway.get("/v1/audit/ledger")).json()["movements"]
            assert [(row["attempt_id"], row["kind"]) for row in ledger] == [(attempt_id, "capture")]
            struck = (await gateway.get("/v1/operator/misbehaviour")).json()["struck"]
            assert struck["timeout_after"] == 2

    run_alone(conversation, limits=QUICK)


def test_without_an_answer_a_card_is_stored_and_captured_when_the_gateway_is_back(
    run_alone: Callable[..., None],
) -> None:
    async def conversation(alone: Any) -> None:
        async with httpx.AsyncClient(trust_env=False, base_url=alone.gateway_url) as gateway:
            silent = [{"kind": "timeout_before", "share": 1.0, "ms": 5000}]
            await gateway.put("/v1/operator/misbehaviour", json={"seed": 1, "rules": silent})
            check_id, too_much = await opened(alone), await opened(alone)
            book, pay = alone.driver.device.book, {"tender": "card", "amount_minor": 5900, "instrument": "card-1"}
            usual, book.rules = book.rules, PaymentRules(OfflineLimits(payment_minor_max=5_899))
            assert (await alone.act(CASHIER, "pay", check_id=too_much, **pay)).status_code == 201

            async def needs_a_person() -> bool:
                check = (await alone.get(CASHIER, f"/v1/checks/{too_much}")).json()
                (payment,) = check["payments"]
                return payment["state"] == "pending" and (payment["attention"] or {}).get("code") == "offline-limit"

            await until(needs_a_person, "the till is told why it waits")
            listed = (await alone.get(CASHIER, "/v1/checks")).json()["checks"]
            (why,) = [payment["attention"] for check in listed for payment in check["payments"]]
            assert ("over what may be taken on trust" in why["text"], "上限" in why["text_zh"]) == (True, True)
            book.rules = usual
            assert (await alone.act(CASHIER, "pay", check_id=check_id, **pay)).status_code == 201
            await closed(alone, check_id)
            (payment,) = alone.driver.device.book.check(check_id).payments
            assert payment.state == "stored"
            await gateway.delete("/v1/operator/misbehaviour")

            async def captured() -> bool:
                return bool(alone.driver.device.book.check(check_id).payments[0].state == "captured")

            await until(captured, "what was stored is captured")

    run_alone(conversation, limits=QUICK)


def test_a_callback_that_is_not_the_gateways_is_refused_and_its_word_is_never_believed(
    run_alone: Callable[..., None],
) -> None:
    async def conversation(alone: Any) -> None:
        check_id = await opened(alone)
        body = json.dumps({"payment": {"attempt_id": key(), "status": "captured"}, "dispute": None}).encode()
        path = "/v1/callbacks/gateway"
        assert told(await alone.client.post(path, content=body)) == (401, "token-invalid")
        signed = {SIGNATURE_HEADER: sign(GATEWAY_SECRET, int(time.time()), body)}
        assert (await alone.client.post(path, content=body, headers=signed)).status_code == 204
        assert told(await alone.client.post(path, content=body + b" ", headers=signed)) == (401, "token-invalid")
        other = b"[]"
        signed = {SIGNATURE_HEADER: sign(GATEWAY_SECRET, int(time.time()), other)}
        assert told(await alone.client.post(path, content=other, headers=signed)) == (422, "order-invalid")
        assert alone.driver.device.book.check(check_id).payments == ()

    run_alone(conversation, limits=QUICK)


def test_a_lost_dispute_is_taken_only_when_it_is_in_the_log(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        async with httpx.AsyncClient(trust_env=False, base_url=alone.gateway_url) as gateway:
            check_id, attempt_id = await opened(alone), key()
            pay = {"check_id": check_id, "tender": "card", "amount_minor": 5900, "instrument": "card-1"}
            await alone.act(CASHIER, "pay", attempt_id, **pay)
            await closed(alone, check_id)
            dispute_id = key()
            disputed = {"attempt_id": attempt_id, "amount_minor": 5900, "reason": "not me"}
            answer = await gateway.post("/v1/operator/disputes", json=disputed, headers={"Idempotency-Key": dispute_id})
            assert answer.status_code == 200
            ruling = f"/v1/operator/disputes/{dispute_id}/rulings"
            await gateway.post(ruling, json={"winner": "payer"}, headers={"Idempotency-Key": key()})
            body = json.dumps({"payment": {"attempt_id": attempt_id}, "dispute": {"dispute_id": dispute_id}}).encode()
            statuses: list[int] = []

            async def taken() -> bool:
                headers = {SIGNATURE_HEADER: sign(GATEWAY_SECRET, int(time.time()), body)}
                posted = await alone.client.post("/v1/callbacks/gateway", content=body, headers=headers)
                statuses.append(posted.status_code)
                return statuses[-1] == 204

            await until(taken, "the callback is taken")
            assert statuses[0] == 503
            (payment,) = alone.driver.device.book.check(check_id).payments
            assert payment.state == "charged_back"
            assert alone.driver.device.book.check(check_id).status == "closed"

    run_alone(conversation, limits=QUICK)


def test_nobody_outside_can_take_a_key_that_the_store_will_need(run_alone: Any) -> None:
    """The key of the outcome of a payment follows from its id, which the payer chose: an order under it was money unrecorded."""

    async def conversation(alone: Any) -> None:
        check_id, attempt = key(), key()
        await alone.post(check_id)
        for outcome in ("captured", "unwanted", "stored"):
            assert told(await alone.post(derived_id(attempt, outcome))) == (400, "key-missing")
            assert told(await alone.act(CASHIER, "close", derived_id(attempt, outcome), check_id=check_id))[0] == 400
        a_check = derived_id(attempt, "part/1")
        assert told(await alone.post(key(), TABLE, check_id=a_check, table="7")) == (422, "order-invalid")
        pay = {"check_id": check_id, "tender": "wallet_code", "amount_minor": 5_900, "instrument": code()}
        assert (await alone.act(CASHIER, "pay", attempt, **pay)).status_code == 201

        async def captured() -> bool:
            check = (await alone.get(CASHIER, f"/v1/checks/{check_id}")).json()
            return [payment["state"] for payment in check["payments"]] == ["captured"]

        await until(captured, "the payment is recorded")

    run_alone(conversation, limits=QUICK)
