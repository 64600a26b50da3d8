"""The uplink's end against real PostgreSQL: P13, P14."""

from __future__ import annotations

import asyncio
import uuid

import asyncpg
import pytest

from refsystem.cloud.database import Database, queries
from refsystem.cloud.ingest import Ingest
from refsystem.feed_messages import batch_json
from refsystem.protocol.log import GENESIS, chain, encode_record
from refsystem.protocol.uplink import Accepted, Batch


def edge_order(order_id=None, **changes):
    record = {"kind": "order", "order_id": order_id or str(uuid.uuid4()), "body_hash": "aa", "channel": "qr"}
    record |= {
        "table": "9",
        "items": [["mapo-tofu", 1]],
        "total_minor": 2800,
        "note": "m",
        "origin": "edge",
        "version": 1,
    }
    return record | changes


def log_of(*records, epoch=1):
    return chain(epoch, GENESIS, [encode_record(record) for record in records])


def batch(log, from_seq, to_seq, *, sender_epoch=1, store="s1"):
    prev_hash = log[from_seq - 2].hash if from_seq > 1 else ""
    return Batch(store, sender_epoch, "node-a", from_seq, prev_hash, log[from_seq - 1 : to_seq])


async def send(cloud, *args, **kwargs):
    return await cloud.client.post("/v1/stores/s1/uplink", json=batch_json(batch(*args, **kwargs)))


def test_a_batch_is_stored_applied_and_answered_with_the_cursor(with_cloud):
    async def conversation(cloud):
        log = log_of(edge_order(), edge_order(note="second"))
        asked = await send(cloud, log, 1, 0)
        assert (asked.status_code, asked.json()) == (200, {"cursor": {"seq": 0, "hash": ""}})
        taken = await send(cloud, log, 1, 2, sender_epoch=4)
        assert taken.json() == {"cursor": {"seq": 2, "hash": log[1].hash}}
        entries = (await cloud.get("/v1/audit/entries", store="s1"))["entries"]
        assert [(row["seq"], row["hash"], row["record"]) for row in entries] == [
            (entry.seq, entry.hash, entry.content()) for entry in log
        ]
        assert {(row["sender_epoch"], row["sender_node_id"]) for row in entries} == {(4, "node-a")}
        row = (await cloud.orders())[log[1].content()["order_id"]]
        expected = {"marker": "second", "origin": "edge", "level_told": None, "store_seq": 2, "outcome": "order"}
        assert expected.items() <= row.items()
        assert row["items"] == [["mapo-tofu", 1]]
        status = await cloud.get("/v1/stores/s1/status")
        assert status == {"cursor": taken.json()["cursor"], "highest_epoch": 4, "last_number": 0, "alarms": 0}

    with_cloud(conversation)


def test_a_batch_that_comes_again_changes_nothing(with_cloud):
    async def conversation(cloud):
        log = log_of(*(edge_order() for _ in range(6)))
        await send(cloud, log, 1, 4)
        again = [await send(cloud, log, 1, 4), await send(cloud, log, 2, 3)]
        assert [answer.json()["cursor"]["seq"] for answer in again] == [4, 4]
        # Several at once, overlapping, as after a lost answer.
        answers = await asyncio.gather(*(send(cloud, log, first, 6) for first in (1, 3, 5, 5, 3, 1)))
        assert {answer.json()["cursor"]["seq"] for answer in answers} == {6}
        assert len(await cloud.orders()) == 6
        assert await cloud.alarms() == []

    with_cloud(conversation)


def test_a_gap_a_stale_sender_and_an_unknown_store_store_nothing(with_cloud):
    async def conversation(cloud):
        log = log_of(*(edge_order() for _ in range(4)))
        await send(cloud, log, 1, 1, sender_epoch=3)
        gap = await send(cloud, log, 3, 4, sender_epoch=3)
        assert (gap.status_code, gap.json()) == (409, {"judgement": "gap", "expected_seq": 2})
        stale = await send(cloud, log, 2, 4, sender_epoch=2)
        assert (stale.status_code, stale.json()) == (409, {"judgement": "stale-sender", "highest_epoch": 3})
        elsewhere = batch_json(batch(log, 1, 1, store="s9"))
        unknown = await cloud.client.post("/v1/stores/s9/uplink", json=elsewhere)
        assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:rushproof:problem:store-unknown")
        mixed = await cloud.client.post("/v1/stores/s1/uplink", json=elsewhere)
        assert mixed.status_code == 422
        assert len(await cloud.orders()) == 1

    with_cloud(conversation)


