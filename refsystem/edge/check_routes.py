"""Checks and what is done with them, over HTTP. Who asks is told by a token (`refsystem.access`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from refsystem.access import Person, person_of
from refsystem.callback_messages import SIGNATURE_HEADER
from refsystem.check_messages import ActAnswer, CheckBody, TableChecks, act_request, act_result, check_json
from refsystem.edge.cashier_desk import CALLBACK_PATH, wall_ms
from refsystem.edge.driver import Driver
from refsystem.edge.permissions import has_settler, joins_table, may_act, may_order, may_see, may_see_table
from refsystem.edge.replies import REPLAYED_DOC, raise_problem
from refsystem.ordering import errors
from refsystem.ordering.check_acts import Act
from refsystem.ordering.kitchen_errors import KITCHEN_PROBLEMS
from refsystem.ordering.order import Order, parse_id, parse_key
from refsystem.ordering.store_acts import StoreAct
from refsystem.problems import REQUEST_TOO_LARGE, ProblemError, problem_docs, read_json
from refsystem.store_messages import parse_any_act, store_act_schemas

UNAVAILABLE = (errors.NOT_PRIMARY, errors.OVERLOADED, errors.OUTCOME_UNKNOWN, errors.STANDBY_REQUIRED)
REFUSALS = (
    errors.CHECK_UNKNOWN,
    errors.CHECK_CLOSED,
    errors.CHECK_NOT_CLOSED,
    errors.CHECK_NOT_COVERED,
    errors.CHECK_HAS_PAYMENTS,
    errors.CHECK_PREPAID,
    errors.LINE_UNKNOWN,
    errors.QUANTITY_TOO_LARGE,
    errors.TOTAL_TOO_LOW,
    errors.COUPON_USED,
    errors.AMOUNT_OVER_DUE,
    errors.PAYMENT_UNKNOWN,
    errors.PAYMENT_PENDING,
    errors.PAYMENT_STATE,
    errors.REFUND_TOO_LARGE,
    errors.OFFLINE_LIMIT,
    errors.TENDER_UNAVAILABLE,
)
CALLBACK_BYTES_MAX = 64 * 1024


def checked_order(driver: Driver, headers: Mapping[str, str], order: Order) -> Order:
    """`order`, if whoever sends it may; raises `OrderRejected`. A known key is let through.

    A diner's at one of the store's tables is put on that table's one open check (`Order.joins_table`).
    """
    device = driver.device
    if not device.is_primary or device.replica.log.key(order.order_id) is not None:
        return order
    tables = driver.settings.tables if driver.settings.access_secret is not None else ()
    person = person_asking(driver, headers) if "authorization" in headers else None
    may_order(person, order, device.book, tables)
    return replace(order, joins_table=True) if joins_table(person, order, tables) else order


def add_check_routes(app: FastAPI, driver: Driver) -> None:
    """Add them."""
    _add_acts(app, driver)
    _add_reads(app, driver)
    _add_callbacks(app, driver)


def _add_acts(app: FastAPI, driver: Driver) -> None:
    told = (errors.KEY_MISSING, errors.KEY_REUSED, errors.ORDER_INVALID, errors.ACT_INVALID, REQUEST_TOO_LARGE)

    @app.post(
        "/v1/acts",
        tags=["checks"],
        status_code=201,
        response_model=ActAnswer,
        responses=problem_docs(
            errors.TOKEN_INVALID, errors.NOT_ALLOWED, *told, *REFUSALS, *KITCHEN_PROBLEMS.values(), *UNAVAILABLE
        )
        | {201: REPLAYED_DOC},
        openapi_extra=act_request(store_act_schemas()),
    )
    async def submit_act(request: Request) -> Response:
        """Do something with a check, a payment, the kitchen or the stock. The same key and content never does it twice."""
        act_id = parse_key(request.headers.get("Idempotency-Key"))
        person = _person_acting(driver, request.headers, act_id)
        act = parse_any_act(act_id, person.who, await read_json(request))
        _check_act(driver, person, act)
        reply = await driver.submit_act(act)
        raise_problem(driver, reply)
        assert reply.entry is not None
        record = reply.entry.content()
        answer = {
            **{name: record[name] for name in ("act_id", "act", "who")},
            "store": driver.settings.store,
            "level": reply.level,
            "node_id": driver.device.replica.node_id,
            "epoch": reply.epoch,
            "seq": reply.entry.seq,
            "result": act_result(record),
        }
        return JSONResponse(answer, 201, {"Idempotency-Replayed": "true"} if reply.replayed else {})


def _add_reads(app: FastAPI, driver: Driver) -> None:
    problems = (errors.TOKEN_INVALID, errors.NOT_ALLOWED, errors.NOT_CONFIRMED, *UNAVAILABLE)

    @app.get(
        "/v1/checks/{check_id}",
        tags=["checks"],
        response_model=CheckBody,
        responses=problem_docs(*problems, errors.KEY_MISSING, errors.CHECK_UNKNOWN),
    )
    async def read_check(request: Request, check_id: str) -> Response:
        """A check as it stands. 404 is told only when it is certain."""
        person, wanted = person_asking(driver, request.headers), parse_id(check_id)
        reply = await driver.read_checks(lambda book: (book.check(wanted),))
        raise_problem(driver, reply)
        (check,) = reply.checks
        may_see(person, check)
        return JSONResponse(check_json(check, attention(driver)))

    @app.get(
        "/v1/tables/{table}/checks",
        tags=["checks"],
        response_model=TableChecks,
        responses=problem_docs(*problems),
    )
    async def read_table(request: Request, table: str) -> Response:
        """The checks of a table that are open or being paid. None is told only when it is certain."""
        may_see_table(person_asking(driver, request.headers), table)
        reply = await driver.read_checks(lambda book: book.checks_at(table))
        if reply.problem is not errors.CHECK_UNKNOWN:
            raise_problem(driver, reply)
        needed = attention(driver)
        return JSONResponse({"table": table, "checks": [check_json(check, needed) for check in reply.checks]})


def _add_callbacks(app: FastAPI, driver: Driver) -> None:
    @app.post(
        CALLBACK_PATH,
        tags=["gateway"],
        status_code=204,
        responses=problem_docs(
            errors.TOKEN_INVALID, errors.ORDER_INVALID, REQUEST_TOO_LARGE, errors.NOT_PRIMARY, errors.OUTCOME_UNKNOWN
        ),
    )
    async def gateway_callback(request: Request) -> Response:
        """The payment gateway says that something changed. It is asked about; a callback is taken when nothing is left to do."""
        body = await request.body()
        if len(body) > CALLBACK_BYTES_MAX:
            raise ProblemError(REQUEST_TOO_LARGE, f"a callback has {CALLBACK_BYTES_MAX} bytes at most")
        try:
            problem = await driver.desk.called_back(request.headers.get(SIGNATURE_HEADER, ""), body)
        except PermissionError as error:
            raise ProblemError(errors.TOKEN_INVALID, str(error)) from error
        except ValueError as error:
            raise ProblemError(errors.ORDER_INVALID, str(error)) from error
        if problem is not None:
            raise ProblemError(problem)
        return Response(status_code=204)


def attention(driver: Driver) -> dict[str, str]:
    """The payments that a person should look at now, by attempt, and why (`ATTENTION_TEXTS`)."""
    return {each.attempt_id: each.code for each in driver.device.cashier.attention()}


def person_asking(driver: Driver, headers: Mapping[str, str]) -> Person:
    """Who asks, by the token in `headers`; raises `OrderRejected`."""
    settings = driver.settings
    return person_of(settings.access_secret, settings.store, headers.get("authorization"), wall_ms() // 1000)


def _person_acting(driver: Driver, headers: Mapping[str, str], act_id: str) -> Person:
    """Who acts, by the token in `headers`; raises `OrderRejected`.

    A token may have ended between an act and the same act again: whoever did it is told its answer all the same (P6). A device
    that is not the primary cannot say whether it was done, so it refuses nobody for that; it refuses every act.
    """
    settings, device = driver.settings, driver.device
    whoever = person_of(settings.access_secret, settings.store, headers.get("authorization"), now_s=0)
    if not device.is_primary or _did(driver, whoever, act_id):
        return whoever
    return person_asking(driver, headers)


def _did(driver: Driver, person: Person, act_id: str) -> bool:
    """Whether the log has an act under this key, and it is `person`'s."""
    log = driver.device.replica.log
    key = log.key(act_id)
    return key is not None and log.entry(key.seq).content().get("who") == person.who


def _check_act(driver: Driver, person: Person, act: Act | StoreAct) -> None:
    """Whether `person` may do it. A key that is known is looked up before any other check (P6): it is only told again."""
    if not driver.device.is_primary or _did(driver, person, act.act_id):
        return
    may_act(person, act, driver.device.book)
    has_settler(act, driver.desk.tenders)
