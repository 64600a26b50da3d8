"""The gateway as a process, over real sockets: what a merchant asks, and what it is told."""

from __future__ import annotations

import json
import socket
import uuid

import pytest

from refsystem.callback_messages import is_genuine, sign
from refsystem.partners.payment_gateway.__main__ import main

from .conftest import SECRET, GatewayProcess, new_id, wait_until

PREFIX = "urn:rushproof:problem:"


def kind(answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].removeprefix(PREFIX)


def movements(gateway: GatewayProcess, attempt_id: str) -> list[tuple[str, int]]:
    return [(row["kind"], row["amount_minor"]) for row in gateway.ledger() if row["attempt_id"] == attempt_id]


def test_a_card_is_authorized_captured_and_refunded_and_the_ledger_says_so(gateway):
    attempt_id = new_id()
    told = gateway.authorize(attempt_id, 5000, reference="check 17")
    assert (told.status_code, told.json()["status"]) == (200, "succeeded")
    assert gateway.payment(attempt_id)["status"] == "authorized"
    assert movements(gateway, attempt_id) == []
    assert gateway.capture(attempt_id, 4800).json()["amount_minor"] == 4800
    assert gateway.refund(attempt_id, 800).status_code == 200
    payment = gateway.payment(attempt_id)
    assert (payment["captured_minor"], payment["refunded_minor"], payment["version"]) == (4800, 800, 3)
    rows = [row for row in gateway.ledger() if row["attempt_id"] == attempt_id]
    assert [row["kind"] for row in rows] == ["capture", "refund"]
    assert {row["reference"] for row in rows} == {"check 17"}
    assert rows[0]["postings"] == [
        {"account": "merchant:s1", "amount_minor": 4800},
        {"account": "payer:card", "amount_minor": -4800},
    ]


def test_the_same_id_and_content_gets_the_same_answer_and_other_content_is_refused(gateway):
    attempt_id, capture_id = new_id(), new_id()
    for path in ("authorize", "capture"):
        if path == "authorize":
            first, again = gateway.authorize(attempt_id), gateway.authorize(attempt_id)
            other = gateway.authorize(attempt_id, 5001)
        else:
            first, again = (gateway.capture(attempt_id, key=capture_id) for _ in range(2))
            other = gateway.capture(attempt_id, 4999, key=capture_id)
        assert again.content == first.content
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert kind(other) == (422, "key-reused")
    assert kind(gateway.capture(attempt_id)) == (409, "already-captured")
    assert kind(gateway.refund(attempt_id, 1, key=capture_id)) == (422, "key-reused")
    assert movements(gateway, attempt_id) == [("capture", 5000)]


def test_a_wallet_payment_is_pending_until_the_diner_confirms(gateway):
    attempt_id = new_id()
    told = gateway.sale(attempt_id)
    assert (told.status_code, told.json()["status"]) == (202, "pending")
    wait_until(lambda: gateway.payment(attempt_id)["status"] == "captured", "the diner confirms")
    assert gateway.sale(attempt_id).json()["status"] == "succeeded"
    assert movements(gateway, attempt_id) == [("capture", 5000)]
    spent = gateway.sale(new_id(), payment_code=gateway_code(attempt_id))
    assert (spent.json()["status"], spent.json()["decline_code"]) == ("declined", "payment-code-used")


def gateway_code(attempt_id: str) -> str:
    return str(uuid.UUID(attempt_id).int)[:18]


def test_a_payment_that_was_reversed_before_it_came_is_declined_when_it_comes(gateway):
    attempt_id, reversal_id = new_id(), new_id()
    assert gateway.reverse(attempt_id, reversal_id).json()["status"] == "succeeded"
    late = gateway.authorize(attempt_id)
    assert (late.json()["status"], late.json()["decline_code"]) == ("declined", "reversed")
    assert kind(gateway.capture(attempt_id)) == (409, "state-forbids")
    assert gateway.reverse(attempt_id, reversal_id).headers["Idempotency-Replayed"] == "true"
    assert movements(gateway, attempt_id) == []


