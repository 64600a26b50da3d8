"""Break glass (P19) on one device: what staff ask and see, what reaches the disk, and the cloud that is asked over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from refsystem.arbiter.__main__ import make_app as make_arbiter
from refsystem.arbiter.store import RegisterStore
from refsystem.branch_messages import BranchBody, answer_json
from refsystem.edge.app import make_app
from refsystem.edge.driver import Driver, now_us
from refsystem.edge.store import EdgeStore
from refsystem.ordering.check_acts import Act, Pay
from refsystem.ordering.menu import DEMO_MENU
from refsystem.processes import reserve_port
from refsystem.protocol.branch import BranchAnswer, judge_branch
from refsystem.protocol.device import Device, DeviceSettings
from refsystem.protocol.log import Log, chain, encode_record
from refsystem.protocol.messages import StoreCommit, StoreEntries
from refsystem.protocol.uplink import Held, StaleSender
from refsystem.settings import EdgeSettings

from .logs import extended, key

pytestmark = pytest.mark.slow

PREFIX = "urn:rushproof:problem:"
WORD = {"off": ["a-1"], "who": "Li", "why": "burnt down"}


# --- a device, an arbiter, a cloud ---------------------------------------------------------------------------------


class CloudStub:
    """Answers the question by the cloud's rule on `log`; with 503 while `log` is None, with `body` if there is one."""

    def __init__(self) -> None:
        self.log: Log | None = None
        self.highest_epoch = 0
        self.body: Any = ...
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        status, body = self._answer(raw) if scope["path"].endswith("/branch") else (503, None)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    def _answer(self, raw: bytes) -> tuple[int, Any]:
        self.asked += 1
        if self.body is not ...:
            return 200, self.body
        log = self.log
        if log is None:
            return 503, None
        question = BranchBody.model_validate_json(raw).to_question()

        def held(seq: int) -> Held | None:
            entry = log.entry(seq) if 1 <= seq <= len(log) else None
            return None if entry is None else Held(entry.hash, entry.epoch)

        shared = judge_branch(question, self.highest_epoch, held)
        if isinstance(shared, StaleSender):
            return 409, {"judgement": "stale-sender", "highest_epoch": shared.highest_epoch}
        self.highest_epoch = question.sender_epoch
        entries = log.slice(shared.seq + 1, len(log), 2)
        end_epoch = log.entry(len(log)).epoch if len(log) else 0
        forks = log.forks_told(len(log))
        return 200, answer_json(BranchAnswer(question.sender_epoch, shared, entries, log.last, end_epoch, forks))


class Survivor:
    """Device b of a store whose register names a-1 alone; it is stopped and started on its disk."""

    def __init__(
        self, folder: Path, arbiter_url: str, cloud: CloudStub, cloud_url: str, ports: tuple[int, ...]
    ) -> None:
        self.folder = folder
        self.cloud = cloud
        self._arbiter_url = arbiter_url
        self._cloud_url = cloud_url
        self._ports = ports
        self._lives = 0
        self.driver: Driver
        self.client: httpx.AsyncClient

    @contextlib.asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        own, peer, nobody = self._ports
        nowhere = f"http://127.0.0.1:{nobody}"
        settings = EdgeSettings(
            "s1", "b", self.folder, own, peer, "127.0.0.1", nobody, nowhere, self._arbiter_url, self._cloud_url,
            nowhere, DEMO_MENU, "available", False, "FULL", None,
        )  # fmt: skip
        self._lives += 1
        store = EdgeStore(self.folder, "b-1")
        device = Device(DeviceSettings("s1", DEMO_MENU), store.load(), f"life-{self._lives}", now_us())
        self.driver = Driver(settings, device, store)
        app = make_app(self.driver)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://b", timeout=20) as client,
        ):
            self.client = client
            yield

    async def get(self, path: str) -> Any:
        return (await self.client.get(path)).json()

    async def say(self, **changes: Any) -> httpx.Response:
        return await self.client.post("/v1/break-glass", json={**WORD, **changes})

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(1500):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"waited in vain: {what}: {self.driver.device.glass}")

    async def until_role(self, role: str) -> None:
        await self.until(lambda: self.driver.device.replica.role == role, role)

    async def until_stage(self, stage: str) -> None:
        await self.until(lambda: self.driver.device.glass.stage == stage, stage)