def test_a_higher_epoch_counts_from_a_batch_without_entries_on(with_cloud):
    async def conversation(cloud):
        log = log_of(edge_order())
        assert (await send(cloud, log, 1, 0, sender_epoch=5)).status_code == 200
        stale = await send(cloud, log, 1, 1, sender_epoch=4)
        assert stale.json() == {"judgement": "stale-sender", "highest_epoch": 5}

    with_cloud(conversation)


def test_a_hash_that_does_not_fit_is_an_alarm_once_however_often_it_is_sent(with_cloud):
    async def conversation(cloud):
        log = log_of(edge_order(), edge_order())
        await send(cloud, log, 1, 2)
        other = log_of(edge_order(), edge_order(), edge_order(), epoch=2)
        for _ in range(3):
            answer = await send(cloud, other, 3, 3, sender_epoch=2)
            assert (answer.status_code, answer.json()["judgement"]) == (409, "hash-mismatch")
        (alarm,) = (await cloud.get("/v1/audit/alarms", store="s1"))["alarms"]
        assert (alarm["kind"], alarm["times"]) == ("hash-mismatch", 3)
        assert len((await cloud.get("/v1/audit/entries", store="s1"))["entries"]) == 2

    with_cloud(conversation)


def test_an_entry_that_cannot_be_applied_is_stored_all_the_same_and_alarms(with_cloud):
    async def conversation(cloud):
        good = edge_order()
        bad = [edge_order(note="a\0b"), edge_order("not a uuid"), {"kind": "what"}, edge_order(total_minor="free")]
        log = log_of(*bad, good)
        answer = await send(cloud, log, 1, 5)
        assert answer.json()["cursor"]["seq"] == 5
        assert list(await cloud.orders()) == [good["order_id"]]
        assert len((await cloud.get("/v1/audit/entries", store="s1"))["entries"]) == 5
        assert sorted(await cloud.alarms()) == ["entry-malformed"] * 3 + ["entry-unknown"]

    with_cloud(conversation)


def test_orders_meet_from_both_doors(with_cloud):
    """The whole way of RC orders: down, back up as a record, and told to whoever asks."""

    async def conversation(cloud):
        keys = [str(uuid.uuid4()) for _ in range(4)]
        for key in keys:
            assert (await cloud.order(key)).status_code == 201
        downlink = (await cloud.get("/v1/stores/s1/downlink"))["orders"]
        plain, doubled, clashing, refused = downlink
        common = {"channel": "mini_program", "table": "7", "total_minor": 5900, "version": 1}
        log = log_of(
            {**common, **_content(plain), "kind": "order", "origin": "cloud", "downlink_number": 1},
            {**common, **_content(doubled), "kind": "order", "origin": "edge"},
            edge_order(clashing["order_id"]),
            {"kind": "duplicate_of", "order_id": doubled["order_id"], "downlink_number": 2, "detail": ""},
            {"kind": "conflict", "order_id": clashing["order_id"], "downlink_number": 3, "detail": ""},
            {"kind": "refused", "order_id": refused["order_id"], "downlink_number": 4, "detail": ""},
            {"kind": "bump", "order_id": plain["order_id"], "version": 1, "station": "kitchen"},
        )
        assert (await send(cloud, log, 1, 7)).status_code == 200
        rows = await cloud.orders()
        assert [(rows[key]["origin"], rows[key]["outcome"], rows[key]["store_seq"]) for key in keys] == [
            ("cloud", "order", 1),
            ("cloud", "duplicate_of", 2),
            ("cloud", "conflict", None),
            ("cloud", "refused", None),
        ]
        # Two contents under one key: an alarm, and nothing is merged.
        assert await cloud.alarms() == ["key-held-with-other-content"]
        assert rows[keys[2]]["marker"] == f"rp-{keys[2]}"
        statuses = [(await cloud.get(f"/v1/orders/{key}"))["status"] for key in keys]
        assert statuses == ["served", "committed", "refused", "refused"]

    with_cloud(conversation)


