"""Two devices and an arbiter as processes, without a cloud and a kitchen display, and one device inside a test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from refsystem.arbiter.__main__ import make_app as make_arbiter
from refsystem.arbiter.store import RegisterStore
from refsystem.edge.app import make_app
from refsystem.edge.driver import Driver, now_us
from refsystem.edge.store import EdgeStore
from refsystem.ordering.menu import DEMO_MENU
from refsystem.partners.payment_gateway.app import create_app as make_gateway
from refsystem.partners.payment_gateway.settings import GatewaySettings
from refsystem.partners.payment_gateway.settings import Limits as GatewayLimits
from refsystem.processes import PythonProcess, process_state, reserve_port
from refsystem.protocol.device import Device, DeviceSettings
from refsystem.protocol.payment_calls import CashierLimits
from refsystem.protocol.timing import DEFAULT_TIMING
from refsystem.settings import EdgeSettings

PATIENCE_S = 20.0
GATEWAY_SECRET, ACCESS_SECRET = b"what the gateway signs with", b"what the store signs tokens with"


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.02)


def order_body(**changes: Any) -> dict[str, Any]:
    return {
        "channel": "qr",
        "table": "7",
        "items": [{"item_id": "mapo-tofu", "quantity": 2}, {"item_id": "steamed-rice", "quantity": 1}],
        "total_minor": 5900,
        "note": "no chilli",
        **changes,
    }


def new_key() -> str:
    return str(uuid.uuid4())


class Pair:
    """The two devices `a` and `b` of a store with their arbiter."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = settings
        self._ports = {name: reserve_port() for name in ("arbiter", "a", "b", "a.peer", "b.peer", "nobody")}
        self.http = httpx.Client(trust_env=False, timeout=PATIENCE_S)
        self.processes = {"arbiter": self._arbiter(), "a": self._device("a", "b"), "b": self._device("b", "a")}

    def port(self, name: str) -> int:
        port: int = self._ports[name].getsockname()[1]
        return port

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}"

    def start(self) -> None:
        for process in self.processes.values():
            process.start()
        self.wait_ready(*self.processes)
        answer = self.http.put(f"{self.url('arbiter')}/v1/register", json={"primary": self.status("a")["node_id"]})
        assert answer.status_code == 201
        self.wait_for_two()

    def wait_ready(self, *names: str) -> None:
        async def ready() -> None:
            await asyncio.gather(*(self.processes[name].wait_ready() for name in names))

        asyncio.run(ready())

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()
        for process in self.processes.values():
            process.wait_stopped(time.monotonic() + 5)
        self.http.close()
        for reservation in self._ports.values():
            reservation.close()

    def heal(self) -> None:
        """Everything runs and the store has two members again."""
        gone = [name for name, process in self.processes.items() if process.pid is None]
        for name in gone:
            self.processes[name].start()
        paused = [process for process in self.processes.values() if process.pid and process_state(process.pid) == "T"]
        for process in paused:
            process.resume()
        self.wait_ready(*gone)
        self.wait_for_two()
        if paused:
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        """Requests that waited at a paused arbiter are still to be answered: wait until nothing changes any more."""
        seen: list[tuple[float, object]] = []

        def at_rest() -> bool:
            register = self.http.get(f"{self.url('arbiter')}/ready").json()["register"]
            whole = len(register["members"]) == 2 and register["epoch"] == self.status(self.primary)["epoch"]
            if not whole or (seen and seen[-1][1] != register):
                seen.clear()
            seen.append((time.monotonic(), register))
            return whole and seen[-1][0] - seen[0][0] > 1.2

        wait_until(at_rest, "the store at rest")

    def wait_for_two(self) -> None:
        wait_until(lambda: self.members() == 2, "two members")

    def status(self, slot: str) -> dict[str, Any]:
        status: dict[str, Any] = self.http.get(f"{self.url(slot)}/v1/status").json()
        return status

    def _try_status(self, slot: str) -> dict[str, Any] | None:
        try:
            return self.status(slot)
        except httpx.HTTPError:
            return None

    def members(self) -> int:
        found = [status for slot in "ab" if (status := self._try_status(slot)) and status["role"] == "primary"]
        return len(max(found, key=lambda status: int(status["epoch"]))["members"]) if found else 0

    @property
    def primary(self) -> str:
        """Which of them is primary."""

        def roles() -> list[str]:
            return [slot for slot in "ab" if (s := self._try_status(slot)) and s["role"] == "primary"]

        wait_until(lambda: len(roles()) == 1, "one primary")
        return roles()[0]

    @property
    def standby(self) -> str:
        return "b" if self.primary == "a" else "a"

    def post(self, slot: str, key: str | None, body: Any = None, **options: Any) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.http.post(f"{self.url(slot)}/v1/orders", json=body or order_body(), headers=headers, **options)

    def get(self, slot: str, path: str) -> httpx.Response:
        return self.http.get(f"{self.url(slot)}{path}")

    def order_until_taken(self, slot: str, key: str) -> dict[str, Any]:
        """Send an order again until it is acknowledged, as a diner's device does."""
        taken: dict[str, Any] = {}

        def sent() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                answer = self.post(slot, key)
                if answer.status_code == 201:
                    taken.update(answer.json())
            return bool(taken)

        wait_until(sent, f"an answer of device {slot}")
        return taken

    def _arbiter(self) -> PythonProcess:
        environment = {
            "RUSHPROOF_DATA": str(self.folder / "arbiter"),
            "RUSHPROOF_HTTP_PORT": str(self.port("arbiter")),
        }
        return PythonProcess(
            "arbiter", "refsystem.arbiter", environment, self.port("arbiter"), self.folder / "arbiter.log"
        )

    def _device(self, slot: str, other: str) -> PythonProcess:
        environment = {
            "RUSHPROOF_STORE": "s1",
            "RUSHPROOF_SLOT": slot,
            "RUSHPROOF_DATA": str(self.folder / slot),
            "RUSHPROOF_HTTP_PORT": str(self.port(slot)),
            "RUSHPROOF_PEER_PORT": str(self.port(f"{slot}.peer")),
            "RUSHPROOF_PEER_ADDRESS": f"127.0.0.1:{self.port(f'{other}.peer')}",
            "RUSHPROOF_PEER_HINT_URL": self.url(other),
            "RUSHPROOF_ARBITER_URL": self.url("arbiter"),
            "RUSHPROOF_CLOUD_URL": self.url("nobody"),
            "RUSHPROOF_KITCHEN_URL": self.url("nobody"),
            **self._settings,
        }
        return PythonProcess(slot, "refsystem.edge", environment, self.port(slot), self.folder / f"{slot}.log")