@pytest.fixture
def survivor(tmp_path: Path, served_app: Any) -> Callable[..., None]:
    """Runs a coroutine function with device b, which holds `log` and knows of `commit_seq` commits."""

    async def main(conversation: Any, log: Log, commit_seq: int) -> None:
        cloud = CloudStub()
        with contextlib.ExitStack() as reserved:
            ports = tuple(reserved.enter_context(reserve_port()).getsockname()[1] for _ in range(3))
            register = RegisterStore(tmp_path / "arbiter")
            async with served_app(make_arbiter(register)) as arbiter_url, served_app(cloud) as cloud_url:
                async with httpx.AsyncClient(trust_env=False) as http:
                    answer = await http.put(f"{arbiter_url}/v1/register", json={"primary": "a-1"})
                    assert answer.status_code == 201
                store = EdgeStore(tmp_path / "b", "b-1")
                store.apply([StoreEntries(log.slice(1, len(log), len(log))), StoreCommit(commit_seq)])
                store.close()
                await conversation(Survivor(tmp_path / "b", arbiter_url, cloud, cloud_url, ports))

    def run(conversation: Any, log: Log, commit_seq: int) -> None:
        asyncio.run(main(conversation, log, commit_seq))

    return run


def test_the_cloud_s_log_is_copied_and_the_own_tail_is_listed_for_staff(survivor: Callable[..., None]) -> None:
    shared, tail = [key(), key()], key()
    own = extended(Log(), 1, *shared, tail)
    cloud_only = [key() for _ in range(5)]
    cloud_log = extended(Log(own.slice(1, 2, 2)), 1, *cloud_only)

    async def conversation(b: Any) -> None:
        b.cloud.log = cloud_log
        async with b.living():
            await b.until_role("joining")
            assert (await b.client.get("/ready")).json() == {"role": "joining", "break_glass": "none"}
            answer = await b.say()
            assert answer.status_code == 202
            told = answer.json()
            assert {name: told[name] for name in ("epoch", "off", "who", "why")} == {"epoch": 2, **WORD}
            await b.until_role("primary")
            await b.until(lambda: b.driver.device.replica.commit_seq == 8, "the commit of the fork")
            records = [row["record"] for row in (await b.get("/v1/audit/entries"))["entries"]]
            assert [record.get("order_id") for record in records] == [*shared, *cloud_only, None]
            assert records[-1] == {
                "kind": "fork", "from_seq": 8, "hash": cloud_log.last.hash, "cloud": "copied", **WORD,
            }  # fmt: skip
            assert b.driver.store.load().break_glass is None
            recovered = await b.get("/v1/recovered")
            (row,) = recovered["orders"]
            assert (row["order_id"], row["given_up"], row["seq"], row["set_aside_at_epoch"]) == (tail, False, 3, 2)
            (entry,) = (await b.get("/v1/audit/set-aside"))["entries"]
            assert (entry["hash"], entry["at_epoch"], entry["given_up"]) == (own.last.hash, 2, False)
            # Staff enter it again, under its own key: it is committed, and leaves the list.
            body = {"channel": row["channel"], "table": row["table"], "items": row["items"]}
            body |= {"total_minor": row["total_minor"], "note": row["note"]}
            again = await b.client.post("/v1/orders", json=body, headers={"Idempotency-Key": tail})
            assert (again.status_code, again.json()["level"]) == (201, "R1")
            assert (await b.get("/v1/recovered"))["orders"] == []
            assert (await b.get("/v1/status"))["forks"] == [{"from_seq": 8, "seq": 8, "epoch": 2}]
            metrics = (await b.client.get("/metrics")).text
            assert "rushproof_forks 1.0" in metrics
            assert "rushproof_break_glass_under_way 0.0" in metrics

    survivor(conversation, own, 2)


