"""One device in the test's own loop: overload, group commit, its end, and feeds that answer strangely."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refsystem.access import staff_token
from refsystem.edge.journal import Journal
from refsystem.edge.store import EdgeStore
from refsystem.protocol.log import GENESIS, chain, encode_record
from refsystem.protocol.messages import Ready, SetAside, StoreEntries

from .conftest import ACCESS_SECRET

OPERATOR = staff_token(ACCESS_SECRET, "s1", "Li", "operator", 4_000_000_000)


def key() -> str:
    return str(uuid.uuid4())


def bump_record(number: int) -> str:
    return encode_record({"kind": "bump", "order_id": "o", "version": number, "station": "wok"})


def test_too_many_waiting_orders_are_refused_with_a_time_to_come_back(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        alone.store.gate = threading.Event()
        waiting = [asyncio.create_task(alone.post(key())) for _ in range(3)]
        await alone.until_waiting(3)
        refused = await alone.post(key())
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:rushproof:problem:overloaded"
        assert refused.json()["definite"] is True
        assert refused.json()["primary_hint"] is None
        assert int(refused.headers["retry-after"]) >= 1
        assert (await alone.client.get("/v1/status")).json()["waiting"] == 3
        alone.store.gate.set()
        answers = await asyncio.gather(*waiting)
        assert {answer.json()["level"] for answer in answers} == {"R1"}
        assert (await alone.post(key())).status_code == 201

    run_alone(conversation, waiting_max=3)


def test_orders_that_wait_for_the_disk_are_flushed_together(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        journal = alone.driver.journal
        alone.store.gate = threading.Event()
        flushes = journal.flushes
        waiting = [asyncio.create_task(alone.post(key())) for _ in range(200)]
        await alone.until_waiting(200)
        alone.store.gate.set()
        answers = await asyncio.gather(*waiting)
        assert [answer.status_code for answer in answers] == [201] * 200
        assert journal.flushes - flushes <= 3, "one for the first order, one or two for all that waited meanwhile"
        assert journal.flush_us_max > 0

    run_alone(conversation)


def test_nothing_is_acknowledged_before_its_flush(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        alone.store.gate = threading.Event()
        order_id = key()
        first = asyncio.create_task(alone.post(order_id))
        repeat = asyncio.create_task(alone.post(order_id))
        read = asyncio.create_task(alone.client.get(f"/v1/orders/{order_id}"))
        done, _ = await asyncio.wait([first, repeat, read], timeout=0.3)
        assert not done
        assert (await alone.get(OPERATOR, "/v1/audit/entries")).json()["entries"] == []
        alone.store.gate.set()
        assert [answer.status_code for answer in await asyncio.gather(first, repeat, read)] == [201, 201, 200]

    run_alone(conversation)


def test_a_device_whose_disk_hangs_stops_being_primary_and_answers(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        alone.store.gate = threading.Event()
        order_id = key()
        answer = await alone.post(order_id)
        assert answer.json()["type"] == "urn:rushproof:problem:outcome-unknown"
        assert (await alone.post(key())).json()["type"] == "urn:rushproof:problem:not-primary"
        alone.store.gate.set()
        for _ in range(500):
            answer = await alone.post(order_id)
            if answer.status_code == 201:
                break
            await asyncio.sleep(0.01)
        assert answer.status_code == 201
        assert answer.headers["idempotency-replayed"] == "true"

    run_alone(conversation, flush_limit_us=300_000)


def test_the_end_flushes_what_waits(run_alone: Callable[..., None], tmp_path: Path) -> None:
    order_ids = [key() for _ in range(20)]

    async def conversation(alone: Any) -> None:
        alone.store.gate = threading.Event()
        tasks = [asyncio.create_task(alone.post(order_id)) for order_id in order_ids]
        await alone.until_waiting(len(order_ids))
        for task in tasks:
            task.cancel()  # as the server does with those who wait when its patience ends
        answers = await asyncio.gather(*tasks)
        assert {answer.json()["type"] for answer in answers} == {"urn:rushproof:problem:outcome-unknown"}
        alone.store.gate.set()

    run_alone(conversation)
    store = EdgeStore(tmp_path / "a", "another")
    held = [json.loads(entry.record)["order_id"] for entry in store.load().entries]
    store.close()
    assert sorted(held) == sorted(order_ids)


def test_reading_what_was_set_aside_does_not_disturb_the_writer(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, "a-1")
    entries = chain(1, GENESIS, map(bump_record, range(2000)))
    store.apply([StoreEntries(entries), SetAside(1001, 1)])
    ended = threading.Event()
    errors: list[BaseException] = []

    def read() -> None:
        while not ended.is_set():
            try:
                assert store.set_aside() == entries[1000:]
            except BaseException as error:
                errors.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for entry in entries[1000:1200]:
            store.apply([StoreEntries((entry,))])
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert store.load().entries == entries[:1200]
    store.close()


def test_a_journal_flushes_in_order_and_its_end_waits_for_the_last(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, "a-1")
    flushed: list[int] = []
    journal = Journal(store, lambda group: flushed.extend(ready.token for ready in group))
    entries = chain(1, GENESIS, map(bump_record, range(1200)))
    for number, entry in enumerate(entries):
        journal.add(Ready(number, (StoreEntries((entry,)),), (), (), ()))
    journal.start()
    journal.stop()
    assert flushed == list(range(1200))
    assert journal.entries == 1200
    assert 3 <= journal.flushes <= 4, "groups of 500 at most"
    assert store.load().entries == entries
    store.close()


@pytest.mark.parametrize("body", [[], "text", 7, None, {"cursor": []}, {"cursor": {"seq": "x", "hash": ""}}, {}])
def test_strange_answers_of_kitchen_and_cloud_do_not_end_the_device(run_alone: Callable[..., None], body: Any) -> None:
    async def conversation(alone: Any) -> None:
        alone.others.body = body
        alone.others.asked.clear()
        assert (await alone.post(key())).status_code == 201
        paths = {"/v1/feed", "/v1/stores/s1/uplink", "/v1/stores/s1/downlink"}
        for _ in range(1000):
            if all(alone.others.asked.count(path) >= 2 for path in paths):
                break
            await asyncio.sleep(0.01)
        assert set(alone.others.asked) == paths
        assert (await alone.post(key())).status_code == 201

    run_alone(conversation)
