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
from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel

from refsystem.feed_messages import NUMBER_MAX, BatchBody, CursorBody, FeedRefusal, cursor_json, refusal_response
from refsystem.kitchen_display.store import DELIVERIES_MAX, STATION, Bump, KitchenStore
from refsystem.ordering.errors import ORDER_INVALID, OUTCOME_UNKNOWN, OVERLOADED, STORE_UNKNOWN
from refsystem.ordering.menu import DEMO_MENU, Menu, read_menu
from refsystem.problems import (
    REQUEST_INVALID,
    TICKET_UNKNOWN,
    BodyLimit,
    ProblemError,
    install_problem_handlers,
    problem_docs,
)
from refsystem.protocol.uplink import Accepted, Forked, Matched
from refsystem.telemetry import Telemetry

WAITING_MAX = 100
OPEN_TICKETS_MAX = 200
TICKETS_MAX = 200_000
PAGE = Path(__file__).parent.with_name("web") / "kitchen_display.html"
Number = Annotated[int, Query(ge=0, le=NUMBER_MAX)]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class KitchenSettings:
    """What a kitchen display needs to know. After `kitchen_s` seconds a ticket is done by itself; 0: by a person."""

    store: str
    data: Path
    host: str = "127.0.0.1"
    port: int = 8001
    kitchen_s: float = 0.0
    menu: Menu = DEMO_MENU
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> KitchenSettings:
        """Read `RUSHPROOF_KITCHEN_STORE`, `_DATA`, `_HOST`, `_PORT`, `_SECONDS`, `_READY_FILE` and `RUSHPROOF_MENU`.

        Raises `ValueError` that names the variable.
        """
        prefix = "RUSHPROOF_KITCHEN_"
        values = {name.removeprefix(prefix): value for name, value in environment.items() if name.startswith(prefix)}
        for name in ("STORE", "DATA"):
            if not values.get(name):
                raise ValueError(f"RUSHPROOF_KITCHEN_{name} must be set")
        port, menu, ready_file = values.get("PORT", "8001"), environment.get("RUSHPROOF_MENU"), values.get("READY_FILE")
        if not port.isdigit():
            raise ValueError(f"RUSHPROOF_KITCHEN_PORT must be a port number, not {port!r}")
        return cls(
            values["STORE"],
            Path(values["DATA"]),
            values.get("HOST", "127.0.0.1"),
            int(port),
            _seconds(values.get("SECONDS", "0")),
            read_menu(Path(menu)) if menu else DEMO_MENU,
            Path(ready_file) if ready_file else None,
        )


class FeedReply(BaseModel):
    """Where the display stands now, and the tickets that are done and whose bump has not come back yet."""

    cursor: CursorBody
    bumps: list[dict[str, Any]]


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
        kitchen_us = int(self._settings.kitchen_s * 1_000_000)
        self._store = await loop.run_in_executor(self._thread, KitchenStore, self._settings.data, kitchen_us)

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
    app.include_router(_cook_routes(display, settings.menu))
    app.include_router(_operator_routes(display))
    app.add_middleware(BodyLimit)
    Telemetry("kitchen").install(app)
    return app


def _feed_routes(display: Display, settings: KitchenSettings) -> APIRouter:
    router = APIRouter(tags=["store"])

    @router.post(
        "/v1/feed",
        response_model=FeedReply,
        responses={
            **problem_docs(STORE_UNKNOWN, ORDER_INVALID, OVERLOADED, OUTCOME_UNKNOWN),
            409: {"model": FeedRefusal, "description": "The batch was not taken"},
        },
    )
    async def feed(body: BatchBody) -> Response:
        """Take a batch of the store's committed entries (P17); one without entries asks for the cursor."""
        if body.store != settings.store:
            raise ProblemError(STORE_UNKNOWN, f"this display belongs to store {settings.store!r}")
        now_us = _now_us()
        judgement, bumps = await display.run(lambda store: store.receive(body.to_batch(), now_us))
        if not isinstance(judgement, Accepted | Matched | Forked):
            return refusal_response(judgement)
        display.fed_at_us = now_us
        return JSONResponse({"cursor": cursor_json(judgement.cursor), "bumps": [asdict(bump) for bump in bumps]})

    return router


def _cook_routes(display: Display, menu: Menu) -> APIRouter:
    router = APIRouter(tags=["kitchen"])

    @router.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """The page for the cooks. It loads nothing from elsewhere."""
        return HTMLResponse(await asyncio.to_thread(PAGE.read_text, encoding="utf-8"))

    @router.get("/v1/tickets")
    async def tickets() -> dict[str, Any]:
        """Tickets to be made, the oldest first, with names in both languages and how long each waits."""
        now_us = _now_us()
        found, counts = await display.run(lambda store: (store.open_tickets(OPEN_TICKETS_MAX), store.counts()))
        fed_ms = None if display.fed_at_us is None else (now_us - display.fed_at_us) // 1000
        return {"tickets": [_shown(row, menu, now_us) for row in found], "open": counts[2], "fed_ms_ago": fed_ms}

    @router.post("/v1/tickets/{order_id}/bump", responses=problem_docs(TICKET_UNKNOWN, REQUEST_INVALID, OVERLOADED))
    async def bump(order_id: str, version: Number = 1, station: str = STATION) -> dict[str, str]:
        """A ticket is done. Pending until the store's log has it; saying it twice changes nothing."""
        status = await display.run(lambda store: store.ask_bump(Bump(order_id, version, station), _now_us()))
        if status is None:
            raise ProblemError(TICKET_UNKNOWN, "there is no such ticket")
        return {"status": status}

    return router


def _operator_routes(display: Display) -> APIRouter:
    router = APIRouter(tags=["operator"])

    @router.get("/v1/status")
    async def status() -> dict[str, Any]:
        """Where the display stands."""
        place, counts, waiting = await display.run(lambda store: (store.place(), store.counts(), store.waiting()))
        (cursor, highest_epoch), (shown, bumped, _) = place, counts
        tickets = {"tickets": shown, "bumped": bumped, "waiting": waiting}
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


def _shown(row: dict[str, Any], menu: Menu, now_us: int) -> dict[str, Any]:
    items = [_line(line, menu) for line in row["items"] or ()]
    kept = {name: row[name] for name in ("order_id", "version", "station", "channel", "table", "note", "given_up")}
    return {**kept, "items": items, "waiting_s": max(0, now_us - row["shown_at_us"]) // 1_000_000}


def _line(line: Any, menu: Menu) -> dict[str, Any]:
    item_id, quantity = line if isinstance(line, list) and len(line) == 2 else (line, 1)
    item = menu.by_id.get(str(item_id))
    name, name_zh = (item.name, item.name_zh) if item else (str(item_id), str(item_id))
    return {"item_id": item_id, "quantity": quantity, "name": name, "name_zh": name_zh}


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
