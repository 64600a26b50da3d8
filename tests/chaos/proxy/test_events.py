"""The event log: what it keeps, what it says about a connection, and that a seed repeats it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from chaos.proxy import events
from chaos.proxy.address import resolve_listen
from chaos.proxy.events import EVENTS_KEPT, Event, EventLog, EventName, canonical, main
from chaos.proxy.proxy import Proxy
from chaos.proxy.toxics import (
    Attributes,
    Direction,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

if TYPE_CHECKING:
    from conftest import Upstream

PATIENCE_S = 10.0


def toxic(name: str, attributes: Attributes, direction: Direction, toxicity: float = 1.0) -> Toxic:
    return Toxic(name, name, direction.value, direction, toxicity, attributes)


def told(log: EventLog, connection: int | None = None) -> list[str]:
    """The events of one connection (None: of the proxy), each as `event` or `event stream toxic`, with what was done."""
    lines = []
    for event in log.page():
        if event.connection == connection:
            parts = [event.event.value, event.stream, event.toxic, event.details.get("act"), event.details.get("how")]
            lines.append(" ".join(part for part in parts if part))
    return lines


def test_the_log_keeps_the_last_events_and_counts_the_dropped() -> None:
    times = iter([100.0, 100.5, 101.0, 102.0])
    log = EventLog(kept=2, clock=lambda: next(times))
    for connection in (1, 2, 3):
        log.record(EventName.CONNECTION_ACCEPTED, proxy="p", connection=connection)
    assert (len(log), log.dropped) == (2, 1)
    assert [(each.number, each.at_ms, each.connection) for each in log.page()] == [(2, 1000.0, 2), (3, 2000.0, 3)]
    assert [each.number for each in log.page(since=0, limit=1)] == [2]
    assert [each.number for each in log.page(since=2)] == [3]
    assert log.page(since=3) == []
    assert log.page(since=99) == []


def test_a_cleared_log_goes_on_counting() -> None:
    log = EventLog(kept=2)
    for _ in range(3):
        log.record(EventName.PROXY_ENABLED, proxy="p")
    log.clear()
    assert (log.page(), log.dropped) == ([], 0)
    log.record(EventName.PROXY_DISABLED, proxy="p")
    assert [each.number for each in log.page(since=3)] == [4]


def test_the_file_has_every_event_as_a_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(kept=1, path=path)
    for connection in (1, 2):
        log.record(
            EventName.TOXIC_APPLIED, proxy="pé", connection=connection, stream="upstream", toxic="t", type="noop"
        )
    lines = path.read_text(encoding="utf-8").splitlines()  # before the log is closed: a killed server's file is whole
    log.close()
    said = [json.loads(line) for line in lines]
    assert [each.pop("at_ms") >= 0 for each in said] == [True, True]
    shared = {"proxy": "pé", "stream": "upstream", "event": "toxic_applied", "toxic": "t", "type": "noop"}
    assert said == [{"number": number, "connection": number, **shared} for number in (1, 2)]


def test_text_that_utf8_cannot_hold_is_no_reason_to_fail(tmp_path: Path) -> None:
    log = EventLog(path=tmp_path / "events.jsonl")
    log.record(EventName.DIAL_FAILED, proxy="p", cause="\udcff")
    log.close()
    assert json.loads((tmp_path / "events.jsonl").read_text())["cause"] == "\udcff"


def test_a_full_disk_ends_the_file_and_not_the_log() -> None:
    log = EventLog(path=Path("/dev/full"))
    for _ in range(2):
        log.record(EventName.PROXY_ENABLED, proxy="p")
    assert len(log) == 2
    assert log.file_error is not None
    assert "No space left" in log.file_error


def test_a_connection_s_story_is_told_from_accept_to_close(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            proxy.add_toxic(toxic("latency", Latency(latency=5), Direction.DOWNSTREAM))
            proxy.add_toxic(toxic("never", SlowClose(delay=5), Direction.UPSTREAM, toxicity=0))
            reader, writer = await world.connect()
            for _ in range(3):
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            proxy.add_toxic(toxic("slicer", Slicer(average_size=1), Direction.UPSTREAM))
            writer.write(b"abc")
            assert await reader.readexactly(3) == b"abc"
            proxy.update_toxic(toxic("latency", Latency(latency=1), Direction.DOWNSTREAM))
            slicer = proxy.toxic("slicer")
            assert slicer is not None
            proxy.remove_toxic(slicer)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await world.until(lambda: proxy.connections_open == 0, "the connection's end")
            assert told(log, 1) == [
                "connection_accepted",
                "connection_dialled",
                "toxic_missed upstream never",
                "toxic_applied downstream latency",
                "toxic_acted downstream latency delayed",
                "toxic_applied upstream slicer",
                "toxic_acted upstream slicer cut",
                "toxic_updated downstream latency",
                "toxic_removed upstream slicer",
                "toxic_counted downstream latency",
                "connection_closed ended",
            ]
            (counted,) = [each for each in log.page() if each.event is EventName.TOXIC_COUNTED]
            assert counted.details["counts"]["delayed"] >= 4
            proxy.disable(await resolve_listen(proxy.listen))
            assert told(log) == [
                "proxy_enabled",
                "toxic_added latency",
                "toxic_added never",
                "toxic_added slicer",
                "toxic_changed latency",
                "toxic_deleted slicer",
                "proxy_disabled",
            ]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("attributes", "acts", "how"),
    [
        (LimitData(bytes=0), ["closed"], "closed_by_toxic"),
        (Timeout(timeout=1), ["closed"], "closed_by_toxic"),
        (ResetPeer(timeout=1), ["reset"], "reset_by_toxic"),
    ],
)
def test_a_toxic_that_ends_a_connection_is_told(
    echoing: Callable[..., Any], attributes: Attributes, acts: list[str], how: str
) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            proxy.add_toxic(toxic("t", attributes, Direction.UPSTREAM))
            reader, writer = await world.connect()
            writer.write(b"x")
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                assert how == "reset_by_toxic"
            writer.close()
            await world.until(lambda: proxy.connections_open == 0, "the connection's end")
            assert told(log, 1)[-1] == f"connection_closed {how}"
            acted = [each.details["act"] for each in log.page() if each.event is EventName.TOXIC_ACTED]
            assert set(acts) <= set(acted) <= {*acts, "dropped"}

    asyncio.run(main())


def test_who_ended_a_connection_is_told(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            _reader, writer = await world.connect()
            await world.until(lambda: "connection_dialled" in told(log, 1), "the dial")
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
            await world.until(lambda: "connection_closed client_gone" in told(log, 1), "the reset")
            _reader, other = await world.connect()
            await world.until(lambda: "connection_dialled" in told(log, 2), "the dial")
            proxy.stop()
            await world.until(lambda: "connection_closed proxy_disabled" in told(log, 2), "the end")
            other.close()

    asyncio.run(main())


def test_a_connection_that_is_stopped_before_it_is_opened_is_closed(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            host, _colon, port = world.proxy.listen.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as client:
                world.proxy._accept()
                world.proxy.stop()
                assert world.proxy.connections_open == 1
                await world.until(lambda: world.proxy.connections_open == 0, "the end")
                assert told(world.log, 1) == ["connection_accepted", "connection_closed proxy_disabled"]
                assert await asyncio.to_thread(client.recv, 1) == b""

    asyncio.run(main())


def test_a_dial_that_failed_is_told() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            address = "{}:{}".format(*nobody.getsockname())
        log = EventLog()
        proxy = Proxy("p", "127.0.0.1:0", address, 1, log)
        proxy.start(await resolve_listen(proxy.listen))
        host, _colon, port = proxy.listen.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await reader.read() == b""
        writer.close()
        proxy.close()
        assert told(log, 1) == ["connection_accepted", "dial_failed"]
        assert [each.details["cause"] for each in log.page() if each.event is EventName.DIAL_FAILED] != [""]

    asyncio.run(main())


async def run_of(echoing: Callable[..., Any], seed: int, *, together: bool) -> list[dict[str, Any]]:
    """The canonical log of 30 connections under toxics that hit some; `together`: all at once, ended in another order."""
    async with echoing(seed) as world:
        proxy, log = world.proxy, world.log
        proxy.add_toxic(toxic("latency", Latency(latency=2, jitter=2), Direction.DOWNSTREAM, toxicity=0.5))
        proxy.add_toxic(toxic("limit", LimitData(bytes=5), Direction.UPSTREAM, toxicity=0.3))
        proxy.add_toxic(toxic("slow", SlowClose(delay=3), Direction.DOWNSTREAM, toxicity=0.5))

        async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(b"0123456789")
                await reader.readexactly(10)
                writer.write_eof()
                await reader.read()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the limit hit it
            finally:
                writer.close()

        if together:
            pairs = [await world.connect() for _ in range(30)]
            await asyncio.gather(*(use(*pair) for pair in reversed(pairs)))
        else:
            for _ in range(30):
                await use(*await world.connect())
        await world.until(
            lambda: proxy.connections_accepted == 30 and proxy.connections_open == 0, "the connections' end"
        )
        assert log.dropped == 0
        return canonical(each.fields() for each in log.page())


def test_the_same_seed_gives_the_same_log_whatever_the_order_of_work(echoing: Callable[..., Any]) -> None:
    first = asyncio.run(run_of(echoing, 1, together=False))
    hit = {each["connection"] for each in first if each["event"] == "toxic_applied" and each["toxic"] == "limit"}
    assert 2 < len(hit) < 20
    assert asyncio.run(run_of(echoing, 1, together=True)) == first
    assert asyncio.run(run_of(echoing, 2, together=False)) != first


def told_by_a_server(api_url: str, upstream: Upstream) -> list[dict[str, Any]]:
    """What a server process tells of 20 connections, ten of which are open at a time."""
    with httpx.Client(base_url=api_url, timeout=PATIENCE_S, verify=False) as api:
        body = {"name": "p", "upstream": upstream.address, "listen": "127.0.0.1:0"}
        listen = api.post("/proxies", json=body).json()["listen"]
        for kind, stream in (("latency", "upstream"), ("limit_data", "downstream")):
            toxic = {"type": kind, "stream": stream, "toxicity": 0.5}
            assert api.post("/proxies/p/toxics", json=toxic).status_code == 200
        for _ in range(2):
            pairs = [upstream.connect(listen) for _ in range(10)]
            for client, server in pairs:
                server.sendall(b"x")
                client.shutdown(socket.SHUT_WR)
                assert client.recv(10) in (b"x", b"")
                server.close()
                client.close()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            said: list[dict[str, Any]] = api.get("/events").json()
            if sum(each["event"] == "connection_closed" for each in said) == 20:
                return said
            assert time.monotonic() < deadline, "not every connection's end was told"
            time.sleep(0.01)


def test_two_servers_with_the_same_seed_tell_the_same(
    server_process: Callable[..., tuple[subprocess.Popen[str], str]], upstream: Upstream, tmp_path: Path
) -> None:
    told_by = {}
    for name, seed in (("first", "7"), ("second", "7"), ("other", "8")):
        process, address = server_process("--seed", seed, "--events", str(tmp_path / name))
        told_by[name] = told_by_a_server(f"http://{address}", upstream)
        process.terminate()
        process.wait(PATIENCE_S)
        written = [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        assert written[: len(told_by[name])] == told_by[name]
    assert canonical(told_by["first"]) == canonical(told_by["second"])
    assert canonical(told_by["first"]) != canonical(told_by["other"])


def test_the_canonical_form_of_a_file_can_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path=path)
    for connection in (2, 1):
        log.record(EventName.CONNECTION_ACCEPTED, proxy="p", connection=connection)
    log.close()
    assert main([str(path)]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == canonical(each.fields() for each in log.page())
    assert [each["connection"] for each in printed] == [1, 2]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "No such file or directory"),
        ("no json", "it is not a log of events, one JSON object a line"),
        ("[1]", "it is not a log of events, one JSON object a line"),
        ('{"a": 1}', "it is not a log of events, one JSON object a line"),
    ],
)
def test_a_file_that_is_no_log_is_told(
    content: str | None, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    if content is not None:
        path.write_text(content)
    assert main([str(path)]) == 2
    assert capsys.readouterr() == ("", f"python -m chaos.proxy.events: {path}: {text}\n")


def test_the_canonical_form_leaves_out_what_no_seed_decides() -> None:
    def entry(number: int, connection: int, how: str) -> dict[str, Any]:
        details = {"how": how, "counts": {"delayed": number}}
        return Event(number, 7.0 * number, "p", connection, None, EventName.CONNECTION_CLOSED, None, details).fields()

    first = canonical([entry(1, 2, "client_gone"), entry(2, 1, "closed_by_toxic"), entry(3, 2, "ended")])
    assert first == canonical([entry(4, 2, "ended"), entry(5, 2, "server_gone"), entry(6, 1, "closed_by_toxic")])
    assert [(each["connection"], each["position"], each["how"]) for each in first] == [
        (1, 1, "closed_by_toxic"),
        (2, 1, "peers"),
        (2, 2, "peers"),
    ]
    assert first != canonical([entry(1, 2, "client_gone"), entry(2, 1, "reset_by_toxic"), entry(3, 2, "ended")])


def test_the_readme_names_every_event_and_no_other() -> None:
    readme = (Path(events.__file__).parent / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Events\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(re.findall("`([a-z_]+)`", " ".join(rows))) == sorted(each.value for each in EventName)
    assert f"The last {EVENTS_KEPT:,} events" in section