def test_a_reversal_releases_or_returns_all_and_can_be_said_twice(gateway):
    held, taken = new_id(), gateway.captured(700)
    gateway.authorize(held)
    assert gateway.reverse(held).json()["amount_minor"] == 0
    assert gateway.reverse(taken).json()["amount_minor"] == 700
    assert gateway.reverse(taken).json()["amount_minor"] == 0
    assert movements(gateway, held) == []
    assert movements(gateway, taken) == [("capture", 700), ("reversal", 700)]
    partly = gateway.captured(700)
    gateway.refund(partly, 1)
    assert kind(gateway.reverse(partly)) == (409, "reverse-refused")


@pytest.mark.slow
def test_a_wallet_payment_is_not_reversed_at_once(tmp_path):
    gateway = GatewayProcess(tmp_path, RUSHPROOF_TIME_SCALE="20", RUSHPROOF_GATEWAY_WALLET_SECONDS="0")
    try:
        gateway.start()
        attempt_id = new_id()
        assert gateway.sale(attempt_id).json()["status"] == "succeeded"
        assert kind(gateway.reverse(attempt_id)) == (409, "reverse-too-early")
        reversed_ = wait_until(lambda: _ok(gateway.reverse(attempt_id)), "15 s of business time have passed")
        assert reversed_.json()["amount_minor"] == 5000
        assert movements(gateway, attempt_id) == [("capture", 5000), ("reversal", 5000)]
    finally:
        gateway.close()


def _ok(answer):
    return answer if answer.status_code == 200 else None


def test_shares_are_split_off_within_the_limit_and_returned_before_a_refund(gateway):
    attempt_id = gateway.captured(10_000)
    split = f"/v1/payments/{attempt_id}/splits"
    shares = [{"party": "platform", "amount_minor": 1000}, {"party": "brand", "amount_minor": 2000}]
    assert kind(gateway.ask(split, shares=[{"party": "brand", "amount_minor": 3001}])) == (409, "split-too-large")
    assert gateway.ask(split, shares=shares).json()["amount_minor"] == 3000
    assert kind(gateway.ask(split, shares=[{"party": "brand", "amount_minor": 1}])) == (409, "split-too-large")
    assert kind(gateway.refund(attempt_id, 10_000)) == (409, "split-not-returned")
    back = f"/v1/payments/{attempt_id}/split-returns"
    assert kind(gateway.ask(back, shares=[{"party": "platform", "amount_minor": 1001}])) == (409, "return-too-large")
    assert gateway.ask(back, shares=shares).status_code == 200
    assert gateway.refund(attempt_id, 10_000).status_code == 200
    assert kind(gateway.refund(attempt_id, 1)) == (409, "refund-too-large")
    assert [name for name, _ in movements(gateway, attempt_id)] == ["capture", "split", "split_return", "refund"]