def _content(order):
    return {name: order[name] for name in ("order_id", "body_hash", "items", "note")}


def test_an_order_of_the_store_can_be_asked_for_at_the_cloud_and_is_not_placed_twice(with_cloud):
    async def conversation(cloud):
        key = str(uuid.uuid4())
        await cloud.order(key)
        body_hash = (await cloud.get("/v1/stores/s1/downlink"))["orders"][0]["body_hash"]
        other = str(uuid.uuid4())
        record = edge_order(other, body_hash=body_hash)
        await send(cloud, log_of(record), 1, 1)
        assert (await cloud.orders())[other]["level_told"] is None
        # The same content as the first order's, so that the key of the second is a plain repetition.
        answer = await cloud.order(other, note=f"rp-{key}")
        assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
        row = (await cloud.orders())[other]
        assert (row["origin"], row["level_told"], row["number"]) == ("edge", "RC", None)
        assert (await cloud.get("/v1/stores/s1/status"))["last_number"] == 1

    with_cloud(conversation)


class OutsideTransaction(Ingest):
    """The broken variant `cursor-outside-transaction`: a line or two."""

    async def take(self, batch, *, one_by_one=False):
        async with self._database.transaction() as connection:
            judgement = await self.judge_and_move(connection, batch)
        async with self._database.transaction() as connection:
            await self.keep(connection, batch, judgement, one_by_one=one_by_one)
        return judgement


@pytest.mark.parametrize(("kind", "kept"), [(Ingest, 3), (OutsideTransaction, 2)])
def test_a_crash_within_a_batch_leaves_either_all_of_it_or_nothing(database_url, kind, kept):
    """The connection is cut from under the second of three batches; what the cursor passed must be there."""

    async def conversation() -> int:
        database = Database(database_url)
        await database.start()
        await database.opened()
        async with database.statement() as connection:
            await queries.put_store(connection, store="s1", name="s1")
        ingest = kind(database)
        log = log_of(*(edge_order() for _ in range(3)))
        await ingest.receive(batch(log, 1, 1))
        real_store = ingest._store

        async def cut(connection, *args):
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("cut")

        ingest._store = cut
        with pytest.raises(Exception, match="did not answer") as caught:
            await ingest.receive(batch(log, 2, 2))
        assert caught.value.problem.slug == "outcome-unknown"
        ingest._store = real_store
        # The sender asks where the cloud stands and goes on from there.
        asked = await ingest.receive(batch(log, 1, 0))
        assert isinstance(asked, Accepted)
        await ingest.receive(batch(log, asked.cursor.seq + 1, 3))
        async with database.reading() as connection:
            count = await connection.fetchval("SELECT count(*) FROM orders")
        await database.stop()
        return count

    assert asyncio.run(conversation()) == kept


def test_an_unforeseen_error_of_one_statement_does_not_hold_up_the_log(database_url, monkeypatch):
    async def conversation() -> None:
        database = Database(database_url)
        await database.start()
        await database.opened()
        async with database.statement() as connection:
            await queries.put_store(connection, store="s1", name="s1")
        # Something that the merge does not know to be wrong, for the database does.
        monkeypatch.setattr("refsystem.cloud.merge.NUMBER_MAX", 2**70)
        log = log_of(edge_order(), edge_order(total_minor=2**65), edge_order())
        judgement = await Ingest(database).receive(batch(log, 1, 3))
        assert judgement.cursor.seq == 3
        async with database.reading() as connection:
            assert await connection.fetchval("SELECT count(*) FROM orders") == 2
            assert await connection.fetchval("SELECT count(*) FROM entries") == 3
            assert await connection.fetchval("SELECT detail FROM alarms") == "entry 2: DataError"
        await database.stop()

    asyncio.run(conversation())
