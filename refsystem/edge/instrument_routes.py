"""What a voucher or a member's balance could pay, asked of the coupon platform for the staff before a payment is made of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError

from refsystem.edge.check_routes import person_asking
from refsystem.edge.driver import Driver
from refsystem.edge.permissions import ROLE_ACTS
from refsystem.ordering.errors import (
    NOT_ALLOWED,
    ORDER_INVALID,
    TENDER_UNAVAILABLE,
    TOKEN_INVALID,
    OrderRejected,
    Problem,
)
from refsystem.problems import REQUEST_TOO_LARGE, ProblemError, problem_docs, read_json

PARTNER_SILENT = Problem(
    "partner-silent", 503, "Whoever settles this did not say what it is worth; nothing was taken", True
)


class InstrumentBody(BaseModel):
    """What is about to pay. It stands in the body, because addresses are logged."""

    tender: Literal["coupon", "stored_value"]
    instrument: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]


class WorthBody(BaseModel):
    """What it could pay now; nothing is held. 0 if it is unknown or used."""

    known: bool
    used: bool
    value_minor: int


def add_instrument_routes(app: FastAPI, driver: Driver) -> None:
    """Add them. They are for those of the staff who take payments."""
    problems = (TOKEN_INVALID, NOT_ALLOWED, ORDER_INVALID, TENDER_UNAVAILABLE, PARTNER_SILENT, REQUEST_TOO_LARGE)

    @app.post(
        "/v1/instruments",
        tags=["checks"],
        response_model=WorthBody,
        responses=problem_docs(*problems),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": InstrumentBody.model_json_schema()}},
            }
        },
    )
    async def read_instrument(request: Request) -> Response:
        """What a voucher is worth, or a member's balance is. It changes nothing, and any device can tell it."""
        person = person_asking(driver, request.headers)
        if not person.is_staff or "pay" not in ROLE_ACTS[person.role]:
            raise OrderRejected(NOT_ALLOWED, f"a {person.role} takes no vouchers or balances")
        asked = _asked(await read_json(request))
        if asked.tender not in driver.desk.tenders:
            raise OrderRejected(TENDER_UNAVAILABLE, f"nobody settles {asked.tender} here")
        worth = await driver.desk.worth(asked.tender, asked.instrument)
        if worth is None:
            raise ProblemError(PARTNER_SILENT)
        return JSONResponse(worth)


def _asked(body: Any) -> InstrumentBody:
    try:
        return InstrumentBody.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise OrderRejected(ORDER_INVALID, f"{where}: {first['msg']}") from error
