"""Break glass (P19) against real PostgreSQL: the question of a device, and a branch that is left."""

from __future__ import annotations

import uuid

import pytest

from refsystem.branch_messages import BranchReply, question_json
from refsystem.cloud.ingest import Ingest
from refsystem.feed_messages import batch_json
from refsystem.protocol.branch import ENTRIES_MAX, BranchQuestion
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.log import Cursor, ForkPlace, Log, chain, encode_record
from refsystem.protocol.uplink import Batch

WORD = BreakGlass(("a-1",), "Li", "burnt down")


def edge_order(order_id=None, **changes):
    record = {"kind": "order", "order_id": order_id or str(uuid.uuid4()), "body_hash": "aa", "channel": "qr"}
    record |= {"table": "9", "items": [["mapo-tofu", 1]], "total_minor": 2800, "note": "m", "origin": "edge"}
    return record | {"version": 1} | changes


def bump(order_id):
    return {"kind": "bump", "order_id": order_id, "version": 1, "station": "kitchen"}


def extended(log, epoch, *records):
    """A log that goes on behind `log`; "fork" is the record of one behind that place."""
    longer = Log(log.slice(1, len(log), len(log)))
    from_seq = len(log) + 1
    for record in records:
        if record == "fork":
            record = fork_record(WORD, from_seq, longer.cursor(from_seq - 1).hash, "unreachable")
        longer.extend(chain(epoch, longer.last, [encode_record(record)]))
    return longer


async def send(cloud, log, from_seq, to_seq, *, epoch):
    prev_hash = log.cursor(from_seq - 1).hash
    entries = log.slice(from_seq, to_seq, 1000)
    sent = Batch("s1", epoch, f"node-{epoch}", from_seq, prev_hash, entries, log.forks_told(len(log)))
    return await cloud.client.post("/v1/stores/s1/uplink", json=batch_json(sent))


async def ask(cloud, epoch, *known):
    question = BranchQuestion("s1", epoch, "b-1", known)
    return await cloud.client.post("/v1/stores/s1/branch", json=question_json(question))


async def entries(cloud, path):
    return [row["record"].get("order_id", "fork") for row in (await cloud.get(path, store="s1"))["entries"]]


def test_a_device_is_told_what_is_held_behind_the_last_shared_place_and_earlier_senders_are_shut_out(with_cloud):
    async def conversation(cloud):
        log = extended(Log(), 2, *(edge_order() for _ in range(ENTRIES_MAX + 3)))
        await send(cloud, log, 1, len(log), epoch=3)
        own = extended(Log(log.slice(1, 2, 2)), 2, edge_order())
        answer = await ask(cloud, 4, own.cursor(3), own.cursor(2), own.cursor(1))
        assert answer.status_code == 200
        told = BranchReply.model_validate_json(answer.content).to_answer()
        assert told.shared == log.cursor(2)
        assert told.entries == log.slice(3, len(log), ENTRIES_MAX)
        assert (told.end, told.end_epoch, told.forks, told.sender_epoch) == (log.last, 2, (), 4)
        late = await send(cloud, extended(log, 3, edge_order()), len(log) + 1, len(log) + 1, epoch=3)
        assert late.json() == {"judgement": "stale-sender", "highest_epoch": 4}
        stale = await ask(cloud, 3)
        assert (stale.status_code, stale.json()) == (409, {"judgement": "stale-sender", "highest_epoch": 4})

    with_cloud(conversation)


def test_an_empty_cloud_and_a_device_that_shares_nothing_begin_at_the_beginning(with_cloud):
    async def conversation(cloud):
        answer = await ask(cloud, 4, Cursor(3, "ff"))
        told = BranchReply.model_validate_json(answer.content).to_answer()
        assert (told.shared, told.entries, told.end, told.end_epoch) == (Cursor(0, ""), (), Cursor(0, ""), 0)
        log = extended(
            Log(), 5, {"kind": "fork", "from_seq": 1}, {"kind": "fork", "from_seq": "x"}, edge_order(), "fork"
        )
        assert (await send(cloud, log_without_view(log), 1, 4, epoch=5)).status_code == 200
        told = BranchReply.model_validate_json((await ask(cloud, 5)).content).to_answer()
        assert told.forks == (ForkPlace(1, 1, 5), ForkPlace(1, 4, 5))
        assert len(told.entries) == 4

    with_cloud(conversation)


