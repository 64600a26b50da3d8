"""The cloud's side of a store's stock (P18): rights that come up with its log, what orders reserve of them, what goes back.

Every call is made within the transaction of what it is about, under the lock on the store's row. A store whose log has never
spoken of stock, nor of anything that is sold out, has no row here, and nothing is looked at.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from refsystem.cloud.database import Connection, queries
from refsystem.cloud.merge import Alarm
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen_errors import ITEM_SOLD_OUT
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Order
from refsystem.ordering.recipe import Needs, needs_of
from refsystem.ordering.stock_rights import CloudRights, WantsNumber
from refsystem.protocol.log import Entry

logger = logging.getLogger(__name__)

BEGIN = frozenset({"receive", "count", "grant_rights", "eighty_six"})
"""Acts by which a store's log begins to say what can be promised."""
FOLLOWED = BEGIN | {"ask_rights"}
OF_NUMBERS = ("order", "duplicate_of", "conflict", "refused")


async def follow(connection: Connection, store: str, entries: Sequence[Entry], last_number: int) -> list[Alarm]:
    """Apply accepted `entries` to the rights; what goes back to the store takes the numbers behind `last_number`.

    Returns what a person must look at: an entry that cannot be applied changes no rights.
    """
    spoken = [(entry, content) for entry in entries if (content := _content(entry)) is not None]
    if not spoken:
        return []
    rights = await load(connection, store)
    wants: list[WantsNumber] = []
    if rights is None:
        if not any(content.get("act") in BEGIN for _, content in spoken):
            return []
        rights = CloudRights()
        fork = await queries.newest_fork(connection, store=store)
        if fork is not None and fork["seq"] < entries[0].seq:
            wants.append(WantsNumber(fork_epoch=fork["epoch"]))  # nothing was promised before, so nothing is given up
    alarms = []
    for entry, content in spoken:
        kept = tuple(rights.rights)
        try:
            wants += rights.apply(content, entry.epoch)
        except (KeyError, TypeError, ValueError) as error:
            alarms.append(Alarm("rights-not-applied", f"entry {entry.seq}: {type(error).__name__} {error}"[:400]))
        for name in kept:  # what a fork takes away is still kept in stock there: none of it may be promised here
            rights.rights.setdefault(name, 0)
    await _save(connection, store, rights)
    await _send(connection, store, wants, last_number)
    return alarms


async def reserve(connection: Connection, store: str, order: Order, menu: Menu, number: int) -> list[str]:
    """Let the order that gets `number` take its part of what is escrowed; the ingredients that it took.

    Raises `OrderRejected`, and then nothing is to be written.
    """
    rights = await load(connection, store)
    if rights is None:
        return []
    needs = needs_of(menu.recipes, order.items)
    escrowed = escrowed_in(needs, menu, rights)
    rights.reserve(number, needs, escrowed)
    await _save(connection, store, rights)
    return escrowed


async def must_be_left(
    connection: Connection, store: str, order: Order, menu: Menu, seen_seq: int, left: Mapping[str, int]
) -> None:
    """Raises `OrderRejected` where too little is left for `order`: `left` as of entry `seen_seq`, less what the cloud took since.

    To be called under the lock on the store's row, so that of many who ask at once no two are promised the same.
    """
    if not left:
        return
    rows = queries.items_not_seen(connection, store=store, seen_seq=seen_seq)
    taken = needs_of(menu.recipes, [(str(name), int(n)) async for row in rows for name, n in json.loads(row["items"])])
    for name, quantity in needs_of(menu.recipes, order.items).items():
        if name in left and quantity > left[name] - taken.get(name, 0):
            short = next(item_id for item_id, _ in order.items if name in dict(menu.recipes.get(item_id, ())))
            still = max(0, left[name] - taken.get(name, 0))
            raise OrderRejected(ITEM_SOLD_OUT, f"{short} is sold out: {still} of {name} are left")


async def load(connection: Connection, store: str) -> CloudRights | None:
    """The rights of a store; None if its log has not spoken of stock."""
    row = await queries.store_rights(connection, store=store)
    if row is None:
        return None
    reserved = {int(number): part for number, part in json.loads(row["reserved"]).items()}
    return CloudRights(json.loads(row["rights"]), reserved)


def escrowed_in(needs: Needs, menu: Menu, rights: CloudRights) -> list[str]:
    """What of `needs` is in escrow and kept in stock by the store: that alone takes rights."""
    return [n for n in needs if n in rights.rights and menu.ingredients_by_id[n].policy == "escrow"]


async def _save(connection: Connection, store: str, rights: CloudRights) -> None:
    reserved = {str(number): dict(part) for number, part in rights.reserved.items()}
    await queries.keep_rights(connection, store=store, rights=json.dumps(rights.rights), reserved=json.dumps(reserved))


async def _send(connection: Connection, store: str, wants: Iterable[WantsNumber], last_number: int) -> None:
    rows = []
    for number, want in enumerate(wants, last_number + 1):
        if want.fork_epoch:
            content: dict[str, Any] = {"settle_rights": {"fork_epoch": want.fork_epoch}}
        else:
            content = {"return_rights": {"ingredient_id": want.ingredient_id, "quantity": want.quantity}}
        rows.append({"store": store, "number": number, "content": json.dumps(content)})
    if rows:
        await queries.send_rights(connection, rows)
        await queries.give_numbers(connection, store=store, last_number=rows[-1]["number"])


def _content(entry: Entry) -> dict[str, Any] | None:
    """The record, if it concerns the rights."""
    try:
        content = entry.content()
        kind = content.get("kind")
    except (ValueError, RecursionError, AttributeError):
        return None
    of_number = kind in OF_NUMBERS and "downlink_number" in content
    of_stock = kind == "act" and isinstance(content.get("act"), str) and content["act"] in FOLLOWED
    return content if kind == "fork" or of_number or of_stock else None
