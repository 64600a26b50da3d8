"""The kitchen display's routes: the feed from the store's primary, the page for the cooks, reads for an audit."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import apsw
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from refsystem.access import Person, Role, person_of
from refsystem.chain_access import chain_guard
from refsystem.clocks import wall_us
from refsystem.feed_messages import NUMBER_MAX, BatchBody, CursorBody, FeedRefusal, Text, cursor_json, refusal_response
from refsystem.kitchen_display.shown import Shown
from refsystem.kitchen_display.store import DELIVERIES_MAX, STATION, WHO, Bump, KitchenStore
from refsystem.ordering.errors import (
    ACT_INVALID,
    ITEM_UNKNOWN,
    KEY_MISSING,
    KEY_REUSED,
    NOT_ALLOWED,
    ORDER_INVALID,
    OUTCOME_UNKNOWN,
    OVERLOADED,
    STORE_UNKNOWN,
    TOKEN_INVALID,
    OrderRejected,
)
from refsystem.ordering.kitchen_acts import EightySix
from refsystem.ordering.kitchen_errors import COURSE_NOT_HELD, ITEM_STATE, TICKET_STATE
from refsystem.ordering.menu import DEMO_MENU, Menu
from refsystem.ordering.order import parse_key
from refsystem.ordering.store_acts import parse_store_act
from refsystem.ordering.store_rules import ONE_SLIP, KitchenRules, scaled
from refsystem.problems import (
    REQUEST_INVALID,
    TICKET_UNKNOWN,
    BodyLimit,
    ProblemError,
    install_problem_handlers,
    problem_docs,
    read_json,
)
from refsystem.protocol.uplink import Accepted, Forked, Judgement, Matched
from refsystem.settings import Reader
from refsystem.store_settings import find_menu, find_store_rules
from refsystem.telemetry import Telemetry
from refsystem.web.files import FRESH, PageFiles
from refsystem.web.pages import security_policy

WAITING_MAX = 100
OPEN_TICKETS_MAX = 200
BUMPED_TICKETS_MAX = 30
REFUSED_MAX = 200
TICKETS_MAX = 200_000
PAGE = Path(__file__).parent.with_name("web") / "kitchen_display.html"
PAGE_HEADERS = FRESH | {
    "Content-Security-Policy": security_policy(),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
COOKS: tuple[Role, ...] = ("kitchen", "manager")
COOKS_ACTS = ("fire", "recall", "rush", "eighty_six", "restore")
Station = Annotated[str, Query(max_length=40)]
Number = Annotated[int, Query(ge=0, le=NUMBER_MAX)]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class KitchenSettings:
    """What a kitchen display needs to know. After `kitchen_s` seconds a ticket is done by itself; 0: by a person.

    The feed is for whoever knows the `chain_secret`, taps are for the kitchen by tokens signed with the `access_secret`; without
    a secret they are open.
    """

    store: str
    data: Path
    host: str = "127.0.0.1"
    port: int = 8001
    kitchen_s: float = 0.0
    menu: Menu = DEMO_MENU
    ready_file: Path | None = None
    rules: KitchenRules = ONE_SLIP
    chain_secret: bytes | None = None
    access_secret: bytes | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> KitchenSettings:
        """Read `RUSHPROOF_KITCHEN_STORE`, `_DATA`, `_HOST`, `_PORT`, `_SECONDS`, `_READY_FILE` and `RUSHPROOF_MENU`.

        And the secrets' files, as a device does; and `RUSHPROOF_STORE_RULES`, whose times `RUSHPROOF_TIME_SCALE` divides;
        without rules a kitchen has one station.
        Raises `ValueError` that names the variable.
        """
        prefix = "RUSHPROOF_KITCHEN_"
        values = {name.removeprefix(prefix): value for name, value in environment.items() if name.startswith(prefix)}
        for name in ("STORE", "DATA"):
            if not values.get(name):
                raise ValueError(f"RUSHPROOF_KITCHEN_{name} must be set")
        port, ready_file = values.get("PORT", "8001"), values.get("READY_FILE")
        if not port.isdigit():
            raise ValueError(f"RUSHPROOF_KITCHEN_PORT must be a port number, not {port!r}")
        return cls(
            values["STORE"],
            Path(values["DATA"]),
            values.get("HOST", "127.0.0.1"),
            int(port),
            _seconds(values.get("SECONDS", "0")),
            find_menu(environment.get("RUSHPROOF_MENU", "")),
            Path(ready_file) if ready_file else None,
            _rules(environment),
            Reader(environment).chain_secret(),
            Reader(environment).secret("RUSHPROOF_ACCESS_SECRET_FILE"),
        )


class RefusedAct(BaseModel):
    """An act of the kitchen that the store has refused."""

    model_config = ConfigDict(strict=True)

    act_id: Text
    why: Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]


class KitchenBatchBody(BatchBody):
    """A batch of the feed, and what became of acts that the display has sent."""

    refused: Annotated[list[RefusedAct], Field(max_length=REFUSED_MAX, default_factory=list)]


class FeedReply(BaseModel):
    """Where the display stands now, the tickets that are done and whose bump has not come back yet, and the kitchen's acts."""

    cursor: CursorBody
    bumps: list[dict[str, Any]]
    acts: list[dict[str, Any]] = []