def log_without_view(log):
    """The same entries; what they announce is not looked at."""

    class Plain(Log):
        def forks_told(self, upto_seq):
            return ()

    return Plain(log.slice(1, len(log), len(log)))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"store": "s2", "sender_epoch": 1, "sender_node_id": "b", "known": []}, 422),
        ({"store": "s1", "sender_epoch": -1, "sender_node_id": "b", "known": []}, 422),
        ({"store": "s1", "sender_epoch": 1, "sender_node_id": "b", "known": [{"seq": 1, "hash": "a\0"}]}, 422),
        ({"store": "s1", "sender_epoch": 1, "sender_node_id": "b", "known": [{"seq": 1, "hash": ""}] * 101}, 422),
    ],
)
def test_a_question_that_is_none_changes_nothing(with_cloud, body, status):
    async def conversation(cloud):
        answer = await cloud.client.post("/v1/stores/s1/branch", json=body)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await cloud.get("/v1/stores/s1/status"))["highest_epoch"] == 0
        elsewhere = question_json(BranchQuestion("s9", 1, "b", ()))
        unknown = await cloud.client.post("/v1/stores/s9/branch", json=elsewhere)
        assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:rushproof:problem:store-unknown")

    with_cloud(conversation)


def test_a_branch_that_is_left_is_kept_and_its_orders_go_back_to_the_store(with_cloud):
    async def conversation(cloud):
        down = str(uuid.uuid4())
        assert (await cloud.order(down)).status_code == 201
        content = (await cloud.get("/v1/stores/s1/downlink"))["orders"][0]
        assert content["reserved"] == []
        cloud_record = edge_order(down, body_hash=content["body_hash"], origin="cloud", downlink_number=1)
        stays, tail, gone, again = (edge_order() for _ in range(4))
        shared = extended(Log(), 2, stays)
        old = extended(shared, 3, gone, bump(stays["order_id"]), cloud_record, again, bump(gone["order_id"]))
        await send(cloud, old, 1, len(old), epoch=3)
        # B kept a tail that is older than what it left; it is shorter than the old branch, too.
        new = extended(shared, 2, tail)
        new = Log((*new.slice(1, 2, 2), *_behind(new, 4, fork_record(WORD, 2, shared.last.hash, "unreachable"), again)))
        asked = await send(cloud, new, 1, 0, epoch=4)
        assert asked.json()["cursor"]["seq"] == len(old)
        matched = await send(cloud, new, 1, 1, epoch=4)
        assert matched.json() == {"cursor": {"seq": 1, "hash": shared.last.hash}}
        forked = await send(cloud, new, 2, 2, epoch=4)
        assert forked.json() == {"cursor": {"seq": 2, "hash": new.cursor(2).hash}}
        assert await entries(cloud, "/v1/audit/entries") == [stays["order_id"], tail["order_id"]]
        left = (await cloud.get("/v1/audit/forked-entries", store="s1"))["entries"]
        assert [(row["seq"], row["epoch"], row["forked_by_epoch"], row["sender_node_id"]) for row in left] == [
            (seq, 3, 4, "node-3") for seq in range(2, 7)
        ]
        assert [row["record"] for row in left] == [old.entry(seq).content() for seq in range(2, 7)]
        rows = await cloud.orders()
        state = {key: (row["number"], row["store_seq"], row["outcome"], row["served"]) for key, row in rows.items()}
        assert state == {
            stays["order_id"]: (None, 1, "order", False),
            tail["order_id"]: (None, 2, "order", False),
            down: (1, None, None, False),
            gone["order_id"]: (2, None, None, False),
            again["order_id"]: (3, None, None, False),
        }
        downlink = await cloud.get("/v1/stores/s1/downlink")
        assert [order["order_id"] for order in downlink["orders"]] == [down, gone["order_id"], again["order_id"]]
        assert downlink["last_number"] == 3
        assert not any("reserved" in order for order in downlink["orders"]), "the store had accepted them"
        # The new branch goes on: one of them it holds already, the others it takes by their numbers.
        new = extended(new, 4, cloud_record, edge_order(gone["order_id"], origin="cloud", downlink_number=2))
        new = extended(
            new, 4, {"kind": "duplicate_of", "order_id": again["order_id"], "downlink_number": 3, "detail": ""}
        )
        assert (await send(cloud, new, 3, len(new), epoch=4)).json()["cursor"]["seq"] == len(new)
        rows = await cloud.orders()
        assert {key: row["store_seq"] for key, row in rows.items()} == {
            stays["order_id"]: 1,
            tail["order_id"]: 2,
            again["order_id"]: 4,
            down: 5,
            gone["order_id"]: 6,
        }
        assert rows[again["order_id"]]["outcome"] == "duplicate_of"
        assert await cloud.alarms() == []
        # A new order of a diner gets the next number, behind those that went back.
        assert (await cloud.order(str(uuid.uuid4()))).status_code == 201
        assert (await cloud.get("/v1/stores/s1/downlink", after=3))["last_number"] == 4

    with_cloud(conversation)


