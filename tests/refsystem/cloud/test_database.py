"""The cloud when its database is slow, cut off or killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from refsystem.cloud import database as database_module
from refsystem.cloud import orders as orders_module
from refsystem.cloud.app import CloudSettings
from refsystem.cloud.postgres import PrivatePostgres
from refsystem.stop_listening import stop_listening


def slug(answer: httpx.Response) -> str:
    return answer.json()["type"].removeprefix("urn:rushproof:problem:")


class Link:
    """A TCP link to the database that can be silenced in either direction, or cut."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self.asks = asyncio.Event()
        self.answers = asyncio.Event()
        self.asks.set()
        self.answers.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Link:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._target._replace(netloc=f"{self._target.netloc.rsplit('@')[0]}@127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop_listening(self._server)
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        to_writer: asyncio.StreamWriter | None = None
        try:
            to_reader, to_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            copies = [
                asyncio.create_task(self._copy(reader, to_writer, self.asks)),
                asyncio.create_task(self._copy(to_reader, writer, self.answers)),
            ]
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        except asyncio.CancelledError:
            pass  # The link was cut.
        finally:
            writer.transport.abort()
            if to_writer is not None:
                to_writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event) -> None:
        while data := await reader.read(65536):
            await flows.wait()
            writer.write(data)
            await writer.drain()


@pytest.fixture
def short_timeouts(monkeypatch):
    for name in ("ACQUIRE_TIMEOUT_S", "CONNECT_TIMEOUT_S", "COMMAND_TIMEOUT_S"):
        monkeypatch.setattr(database_module, name, 0.5)


def conversation_over_link(database_url, cloud_in_process, conversation):
    async def main() -> None:
        async with Link(database_url) as link, cloud_in_process(link.url) as cloud:
            await cloud.set_up()
            await conversation(link, cloud)

    asyncio.run(main())


@pytest.mark.usefixtures("short_timeouts")
def test_before_anything_was_written_an_unreachable_database_is_definite(database_url, cloud_in_process):
    async def conversation(link, cloud):
        key = str(uuid.uuid4())
        assert (await cloud.order(key)).status_code == 201
        link._server.close()
        link.cut()
        await asyncio.sleep(0)
        for _ in range(12):
            answer = await cloud.order(str(uuid.uuid4()))
            assert (answer.status_code, slug(answer)) == (503, "storage-unavailable")
            assert answer.json()["definite"] is True
            assert "Retry-After" in answer.headers
        assert slug(await cloud.client.get(f"/v1/orders/{key}")) in ("not-confirmed", "storage-unavailable")
        assert (await cloud.client.get("/ready")).status_code == 503
        assert (await cloud.client.get("/health")).status_code == 200

    conversation_over_link(database_url, cloud_in_process, conversation)


@pytest.mark.usefixtures("short_timeouts")
def test_a_cut_link_is_not_remembered(database_url, cloud_in_process):
    async def conversation(link, cloud):
        for _ in range(3):
            link.cut()
            answers = [await cloud.order(str(uuid.uuid4())) for _ in range(15)]
            assert answers[-1].status_code == 201
            assert {answer.status_code for answer in answers} <= {201, 503}

    conversation_over_link(database_url, cloud_in_process, conversation)


@pytest.mark.usefixtures("short_timeouts")
def test_when_the_answer_to_the_write_is_lost_the_outcome_is_unknown_and_the_key_settles_it(
    database_url, cloud_in_process, monkeypatch
):
    async def conversation(link, cloud):
        # Afterwards the statement is prepared, so that the write is on its way when the answers stop.
        assert (await cloud.order(str(uuid.uuid4()))).status_code == 201
        key = str(uuid.uuid4())

        def silence(*_: object) -> None:
            link.answers.clear()

        with monkeypatch.context() as patched:
            # The price is checked between the look-up and the write.
            patched.setattr(orders_module, "check_price", silence)
            answer = await cloud.order(key)
        assert (answer.status_code, slug(answer)) == (503, "outcome-unknown")
        assert answer.json()["definite"] is False
        link.answers.set()
        await cloud.ready()
        again = await cloud.order(key)
        assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (201, "true")
        assert (await cloud.get("/v1/stores/s1/status"))["last_number"] == 2

    conversation_over_link(database_url, cloud_in_process, conversation)


@pytest.mark.usefixtures("short_timeouts")
def test_a_silent_link_ends_every_request_in_time_and_holds_no_lock(database_url, cloud_in_process, monkeypatch):
    monkeypatch.setitem(database_module.SERVER_SETTINGS, "idle_in_transaction_session_timeout", "300")

    async def conversation(link, cloud):
        link.asks.clear()
        async with asyncio.timeout(8):
            answers = await asyncio.gather(*(cloud.order(str(uuid.uuid4())) for _ in range(30)))
        assert {slug(answer) for answer in answers} <= {"storage-unavailable", "outcome-unknown"}
        link.asks.set()
        await cloud.ready()
        assert (await cloud.order(str(uuid.uuid4()))).status_code == 201

    conversation_over_link(database_url, cloud_in_process, conversation)


