"""A small ordering system that behaves as a test tells it: two devices and a cloud, real sockets, in a thread."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loadtests.plan import LoadPlan, Retries, StoreTargets, monotonic_us, write_plan
from refsystem.ordering.errors import NOT_PRIMARY, ORDER_UNKNOWN, Problem
from refsystem.ordering.menu import DEMO_MENU
from refsystem.stop_listening import stop_listening
from simulator.diners import Diner, write_timetable
from simulator.history import Attempt, read_history

ROOT = Path(__file__).resolve().parents[2]
DRIVE = Path(__file__).with_name("drive_journeys.py")


@dataclass
class Seen:
    """A request as a server saw it."""

    device: str
    method: str
    path: str
    key: str
    body: dict[str, Any]
    at_us: int
    authorization: str = ""

    @property
    def is_order(self) -> bool:
        return self.method == "POST"


@dataclass
class Act:
    """What a server does with a request: answers after a while, or (status None) drops the connection."""

    status: int | None
    document: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    raw: bytes | None = None


Behave = Callable[["ScriptedStack", Seen], Act]


def problem(kind: Problem, hint: str | None = None, **headers: str) -> Act:
    document = {"type": kind.type, "title": kind.title, "status": kind.status, "primary_hint": hint}
    return Act(kind.status, document, headers)


def plain(stack: ScriptedStack, seen: Seen) -> Act:
    """edge_a is the primary, edge_b its standby; an order is served when it is first looked at."""
    if seen.device == "edge_b":
        return problem(NOT_PRIMARY, stack.url("edge_a"))
    return stack.serve(seen)


class ScriptedStack:
    """Two devices and a cloud; `behave` decides on every request, in the server's thread."""

    def __init__(self) -> None:
        self.behave: Behave = plain
        self.seen: list[Seen] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.errors: list[BaseException] = []
        self.close_next: set[str] = set()
        self._ports: dict[str, int] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="scripted-stack")

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def url(self, device: str) -> str:
        return f"http://127.0.0.1:{self._ports[device]}"

    @property
    def targets(self) -> dict[str, StoreTargets]:
        return {"s1": StoreTargets((self.url("edge_a"), self.url("edge_b")), self.url("cloud"))}

    @property
    def submissions(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.is_order]

    def serve(self, seen: Seen) -> Act:
        """As a primary, or the cloud, does."""
        if seen.path == "/v1/menu":
            return Act(200, json.loads(DEMO_MENU.to_json()))
        if seen.is_order:
            level, node_id, epoch = ("RC", "cloud", None) if seen.device == "cloud" else ("R2", seen.device, 1)
            self.orders.setdefault(seen.key, {**seen.body, "order_id": seen.key, "seq": len(self.orders) + 1})
            told = {**self.orders[seen.key], "level": level, "node_id": node_id, "epoch": epoch, "status": "committed"}
            return Act(201, told)
        order = self.orders.get(seen.path.rpartition("/")[2])
        if order is None:
            return problem(ORDER_UNKNOWN)
        return Act(200, {**order, "level": "R2", "node_id": seen.device, "epoch": 1, "status": "served"})

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        servers = []
        for device in ("edge_a", "edge_b", "cloud"):
            server = await asyncio.start_server(self._accept(device), "127.0.0.1", 0, backlog=512)
            self._ports[device] = server.sockets[0].getsockname()[1]
            servers.append(server)
        self._ready.set()
        await self._ended.wait()
        for server in servers:
            await stop_listening(server)
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()  # what is left unsent to a killed client must not keep it open
        await asyncio.sleep(0)

    def _accept(self, device: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        """Called as soon as a connection is there: one whose conversation never began is closed all the same."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            task = asyncio.create_task(talk(reader, writer))
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while (seen := await self._read(device, reader)) is not None:
                    self.seen.append(seen)
                    act = self.behave(self, seen)
                    await asyncio.sleep(act.after_s)
                    if act.status is None:
                        return
                    writer.write(act.raw or self._bytes(act))
                    await writer.drain()
                    if device in self.close_next:
                        self.close_next.discard(device)
                        return
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            except BaseException as error:  # shown by the fixture: a test must not pass over its own server's error
                self.errors.append(error)
            finally:
                writer.close()
                if not self._ended.is_set():
                    self._writers.discard(writer)

        return accept

    async def _read(self, device: str, reader: asyncio.StreamReader) -> Seen | None:
        first = await reader.readline()
        if not first:
            return None
        method, path, _ = first.decode().split(" ", 2)
        headers = {}
        while (line := (await reader.readline()).decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        key = headers.get("idempotency-key", "")
        said, authorization = json.loads(body) if body else {}, headers.get("authorization", "")
        return Seen(device, method, path, key, said, monotonic_us(), authorization)

    @staticmethod
    def _bytes(act: Act) -> bytes:
        body = json.dumps(act.document).encode()
        lines = [f"HTTP/1.1 {act.status} X", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in act.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def stack() -> Iterator[ScriptedStack]:
    made = ScriptedStack()
    made.start()
    yield made
    made.stop()
    assert made.errors == []


@pytest.fixture
def act() -> type[Act]:
    return Act


@pytest.fixture
def refusal() -> Callable[..., Act]:
    return problem


MakeDiner = Callable[..., Diner]


@pytest.fixture
def make_diner() -> MakeDiner:
    plain_diner = Diner(
        diner=0,
        store="s1",
        at_us=0,
        channel="qr",
        table="T1",
        items=(("beef-noodles", 2), ("plum-juice", 1)),
        total_minor=7300,
        note="",
        order_key_bits=1,
        reorder_key_bits=1 << 70,
        think_us=20_000,
        patience_us=2_000_000,
        poll_us=50_000,
        polls_max=3,
        behaviour="plain",
    )

    def make(number: int, **changes: Any) -> Diner:
        keys = {"order_key_bits": 1000 + number, "reorder_key_bits": (1 << 70) + number}
        return dataclasses.replace(plain_diner, diner=number, **{**keys, **changes})

    return make


@dataclass
class Ground:
    """A run folder and what is needed to load it against the scripted stack."""

    folder: Path
    stack: ScriptedStack

    def plan(self, diners: list[Diner], **changes: Any) -> LoadPlan:
        write_timetable(self.folder / "timetable.json", diners)
        usual: dict[str, Any] = {
            "run": "r1",
            "seed": 7,
            "start_us": monotonic_us() + 200_000,
            "targets": self.stack.targets,
            "attempt_timeout_ms": 500,
            "retries": Retries(attempts_max=4, backoff_ms=20, backoff_max_ms=80),
            "late_after_ms": 100,
        }
        return LoadPlan(**{**usual, **changes})

    def drive(self, diners: list[Diner], **changes: Any) -> list[Attempt]:
        """Drive these diners by gevent alone, without Locust, in a process of its own; returns the history."""
        plan_path = self.folder / "load.json"
        write_plan(plan_path, self.plan(diners, **changes))
        command = [sys.executable, str(DRIVE), str(plan_path), *([] if "start_us" in changes else ["start when ready"])]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

        assert done.returncode == 0, done.stderr
        assert self.metrics("progress-locust-0.json")["broken_journeys"] == 0, done.stderr
        return self.history()

    def history(self) -> list[Attempt]:
        return read_history(self.folder / "history")

    def metrics(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / "metrics" / name).read_text()))


@pytest.fixture
def ground(tmp_path: Path, stack: ScriptedStack) -> Ground:
    return Ground(tmp_path, stack)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool], timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "the awaited condition never came"
            time.sleep(0.01)

    return wait
