"""The pages of the store, and what they ask for that nobody else does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from refsystem.check_messages import CheckBody, check_json
from refsystem.edge.check_routes import UNAVAILABLE, person_asking
from refsystem.edge.driver import Driver
from refsystem.edge.instrument_routes import add_instrument_routes
from refsystem.edge.question_routes import add_question_routes
from refsystem.edge.replies import raise_problem
from refsystem.ordering import errors
from refsystem.ordering.book import Book
from refsystem.ordering.check import Check, CheckStatus
from refsystem.ordering.errors import NOT_ALLOWED, OrderRejected, Problem
from refsystem.ordering.stock_scan import ScanError, read_scan
from refsystem.problems import REQUEST_INVALID, ProblemError, problem_docs
from refsystem.web.files import FRESH, PageFiles
from refsystem.web.languages import LANGUAGES, choose_language
from refsystem.web.pages import PAGES, STATIC, Pages, origin

LANGUAGE_COOKIE = "lang"
YEAR_S = 365 * 24 * 3600
CHECKS_MAX = 200
SCAN_CHARACTERS_MAX = 300
SCAN_INVALID = Problem("scan-invalid", 422, "The label cannot be used", True)


class OpenChecks(BaseModel):
    """Checks of the whole store: those that are open or being paid, and the last ones that were closed."""

    checks: list[CheckBody]
    closed: list[CheckBody] = Field(description="the latest first")


class ScanBody(BaseModel):
    """What a label says. `ingredient_id` is empty when no ingredient has its barcode; the rest is empty or 0 if not said."""

    ingredient_id: str
    barcode: str
    lot_id: str
    use_by: int = Field(description="YYYYMMDD")
    quantity: int = Field(description="in the ingredient's unit")
    count: int
    grams: int


def add_page_routes(app: FastAPI, driver: Driver) -> None:
    """Add them. Pages are shown to everybody; what they show comes from routes that ask for a token."""
    settings = driver.settings
    pages = Pages(settings.store, settings.menu, settings.peer_hint_url, settings.tables)
    if settings.peer_hint_url:
        # A page that came from the other device goes on here when that one has stopped.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin(settings.peer_hint_url)],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Idempotency-Replayed", "Retry-After"],
        )
    for page in PAGES:
        _add_page(app, pages, page)
    _add_files(app, pages)
    _add_checks(app, driver)
    _add_scan(app, driver)
    add_question_routes(app, driver)
    add_instrument_routes(app, driver)


def _add_page(app: FastAPI, pages: Pages, page: str) -> None:
    made: dict[str, str] = {}

    async def show(request: Request) -> Response:
        asked = request.query_params.get("lang")
        accepted = request.headers.get("accept-language")
        language = choose_language(asked, request.cookies.get(LANGUAGE_COOKIE), accepted)
        if language not in made:
            made[language] = pages.render(page, language)
        headers = {
            **FRESH,
            "Content-Security-Policy": pages.security_policy,
            "Content-Language": language,
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Language, Cookie",
            "X-Content-Type-Options": "nosniff",
        }
        answer = HTMLResponse(made[language], headers=headers)
        if asked in LANGUAGES:
            answer.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, samesite="lax", httponly=True)
        return answer

    app.add_api_route(f"/{page}", show, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)


def _add_files(app: FastAPI, pages: Pages) -> None:
    app.mount("/web", PageFiles(), name="web")

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        """Who comes without a page is a diner."""
        return RedirectResponse("/order")

    @app.get("/sw.js", include_in_schema=False)
    async def service_worker() -> Response:
        """The service worker stands at the top, because it serves all pages."""
        headers = FRESH | {"Content-Security-Policy": pages.security_policy}
        return FileResponse(STATIC / "sw.js", media_type="text/javascript", headers=headers)


def _add_checks(app: FastAPI, driver: Driver) -> None:
    problems = (errors.TOKEN_INVALID, errors.NOT_ALLOWED, errors.NOT_CONFIRMED, *UNAVAILABLE)

    @app.get(
        "/v1/checks", tags=["checks"], response_model=OpenChecks, responses=problem_docs(*problems, REQUEST_INVALID)
    )
    async def read_open_checks(request: Request, closed: Annotated[int, Query(ge=0, le=CHECKS_MAX)] = 0) -> Response:
        """Every check of the store that is open or being paid, and the last `closed` ones. For the staff."""
        if not person_asking(driver, request.headers).is_staff:
            raise OrderRejected(NOT_ALLOWED, "a table's token shows the checks of that table only")
        reply = await driver.read_checks(lambda book: _open_and_closed(book, closed))
        if reply.problem is not errors.CHECK_UNKNOWN:
            raise_problem(driver, reply)
        found: dict[bool, list[Any]] = {True: [], False: []}
        for check in reply.checks:
            found[check.status is CheckStatus.CLOSED].append(check_json(check))
        return JSONResponse({"checks": found[False], "closed": found[True]})


def _open_and_closed(book: Book, closed: int) -> tuple[Check, ...]:
    """At most `CHECKS_MAX` that are open, the oldest first, then `closed` ones, the latest first."""
    still = [check for check in book.checks if check.status in (CheckStatus.OPEN, CheckStatus.CLOSING)]
    done = [check for check in reversed(book.checks) if check.status is CheckStatus.CLOSED]
    return (*still[:CHECKS_MAX], *done[:closed])


def _add_scan(app: FastAPI, driver: Driver) -> None:
    menu = driver.settings.menu

    @app.get("/v1/scan", tags=["stock"], response_model=ScanBody, responses=problem_docs(SCAN_INVALID, REQUEST_INVALID))
    async def scan(text: Annotated[str, Query(max_length=SCAN_CHARACTERS_MAX)]) -> dict[str, Any]:
        """What a scanned label says (GS1 element string or product code), and which ingredient it is of."""
        try:
            found = read_scan(text)
        except ScanError as error:
            raise ProblemError(SCAN_INVALID, str(error)) from error
        mine = next(
            (each for each in menu.ingredients if each.barcode and each.barcode.zfill(14) == found.barcode), None
        )
        return {
            "ingredient_id": mine.ingredient_id if mine is not None else "",
            "barcode": found.barcode,
            "lot_id": found.lot,
            "use_by": found.use_by,
            "quantity": found.quantity(mine.unit) if mine is not None else 0,
            "count": found.count,
            "grams": found.grams,
        }
