"""The pages and what they ask a device for."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from refsystem.access import staff_token, table_token
from refsystem.edge.question_routes import add_question_routes
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.store_rules import DEMO_RULES
from refsystem.partners.coupon_platform.app import create_app
from refsystem.partners.coupon_platform.settings import CouponSettings
from refsystem.settings import Reader, SettingsError
from refsystem.web.pages import PAGES, origin

from .conftest import ACCESS_SECRET

TABLE = table_token(ACCESS_SECRET, "s1", "7")
CASHIER, STOCK = (staff_token(ACCESS_SECRET, "s1", "Li", role, 4_000_000_000) for role in ("cashier", "stock"))  # type: ignore[arg-type]


def test_pages_come_in_the_language_that_is_asked_for_and_forbid_scripts_of_their_own(
    run_alone: Callable[..., None],
) -> None:
    async def conversation(alone: Any) -> None:
        for page in PAGES:
            answer = await alone.client.get(f"/{page}", headers={"Accept-Language": "fr, zh-CN;q=0.8, en;q=0.5"})
            assert answer.status_code == 200
            assert answer.headers["content-language"] == "zh"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            peer = alone.driver.settings.peer_hint_url
            assert f"connect-src 'self'{' ' + origin(peer) if peer else ''};" in policy
        answer = await alone.client.get("/order?lang=en", headers={"Accept-Language": "zh"})
        assert answer.headers["content-language"] == "en"
        assert "lang=en" in answer.headers["set-cookie"]
        kept = await alone.client.get("/kiosk", headers={"Accept-Language": "zh", "Cookie": "lang=en"})
        assert kept.headers["content-language"] == "en"
        assert (await alone.get("", "/web/order.js")).headers["content-type"].startswith("text/javascript")
        for missing in ("/web/__init__.py", "/web/../pages.py", "/web/nothing.js"):
            assert (await alone.get("", missing)).status_code == 404

    run_alone(conversation)


def test_only_the_staff_see_the_checks_of_the_whole_store(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        assert (await alone.get(CASHIER, "/v1/checks")).json() == {"checks": [], "closed": []}
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        for order_id in (first, second):
            assert (await alone.post(order_id)).status_code == 201
        assert (await alone.get(TABLE, "/v1/checks")).status_code == 403
        assert (await alone.get("", "/v1/checks")).status_code == 401
        found = (await alone.get(CASHIER, "/v1/checks")).json()
        assert [check["check_id"] for check in found["checks"]] == [first, second]
        due = found["checks"][0]["due_minor"]
        paid = await alone.act(CASHIER, "pay", check_id=first, tender="cash", amount_minor=due, given_minor=due)
        assert paid.status_code == 201
        found = (await alone.get(CASHIER, "/v1/checks?closed=5")).json()
        assert [check["check_id"] for check in found["checks"]] == [second]
        assert [check["check_id"] for check in found["closed"]] == [first]
        assert (await alone.get(CASHIER, "/v1/checks?closed=999")).status_code == 422

    run_alone(conversation)


def test_a_scanned_label_names_the_ingredient_and_what_is_wrong_with_it(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        beef = DEMO_MENU.ingredients_by_id["beef"]
        label = f"(01){beef.barcode:0>14}(17)261231(10)L7(3100)000005"
        found = (await alone.client.get("/v1/scan", params={"text": label})).json()
        assert found["ingredient_id"] == "beef"
        assert (found["lot_id"], found["use_by"], found["quantity"]) == ("L7", 20261231, 5000)
        other = (await alone.client.get("/v1/scan", params={"text": "4006381333931"})).json()
        assert (other["ingredient_id"], other["barcode"]) == ("", "04006381333931")
        wrong = await alone.client.get("/v1/scan", params={"text": "4006381333932"})
        assert wrong.status_code == 422
        assert "check digit" in wrong.json()["detail"]

    run_alone(conversation)


def test_an_odd_order_is_asked_about_where_a_store_has_rules(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        body = {"items": [{"item_id": "beef-noodles", "quantity": 40}]}
        answer = await alone.client.post("/v1/questions", json=body)
        assert answer.json() == {"questions": []}, "this one has none"
        wrong = await alone.client.post("/v1/questions", json={"items": [{"item_id": "beer", "quantity": 0}]})
        assert wrong.json()["detail"] == "items.0.quantity: Input should be greater than or equal to 1"
        alone.driver.settings = replace(alone.driver.settings, store_rules=DEMO_RULES["casual"])
        app = FastAPI()
        add_question_routes(app, alone.driver)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://rules") as client:
            (asked,) = (await client.post("/v1/questions", json=body)).json()["questions"]
        assert (asked["kind"], asked["item_id"]) == ("odd_quantity", "beef-noodles")
        assert asked["text"].startswith("40 ")
        assert "Braised beef noodles" in asked["text"]
        assert "红烧牛肉面 40 份" in asked["text_zh"]

    run_alone(conversation)


def test_a_voucher_says_its_worth_before_it_pays_and_a_decline_says_why(
    run_alone: Callable[..., None], tmp_path: Path
) -> None:
    platform = create_app(CouponSettings(tmp_path / "coupons", demo=True))

    async def conversation(alone: Any) -> None:
        async def worth(tender: str, instrument: str, token: str = CASHIER) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            body = {"tender": tender, "instrument": instrument}
            answer: httpx.Response = await alone.client.post("/v1/instruments", json=body, headers=headers)
            return answer

        assert (await worth("coupon", "demo-900-x")).status_code == 409, "this store settles none"
        transport = httpx.ASGITransport(platform)
        async with (
            platform.router.lifespan_context(platform),
            httpx.AsyncClient(transport=transport, base_url="http://coupons") as coupons,
        ):
            alone.driver.desk._coupons = coupons
            assert [(await worth("coupon", "V", token)).status_code for token in (TABLE, STOCK)] == [403, 403]
            assert (await worth("cash", "V")).json()["detail"].startswith("tender: ")
            assert (await worth("coupon", "V0")).json() == {"known": False, "used": False, "value_minor": 0}
            known = {"known": True, "used": False, "value_minor": 900}
            assert (await worth("coupon", "demo-900-x")).json() == known
            assert (await worth("stored_value", "demo-900-x")).json()["known"] is False, "it is a voucher"

            order_id = str(uuid.uuid4())
            await alone.post(order_id)
            for amount_minor, told in ((901, ("declined", "insufficient-value")), (900, ("captured", ""))):
                voucher = {"tender": "coupon", "amount_minor": amount_minor, "instrument": "demo-900-x"}
                assert (await alone.act(CASHIER, "pay", check_id=order_id, **voucher)).status_code == 201
                for _ in range(500):
                    payment = (await alone.get(CASHIER, f"/v1/checks/{order_id}")).json()["payments"][-1]
                    if payment["state"] != "pending":
                        break
                    await asyncio.sleep(0.01)
                assert (payment["state"], payment["detail"]) == told
            assert (await worth("coupon", "demo-900-x")).json() == known | {"used": True, "value_minor": 0}
            alone.driver.desk._coupons = httpx.AsyncClient(transport=httpx.MockTransport(_silent))
            silent = await worth("coupon", "demo-900-x")
            assert (silent.status_code, silent.json()["type"].rpartition(":")[2]) == (503, "partner-silent")

    run_alone(conversation)


def _silent(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectTimeout("nobody is there", request=request)


def test_tables_are_names_that_differ() -> None:
    assert Reader({}).names("RUSHPROOF_TABLES") == ()
    assert Reader({"RUSHPROOF_TABLES": "1, 2,A3,"}).names("RUSHPROOF_TABLES") == ("1", "2", "A3")
    for text in ("1,2,1", "x" * 41):
        with pytest.raises(SettingsError, match="must be different names like 1,2,A3"):
            Reader({"RUSHPROOF_TABLES": text}).names("RUSHPROOF_TABLES")
