"""Checks and payments over HTTP: who may do what, what is told, and the way to the payment gateway and back."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from refsystem.access import person_of, staff_token, table_token
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.order import parse_order

from .checks import CASHIER, FAR_S, MANAGER, OTHER_TABLE, QUICK, TABLE, WAITER, code, key, opened, told
from .conftest import ACCESS_SECRET, order_body


def test_a_token_is_worth_nothing_when_changed_in_another_store_or_too_late() -> None:
    assert person_of(ACCESS_SECRET, "s1", f"Bearer {TABLE}", 0).table == "7"
    body, _, signature = TABLE.partition(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**said, "table": "8"}).encode()).decode()
    ended = staff_token(ACCESS_SECRET, "s1", "Li", "manager", 10)
    for secret, header in (
        (ACCESS_SECRET, None),
        (ACCESS_SECRET, TABLE),
        (ACCESS_SECRET, f"Bearer {forged}.{signature}"),
        (ACCESS_SECRET, f"Bearer {body}.{signature[:-1]}"),
        (ACCESS_SECRET, "Bearer é.é"),
        (ACCESS_SECRET, f"Bearer {table_token(ACCESS_SECRET, 's2', '7')}"),
        (b"the secret of somebody else", f"Bearer {TABLE}"),
        (None, f"Bearer {TABLE}"),
    ):
        with pytest.raises(OrderRejected):
            person_of(secret, "s1", header, 0)
    assert person_of(ACCESS_SECRET, "s1", f"Bearer {ended}", 9).role == "manager"
    with pytest.raises(OrderRejected, match="ended"):
        person_of(ACCESS_SECRET, "s1", f"Bearer {ended}", 10)


def test_who_asks_again_is_answered_when_their_token_has_ended_meanwhile(
    run_alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was lost, the shift is over: a 401 would be a certain no to what the log has. What is new is 401."""

    async def conversation(alone: Any) -> None:
        ends = staff_token(ACCESS_SECRET, "s1", "Li", "cashier", int(time.time()) + 3600)
        order_id, act_id, on_check = key(), key(), {"table": "7"}
        first = await alone.post(order_id, ends, **on_check)
        pay = {"check_id": order_id, "tender": "cash", "amount_minor": 5900, "given_minor": 6000}
        paid = await alone.act(ends, "pay", act_id, **pay)
        assert (first.status_code, paid.status_code) == (201, 201), paid.text
        late_ms = int(time.time() + 7200) * 1000
        monkeypatch.setattr("refsystem.edge.check_routes.wall_ms", lambda: late_ms)
        again = await alone.post(order_id, ends, **on_check)
        assert (again.status_code, again.json()["seq"]) == (201, first.json()["seq"])
        again = await alone.act(ends, "pay", act_id, **pay)
        assert (again.status_code, again.json()["seq"]) == (201, paid.json()["seq"])
        assert told(await alone.act(TABLE, "pay", act_id, **pay)) == (403, "not-allowed"), "it was not the table's"
        assert told(await alone.act("", "pay", act_id, **pay)) == (401, "token-invalid")
        assert told(await alone.act(ends, "pay", key(), **pay)) == (401, "token-invalid")
        assert told(await alone.post(key(), ends, **on_check)) == (401, "token-invalid")

    run_alone(conversation)


def test_the_log_and_the_glass_are_for_operators(run_alone: Callable[..., None]) -> None:
    """The whole log tells of every table's payments and of what paid them; the glass decides what becomes of the store."""
    operator = staff_token(ACCESS_SECRET, "s1", "Li", "operator", FAR_S)
    logs = ("/v1/audit/entries", "/v1/audit/set-aside", "/v1/audit/stock")

    async def conversation(alone: Any) -> None:
        check_id, wallet = await opened(alone), code()
        pay = {"check_id": check_id, "tender": "wallet_code", "amount_minor": 5900, "instrument": wallet}
        assert (await alone.act(TABLE, "pay", **pay)).status_code == 201
        for path in (*logs, "/v1/recovered", "/v1/break-glass"):
            answer = await alone.get("", path)
            assert told(answer) == (401, "token-invalid"), path
            for token in (TABLE, CASHIER):
                assert told(await alone.get(token, path)) == (403, "not-allowed"), path
            assert (await alone.get(operator, path)).status_code == 200
            assert (await alone.get(MANAGER, path)).status_code == (403 if path in logs else 200)
        assert wallet in (await alone.get(operator, "/v1/audit/entries")).text
        word = {"off": ["a"], "who": "Li", "why": "soup"}
        assert told(await alone.client.post("/v1/break-glass", json=word)) == (401, "token-invalid")
        headers = {"Authorization": f"Bearer {operator}"}
        said = await alone.client.post("/v1/break-glass", json=word, headers=headers)
        assert told(said)[1].startswith("break-glass"), "it got as far as the device"
        # a device that knows no tokens takes no payments, but may have the log of one that did
        settings = alone.driver.settings
        alone.driver.settings = replace(settings, access_secret=None)
        shown = await alone.get("", "/v1/audit/entries")
        alone.driver.settings = settings
        assert (shown.status_code, wallet in shown.text) == (200, False)
        assert "sha256:" in shown.text

    run_alone(conversation, limits=QUICK)