def _behind(log, epoch, *records):
    return chain(epoch, log.last, [encode_record(record) for record in records])


def test_a_fork_is_followed_once_however_often_its_batch_comes(with_cloud):
    async def conversation(cloud):
        shared = extended(Log(), 2, edge_order())
        old = extended(shared, 3, edge_order(), edge_order())
        new = extended(shared, 4, "fork", edge_order())
        await send(cloud, old, 1, 3, epoch=3)
        for _ in range(3):
            assert (await send(cloud, new, 2, 3, epoch=4)).json()["cursor"]["seq"] == 3
        assert (await cloud.get("/v1/stores/s1/status"))["last_number"] == 2
        assert len((await cloud.get("/v1/audit/forked-entries", store="s1"))["entries"]) == 2
        # And the branch that was left does not come back.
        assert (await send(cloud, old, 2, 3, epoch=3)).json()["judgement"] == "stale-sender"

    with_cloud(conversation)


@pytest.mark.parametrize("step", ["_store", "_apply", "_write"])
def test_a_fork_that_fails_at_any_step_has_left_nothing_behind(with_cloud, monkeypatch, step):
    """What is set aside, what goes back and what is followed are one transaction; the batch comes again."""
    failures = []

    async def fails(*_, **__):
        failures.append(step)
        raise ConnectionResetError("the link to the database is cut")

    async def conversation(cloud):
        shared = extended(Log(), 2, edge_order())
        gone = edge_order()
        old = extended(shared, 3, gone, edge_order())
        new = extended(shared, 4, "fork", edge_order())
        await send(cloud, old, 1, 3, epoch=3)
        before = (await cloud.orders(), await cloud.get("/v1/stores/s1/status"))
        with monkeypatch.context() as patch:
            patch.setattr(Ingest, step, fails)
            assert (await send(cloud, new, 2, 3, epoch=4)).status_code == 503
        assert failures == [step]
        assert (await cloud.orders(), await cloud.get("/v1/stores/s1/status")) == before
        assert (await cloud.get("/v1/audit/forked-entries", store="s1"))["entries"] == []
        assert (await cloud.get("/v1/stores/s1/downlink"))["orders"] == []
        assert len(await entries(cloud, "/v1/audit/entries")) == 3
        assert (await send(cloud, new, 2, 3, epoch=4)).json()["cursor"]["seq"] == 3
        assert (await cloud.orders())[gone["order_id"]]["number"] == 1

    with_cloud(conversation)


def test_what_no_fork_explains_is_an_alarm_still(with_cloud):
    async def conversation(cloud):
        shared = extended(Log(), 2, edge_order(), edge_order())
        await send(cloud, extended(shared, 3, edge_order()), 1, 3, epoch=3)
        other = extended(Log(shared.slice(1, 1, 1)), 2, edge_order(), edge_order())
        other = extended(other, 4, "fork")
        answer = await send(cloud, other, 2, 4, epoch=4)
        assert (answer.status_code, answer.json()["judgement"]) == (409, "hash-mismatch")
        assert await cloud.alarms() == ["hash-mismatch"]
        assert len((await cloud.get("/v1/audit/entries", store="s1"))["entries"]) == 3

    with_cloud(conversation)