@pytest.fixture(scope="session")
def make_pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., contextlib.AbstractContextManager[Pair]]:
    """A started pair as a context manager; keyword arguments are further settings of both devices."""

    @contextlib.contextmanager
    def make(**settings: str) -> Iterator[Pair]:
        made = Pair(tmp_path_factory.mktemp("pair"), **settings)
        try:
            made.start()
            yield made
        finally:
            made.stop()

    return make


@pytest.fixture(scope="module")
def started_pair(make_pair: Callable[..., contextlib.AbstractContextManager[Pair]]) -> Iterator[Pair]:
    with make_pair() as made:
        yield made


@pytest.fixture
def pair(started_pair: Pair) -> Iterator[Pair]:
    """The module's pair, whole again after each test."""
    yield started_pair
    started_pair.heal()


@pytest.fixture
def lone_device(tmp_path: Path) -> Iterator[PythonProcess]:
    """A device that is not started yet and finds no arbiter; its files lie in `tmp_path / "data"`."""
    with contextlib.ExitStack() as ports:
        http, peer, nobody = (ports.enter_context(reserve_port()).getsockname()[1] for _ in range(3))
        environment = {
            "RUSHPROOF_STORE": "s1",
            "RUSHPROOF_SLOT": "a",
            "RUSHPROOF_DATA": str(tmp_path / "data"),
            "RUSHPROOF_HTTP_PORT": str(http),
            "RUSHPROOF_PEER_PORT": str(peer),
            "RUSHPROOF_PEER_ADDRESS": f"127.0.0.1:{nobody}",
            **{f"RUSHPROOF_{who}_URL": f"http://127.0.0.1:{nobody}" for who in ("ARBITER", "CLOUD", "KITCHEN")},
        }
        process = PythonProcess("a", "refsystem.edge", environment, http, tmp_path / "a.log")
        yield process
        process.kill()


class SlowStore(EdgeStore):
    """A disk that flushes only when it may."""

    gate: Any = None
    groups: list[int]

    def apply(self, ops: Any) -> None:
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_S)
        super().apply(ops)


class Others:
    """Stands for the kitchen display and the cloud: answers everything with `body`, or with 503 while there is none."""

    def __init__(self) -> None:
        self.body: Any = ...
        self.asked: list[str] = []
        self.said: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        self.asked.append(scope["path"])
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.said.append(body)
        status = 503 if self.body is ... else 200
        content = b"" if self.body is ... else json.dumps(self.body).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": content})