def test_a_table_sees_and_pays_its_own_check_and_no_other(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        check_id = await opened(alone)
        found = (await alone.get(TABLE, "/v1/tables/7/checks")).json()["checks"]
        assert [check["check_id"] for check in found] == [check_id]
        assert (await alone.get(TABLE, f"/v1/checks/{check_id}")).json()["due_minor"] == 5900
        assert told(await alone.get("", f"/v1/checks/{check_id}")) == (401, "token-invalid")
        assert told(await alone.get(OTHER_TABLE, f"/v1/checks/{check_id}")) == (403, "not-allowed")
        assert told(await alone.get(OTHER_TABLE, "/v1/tables/7/checks")) == (403, "not-allowed")
        assert (await alone.get(OTHER_TABLE, "/v1/tables/8/checks")).json() == {"table": "8", "checks": []}
        assert told(await alone.get(TABLE, f"/v1/checks/{key()}")) == (404, "check-unknown")
        pay = {"check_id": check_id, "tender": "wallet_code", "amount_minor": 5900, "instrument": code()}
        for token in ("", OTHER_TABLE):
            assert (await alone.act(token, "pay", **pay)).status_code in (401, 403)
        assert told(await alone.act(TABLE, "pay", **pay)) == (409, "tender-unavailable"), "there is no gateway here"
        cash = {"check_id": check_id, "tender": "cash", "amount_minor": 5900, "given_minor": 6000}
        assert told(await alone.act(TABLE, "pay", **cash)) == (403, "not-allowed")
        assert alone.driver.device.book.check(check_id).payments == ()

    run_alone(conversation)


def test_an_order_on_an_open_check_needs_the_tables_token(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        check_id, added = await opened(alone), key()
        assert told(await alone.post(key(), check_id=check_id)) == (403, "not-allowed")
        assert told(await alone.post(key(), OTHER_TABLE, check_id=check_id)) == (403, "not-allowed")
        assert told(await alone.post(key(), OTHER_TABLE, check_id=check_id, table="8")) == (403, "not-allowed")
        assert (await alone.post(added, TABLE, check_id=check_id)).status_code == 201
        assert (await alone.post(added, TABLE, check_id=check_id)).headers["idempotency-replayed"] == "true"
        shared = key()
        assert (await alone.post(key(), TABLE, check_id=shared)).status_code == 201
        assert told(await alone.post(shared)) == (403, "not-allowed"), "its id is no way onto a check"
        assert (await alone.get(TABLE, f"/v1/checks/{check_id}")).json()["total_minor"] == 11_800

    run_alone(conversation)


def test_everybody_orders_by_their_own_channel_and_for_their_own_table(run_alone: Callable[..., None]) -> None:
    """A stranger's dishes are on nobody's bill; a store that names no tables goes on as before."""
    kiosk = table_token(ACCESS_SECRET, "s1", "K1")
    kitchen, operator = (staff_token(ACCESS_SECRET, "s1", "Li", role, FAR_S) for role in ("kitchen", "operator"))  # type: ignore[arg-type]
    who = {"nobody": "", "7": TABLE, "8": OTHER_TABLE, "K1": kiosk, "waiter": WAITER, "cashier": CASHIER}
    who |= {"manager": MANAGER, "kitchen": kitchen, "operator": operator}
    staff = {"waiter", "cashier", "manager"}
    allowed = {
        ("qr", "7"): {"7"},
        ("qr", "9"): set(),
        ("kiosk", "K1"): {"K1"},
        ("kiosk", "7"): set(),
        ("qr", "K1"): set(),
    }
    allowed |= {("waiter", "7"): staff, ("cashier", ""): staff, ("delivery", "7"): set(), ("mini_program", "7"): set()}

    async def conversation(alone: Any) -> None:
        unnamed, named = alone.driver.settings, replace(alone.driver.settings, tables=("7", "8"))
        alone.driver.settings = named
        for (channel, table), may in allowed.items():
            for name, token in who.items():
                answer = await alone.post(key(), token, channel=channel, table=table)
                expected = (201, "") if name in may else (403, "not-allowed")
                assert told(answer) == expected, (channel, table, name, answer.text)
        alone.driver.settings = unnamed
        sent, check_id = key(), await opened(alone)
        for token in (kitchen, operator):
            assert told(await alone.post(key(), token, check_id=check_id)) == (403, "not-allowed")
        assert (await alone.post(sent)).status_code == 201, "without names of tables nobody is asked"
        alone.driver.settings = named
        assert (await alone.post(sent)).headers["idempotency-replayed"] == "true", "a key that is known is answered"

    run_alone(conversation)


def test_diners_at_a_table_order_on_its_one_check(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        alone.driver.settings = replace(alone.driver.settings, tables=("7", "8"))
        keys = [key() for _ in range(4)]
        body = {"channel": "qr", "table": "7"}
        answers = await asyncio.gather(*(alone.post(each, TABLE, **body) for each in keys))
        assert [answer.status_code for answer in answers] == [201] * 4
        (check,) = (await alone.get(TABLE, "/v1/tables/7/checks")).json()["checks"]
        assert {line["order_id"] for line in check["lines"]} == set(keys)
        (first,) = set(keys) & {check["check_id"]}
        for each in keys:
            again = await alone.post(each, TABLE, **body)
            assert again.headers["idempotency-replayed"] == "true"
            log = alone.driver.device.replica.log
            record = log.entry(log.order_key(each).seq).content()
            assert record["body_hash"] == parse_order(each, order_body(**body)).body_hash, "it says what was sent"
            assert record.get("joined_check_id", "") == ("" if each == first else first)
            assert alone.driver.device.views.kitchen.find(each).check_id == first
        apart = key()
        assert (await alone.post(apart, TABLE, **body, check_id=apart)).status_code == 201
        assert {check.check_id for check in alone.driver.device.book.checks_at("7")} == {first, apart}
        own = key()
        assert (await alone.post(own, TABLE, **body)).status_code == 201
        assert alone.driver.device.book.check_of_order(own).check_id == own, "of two checks nobody knows which"

    run_alone(conversation)


def test_who_may_void_and_comp_and_what_the_log_says_of_them(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        check_id = await opened(alone)
        void = {"check_id": check_id, "order_id": check_id, "line": 0, "quantity": 1, "reason": "cold"}
        for token in (WAITER, CASHIER, TABLE):
            assert told(await alone.act(token, "void", **void)) == (403, "not-allowed")
        answer = await alone.act(MANAGER, "void", act_id := key(), **void)
        assert answer.status_code == 201
        assert answer.json()["result"]["amount_minor"] == 2800
        assert (answer.json()["who"], answer.json()["level"]) == ("manager Li", "R1")
        again = await alone.act(MANAGER, "void", act_id, **void)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json() == answer.json()
        assert told(await alone.act(MANAGER, "void", act_id, **void | {"quantity": 2})) == (422, "key-reused")
        cash = {"check_id": check_id, "tender": "cash", "amount_minor": 3100, "given_minor": 5000}
        paid = await alone.act(WAITER, "pay", **cash)
        assert paid.json()["result"]["change_minor"] == 1900
        assert (await alone.get(WAITER, f"/v1/checks/{check_id}")).json()["status"] == "closed"
        assert told(await alone.post(key(), TABLE, check_id=check_id)) == (409, "check-closed")

    run_alone(conversation)


def test_what_cannot_be_read_is_refused_in_one_sentence(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        check_id = await opened(alone)
        for fields, word in (
            ({"act": "tip"}, "act must be one of"),
            ({"act": "close"}, "check_id is missing"),
            ({"act": "close", "check_id": check_id, "tip": 1}, "tip is no field"),
            ({"act": "payment_outcome", "attempt_id": check_id, "outcome": "captured"}, "act must be one of"),
            ({"act": "pay", "check_id": check_id, "tender": "card", "amount_minor": -1}, "amount_minor must be"),
        ):
            headers = {"Idempotency-Key": key(), "Authorization": f"Bearer {MANAGER}"}
            answer = await alone.client.post("/v1/acts", json=fields, headers=headers)
            assert told(answer) == (422, "act-invalid")
            assert word in answer.json()["detail"]
        no_key = await alone.client.post("/v1/acts", json={}, headers={"Authorization": f"Bearer {MANAGER}"})
        assert told(no_key) == (400, "key-missing")

    run_alone(conversation)


def test_the_description_of_an_act_fits_what_is_taken(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        document = (await alone.client.get("/openapi.json")).json()
        route = document["paths"]["/v1/acts"]["post"]
        schema = route["requestBody"]["content"]["application/json"]["schema"]
        check_id = await opened(alone)
        line = {"order_id": check_id, "line": 0, "quantity": 1}
        for act in (
            {"act": "split", "check_id": check_id, "lines": [line]},
            {"act": "discount", "check_id": check_id, "reason": "regular", "amount_minor": 100},
            {"act": "pay", "check_id": check_id, "tender": "cash", "amount_minor": 100, "given_minor": 100},
        ):
            jsonschema.validate(act, schema)
            assert (await alone.act(MANAGER, **act)).status_code == 201
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"act": "pay", "check_id": check_id}, schema)
        answer = (await alone.get(MANAGER, f"/v1/checks/{check_id}")).json()
        shown = document["components"]["schemas"]
        jsonschema.validate(answer, {**shown["CheckBody"], "components": {"schemas": shown}})

    run_alone(conversation)