@pytest.mark.usefixtures("short_timeouts")
def test_more_waiting_requests_than_the_bound_are_refused_at_once(database_url, cloud_in_process, monkeypatch):
    monkeypatch.setattr(database_module, "WAITING_MAX", 5)

    async def conversation(link, cloud):
        link.asks.clear()
        answers = await asyncio.gather(*(cloud.order(str(uuid.uuid4())) for _ in range(30)))
        # Two have the open connections, five wait for others.
        assert sum(slug(answer) == "overloaded" for answer in answers) == 30 - 2 - 5
        link.asks.set()

    conversation_over_link(database_url, cloud_in_process, conversation)


@pytest.mark.slow
def test_a_cloud_that_starts_before_its_database_gets_ready_when_it_comes(tmp_path, cloud_in_process):
    async def conversation(server: PrivatePostgres) -> None:
        async with cloud_in_process(server.url) as cloud:
            assert slug(await cloud.order(str(uuid.uuid4()))) == "storage-unavailable"
            await asyncio.to_thread(server.start)
            await cloud.set_up()
            assert (await cloud.order(str(uuid.uuid4()))).status_code == 201

    with PrivatePostgres(tmp_path / "postgres.log") as server:
        server.kill()
        asyncio.run(conversation(server))


class CloudProcess:
    def __init__(self, folder: Path, url: str) -> None:
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port = self._reservation.getsockname()[1]
        self.ready_file = folder / "ready.json"
        self._log = (folder / "cloud.log").open("ab")
        self._environment = {
            **os.environ,
            "RUSHPROOF_DATABASE_URL": url,
            "RUSHPROOF_CLOUD_PORT": str(self.port),
            "RUSHPROOF_CLOUD_READY_FILE": str(self.ready_file),
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "refsystem.cloud"]
        self.process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()
        self._reservation.close()


@pytest.mark.slow
def test_no_rc_order_is_lost_when_the_database_or_the_cloud_is_killed(tmp_path, make_cloud):
    """RC survives: PostgreSQL and the cloud are killed in turn under a stream of orders that are sent until told."""

    async def place(cloud, key, problems):
        for _ in range(400):
            with contextlib.suppress(httpx.TransportError):
                answer = await cloud.order(key)
                if answer.status_code == 201:
                    return key
                assert answer.status_code == 503, answer.text
                problems.add(slug(answer))
            await asyncio.sleep(0.05)
        raise AssertionError("the order was never taken")

    async def conversation(server: PrivatePostgres, process: CloudProcess) -> None:
        base = f"http://127.0.0.1:{process.port}"
        async with httpx.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            cloud = make_cloud(client)
            await cloud.set_up()
            assert json.loads(process.ready_file.read_text())["port"] == process.port
            problems: set[str] = set()
            told: list[str] = []
            for round_number in range(4):
                placing = [asyncio.create_task(place(cloud, str(uuid.uuid4()), problems)) for _ in range(150)]
                # In the middle of the stream, not before it and not behind it.
                for _, first in zip(range(20), asyncio.as_completed(placing), strict=False):
                    await first
                if round_number % 2 == 0:
                    await asyncio.to_thread(server.kill)
                    server.start()
                else:
                    process.process.kill()
                    process.process.wait()
                    process.start()
                told += await asyncio.gather(*placing)
                await cloud.ready()
            rows = await cloud.orders()
            assert set(told) == set(rows)
            assert sorted(row["number"] for row in rows.values()) == list(range(1, 601))
            assert problems <= {"storage-unavailable", "outcome-unknown"}
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(timeout=10) == 0

    with PrivatePostgres(tmp_path / "postgres.log") as server:
        process = CloudProcess(tmp_path, server.url)
        try:
            asyncio.run(conversation(server, process))
        finally:
            process.close()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RUSHPROOF_DATABASE_URL": ""}, "RUSHPROOF_DATABASE_URL"),
        ({"RUSHPROOF_CLOUD_PORT": "http"}, "RUSHPROOF_CLOUD_PORT"),
        ({"RUSHPROOF_MENU": "/nowhere.json"}, "/nowhere.json"),
    ],
)
def test_a_wrong_setting_is_named(changes, named):
    good = {"RUSHPROOF_DATABASE_URL": "postgresql://x"}
    assert CloudSettings.from_environment(good).port == 8000
    with pytest.raises(ValueError, match=named):
        CloudSettings.from_environment(good | changes)


def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {**os.environ, "RUSHPROOF_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
        environment["RUSHPROOF_CLOUD_PORT"] = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "refsystem.cloud"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert "cannot listen on 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr
