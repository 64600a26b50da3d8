"""The gate as an ASGI layer: real time, a small app behind it, and a device's own app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import Request
from prometheus_client import CollectorRegistry, Counter

from refsystem.overload.gate import Gate
from refsystem.overload.layer import OverloadLayer, make_gate
from refsystem.overload.remedies import REMEDIES, Remedies
from refsystem.overload.settings import OverloadSettings, ServiceDelay
from refsystem.problems import ProblemError, read_json

KNOWN_KEY, NEW_KEY = "0191e1a0-0000-7000-8000-00000000000a", "0191e1a0-0000-7000-8000-00000000000b"
ONE_AT_A_TIME = ServiceDelay(servers=1, ms=40)
SLOW = ServiceDelay(servers=1, ms=400)


class Behind:
    """An app that answers 201 after `hold` and notes which keys it saw."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        self.keys.append(dict(scope["headers"]).get(b"idempotency-key", b"").decode())
        await self.hold.wait()
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def layer(behind: Behind, remedies: Remedies, delay: ServiceDelay | None, governs: bool = True) -> tuple[Any, Gate]:
    settings = OverloadSettings(remedies, delay)
    gate = make_gate(settings)
    refused = Counter("refused", "", ("reason", "priority"), registry=CollectorRegistry())
    made = OverloadLayer(
        behind, gate=gate, settings=settings, refused=refused, governs=lambda: governs, known=lambda k: k == KNOWN_KEY
    )
    return made, gate


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://edge")


async def order(http: httpx.AsyncClient, key: str = NEW_KEY, deadline_ms: int | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} | ({"X-Deadline-Ms": str(deadline_ms)} if deadline_ms is not None else {})
    return await http.post("/v1/orders", headers=headers, content=b"not even JSON")


def only(*names: str) -> Remedies:
    return Remedies.without(*(name for name in REMEDIES if name not in names))


def test_what_would_be_too_late_is_refused_before_it_is_read_but_not_what_is_in_the_log() -> None:
    async def run() -> None:
        behind = Behind()
        app, gate = layer(behind, only("deadline", "retry_after"), SLOW)
        async with client(app) as http:
            first, late, known, patient = await asyncio.gather(
                order(http), order(http, deadline_ms=410), order(http, KNOWN_KEY, 410), order(http, deadline_ms=60_000)
            )
        assert [answer.status_code for answer in (first, late, known, patient)] == [201, 503, 201, 201]
        said = late.json()
        assert (said["type"], said["definite"]) == ("urn:rushproof:problem:overloaded", True)
        assert said["detail"] == "it would be answered after its deadline"
        assert int(late.headers["Retry-After"]) >= 1
        assert behind.keys.count(NEW_KEY) == 2
        assert behind.keys.count(KNOWN_KEY) == 1
        assert (gate.waiting, gate.under_way) == (0, 0)

    asyncio.run(run())


def test_without_remedies_all_wait_and_nobody_is_told_when_to_come_back() -> None:
    async def run() -> None:
        behind = Behind()
        app, gate = layer(behind, Remedies.without("all"), ONE_AT_A_TIME)
        async with client(app) as http:
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            answers = await asyncio.gather(*(order(http, deadline_ms=1) for _ in range(6)))
            assert {answer.status_code for answer in answers} == {201}
            assert 0.22 < loop.time() - began_s < 2
        narrow = Gate(Remedies.without("all"), servers=1, waiting_max=1)
        refused = Counter("refused", "", ("reason", "priority"), registry=CollectorRegistry())
        full = OverloadLayer(
            behind, gate=narrow, settings=OverloadSettings(Remedies.without("all"), ONE_AT_A_TIME), refused=refused
        )
        async with client(full) as http:
            answers = await asyncio.gather(*(order(http) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 503]
        assert all("Retry-After" not in answer.headers for answer in answers)
        assert refused.labels("full", "submit")._value.get() == 1
        assert (gate.under_way, narrow.under_way) == (0, 0)

    asyncio.run(run())


def test_whoever_hangs_up_while_waiting_leaves_the_line() -> None:
    async def run() -> None:
        behind = Behind()
        behind.hold.clear()
        app, gate = layer(behind, Remedies(), None)
        gate._servers = 1
        async with client(app) as http:
            at_work = asyncio.create_task(order(http))
            waits = asyncio.create_task(order(http))
            for _ in range(1_000):
                if gate.waiting:
                    break
                await asyncio.sleep(0)
            assert gate.waiting == 1
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)
            assert (gate.waiting, gate.under_way) == (0, 1)
            behind.hold.set()
            assert (await at_work).status_code == 201
        assert gate.under_way == 0

    asyncio.run(run())


def test_a_device_that_is_not_primary_and_what_operators_ask_is_not_held_back() -> None:
    async def run() -> None:
        behind = Behind()
        standby, gate = layer(behind, Remedies(), ServiceDelay(1, 60_000), governs=False)
        async with client(standby) as http:
            async with asyncio.timeout(20):
                assert (await order(http)).status_code == 201
        primary, gate = layer(behind, Remedies(), ServiceDelay(1, 60_000))
        async with client(primary) as http:
            async with asyncio.timeout(20):
                assert (await http.get("/v1/status")).status_code == 201
        assert gate.under_way == 0

    asyncio.run(run())


def test_a_client_that_hangs_up_before_its_body_is_read_is_no_failure_of_the_server() -> None:
    async def hung_up() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ProblemError, match="hung up"):
        asyncio.run(read_json(Request({"type": "http", "method": "POST", "path": "/", "headers": []}, hung_up)))