def test_a_dispute_takes_the_money_until_it_is_ruled(gateway):
    won, lost, ignored = (gateway.captured(900) for _ in range(3))
    for attempt_id, winner in ((won, "merchant"), (lost, "payer")):
        dispute_id = new_id()
        body = {"attempt_id": attempt_id, "amount_minor": 900, "reason": "never ate there"}
        assert gateway.ask("/v1/operator/disputes", dispute_id, **body).status_code == 200
        assert kind(gateway.refund(attempt_id, 1)) == (409, "refund-too-large")
        answer = f"/v1/disputes/{dispute_id}/answers"
        assert gateway.ask(answer, accept=False, evidence="signed slip").status_code == 200
        assert kind(gateway.ask(answer, accept=True)) == (409, "dispute-closed")
        ruled = gateway.ask(f"/v1/operator/disputes/{dispute_id}/rulings", winner=winner)
        assert ruled.status_code == 200
        assert gateway.client.get(f"/v1/disputes/{dispute_id}").json()["status"] == (
            "won" if winner == "merchant" else "lost"
        )
    assert gateway.payment(won)["disputed_minor"] == 0
    assert movements(gateway, lost)[1:] == [("dispute_opened", 900), ("dispute_lost", 900)]
    gateway.ask("/v1/operator/disputes", attempt_id=ignored, amount_minor=900)
    assert gateway.payment(ignored)["disputed_minor"] == 900
    balances = gateway.client.get("/v1/audit/balances").json()
    assert balances["sum_minor"] == 0
    assert balances["balances"]["disputed"] == 900


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amount_minor": 0}, "payment-invalid"),
        ({"amount_minor": 1.0}, "payment-invalid"),
        ({"amount_minor": "5"}, "payment-invalid"),
        ({"amount_minor": 5_000_001}, "amount-over-limit"),
        ({"currency": "EUR"}, "payment-invalid"),
        ({"merchant": "a b"}, "payment-invalid"),
        ({"card_token": ""}, "payment-invalid"),
        ({"tip": 1}, "payment-invalid"),
        ({"reference": "\ud800"}, "payment-invalid"),
    ],
)
def test_what_is_not_well_formed_is_refused_and_leaves_no_trace(gateway, changes, expected):
    attempt_id = new_id()
    body = {"merchant": "s1", "amount_minor": 5000, "card_token": "card-1", **changes}
    headers = {"Idempotency-Key": attempt_id, "Content-Type": "application/json"}
    answer = gateway.client.post("/v1/authorizations", content=json.dumps(body), headers=headers)
    assert kind(answer) == (422, expected)
    assert answer.json()["definite"] is True
    assert kind(gateway.client.get(f"/v1/payments/{attempt_id}")) == (404, "payment-unknown")
    assert gateway.authorize(attempt_id).json()["status"] == "succeeded"


def test_a_key_that_is_no_uuid_is_refused(gateway):
    assert kind(gateway.authorize("17")) == (400, "key-missing")
    assert kind(gateway.client.post("/v1/authorizations", json={})) == (422, "payment-invalid")
    assert kind(gateway.client.get("/v1/payments/17")) == (422, "request-invalid")


def test_the_ledger_is_read_in_pages_that_together_are_all_of_it(gateway):
    for _ in range(3):
        gateway.captured(10)
    whole = gateway.ledger()
    assert len(whole) >= 3
    assert gateway.ledger(limit=2) == whole
    assert all(sum(posting["amount_minor"] for posting in row["postings"]) == 0 for row in whole)


def test_callbacks_are_signed_and_told_again_until_they_are_taken(gateway, merchant):
    store = f"s-{new_id()}"
    assert gateway.client.put(f"/v1/merchants/{store}/callback", json={"url": "ftp://x"}).status_code == 422
    gateway.client.put(f"/v1/merchants/{store}/callback", json={"url": merchant.url}).raise_for_status()
    merchant.answers = [500, 503]
    attempt_id = new_id()
    gateway.authorize(attempt_id, merchant=store)
    wait_until(lambda: len(merchant.received) == 3, "the third try")
    body, signature, raw = merchant.received[-1]
    assert merchant.events == ["payment.authorized"] * 3
    assert body["payment"]["attempt_id"] == attempt_id
    at_s = int(signature.removeprefix("t=").partition(",")[0])
    assert is_genuine(SECRET, signature, raw, at_s)
    assert not is_genuine(SECRET, signature, raw + b" ", at_s)
    assert not is_genuine(SECRET, signature, raw, at_s + 301)
    assert not is_genuine(SECRET, sign(b"another secret", at_s, raw), raw, at_s)
    row = wait_until(lambda: _taken(gateway, store), "it is noted as taken")
    assert (row["tries"], row["delivered"], row["due_at_us"]) == (3, 1, None)


