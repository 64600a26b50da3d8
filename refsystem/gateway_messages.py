"""How the cashier's calls (P16) look as HTTP requests to whoever settles them, and what the answers mean. Pure: the driver sends.

The gateway settles cards and wallet codes. A coupon platform settles coupons and members' balances, by calls of the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from refsystem.ordering.errors import TYPE_PREFIX
from refsystem.protocol.payment_calls import Answer, Call, Op, Result

GATEWAY_TENDERS = frozenset({"card", "wallet_code"})
COUPON_TENDERS = frozenset({"coupon", "stored_value"})
INSTRUMENT_FIELDS = {"wallet_code": "payment_code", "coupon": "voucher_code", "stored_value": "member"}
"""What names the instrument in a sale."""
INSTRUMENT_KINDS = {"coupon": "voucher", "stored_value": "member"}
"""What the coupon platform calls it."""


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One request: `key` is its Idempotency-Key; a GET has neither key nor body."""

    method: Literal["GET", "POST"]
    path: str
    key: str | None = None
    body: Mapping[str, Any] | None = None


def request_of(call: Call, merchant: str, currency: str = "CNY") -> GatewayRequest:
    """The request that makes `call` for `merchant` (the store)."""
    assert call.tender in GATEWAY_TENDERS | COUPON_TENDERS, f"nobody settles {call.tender} by a call"
    payment = f"/v1/payments/{call.attempt_id}"
    taken = {"merchant": merchant, "amount_minor": call.amount_minor, "currency": currency}
    match call.op:
        case Op.QUERY:
            return GatewayRequest("GET", payment)
        case Op.AUTHORIZE:
            return GatewayRequest("POST", "/v1/authorizations", call.key, taken | {"card_token": call.instrument})
        case Op.SALE:
            return GatewayRequest(
                "POST", "/v1/sales", call.key, taken | {INSTRUMENT_FIELDS[call.tender]: call.instrument}
            )
        case Op.CAPTURE:
            return GatewayRequest("POST", f"{payment}/captures", call.key, {"amount_minor": call.amount_minor})
        case Op.REVERSE:
            return GatewayRequest("POST", f"{payment}/reversals", call.key, {"merchant": merchant})
        case Op.REFUND:
            return GatewayRequest("POST", f"{payment}/refunds", call.key, {"amount_minor": call.amount_minor})
        case Op.SPLIT:
            return GatewayRequest("POST", f"{payment}/splits", call.key, _shares(call))
        case Op.RETURN:
            return GatewayRequest("POST", f"{payment}/split-returns", call.key, _shares(call))


# What a 200 or 202 means, by the status in its body.
STANDS: dict[str, Result] = {
    "pending": Result.WAITING,
    "authorized": Result.AUTHORIZED,
    "captured": Result.CAPTURED,
    "declined": Result.DECLINED,
    "expired": Result.DECLINED,
    "reversed": Result.REVERSED,
}
SUCCEEDED: dict[Op, Result] = {
    Op.AUTHORIZE: Result.AUTHORIZED,
    Op.SALE: Result.CAPTURED,
    Op.CAPTURE: Result.CAPTURED,
    Op.REVERSE: Result.REVERSED,
    Op.REFUND: Result.DONE,
    Op.SPLIT: Result.DONE,
    Op.RETURN: Result.DONE,
}

# What a refusal means; one that is not here may be another one later: refused for now.
_NEVER_TAKEN = frozenset({"payment-invalid", "amount-over-limit", "key-missing"})
REFUSALS: dict[tuple[Op, str], Result] = {
    (Op.QUERY, "payment-unknown"): Result.UNKNOWN,
    **{(op, slug): Result.DECLINED for op in (Op.AUTHORIZE, Op.SALE) for slug in _NEVER_TAKEN},
    (Op.REVERSE, "reverse-too-late"): Result.IRREVERSIBLE,
    (Op.REVERSE, "reverse-refused"): Result.IRREVERSIBLE,
    (Op.REFUND, "refund-too-large"): Result.DECLINED,
    (Op.REFUND, "refund-refused"): Result.DECLINED,
    (Op.SPLIT, "split-too-large"): Result.DECLINED,
    (Op.RETURN, "return-too-large"): Result.DECLINED,
}


def answer_of(call: Call, status: int, body: Any) -> Answer:
    """What the gateway's HTTP answer to `call` means. `body` is its JSON, None if it had none.

    Whatever is not understood is no answer: it may have been done, and is asked about.
    """
    content = body if isinstance(body, dict) else {}
    if status in (200, 202):
        return _done(call, content)
    slug = str(content.get("type", "")).removeprefix(TYPE_PREFIX)
    detail = str(content.get("detail", ""))
    if 400 <= status < 500 and content.get("definite") is True:
        return Answer(REFUSALS.get((call.op, slug), Result.REFUSED), detail=detail)
    if status == 503 and content.get("definite") is True:
        return Answer(Result.REFUSED, detail=detail)
    return Answer(Result.NO_ANSWER, detail=f"HTTP {status} {slug}".strip())


def _done(call: Call, content: Mapping[str, Any]) -> Answer:
    status, attempt_id = content.get("status"), content.get("attempt_id")
    if attempt_id != call.attempt_id:
        return Answer(Result.NO_ANSWER, detail="an answer about another payment")
    code = str(content.get("decline_code") or "")
    if call.op is Op.QUERY:
        result = STANDS.get(str(status))
    elif status == "succeeded":
        result = SUCCEEDED[call.op]
    elif status == "declined":
        result = Result.REVERSED if code == "reversed" else Result.DECLINED
    else:
        result = Result.WAITING if status == "pending" else None
    if result is None:
        return Answer(Result.NO_ANSWER, detail=f"a status that nobody knows: {status!r}")
    return Answer(result, call.attempt_id, code)


def _shares(call: Call) -> Mapping[str, Any]:
    return {"shares": [{"party": party, "amount_minor": amount} for party, amount in call.shares]}