def test_without_the_cloud_it_waits_and_says_so_until_it_may_go_on(survivor: Callable[..., None]) -> None:
    shared, tail = key(), key()

    async def conversation(b: Any) -> None:
        async with b.living():
            await b.until_role("joining")
            assert (await b.say()).status_code == 202
            await b.until_stage("reconciling")
            await b.until(lambda: b.cloud.asked >= 3, "the cloud asked again")
            ready = await b.client.get("/ready")
            assert (ready.status_code, ready.json()) == (503, {"role": "fenced", "break_glass": "reconciling"})
            assert (await b.get("/v1/status"))["break_glass"]["stage"] == "reconciling"
            assert "rushproof_break_glass_under_way 1.0" in (await b.client.get("/metrics")).text
            repeated = await b.say()
            assert (repeated.status_code, repeated.json()["type"]) == (409, PREFIX + "break-glass-running")
            answer = await b.say(without_cloud=True, who="Wang")
            assert answer.status_code == 202
            await b.until_role("primary")
            await b.until(lambda: b.driver.device.replica.commit_seq == 3, "the commit of the fork")
            record = (await b.get("/v1/audit/entries"))["entries"][-1]["record"]
            assert (record["kind"], record["from_seq"], record["cloud"]) == ("fork", 2, "unreachable")
            assert record["who"] == "Wang"
            assert (await b.client.get(f"/v1/orders/{tail}")).json()["level"] == "R1"

    survivor(conversation, extended(Log(), 1, shared, tail), 1)


def test_a_device_that_stops_while_it_compares_goes_on_when_it_starts_again(survivor: Callable[..., None]) -> None:
    first = key()
    cloud_only = [key() for _ in range(3)]
    own = extended(Log(), 1, first, key())

    async def conversation(b: Any) -> None:
        async with b.living():
            await b.until_role("joining")
            await b.say()
            await b.until_stage("reconciling")
            await b.until(lambda: b.cloud.asked > 0, "the cloud asked")
        b.cloud.log = extended(Log(own.slice(1, 1, 1)), 1, *cloud_only)
        async with b.living():
            await b.until_role("primary")
            await b.until(lambda: b.driver.device.replica.commit_seq == 5, "the commit of the fork")
            log = b.driver.device.replica.log
            assert [log.key(order_id).seq for order_id in (first, *cloud_only)] == [1, 2, 3, 4]
            assert b.driver.device.replica.epoch == 3
        async with b.living():
            await b.until_role("primary")
            assert b.driver.device.glass.stage == "none"
            assert len(b.driver.device.replica.log.forks) == 1

    survivor(conversation, own, 1)


def test_what_is_refused_is_a_problem_document_and_does_nothing(survivor: Callable[..., None]) -> None:
    async def conversation(b: Any) -> None:
        async with b.living():
            await b.until_role("joining")
            wrong: list[Any] = [
                7, {}, {**WORD, "off": []}, {**WORD, "off": "a-1"}, {**WORD, "off": [1]}, {**WORD, "who": ""},
                {**WORD, "why": "x" * 501}, {**WORD, "why": None}, {**WORD, "without_cloud": 1},
            ]  # fmt: skip
            for body in wrong:
                answer = await b.client.post("/v1/break-glass", json=body)
                assert (answer.status_code, answer.json()["type"]) == (422, PREFIX + "break-glass-invalid"), body
                assert answer.headers["content-type"] == "application/problem+json"
            torn = await b.client.post("/v1/break-glass", content=b"{")
            assert (torn.status_code, torn.json()["type"]) == (422, PREFIX + "break-glass-invalid")
            differ = await b.say(off=["a-2"])
            assert (differ.status_code, differ.json()["type"]) == (409, PREFIX + "members-differ")
            assert "a-1" in differ.json()["detail"]
            assert (await b.get("/v1/break-glass"))["stage"] == "none"
            assert b.driver.store.load().break_glass is None
            assert b.cloud.asked == 0
            await b.say(without_cloud=True)
            await b.until_role("primary")
            needless = await b.say(off=["b-1"])
            assert (needless.status_code, needless.json()["type"]) == (409, PREFIX + "break-glass-not-needed")

    survivor(conversation, Log(), 0)