class Display:
    """The store and the one thread that may touch it."""

    def __init__(self, settings: KitchenSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kitchen-store")
        self._waiting = 0
        self._store: KitchenStore | None = None
        self.fed_at_us: int | None = None

    async def start(self) -> None:
        """Open the database."""
        loop = asyncio.get_running_loop()
        settings = self._settings

        def opened() -> KitchenStore:
            kitchen_us = int(settings.kitchen_s * 1_000_000)
            store = KitchenStore(settings.data, kitchen_us, menu=settings.menu, rules=settings.rules)
            store.clock_starts(_now_us())
            return store

        self._store = await loop.run_in_executor(self._thread, opened)

    async def stop(self) -> None:
        """Finish what waits and close the database."""
        if self._store is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    async def run(self, work: Callable[[KitchenStore], Result]) -> Result:
        """Do `work` in the store's thread, behind what waits there already."""
        assert self._store is not None, "the display was not started"
        if self._waiting >= WAITING_MAX:
            raise ProblemError(OVERLOADED, f"{self._waiting} requests wait for the display's database")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._store)
        except apsw.Error as error:
            raise ProblemError(OUTCOME_UNKNOWN, f"the display's database failed ({type(error).__name__})") from error
        finally:
            self._waiting -= 1


def create_app(settings: KitchenSettings) -> FastAPI:
    """The kitchen display as an ASGI application."""
    display = Display(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await display.start()
        try:
            yield
        finally:
            await display.stop()

    app = FastAPI(title="Rushproof kitchen display", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problem_handlers(app)
    app.include_router(_feed_routes(display, settings))
    app.include_router(_cook_routes(display, settings, Shown(settings.menu, settings.rules)))
    app.include_router(_operator_routes(display))
    app.mount("/web", PageFiles(), name="web")
    app.add_middleware(BodyLimit)
    Telemetry("kitchen").install(app)
    return app


def _feed_routes(display: Display, settings: KitchenSettings) -> APIRouter:
    router = APIRouter(tags=["store"], dependencies=[Depends(chain_guard(settings.chain_secret, "the feed"))])

    @router.post(
        "/v1/feed",
        response_model=FeedReply,
        responses={
            **problem_docs(TOKEN_INVALID, STORE_UNKNOWN, ORDER_INVALID, OVERLOADED, OUTCOME_UNKNOWN),
            409: {"model": FeedRefusal, "description": "The batch was not taken"},
        },
    )
    async def feed(body: KitchenBatchBody) -> Response:
        """Take a batch of the store's committed entries (P17); one without entries asks for the cursor."""
        if body.store != settings.store:
            raise ProblemError(STORE_UNKNOWN, f"this display belongs to store {settings.store!r}")
        now_us = _now_us()
        refused = [(act.act_id, act.why) for act in body.refused]

        def take(store: KitchenStore) -> tuple[Judgement, list[Bump], list[dict[str, Any]]]:
            judgement, bumps = store.receive(body.to_batch(), now_us)
            taken = isinstance(judgement, Accepted | Matched | Forked)
            if taken:
                store.acts_refused(refused)
            return judgement, bumps, store.pending_acts(now_us) if taken else []

        judgement, bumps, acts = await display.run(take)
        if not isinstance(judgement, Accepted | Matched | Forked):
            return refusal_response(judgement)
        display.fed_at_us = now_us
        reply = {"cursor": cursor_json(judgement.cursor), "bumps": [asdict(bump) for bump in bumps], "acts": acts}
        return JSONResponse(reply)

    return router


def _cook_routes(display: Display, settings: KitchenSettings, shown: Shown) -> APIRouter:
    router = APIRouter(tags=["kitchen"])
    menu = settings.menu

    def cook(request: Request) -> Person | None:
        """Who taps; None where the display was given no secret to know anybody by."""
        if settings.access_secret is None:
            return None
        header, now_s = request.headers.get("Authorization"), wall_us() // 1_000_000
        person = person_of(settings.access_secret, settings.store, header, now_s)
        if person.role not in COOKS:
            raise OrderRejected(NOT_ALLOWED, f"this is for the store's {' or '.join(COOKS)}")
        return person

    @router.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """The page for the cooks. It loads nothing from elsewhere."""
        return HTMLResponse(await asyncio.to_thread(PAGE.read_text, encoding="utf-8"), headers=PAGE_HEADERS)

    @router.get("/v1/kitchen")
    async def kitchen() -> dict[str, Any]:
        """Stations, courses, and what is on the menu and what of it is sold out, with names in both languages."""
        return shown.kitchen(await display.run(lambda store: store.orders.all_sold_out()))

    @router.get("/v1/tickets")
    async def tickets(station: Station = "") -> dict[str, Any]:
        """Tickets to be made, as they stand on the display, with names in both languages and how long each waits.

        `held` are courses that orders hold back; `acts_waiting` counts what the store has not settled yet.
        """
        now_us = _now_us()

        def read(store: KitchenStore) -> dict[str, Any]:
            rows = store.open_tickets(OPEN_TICKETS_MAX, station, now_us)
            held = shown.held(store.orders.held(), station, now_us)
            return {
                "tickets": [shown.ticket(row, now_us) for row in rows],
                "open": store.counts()[2],
                "held": held,
                "acts_waiting": store.acts_waiting(),
            }

        found = await display.run(read)
        fed_ms = None if display.fed_at_us is None else (now_us - display.fed_at_us) // 1000
        return {**found, "fed_ms_ago": fed_ms}

    @router.get("/v1/tickets/bumped")
    async def bumped(station: Station = "") -> dict[str, Any]:
        """What was done last, for whoever recalls it; the newest first."""
        rows = await display.run(lambda store: store.bumped_tickets(BUMPED_TICKETS_MAX, station))
        return {"tickets": [shown.ticket(row, _now_us()) for row in rows]}

    @router.post(
        "/v1/tickets/{order_id}/bump",
        responses=problem_docs(TOKEN_INVALID, NOT_ALLOWED, TICKET_UNKNOWN, REQUEST_INVALID, OVERLOADED),
    )
    async def bump(
        request: Request,
        order_id: str,
        x_requested_with: Annotated[str, Header()],
        version: Number = 1,
        station: str = STATION,
    ) -> dict[str, str]:
        """A ticket is done. Pending until the store's log has it; saying it twice changes nothing.

        `X-Requested-With`, with any value, keeps other sites' pages out: a browser lets none of them send it here.
        """
        cook(request)
        status = await display.run(lambda store: store.ask_bump(Bump(order_id, version, station), _now_us()))
        if status is None:
            raise ProblemError(TICKET_UNKNOWN, "there is no such ticket")
        return {"status": status}

    @router.post(
        "/v1/acts",
        responses=problem_docs(
            *(
                TOKEN_INVALID,
                NOT_ALLOWED,
                ACT_INVALID,
                KEY_MISSING,
                KEY_REUSED,
                ITEM_UNKNOWN,
                ITEM_STATE,
                TICKET_UNKNOWN,
                TICKET_STATE,
            ),
            *(COURSE_NOT_HELD, OVERLOADED, OUTCOME_UNKNOWN),
        ),
    )
    async def act(
        request: Request,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> dict[str, str]:
        """Something else the kitchen wants: `recall`, `fire`, `rush`, `eighty_six`, `restore`.

        Pending until the store's log has it; then logged, or refused with a reason. The same key asks again where it stands.
        """
        person = cook(request)
        who = WHO if person is None else person.who
        wanted = parse_store_act(parse_key(idempotency_key), who, await read_json(request))
        if wanted.name not in COOKS_ACTS:
            raise OrderRejected(ACT_INVALID, f"the kitchen may {', '.join(COOKS_ACTS)}, not {wanted.name}")
        if isinstance(wanted.content, EightySix) and wanted.content.item_id not in menu.by_id:
            raise OrderRejected(ITEM_UNKNOWN, f"there is no item {wanted.content.item_id!r} on the menu")
        answer = await display.run(lambda store: store.ask_act(wanted, _now_us()))
        return asdict(answer)

    return router


def _operator_routes(display: Display) -> APIRouter:
    router = APIRouter(tags=["operator"])

    @router.get("/v1/status")
    async def status() -> dict[str, Any]:
        """Where the display stands."""
        place, counts, waiting, held = await display.run(
            lambda store: (store.place(), store.counts(), store.waiting(), len(store.orders.held()))
        )
        (cursor, highest_epoch), (shown, bumped, _) = place, counts
        tickets = {"tickets": shown, "bumped": bumped, "waiting": waiting, "held": held}
        return {"cursor": cursor_json(cursor), "highest_epoch": highest_epoch, **tickets}

    @router.get("/v1/audit/tickets", tags=["audit"])
    async def audit_tickets(
        after_seq: Number = 0, limit: Annotated[int, Query(ge=1, le=TICKETS_MAX)] = TICKETS_MAX
    ) -> dict[str, Any]:
        """Every ticket that was ever shown."""
        return {"tickets": await display.run(lambda store: store.audit_tickets(after_seq, limit))}

    @router.get("/v1/audit/deliveries", tags=["audit"])
    async def audit_deliveries(
        after: Number = 0, limit: Annotated[int, Query(ge=1, le=DELIVERIES_MAX)] = DELIVERIES_MAX
    ) -> dict[str, Any]:
        """Every entry that ever came; `left_out` says how many were not noted because there were too many."""
        return await display.run(
            lambda store: {
                "deliveries": store.audit_deliveries(after, limit),
                "left_out": store.deliveries_left_out,
            }
        )

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @router.get("/ready", responses=problem_docs(OVERLOADED, OUTCOME_UNKNOWN))
    async def ready() -> dict[str, str]:
        """Tickets can be taken: the database answers."""
        await display.run(lambda store: store.place())
        return {"status": "ready"}

    return router


def _rules(environment: Mapping[str, str]) -> KitchenRules:
    scale = environment.get("RUSHPROOF_TIME_SCALE", "1")
    try:
        time_scale = float(scale)
    except ValueError:
        time_scale = math.nan
    if not 0 < time_scale <= 10_000:
        raise ValueError(f"RUSHPROOF_TIME_SCALE must be a number above 0, at most 10000, not {scale!r}")
    rules = find_store_rules(environment.get("RUSHPROOF_STORE_RULES", ""))
    return scaled(rules.kitchen if rules is not None else ONE_SLIP, time_scale)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < 1e9:
        raise ValueError(f"RUSHPROOF_KITCHEN_SECONDS must be a number of seconds, 0 or more, not {text!r}")
    return seconds


def _now_us() -> int:
    return time.monotonic_ns() // 1000
