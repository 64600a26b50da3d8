"""The channels of the stores as the cloud sees them: who pauses because its store is silent, too busy, or has its share of it.

What is open counts by the entries that came up, and with them what the cloud has taken and the store has not heard of yet.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from refsystem.channel_messages import ChannelsReply, channels_json, must_be_open
from refsystem.cloud.database import Database, queries
from refsystem.cloud.following import Following
from refsystem.cloud.models import StoreName
from refsystem.ordering.channel_rules import ChannelBoard, ChannelRules, ChannelState, Load
from refsystem.ordering.errors import OVERLOADED, STORAGE_UNAVAILABLE, STORE_UNKNOWN
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.order import Channel, Order
from refsystem.problems import problem_docs
from refsystem.protocol.log import Entry
from refsystem.store_settings import StoreMenus

LOOK_AGAIN_MS = 200
"""What is open in a store is counted no more often than that."""


class KitchenView:
    """The kitchen of one store, as far as its entries came up."""

    def __init__(self, kitchen: Kitchen) -> None:
        self.kitchen = kitchen

    def follow(self, entry: Entry, record: dict[str, Any]) -> None:
        """The next entry."""
        self.kitchen.apply(entry.seq, record)

    def open_tickets(self) -> Counter[str]:
        """How many tickets with work there are, by channel."""
        orders = self.kitchen.orders
        return Counter(order.channel for order in orders for ticket in order.tickets if ticket.has_work)


@dataclass
class _Store:
    """What is known of one store. It counts as heard when this process first meets it."""

    board: ChannelBoard
    heard_ms: int
    load: Load = field(default_factory=lambda: Load({}))
    looked_ms: int | None = None


class CloudChannels:
    """The channels of every store. Without `rules` all are open."""

    def __init__(self, rules: ChannelRules | None, database: Database, menus: StoreMenus) -> None:
        self._rules = rules
        self._database = database
        self._kitchens = Following(database, lambda store: KitchenView(Kitchen(menus.of(store))))
        self._stores: dict[str, _Store] = {}

    @property
    def has_rules(self) -> bool:
        """Whether anything may pause."""
        return self._rules is not None

    def heard(self, store: str) -> None:
        """The store asked for its orders, or sent entries. A store that nobody has asked about is kept no account of."""
        known = self._stores.get(store)
        if known is not None:
            known.heard_ms = now_ms()

    async def check(self, store: str, order: Order) -> None:
        """Raises `ProblemError` if the order's channel is paused. Its key must have been looked up before (P6)."""
        if self._rules is not None:
            must_be_open(await self.state(store, order.channel))

    async def state(self, store: str, channel: Channel) -> ChannelState:
        """One channel of a store now. Raises `ProblemError` if there is no such store."""
        known = self._known(store)
        if known.looked_ms is None or now_ms() - known.looked_ms >= LOOK_AGAIN_MS:
            await self._look(store, known)
        return known.board.state(channel)

    async def eighty_sixed(self, store: str) -> frozenset[str]:
        """What the kitchen of a store says is not available, as far as its entries came up."""
        async with self._kitchens.of(store) as (view, _):
            return frozenset(each.item_id for each in view.kitchen.all_sold_out)

    async def told(self, store: str) -> dict[str, Any]:
        """The body of `GET /v1/channels`. Raises `ProblemError` if there is no such store."""
        known = self._known(store)
        await self._look(store, known)
        load = known.load
        return channels_json(store, known.board.states, dict(load.open_tickets), load.silent_ms, now_ms())

    def _known(self, store: str) -> _Store:
        return self._stores.setdefault(store, _Store(ChannelBoard(self._rules), now_ms()))

    async def _look(self, store: str, known: _Store) -> None:
        try:
            async with self._kitchens.of(store) as (view, _):
                tickets = view.open_tickets()
            async with self._database.reading() as connection:
                waiting = [row async for row in queries.orders_not_taken(connection, store=store)]
        except Exception:
            self._stores.pop(store, None)  # there is no such store, or nothing can be said of it now
            raise
        tickets.update({row["channel"]: row["orders"] for row in waiting})
        known.looked_ms = now_ms()
        known.load = Load(tickets, known.looked_ms - known.heard_ms)
        known.board.look(known.load, known.looked_ms)


def channel_routes(channels: CloudChannels) -> APIRouter:
    """`GET /v1/channels?store=`."""
    router = APIRouter(tags=["channels"])
    docs = problem_docs(STORE_UNKNOWN, STORAGE_UNAVAILABLE, OVERLOADED)

    @router.get("/v1/channels", response_model=ChannelsReply, responses=docs)
    async def read_channels(store: StoreName) -> Response:
        """Which channels of a store take orders, and why the others do not."""
        return JSONResponse(await channels.told(store))

    return router


def now_ms() -> int:
    """The host's monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000