@pytest.mark.parametrize(
    "body", [[], "text", 7, None, {}, {"sender_epoch": 2}, {"sender_epoch": "2", "shared": {}, "entries": 1}]
)
def test_strange_answers_of_the_cloud_do_not_end_the_device(survivor: Callable[..., None], body: Any) -> None:
    async def conversation(b: Any) -> None:
        b.cloud.body = body
        async with b.living():
            await b.until_role("joining")
            await b.say()
            await b.until(lambda: b.cloud.asked >= 3, "the cloud asked again")
            assert b.driver.device.glass.stage == "reconciling"
            b.cloud.body, b.cloud.log = ..., Log()
            await b.until_role("primary")

    survivor(conversation, extended(Log(), 1, key()), 1)


def test_a_cloud_that_has_seen_a_higher_sender_stops_it_and_it_says_why(survivor: Callable[..., None]) -> None:
    async def conversation(b: Any) -> None:
        b.cloud.log, b.cloud.highest_epoch = Log(), 9
        async with b.living():
            await b.until_role("joining")
            await b.say()
            await b.until(lambda: b.driver.device.glass.trouble is not None, "trouble")
            told = await b.get("/v1/break-glass")
            assert (told["stage"], told["trouble"]) == ("reconciling", "the cloud has seen a sender of epoch 9")

    survivor(conversation, Log(), 0)


def test_a_payment_that_was_set_aside_is_listed_for_whoever_gives_it_back(survivor: Callable[..., None]) -> None:
    check_id, attempt_id = key(), key()
    shared = extended(Log(), 1, check_id)
    own = Log(shared.slice(1, 1, 1))
    pay = Act(attempt_id, "waiter Li", Pay(check_id, "card", 300, 0, "card-4242")).record(1_000)
    own.extend(chain(1, own.last, [encode_record(pay)]))

    async def conversation(b: Any) -> None:
        b.cloud.log = extended(shared, 1, key())
        async with b.living():
            await b.until_role("joining")
            await b.say()
            await b.until_role("primary")
            page = await b.get("/v1/recovered")
            _conforms(await b.get("/openapi.json"), "RecoveredReply", page)
            (row,) = page["payments"]
            assert page["orders"] == []
            expected = {"attempt_id": attempt_id, "check_id": check_id, "tender": "card", "amount_minor": 300, "seq": 2}
            assert expected.items() <= row.items()
            assert "4242" not in json.dumps(page), "what was charged is the operators' alone"

    survivor(conversation, own, 1)


def test_the_list_of_what_was_recovered_comes_in_pages(survivor: Callable[..., None]) -> None:
    tails = [key() for _ in range(5)]
    own = extended(extended(Log(), 1, key()), 1, *tails)

    async def conversation(b: Any) -> None:
        b.cloud.log = extended(Log(own.slice(1, 1, 1)), 1, key())
        async with b.living():
            await b.until_role("joining")
            await b.say()
            await b.until_role("primary")
            found, after = [], 0
            while after is not None:
                page = await b.get(f"/v1/recovered?after={after}&limit=2")
                found += [row["order_id"] for row in page["orders"]]
                after = page["next_after"]
            assert found == tails
            assert (await b.client.get("/v1/recovered?limit=0")).status_code == 422

    survivor(conversation, own, 1)


def test_answers_are_as_the_openapi_document_says(survivor: Callable[..., None]) -> None:
    own = extended(Log(), 1, key(), key())

    async def conversation(b: Any) -> None:
        async with b.living():
            document = await b.get("/openapi.json")
            path = document["paths"]["/v1/break-glass"]
            assert {int(status) for status in path["post"]["responses"]} == {202, 401, 403, 409, 413, 422, 503}
            schema = path["post"]["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.validate(WORD, schema)
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**WORD, "off": []}, schema)
            await b.until_role("joining")
            b.cloud.log = extended(Log(own.slice(1, 1, 1)), 1, key())
            _conforms(document, "GlassReply", (await b.say()).json())
            await b.until_role("primary")
            _conforms(document, "GlassReply", await b.get("/v1/break-glass"))
            recovered = await b.get("/v1/recovered")
            assert len(recovered["orders"]) == 1
            _conforms(document, "RecoveredReply", recovered)

    survivor(conversation, own, 1)


def _conforms(document: Any, name: str, value: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.validate(value, schema)
