"""The cloud's routes: they read a request, call what does the work, and shape the answer; nothing is decided here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from refsystem.branch_messages import BranchBody, BranchReply, answer_json
from refsystem.chain_access import Guard, chain_guard
from refsystem.cloud.audit_reads import AuditReads
from refsystem.cloud.branch import BranchReads
from refsystem.cloud.channels import CloudChannels, channel_routes
from refsystem.cloud.checks import CheckReads
from refsystem.cloud.database import Database, queries
from refsystem.cloud.dispatch import Dispatch
from refsystem.cloud.ingest import Ingest
from refsystem.cloud.models import (
    CursorReply,
    DownlinkReply,
    OrderFound,
    OrderReply,
    OrderSubmission,
    StoreName,
    StoreSetup,
    StoreStatus,
)
from refsystem.cloud.orders import KnownKeys, Orders
from refsystem.cloud.permissions import may_order
from refsystem.cloud.platform_routes import platform_routes
from refsystem.cloud.platform_settings import PlatformSettings, read_platform
from refsystem.cloud.platforms import make_platforms, running
from refsystem.cloud.store_reads import StoreReads
from refsystem.feed_messages import NUMBER_MAX, BatchBody, FeedRefusal, cursor_json, refusal_response
from refsystem.order_messages import order_request
from refsystem.ordering import errors
from refsystem.ordering.channel_rules import CHANNEL_PAUSED, ChannelRules
from refsystem.ordering.kitchen_errors import ITEM_SOLD_OUT
from refsystem.ordering.menu import DEMO_MENU, Menu
from refsystem.ordering.order import parse_key, parse_order
from refsystem.overload.layer import OverloadLayer, make_gate
from refsystem.overload.settings import DEFAULT_OVERLOAD, OverloadSettings, read_overload
from refsystem.problems import (
    REQUEST_INVALID,
    BodyLimit,
    ProblemError,
    install_problem_handlers,
    problem_docs,
    read_json,
)
from refsystem.protocol.uplink import Accepted, Forked, Matched, StaleSender
from refsystem.settings import Reader
from refsystem.store_messages import MenuReply
from refsystem.store_settings import StoreMenus, find_menu, read_store_menus
from refsystem.telemetry import Telemetry

PAGE_MAX = 5000
Number = Annotated[int, Query(ge=0, le=NUMBER_MAX)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
READ_PROBLEMS = (errors.STORAGE_UNAVAILABLE, errors.OVERLOADED)
WRITE_PROBLEMS = (*READ_PROBLEMS, errors.OUTCOME_UNKNOWN)
FEED_PROBLEMS = (
    *(errors.TOKEN_INVALID, errors.STORE_UNKNOWN, errors.ORDER_INVALID, REQUEST_INVALID),
    *WRITE_PROBLEMS,
)


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """What a cloud process needs to know. `menus` are of stores that have one of their own.

    `chain_secret` is known to the stores' devices and to audits; without one the routes for them are open.
    """

    database_url: str
    host: str = "127.0.0.1"
    port: int = 8000
    menu: Menu = DEMO_MENU
    ready_file: Path | None = None
    menus: Mapping[str, Menu] = field(default_factory=dict)
    overload: OverloadSettings = DEFAULT_OVERLOAD
    platform: PlatformSettings | None = None
    channel_rules: ChannelRules | None = None
    chain_secret: bytes | None = None
    access_secret: bytes | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CloudSettings:
        """Read `RUSHPROOF_DATABASE_URL`, `_CLOUD_HOST`, `_CLOUD_PORT`, `_MENU`, `_STORE_MENUS` and `_CLOUD_READY_FILE`.

        Besides: the chain's secret (`Reader.chain_secret`), `RUSHPROOF_ACCESS_SECRET_FILE`, the secret of the stores' tokens
        (`permissions.py`), what is told of overload (see `refsystem/overload/README.md`), and of a delivery platform
        (`read_platform`).

        Raises `ValueError` that names the variable.
        """
        url, port = environment.get("RUSHPROOF_DATABASE_URL", ""), environment.get("RUSHPROOF_CLOUD_PORT", "8000")
        if not url:
            raise ValueError("RUSHPROOF_DATABASE_URL must hold the address of a PostgreSQL database")
        if not port.isdigit():
            raise ValueError(f"RUSHPROOF_CLOUD_PORT must be a port number, not {port!r}")
        ready_file = environment.get("RUSHPROOF_CLOUD_READY_FILE")
        try:
            menus = read_store_menus(environment.get("RUSHPROOF_STORE_MENUS", ""))
        except ValueError as error:
            raise ValueError(f"RUSHPROOF_STORE_MENUS {error}") from error
        return cls(
            url,
            environment.get("RUSHPROOF_CLOUD_HOST", "127.0.0.1"),
            int(port),
            find_menu(environment.get("RUSHPROOF_MENU", "")),
            Path(ready_file) if ready_file else None,
            menus,
            read_overload(environment),
            read_platform(environment),
            Reader(environment).channel_rules(),
            Reader(environment).chain_secret(),
            Reader(environment).secret("RUSHPROOF_ACCESS_SECRET_FILE"),
        )


def create_app(settings: CloudSettings) -> FastAPI:
    """The cloud as an ASGI application; its database is opened when it starts."""
    database = Database(settings.database_url)
    menus = StoreMenus(settings.menu, settings.menus)
    channels = CloudChannels(settings.channel_rules, database, menus)
    platforms = make_platforms(settings.platform, database, menus, channels)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.start()
        try:
            async with running(platforms):
                yield
        finally:
            await database.stop()

    app = FastAPI(title="Rushproof cloud", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problem_handlers(app)
    app.include_router(_diner_routes(database, menus, channels, settings.access_secret))
    guard = chain_guard(settings.chain_secret, "the routes of stores and audits")
    reads = AuditReads(database, knows_readers=settings.chain_secret is not None)
    app.include_router(_store_routes(database, channels, guard))
    app.include_router(_operator_routes(database, guard))
    app.include_router(_audit_routes(database, menus, reads, guard))
    app.include_router(platform_routes(platforms, guard))
    app.include_router(channel_routes(channels))
    app.add_middleware(BodyLimit)
    telemetry = Telemetry("cloud")
    app.add_middleware(
        OverloadLayer,
        gate=make_gate(settings.overload),
        settings=settings.overload,
        refused=telemetry.counter("overload_refused_total", "Requests refused at the gate", ("reason", "priority")),
        known=KnownKeys(database).holds,
    )
    telemetry.install(app)
    return app


def _diner_routes(
    database: Database, menus: StoreMenus, channels: CloudChannels, access_secret: bytes | None
) -> APIRouter:
    router = APIRouter(tags=["diner"])
    orders = Orders(database, menus, channels.check if channels.has_rules else None)
    store_reads = StoreReads(database, menus)
    contents = (errors.KEY_MISSING, errors.KEY_REUSED, errors.ORDER_INVALID)
    refusals = (*contents, errors.ITEM_UNKNOWN, errors.PRICE_CHANGED, ITEM_SOLD_OUT)
    denied = (errors.TOKEN_INVALID, errors.NOT_ALLOWED)

    @router.post(
        "/v1/orders",
        status_code=201,
        response_model=OrderReply,
        responses=problem_docs(*refusals, *denied, errors.STORE_UNKNOWN, CHANNEL_PAUSED, *WRITE_PROBLEMS),
        openapi_extra=order_request(OrderSubmission),
    )
    async def place_order(request: Request) -> Response:
        """Submit an order. The same key again gets the same order, with `Idempotency-Replayed: true`."""
        order_id = parse_key(request.headers.get("Idempotency-Key"))
        body = await read_json(request)
        order = parse_order(order_id, body)
        store = body.get("store")
        if not isinstance(store, str):
            raise errors.OrderRejected(errors.ORDER_INVALID, "store must be a text")
        if order.check_id:
            raise errors.OrderRejected(errors.ORDER_INVALID, "check_id is for orders in the store, not here")
        header = request.headers.get("authorization")
        reply, repeated = await orders.place(store, order, lambda: may_order(access_secret, header, store, order))
        return JSONResponse(reply, 201, {"Idempotency-Replayed": "true"} if repeated else None)

    @router.get("/v1/orders/{order_id}", response_model=OrderFound, responses=problem_docs(errors.NOT_CONFIRMED))
    async def find_order(order_id: UUID) -> Response:
        """The order. What the cloud does not hold its store may: then 503 not-confirmed, never a "not there"."""
        return JSONResponse(await orders.find(str(order_id)))

    @router.get("/v1/menu", response_model=MenuReply, responses=problem_docs(errors.STORE_UNKNOWN, *READ_PROBLEMS))
    async def show_menu(store: StoreName | None = None) -> Response:
        """The menu of a store, and what of it is sold out here now; without a store the common menu."""
        return JSONResponse(await store_reads.menu(store or ""))

    return router


def _store_routes(database: Database, channels: CloudChannels, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/v1/stores/{store}", tags=["store"], dependencies=[Depends(guard)])
    ingest, dispatch, branches = Ingest(database), Dispatch(database), BranchReads(database)

    @router.post(
        "/uplink",
        response_model=CursorReply,
        responses={
            **problem_docs(*FEED_PROBLEMS),
            409: {"model": FeedRefusal, "description": "The batch was not taken"},
        },
    )
    async def uplink(store: StoreName, body: BatchBody) -> Response:
        """Take a batch of the store's committed entries (P14); one without entries asks for the cursor."""
        if body.store != store:
            raise ProblemError(REQUEST_INVALID, f"the batch is of store {body.store!r}")
        channels.heard(store)
        judgement = await ingest.receive(body.to_batch())
        if isinstance(judgement, Accepted | Matched | Forked):
            return JSONResponse({"cursor": cursor_json(judgement.cursor)})
        return refusal_response(judgement)

    @router.post(
        "/branch",
        response_model=BranchReply,
        responses={
            **problem_docs(*FEED_PROBLEMS),
            409: {"model": FeedRefusal, "description": "A higher sender was seen: stale-sender"},
        },
    )
    async def branch(store: StoreName, body: BranchBody) -> Response:
        """What the cloud holds behind the last place that it shares with a device that breaks the glass (P19).

        The device's epoch counts as the highest seen: from then on no earlier primary adds anything.
        """
        if body.store != store:
            raise ProblemError(REQUEST_INVALID, f"the question is of store {body.store!r}")
        answer = await branches.answer(body.to_question())
        if isinstance(answer, StaleSender):
            return refusal_response(answer)
        return JSONResponse(answer_json(answer))

    @router.get(
        "/downlink",
        response_model=DownlinkReply,
        responses=problem_docs(errors.TOKEN_INVALID, errors.STORE_UNKNOWN, *READ_PROBLEMS),
    )
    async def downlink(
        store: StoreName, after: Number = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> Response:
        """The orders for the store from number `after + 1` on (P15)."""
        channels.heard(store)
        return JSONResponse(await dispatch.after(store, after, limit))

    return router


def _operator_routes(database: Database, guard: Guard) -> APIRouter:
    router = APIRouter(tags=["operator"])

    @router.put(
        "/v1/stores/{store}",
        dependencies=[Depends(guard)],
        responses=problem_docs(errors.TOKEN_INVALID, REQUEST_INVALID, *WRITE_PROBLEMS),
    )
    async def put_store(store: StoreName, body: StoreSetup) -> dict[str, str]:
        """Set a store up, or name it anew."""
        async with database.statement() as connection:
            await queries.put_store(connection, store=store, name=body.name)
        return {"store": store, "name": body.name}

    @router.get(
        "/v1/stores/{store}/status",
        response_model=StoreStatus,
        responses=problem_docs(errors.STORE_UNKNOWN, *READ_PROBLEMS),
    )
    async def store_status(store: StoreName) -> Response:
        """Where the cloud stands with the store."""
        async with database.reading() as connection:
            row = await queries.store_status(connection, store=store)
        if row is None:
            raise ProblemError(errors.STORE_UNKNOWN, f"there is no store {store!r}")
        cursor = {"seq": row["cursor_seq"], "hash": row["cursor_hash"]}
        rest = {name: row[name] for name in ("highest_epoch", "last_number", "alarms")}
        return JSONResponse({"cursor": cursor, **rest})

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @router.get("/ready", responses=problem_docs(*READ_PROBLEMS))
    async def ready() -> dict[str, str]:
        """Orders can be taken: the database answers."""
        async with database.reading() as connection:
            await queries.storage_answers(connection)
        return {"status": "ready"}

    return router


def _audit_routes(database: Database, menus: StoreMenus, reads: AuditReads, guard: Guard) -> APIRouter:
    docs = problem_docs(errors.TOKEN_INVALID, *READ_PROBLEMS)
    router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=docs, dependencies=[Depends(guard)])
    checks, store_reads = CheckReads(database, menus), StoreReads(database, menus)

    @router.get("/stock", responses=problem_docs(errors.STORE_UNKNOWN))
    async def audit_stock(store: StoreName) -> dict[str, Any]:
        """The store's stock by what came up, and the cloud's rights to it (P18)."""
        return await store_reads.stock(store)

    @router.get("/orders")
    async def audit_orders(store: StoreName, after: UUID | None = None, limit: Limit = 1000) -> dict[str, Any]:
        """The store's orders by ascending `order_id`, beginning behind `after`."""
        return await reads.orders(store, str(after) if after else None, limit)

    @router.get("/checks", responses=problem_docs(errors.STORE_UNKNOWN))
    async def audit_checks(store: StoreName, after: UUID | None = None, limit: Limit = 1000) -> dict[str, Any]:
        """The store's checks with their payments by ascending `check_id`, beginning behind `after`, as its log says them."""
        return await checks.page(store, str(after) if after else "", limit)

    @router.get("/entries")
    async def audit_entries(store: StoreName, from_seq: Number = 1, limit: Limit = 1000) -> dict[str, Any]:
        """The store's log as it came up."""
        return await reads.entries(store, from_seq, limit)

    @router.get("/forked-entries")
    async def audit_forked_entries(store: StoreName, after: Number = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Entries of branches that the store has left (P19), as they came, behind number `after` of this list."""
        return await reads.forked_entries(store, after, limit)

    @router.get("/alarms")
    async def audit_alarms(store: StoreName) -> dict[str, Any]:
        """What a person must look at."""
        return await reads.alarms(store)

    return router