def test_a_dispute_is_told_by_its_own_id_whoever_closes_it(gateway, merchant):
    store = f"s-{new_id()}"
    gateway.client.put(f"/v1/merchants/{store}/callback", json={"url": merchant.url}).raise_for_status()
    attempt_id, dispute_id = new_id(), new_id()
    gateway.authorize(attempt_id, merchant=store)
    gateway.capture(attempt_id)
    gateway.ask("/v1/operator/disputes", dispute_id, attempt_id=attempt_id, amount_minor=5000).raise_for_status()
    gateway.ask(f"/v1/disputes/{dispute_id}/answers", accept=True).raise_for_status()
    wait_until(lambda: {"dispute.opened", "dispute.accepted"} <= set(merchant.events), "both are told")
    told = [body["dispute"] for body, _, _ in merchant.received if body["event"].startswith("dispute")]
    assert {(dispute["dispute_id"], dispute["attempt_id"]) for dispute in told} == {(dispute_id, attempt_id)}


def _taken(gateway: GatewayProcess, store: str):
    rows = gateway.client.get("/v1/audit/callbacks", params={"limit": 5000}).json()["callbacks"]
    return next((row for row in rows if row["merchant"] == store and row["delivered"]), None)


def test_openapi_tells_every_refusal_and_the_metrics_count(gateway):
    paths = gateway.client.get("/openapi.json").json()["paths"]
    refund = paths["/v1/payments/{attempt_id}/refunds"]["post"]["responses"]
    assert {"200", "202", "400", "404", "409", "422", "500", "503", "504"} <= set(refund)
    for refusal in ("refund-too-large", "split-not-returned", "state-forbids"):
        assert refusal in refund["409"]["description"]
    assert "application/problem+json" in refund["504"]["content"]
    gateway.captured()
    text = gateway.client.get("/metrics").text
    assert 'rushproof_gateway_requests_total{operation="capture",status="succeeded"}' in text


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RUSHPROOF_GATEWAY_SECRET_FILE": "/nowhere"}, "RUSHPROOF_GATEWAY_SECRET_FILE: /nowhere cannot be read"),
        ({"RUSHPROOF_GATEWAY_PORT": "0"}, "RUSHPROOF_GATEWAY_PORT must be a port"),
        ({"RUSHPROOF_TIME_SCALE": "0"}, "RUSHPROOF_TIME_SCALE must be a number from"),
        (
            {"RUSHPROOF_GATEWAY_MISBEHAVIOUR": '{"rules":[{"kind":"nap"}]}'},
            "RUSHPROOF_GATEWAY_MISBEHAVIOUR: rules.0.kind",
        ),
        ({"RUSHPROOF_GATEWAY_DATA": ""}, "RUSHPROOF_GATEWAY_DATA"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_code_2(tmp_path, changes, named, monkeypatch, capsys):
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123456789abcdef")
    good = {"RUSHPROOF_GATEWAY_DATA": str(tmp_path), "RUSHPROOF_GATEWAY_SECRET_FILE": str(secret)}
    for name, value in (good | changes).items():
        monkeypatch.setenv(name, value)
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith("the payment gateway cannot start: ")
    assert named in said
    assert "Traceback" not in said


def test_a_folder_or_a_port_that_cannot_be_used_is_one_sentence_too(tmp_path, monkeypatch, capsys):
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123456789abcdef")
    monkeypatch.setenv("RUSHPROOF_GATEWAY_SECRET_FILE", str(secret))
    monkeypatch.setenv("RUSHPROOF_GATEWAY_DATA", str(secret))
    assert main() == 2
    assert "File exists" in capsys.readouterr().err
    damaged = tmp_path / "data"
    damaged.mkdir()
    (damaged / "gateway.sqlite3").write_bytes(b"not a database" * 100)
    monkeypatch.setenv("RUSHPROOF_GATEWAY_DATA", str(damaged))
    assert main() == 2
    assert "not a database" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("RUSHPROOF_GATEWAY_DATA", str(tmp_path / "good"))
        monkeypatch.setenv("RUSHPROOF_GATEWAY_PORT", str(taken.getsockname()[1]))
        assert main() == 2
    assert "cannot listen on" in capsys.readouterr().err
