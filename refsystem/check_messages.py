"""How checks and acts look as JSON, for the processes that show or take them, as their OpenAPI tells it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import STAFF_ACTS
from refsystem.ordering.payment import TENDERS, Payment


class LineBody(BaseModel):
    """One line: what is still to be paid of it; voided and comped ones cost nothing."""

    order_id: str
    line: int
    item_id: str
    quantity: int
    amount_minor: int
    voided: int
    comped: int


class DiscountBody(BaseModel):
    """Money off."""

    code: str
    amount_minor: int
    reason: str


class RefundBody(BaseModel):
    """Money given back of a payment."""

    refund_id: str
    amount_minor: int
    state: str


class PaymentBody(BaseModel):
    """A payment attempt, without what it charges."""

    attempt_id: str
    tender: str
    amount_minor: int
    state: str
    settled: bool = Field(description="nothing more comes of it that could change the check")
    detail: str = Field(description="why it was declined, as whoever settles it says: a code such as voucher-used")
    refunds: list[RefundBody]


class CheckBody(BaseModel):
    """A check as it stands. `due_minor` is what another payment may take."""

    check_id: str
    table: str
    status: str
    total_minor: int
    covered_minor: int
    due_minor: int
    discount_minor: int
    shares_minor: int = Field(description="what even splits have added to it or taken from it")
    lines: list[LineBody]
    discounts: list[DiscountBody]
    payments: list[PaymentBody]
    merged_into: str
    split_from: str


class TableChecks(BaseModel):
    """The checks of a table that are open or being paid."""

    table: str
    checks: list[CheckBody]


class ActAnswer(BaseModel):
    """An acknowledged act; `result` holds what was asked for and what the rules filled in. `level` as for orders."""

    act_id: str
    act: str
    who: str
    store: str
    level: str
    node_id: str
    epoch: int
    seq: int
    result: dict[str, Any]


def check_json(check: Check) -> dict[str, Any]:
    """A check as `CheckBody` tells it."""
    return {
        "check_id": check.check_id,
        "table": check.table,
        "status": check.status,
        "total_minor": check.total_minor,
        "covered_minor": check.covered_minor,
        "due_minor": check.due_minor,
        "discount_minor": check.discount_minor,
        "shares_minor": check.shares_minor,
        "lines": [dataclasses.asdict(line) for line in check.lines],
        "discounts": [dataclasses.asdict(discount) for discount in check.discounts],
        "payments": [_payment_json(payment) for payment in check.payments],
        "merged_into": check.merged_into,
        "split_from": check.split_from,
    }


def _payment_json(payment: Payment) -> dict[str, Any]:
    return {
        "attempt_id": payment.attempt_id,
        "tender": payment.tender,
        "amount_minor": payment.amount_minor,
        "state": payment.state,
        "settled": payment.is_settled,
        "detail": payment.detail,
        "refunds": [
            {"refund_id": refund.refund_id, "amount_minor": refund.amount_minor, "state": refund.state}
            for refund in payment.refunds
        ],
    }


_ENVELOPE = frozenset({"kind", "act_id", "act", "who", "at_ms", "body_hash", "instrument"})


def act_result(record: dict[str, Any]) -> dict[str, Any]:
    """The content of an act's record as its asker may see it."""
    return {name: value for name, value in record.items() if name not in _ENVELOPE}


def act_request(besides: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """What OpenAPI says of a route that takes acts; the route reads the body itself, for the key comes first.

    `besides` are schemas of bodies that it takes besides those on checks.
    """
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "the act's UUID; the same in every repetition",
        "schema": {"type": "string", "format": "uuid"},
    }
    kinds = [*(_act_schema(name, kind) for name, kind in STAFF_ACTS.items()), *besides]
    body = {"required": True, "content": {"application/json": {"schema": {"oneOf": kinds}}}}
    return {"parameters": [key], "requestBody": body}


def _act_schema(name: str, kind: type[Any]) -> dict[str, Any]:
    given = [each for each in dataclasses.fields(kind) if not each.metadata["derived"]]
    properties: dict[str, Any] = {"act": {"const": name}}
    properties |= {each.name: _field_schema(each.name, str(each.type)) for each in given}
    required = ["act", *(each.name for each in given if each.default is dataclasses.MISSING)]
    return {
        "type": "object",
        "title": name,
        "description": (kind.__doc__ or "").split("\n")[0],
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _field_schema(name: str, annotation: str) -> dict[str, Any]:
    if name.endswith("_id"):
        return {"type": "string", "format": "uuid"}
    if name == "tender":
        return {"enum": list(TENDERS)}
    if annotation == "int":
        return {"type": "integer", "minimum": 0}
    if annotation.startswith("tuple"):
        line = {
            "type": "object",
            "properties": {
                "order_id": {"type": "string", "format": "uuid"},
                "line": {"type": "integer", "minimum": 0},
                "quantity": {"type": "integer", "minimum": 1},
            },
            "required": ["order_id", "line", "quantity"],
        }
        return {"type": "array", "items": line}
    return {"type": "string"}