class Alone:
    """One device inside the test's loop, alone in its store, and a client of it."""

    def __init__(
        self, driver: Driver, store: SlowStore, client: httpx.AsyncClient, others: Others, gateway_url: str = ""
    ) -> None:
        self.gateway_url = gateway_url
        self.driver = driver
        self.store = store
        self.client = client
        self.others = others

    async def until_waiting(self, count: int) -> None:
        for _ in range(2000):
            if self.driver.device.admission.count >= count:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"waited in vain for {count} waiting requests")

    async def post(self, key: str, token: str = "", **changes: Any) -> httpx.Response:
        return await self.client.post("/v1/orders", json=order_body(**changes), headers=self._headers(token, key))

    async def act(self, token: str, act: str, key: str | None = None, **fields: Any) -> httpx.Response:
        headers = self._headers(token, key or new_key())
        return await self.client.post("/v1/acts", json={"act": act, **fields}, headers=headers)

    async def get(self, token: str, path: str) -> httpx.Response:
        return await self.client.get(path, headers=self._headers(token))

    @staticmethod
    def _headers(token: str, key: str = "") -> dict[str, str]:
        return ({"Idempotency-Key": key} if key else {}) | ({"Authorization": f"Bearer {token}"} if token else {})


class QuietServer(uvicorn.Server):
    """uvicorn inside a test: signals stay with whoever runs the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The application on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, ws="none", lifespan="auto", timeout_graceful_shutdown=1)
        server = QuietServer(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture(scope="session")
def served_app() -> Callable[[Any], contextlib.AbstractAsyncContextManager[str]]:
    """Serves an application on a free port, inside the test's loop."""
    return served


@pytest.fixture
def run_alone(tmp_path: Path) -> Callable[..., None]:
    """Runs a coroutine function with a device alone in its store; keyword arguments change its timing.

    `limits`: there is a payment gateway, and these are the limits of the device's cashier.
    """

    def run(
        conversation: Callable[[Alone], Awaitable[None]], limits: CashierLimits | None = None, **timing: int
    ) -> None:
        asyncio.run(_alone(tmp_path, conversation, limits, timing))

    return run


@contextlib.asynccontextmanager
async def _gateway(folder: Path) -> AsyncIterator[str]:
    """A payment gateway in the test's loop, a thousand times as fast as a real one."""
    settings = GatewaySettings(folder / "gateway", GATEWAY_SECRET, limits=GatewayLimits(time_scale=1000))
    async with served(make_gateway(settings)) as url:
        yield url


async def _alone(
    folder: Path,
    conversation: Callable[[Alone], Awaitable[None]],
    limits: CashierLimits | None,
    timing: dict[str, int],
) -> None:
    async with contextlib.AsyncExitStack() as ports:
        gateway_url = await ports.enter_async_context(_gateway(folder)) if limits is not None else ""
        own, peer, nobody = (ports.enter_context(reserve_port()).getsockname()[1] for _ in range(3))
        others = Others()
        async with served(make_arbiter(RegisterStore(folder / "arbiter"))) as arbiter_url, served(others) as others_url:
            settings = EdgeSettings(
                "s1",
                "a",
                folder / "a",
                own,
                peer,
                "127.0.0.1",
                nobody,
                f"http://127.0.0.1:{nobody}",
                arbiter_url,
                others_url,
                others_url,
                DEMO_MENU,
                "available",
                False,
                "FULL",
                None,
                gateway_url=gateway_url,
                callback_url=f"http://127.0.0.1:{own}",
                gateway_secret=GATEWAY_SECRET,
                access_secret=ACCESS_SECRET,
            )
            store = SlowStore(settings.data, "a-1")
            device_settings = DeviceSettings(
                "s1",
                DEMO_MENU,
                "available",
                replace(DEFAULT_TIMING, **timing),
                cashier_limits=limits or CashierLimits(),
            )
            driver = Driver(settings, Device(device_settings, store.load(), "life-1", now_us()), store)
            app = make_app(driver)
            async with (
                httpx.AsyncClient(trust_env=False) as http,
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a", timeout=20) as client,
            ):
                answer = await http.put(f"{arbiter_url}/v1/register", json={"primary": "a-1"})
                assert answer.status_code == 201
                for _ in range(1000):
                    if (await client.get("/ready")).status_code == 200:
                        break
                    await asyncio.sleep(0.01)
                await conversation(Alone(driver, store, client, others, gateway_url))
