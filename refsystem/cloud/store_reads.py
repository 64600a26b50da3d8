"""Kitchen and stock of the stores as the cloud knows them: what is sold out there, and what may still be promised here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refsystem.clocks import local_time
from refsystem.cloud import stock as cloud_stock
from refsystem.cloud.database import Database
from refsystem.cloud.following import Following
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.order import Order
from refsystem.ordering.stock import Stock
from refsystem.ordering.stock_rights import CloudRights
from refsystem.protocol.log import Entry
from refsystem.store_messages import availability, menu_fields, stock_json
from refsystem.store_settings import StoreMenus


class CloudStock(Stock):
    """A store's stock as the cloud sees it: what is escrowed may be promised by the `rights` that the cloud itself holds."""

    rights: CloudRights

    def available(self, ingredient_id: str) -> int | None:
        """How much of it the cloud may promise now, as far as it knows."""
        if self.policy(ingredient_id) == "escrow" and self.keeps(ingredient_id):
            return self.rights.rights.get(ingredient_id, 0)
        return super().available(ingredient_id)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a store's log said up to entry `seq`: `left` of what an order takes and the store alone promises (`edge_owned`)."""

    seq: int
    left: dict[str, int]


class StoreView:
    """Kitchen and stock of one store."""

    def __init__(self, menus: StoreMenus, store: str) -> None:
        self.kitchen = Kitchen(menus.of(store))
        self.stock = CloudStock(menus.of(store), None, self.kitchen.is_made, only_kept=True)
        self.stock.rights = CloudRights()

    def follow(self, entry: Entry, record: dict[str, Any]) -> None:
        """The next entry."""
        self.kitchen.apply(entry.seq, record)
        self.stock.apply(entry.seq, record, entry.epoch)


class StoreReads:
    """What the cloud may say of a store's menu and stock. Reads are as old as the last entry that came up."""

    def __init__(self, database: Database, menus: StoreMenus) -> None:
        self._database = database
        self._menus = menus
        self._views = Following(database, lambda store: StoreView(menus, store))

    async def check_order(self, store: str, order: Order) -> Seen:
        """Raises `OrderRejected` if something of an order is sold out, as far as came up; rights are looked at apart.

        What the cloud itself has taken, and the store has not, is not in the log: `stock.must_be_left` subtracts it.
        """
        async with self._views.of(store) as (view, known_seq):
            view.kitchen.check_available(order.items)
            needs = view.stock.check_order(order.items, from_cloud=True)
            owned = [name for name in needs if view.stock.policy(name) == "edge_owned"]
            left = {name: left for name in owned if (left := view.stock.available(name)) is not None}
            return Seen(known_seq, left)

    async def menu(self, store: str) -> dict[str, Any]:
        """The menu of a store with what of it can be ordered here now; without a store the common one, all of it."""
        told = menu_fields(self._menus.of(store))
        rights = await self._rights(store) if store else None
        if rights is None:
            return {**told, "sold_out": [], "portions": {}}
        async with self._views.of(store) as (view, _):
            view.stock.rights = rights
            return {**told, **availability(view.kitchen, view.stock)}

    async def stock(self, store: str) -> dict[str, Any]:
        """The stock of a store by what came up, and the cloud's own rights."""
        rights = await self._rights(store) or CloudRights()
        async with self._views.of(store) as (view, known_seq):
            view.stock.rights = rights
            told = stock_json(store, view.stock, known_seq, local_time())
        reserved = {str(number): dict(part) for number, part in rights.reserved.items()}
        return {**told, "cloud_rights": rights.rights, "reserved": reserved}

    async def _rights(self, store: str) -> CloudRights | None:
        async with self._database.reading() as connection:
            return await cloud_stock.load(connection, store)
