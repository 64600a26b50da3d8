"""Vouchers and members' balances: once per id, undone within their time, and the cashier's calls understood."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from refsystem.gateway_messages import answer_of, request_of
from refsystem.ordering.payment import Tender
from refsystem.partners.coupon_platform.app import create_app
from refsystem.partners.coupon_platform.settings import CouponSettings, Limits
from refsystem.partners.coupon_platform.store import CouponStore, Wanted
from refsystem.partners.payment_gateway.misbehaviour import Plan, Rule
from refsystem.problems import ProblemError
from refsystem.protocol.payment_calls import Call, Op, Result

HOUR_US = Limits().scaled_us(Limits().cancel_voucher_within_s)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CouponStore]:
    made = CouponStore(tmp_path, Limits())
    made.issue("voucher", "V1", 2_000)
    made.issue("member", "M1", 5_000)
    yield made
    made.close()


def new_id() -> str:
    return str(uuid.uuid4())


def sale(attempt_id: str, amount_minor: int, instrument: str) -> Wanted:
    return Wanted("sale", attempt_id, "s1", amount_minor, "voucher" if instrument[0] == "V" else "member", instrument)


def balance(store: CouponStore, instrument: str) -> int:
    found = store.instrument(instrument)
    assert found is not None
    return found.value_minor


def test_a_voucher_is_verified_once_whatever_is_sent_again(store: CouponStore) -> None:
    first, second = new_id(), new_id()
    kept, repeated = store.perform(first, sale(first, 1_500, "V1"), 0)
    assert (kept.status, repeated) == ("succeeded", False)
    assert store.perform(first, sale(first, 1_500, "V1"), 9) == (kept, True)
    assert store.perform(second, sale(second, 1_500, "V1"), 9)[0].decline_code == "voucher-used"
    assert [row["kind"] for row in store.audit_ledger(0, 10)] == ["capture"]


def test_a_balance_goes_down_and_comes_back_and_never_below_zero(store: CouponStore) -> None:
    first, second = new_id(), new_id()
    store.perform(first, sale(first, 3_000, "M1"), 0)
    assert store.perform(second, sale(second, 2_001, "M1"), 0)[0].decline_code == "insufficient-value"
    refund = new_id()
    for _ in range(2):
        store.perform(refund, Wanted("refund", first, amount_minor=1_000), 1)
    assert balance(store, "M1") == 3_000
    with pytest.raises(ProblemError, match="More than is left"):
        store.perform(new_id(), Wanted("refund", first, amount_minor=2_001), 1)
    moved = [(row["kind"], row["amount_minor"]) for row in store.audit_ledger(0, 10)]
    assert moved == [("capture", 3_000), ("refund", 1_000)]


def test_a_voucher_is_given_back_within_an_hour_and_then_good_again(store: CouponStore) -> None:
    first, second, third = new_id(), new_id(), new_id()
    store.perform(first, sale(first, 2_000, "V1"), 0)
    assert store.perform(new_id(), Wanted("reverse", first, "s1"), HOUR_US)[0].amount_minor == 2_000
    store.perform(second, sale(second, 2_000, "V1"), HOUR_US)
    with pytest.raises(ProblemError, match="too late"):
        store.perform(new_id(), Wanted("reverse", second, "s1"), 2 * HOUR_US + 1)
    with pytest.raises(ProblemError, match="within an hour"):
        store.perform(new_id(), Wanted("refund", second, amount_minor=2_000), 2 * HOUR_US + 1)
    store.perform(new_id(), Wanted("reverse", third, "s1"), 0)
    late, _ = store.perform(third, sale(third, 100, "M1"), 1)
    assert (late.status, late.decline_code) == ("declined", "reversed"), "it was barred before it came"
    assert balance(store, "M1") == 5_000


@pytest.mark.parametrize(("tender", "instrument"), [("coupon", "demo-900-x"), ("stored_value", "demo-900-y")])
def test_the_cashiers_calls_are_understood(tmp_path: Path, tender: Tender, instrument: str) -> None:
    """`gateway_messages` makes them and reads the answers, as a device does; an answer that is lost is found by asking."""
    plan = Plan(rules=(Rule(kind="error_after", operations=("sale",), times=1),))
    app = create_app(CouponSettings(tmp_path, demo=True, plan=plan))
    attempt_id = new_id()

    async def ask(http: httpx.AsyncClient, op: Op, key: str, amount_minor: int = 0) -> Result:
        call = Call(1, op, attempt_id, key, tender, amount_minor, instrument)
        request = request_of(call, "s1")
        headers = {"Idempotency-Key": request.key} if request.key else None
        answer = await http.request(request.method, request.path, json=request.body, headers=headers)
        return answer_of(call, answer.status_code, answer.json()).result

    async def main() -> list[Result]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://coupons") as http,
        ):
            return [
                await ask(http, Op.QUERY, ""),
                await ask(http, Op.SALE, attempt_id, 900),
                await ask(http, Op.QUERY, ""),
                await ask(http, Op.SALE, attempt_id, 900),
                await ask(http, Op.REFUND, new_id(), 900),
                await ask(http, Op.REFUND, new_id(), 1),
            ]

    lost = [Result.UNKNOWN, Result.NO_ANSWER, Result.CAPTURED, Result.CAPTURED, Result.DONE, Result.DECLINED]
    assert asyncio.run(main()) == lost


def test_the_operator_issues_what_a_sale_then_takes(tmp_path: Path) -> None:
    app = create_app(CouponSettings(tmp_path))

    async def main() -> list[str]:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://coupons") as http,
        ):
            issued = {"kind": "voucher", "instrument": "V1", "value_minor": 500}
            assert (await http.post("/v1/operator/instruments", json=issued)).status_code == 200
            body = {"merchant": "s1", "amount_minor": 500, "voucher_code": "V1"}
            answers = [await http.post("/v1/sales", json=body, headers={"Idempotency-Key": new_id()}) for _ in range(2)]
            return [answer.json()["status"] for answer in answers]

    assert asyncio.run(main()) == ["succeeded", "declined"]
