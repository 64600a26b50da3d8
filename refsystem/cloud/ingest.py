"""The uplink's end (P13, P14): a batch of a store's committed entries, kept and applied in one transaction."""

from __future__ import annotations

import logging

from refsystem.cloud import stock
from refsystem.cloud.database import STATEMENT_ERRORS, Connection, Database, queries
from refsystem.cloud.merge import Alarm, Changes, HeldOrder, merge, named_in, unmerge
from refsystem.ordering.errors import STORE_UNKNOWN
from refsystem.problems import ProblemError
from refsystem.protocol.log import Cursor, Entry
from refsystem.protocol.uplink import (
    Accepted,
    Batch,
    Forked,
    HashMismatch,
    Held,
    Judgement,
    StaleSender,
    judge_batch,
)

logger = logging.getLogger(__name__)


class Ingest:
    """Takes batches. A batch that comes again is answered with the cursor and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def receive(self, batch: Batch) -> Judgement:
        """Judge `batch`; if it is accepted, its entries are stored and applied when this returns."""
        try:
            return await self.take(batch)
        except STATEMENT_ERRORS:
            return await self.take(batch, one_by_one=True)

    async def take(self, batch: Batch, *, one_by_one: bool = False) -> Judgement:
        """The transaction: the cursor moves together with all that its entries make, or neither does."""
        async with self._database.transaction() as connection:
            judgement = await self.judge_and_move(connection, batch)
            await self.keep(connection, batch, judgement, one_by_one=one_by_one)
        return judgement

    async def judge_and_move(self, connection: Connection, batch: Batch) -> Judgement:
        """Lock the store's row, judge the batch, and move highest epoch and cursor."""
        row = await queries.lock_store(connection, store=batch.store)
        if row is None:
            raise ProblemError(STORE_UNKNOWN, f"there is no store {batch.store!r}")
        cursor = Cursor(row["cursor_seq"], row["cursor_hash"])
        held = await self._held(connection, batch, cursor)
        judgement = judge_batch(cursor, row["highest_epoch"], batch, held.get)
        if not isinstance(judgement, StaleSender) and batch.sender_epoch > row["highest_epoch"]:
            await queries.raise_highest_epoch(connection, store=batch.store, sender_epoch=batch.sender_epoch)
        if isinstance(judgement, Forked):
            await self._leave_branch(connection, batch, judgement.shared.seq, row["last_number"])
        if isinstance(judgement, Accepted | Forked) and judgement.entries:
            seq, digest = judgement.cursor
            await queries.move_cursor(connection, store=batch.store, seq=seq, hash=digest)
        return judgement

    async def keep(self, connection: Connection, batch: Batch, judgement: Judgement, *, one_by_one: bool) -> None:
        """Store and apply what was accepted, or raise the alarm of a hash that does not fit."""
        if isinstance(judgement, HashMismatch):
            await self._raise(connection, batch.store, [Alarm("hash-mismatch", judgement.detail)])
        if not isinstance(judgement, Accepted | Forked) or not judgement.entries:
            return
        await self._store(connection, batch, judgement.entries)
        last_number = await queries.last_number(connection, store=batch.store)
        alarms = await stock.follow(connection, batch.store, judgement.entries, last_number)
        if alarms:
            await self._raise(connection, batch.store, alarms)
        if one_by_one:
            for entry in judgement.entries:
                await self._apply_alone(connection, batch.store, entry)
        else:
            await self._apply(connection, batch.store, judgement.entries)

    async def _held(self, connection: Connection, batch: Batch, cursor: Cursor) -> dict[int, Held]:
        """What is held where a batch across forks is compared; nothing for any other batch, which needs no look."""
        if not batch.forks or not batch.entries or batch.from_seq > cursor.seq:
            return {}
        last_seq = min(batch.entries[-1].seq, cursor.seq)
        rows = queries.held_between(connection, store=batch.store, from_seq=batch.after.seq, to_seq=last_seq)
        held = {row["seq"]: Held(row["hash"], row["epoch"]) async for row in rows}
        async for row in queries.held_at(connection, store=batch.store, seqs=[cursor.seq]):
            held[row["seq"]] = Held(row["hash"], row["epoch"])
        return held

    async def _leave_branch(self, connection: Connection, batch: Batch, shared_seq: int, last_number: int) -> None:
        """P19: what is held beyond `shared_seq` is kept as forked; its orders go back to the store by the downlink."""
        store = batch.store
        rows = queries.keep_as_forked(connection, store=store, shared_seq=shared_seq, sender_epoch=batch.sender_epoch)
        forked = [Entry(*row) async for row in rows]
        order_ids, numbers = named_in(forked)
        found = queries.held_orders(connection, store=store, order_ids=order_ids, numbers=numbers)
        held = [HeldOrder(str(row["order_id"]), *list(row)[1:]) async for row in found]
        left = unmerge(store, shared_seq, forked, held, last_number)
        if left.updated:
            rows_back = [
                {
                    "order_id": o.order_id,
                    "store_seq": o.store_seq,
                    "outcome": o.outcome,
                    "served": o.served,
                    "number": o.number,
                    "taken_back": o.taken_back,
                }
                for o in left.updated
            ]
            await queries.take_orders_back(connection, rows_back)
        if left.last_number != last_number:
            await queries.give_numbers(connection, store=store, last_number=left.last_number)
        if left.alarms:
            await self._raise(connection, store, list(left.alarms))
        logger.warning("store %s: %d entries behind %d are forked", store, len(forked), shared_seq)

    async def _store(self, connection: Connection, batch: Batch, entries: tuple[Entry, ...]) -> None:
        rows = [
            {
                "store": batch.store,
                "seq": entry.seq,
                "epoch": entry.epoch,
                "hash": entry.hash,
                "record": entry.record,
                "sender_epoch": batch.sender_epoch,
                "sender_node_id": batch.sender_node_id,
            }
            for entry in entries
        ]
        await queries.store_entries(connection, rows)

    async def _apply(self, connection: Connection, store: str, entries: tuple[Entry, ...]) -> None:
        order_ids, numbers = named_in(entries)
        rows = queries.held_orders(connection, store=store, order_ids=order_ids, numbers=numbers)
        held = [HeldOrder(str(row["order_id"]), *list(row)[1:]) async for row in rows]
        await self._write(connection, store, merge(store, entries, held))

    async def _apply_alone(self, connection: Connection, store: str, entry: Entry) -> None:
        try:
            async with connection.transaction():
                await self._apply(connection, store, (entry,))
        except STATEMENT_ERRORS as error:
            reason = f"entry {entry.seq}: {type(error).__name__}"
            await self._raise(connection, store, [Alarm("entry-not-applied", reason)])

    async def _write(self, connection: Connection, store: str, changes: Changes) -> None:
        if changes.inserted:
            rows = [
                {
                    "order_id": order.order_id,
                    "store": order.store,
                    "body_hash": order.body_hash,
                    "channel": content.channel,
                    "table_name": content.table,
                    "items": content.items,
                    "total_minor": content.total_minor,
                    "note": content.note,
                    "pickup_at_s": content.pickup_at_s,
                    "check_id": content.check_id,
                    "store_seq": order.store_seq,
                    "outcome": order.outcome,
                    "served": order.served,
                }
                for order, content in changes.inserted
            ]
            await queries.insert_edge_orders(connection, rows)
        if changes.updated:
            changed = [
                {"order_id": o.order_id, "store_seq": o.store_seq, "outcome": o.outcome, "served": o.served}
                for o in changes.updated
            ]
            await queries.update_orders(connection, changed)
        if changes.alarms:
            await self._raise(connection, store, changes.alarms)

    async def _raise(self, connection: Connection, store: str, alarms: list[Alarm]) -> None:
        await queries.raise_alarms(connection, [{"store": store, "kind": a.kind, "detail": a.detail} for a in alarms])
