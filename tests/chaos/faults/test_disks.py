"""A disk in trouble under a live process: proven by the process itself, answered by a stop where P2 asks for one, undone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from chaos.faults import disks
from chaos.faults.base import FaultError, Target
from chaos.faults.disks import DiskDied, DiskTroubled
from refsystem import drill_control, sqlite, troubled_files
from refsystem.drill_control import NOTHING, Control, DiskState, DiskTrouble, change
from refsystem.edge.journal import FLUSH_FAILED_EXIT_CODE
from refsystem.ordering.menu import DEMO_MENU
from refsystem.protocol.messages import Register, RegisterSwap
from refsystem.protocol.wire import encode_request
from refsystem.stack_settings import StackSettings

ORDER = {
    "channel": "qr",
    "table": "7",
    "items": [{"item_id": "steamed-rice", "quantity": 1}],
    "total_minor": DEMO_MENU.by_id["steamed-rice"].price_minor,
    "note": "",
}


def target(*disk_lost_node_ids: str) -> Target:
    return Target("process", "processes", disk_lost_node_ids=list(disk_lost_node_ids))


# --- the file system alone, in this process ---


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    """SQLite upon a file system of this process that looks at a control file; no thread tries it."""
    made = Control(tmp_path / "control.json")
    files = troubled_files.TroubledFiles("", made)
    monkeypatch.setattr(sqlite, "_file_system", lambda folder, *, volatile: troubled_files.VFS_NAME)
    yield made
    files.unregister()


def told(control: Control) -> list[dict[str, Any]]:
    return [json.loads(line) for line in control.told_path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("state", "error", "outcome"),
    [
        ("full", apsw.FullError, "ENOSPC"),
        ("write_erring", apsw.IOError, "EIO"),
        ("sync_erring", apsw.IOError, "EIO"),
        ("dead", apsw.IOError, "EIO"),
    ],
)
def test_a_commit_fails_as_the_disk_does_and_what_was_committed_stays(
    control: Control, tmp_path: Path, state: DiskState, error: type[Exception], outcome: str
) -> None:
    connection = sqlite.open_database(tmp_path / "data" / "numbers.sqlite3")
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT")
    connection.execute("INSERT INTO numbers VALUES (1)")
    assert not control.told_path.read_text(), "nothing is told while nothing is wrong"
    change(control.path, disk=DiskTrouble(state))
    with pytest.raises(error):
        connection.execute("INSERT INTO numbers VALUES (2)")
    assert (told(control)[0]["state"], told(control)[0]["outcome"]) == (state, outcome)
    assert told(control)[0]["file"] == "numbers.sqlite3-wal"
    change(control.path, disk=None)
    assert [row[0] for row in connection.execute("SELECT number FROM numbers")] == [1]
    connection.execute("INSERT INTO numbers VALUES (3)")
    with contextlib.suppress(apsw.Error):
        connection.close()


def test_a_disk_that_cannot_read_fails_only_what_reads(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "data" / "numbers.sqlite3"
    connection = sqlite.open_database(path)
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT")
    change(control.path, disk=DiskTrouble("read_erring"))
    connection.execute("INSERT INTO numbers VALUES (1)")
    change(control.path, disk=None)
    connection.close()
    change(control.path, disk=DiskTrouble("read_erring"))
    with pytest.raises(apsw.Error):
        sqlite.open_database(path)
    change(control.path, disk=None)


def test_each_trouble_is_told_though_the_one_before_has_filled_its_part_and_a_probe_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(troubled_files, "TOLD_MAX", 20)
    control = Control(tmp_path / "control.json")
    files = troubled_files.TroubledFiles("", control)
    try:
        for delay_ms in (0.5, 0.25):
            change(control.path, disk=DiskTrouble("slow", delay_ms))
            for _ in range(30):
                files.begin("sync", "numbers.sqlite3")
            outcomes = [row["outcome"] for row in told(control)]
            assert outcomes.count(f"slow by {delay_ms:g} ms") == 20
        files.tell("slow", "probe", "probe", "took 1.0 ms")
        assert told(control)[-1]["operation"] == "probe"
        assert len(told(control)) == 41
    finally:
        files.unregister()


def test_a_slow_disk_is_slow_at_each_sync_and_only_there(
    control: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(troubled_files.time, "sleep", slept.append)
    connection = sqlite.open_database(tmp_path / "data" / "numbers.sqlite3")
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT")
    change(control.path, disk=DiskTrouble("slow", 70))
    connection.execute("INSERT INTO numbers VALUES (1)")
    assert slept == [0.07]
    connection.execute("SELECT number FROM numbers").fetchall()
    change(control.path, disk=None)
    connection.execute("INSERT INTO numbers VALUES (2)")
    assert slept == [0.07]
    connection.close()


def test_a_process_without_a_control_file_gets_the_usual_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    drill_control.from_environment.cache_clear()
    monkeypatch.delenv(drill_control.CONTROL_VARIABLE, raising=False)
    assert sqlite._file_system(Path("anywhere"), volatile=False) is None
    assert drill_control.from_environment() is None
    drill_control.from_environment.cache_clear()


def test_a_control_file_keeps_its_other_part_and_one_that_cannot_be_understood_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    control = Control(tmp_path / "control.json")
    assert control.read() == NOTHING
    clock = drill_control.ClockTrouble(5, 0.5, 9)
    change(control.path, clock=clock)
    change(control.path, disk=DiskTrouble("full"))
    assert control.read() == drill_control.Trouble(DiskTrouble("full"), clock)
    for nonsense in ("no JSON", "[]", '{"disk": {"state": "wet", "delay_ms": 0}, "clock": null}'):
        control.path.write_text(nonsense)
        assert control.read() == drill_control.Trouble(DiskTrouble("full"), clock)
    assert "'wet' is no state of a disk; one of full, slow" in caplog.text
    control.path.unlink()
    assert control.read() == NOTHING


# --- real processes ---


def ask_for_orders(store: Any, process: str, until_s: float = 10.0) -> int:
    """Send orders until one is answered no more, or the time is up; how many were acknowledged."""
    taken, deadline_s = 0, time.monotonic() + until_s
    with httpx.Client(trust_env=False, timeout=2) as http, contextlib.suppress(httpx.TransportError):
        while time.monotonic() < deadline_s:
            answer = http.post(
                f"{store.url(process)}/v1/orders", json=ORDER, headers={"Idempotency-Key": str(uuid.uuid4())}
            )
            taken += answer.status_code == 201
            if store.process(process).pid is None:
                break
    return taken


def primary_of(store: Any) -> str:
    return next(name for name in ("s1.edge_a", "s1.edge_b") if store.status(name)["role"] == "primary")


@pytest.mark.slow
@pytest.mark.parametrize("state", ["full", "sync_erring"])
def test_a_device_that_cannot_flush_stops_and_acknowledges_nothing_more(store: Any, state: DiskState) -> None:
    name = primary_of(store)
    fault = DiskTroubled(store, store.program(name), DiskTrouble(state), target())
    asyncio.run(fault.begin())
    assert asyncio.run(fault.prove()).proven
    assert ask_for_orders(store, name) == 0
    assert store.program(name)._process.wait(10) == FLUSH_FAILED_EXIT_CODE
    assert "a flush failed; this process ends" in store.program(name).log_path.read_text()
    held = asyncio.run(fault.held())
    assert held.proven
    assert f"it ended by itself, with exit code {FLUSH_FAILED_EXIT_CODE}" in held.evidence
    assert " 0 of them the store's own" not in held.evidence
    done = asyncio.run(fault.undo())
    assert f"had ended with exit code {FLUSH_FAILED_EXIT_CODE} and was started again" in done
    assert store.status(name) is not None


@pytest.mark.slow
def test_a_slow_disk_is_proven_of_a_process_that_writes_nothing_and_is_undone(store: Any) -> None:
    process = store.program("s1.arbiter")
    fault = DiskTroubled(store, process, DiskTrouble("slow", 60), target())

    async def conversation() -> None:
        await fault.begin()
        effect = await fault.prove()
        assert effect.proven
        assert effect.evidence.startswith("in s1.arbiter, probe of probe: took ")
        held = await fault.held()
        assert held.proven
        assert held.evidence.endswith("; it lives")
        assert await fault.undo() == "the disk of s1.arbiter is well again"
        await asyncio.sleep(3 * troubled_files.PROBE_EVERY_S)
        assert not fault._struck(time.monotonic_ns() // 1000 - 200_000), "it goes on after its undoing"

    asyncio.run(conversation())
    assert process.pid is not None


@pytest.mark.slow
def test_an_arbiter_whose_disk_fails_stops_and_tells_nothing_more(store: Any) -> None:
    """A register told without a swap that failed, and after a restart with it, would deceive who settled by reading (P21)."""
    arbiter, name = store.program("s1.arbiter"), primary_of(store)
    before = httpx.get(f"{store.url('s1.arbiter')}/ready", trust_env=False).json()["register"]
    fault = DiskTroubled(store, arbiter, DiskTrouble("sync_erring"), target())
    asyncio.run(fault.begin())
    assert asyncio.run(fault.prove()).proven
    wanted = Register(before["epoch"] + 1, before["primary"], tuple(before["members"]), "another claim")
    swap = RegisterSwap("x", before["primary"], before["epoch"], wanted)
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{store.url('s1.arbiter')}/v1/register", content=encode_request(swap), trust_env=False)
    assert arbiter._process.wait(10) == FLUSH_FAILED_EXIT_CODE
    assert "the register's disk failed; this process ends" in arbiter.log_path.read_text()
    assert asyncio.run(fault.held()).proven
    asyncio.run(fault.undo())
    assert store.status(name)["role"] == "primary"


@pytest.mark.slow
def test_a_dead_disk_is_replaced_by_an_empty_one(store: Any) -> None:
    name = primary_of(store)
    lost = str(store.status(name)["node_id"])
    fault = DiskDied(store, store.program(name), target(lost))
    asyncio.run(fault.begin())
    assert asyncio.run(fault.prove()).proven
    assert ask_for_orders(store, name) == 0
    assert store.program(name)._process.wait(10) == FLUSH_FAILED_EXIT_CODE
    done = asyncio.run(fault.undo())
    assert f"{name} had ended itself with exit code {FLUSH_FAILED_EXIT_CODE}" in done
    assert str(store.status(name)["node_id"]) in done
    assert lost not in done


@pytest.mark.slow
def test_a_disk_that_nobody_troubles_proves_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "PROOF_TIMEOUT_S", 0.5)
    monkeypatch.setattr(drill_control, "change", lambda *_, **__: None)
    fault = DiskTroubled(store, store.program("s1.kitchen"), DiskTrouble("full"), target())
    asyncio.run(fault.begin())
    effect = asyncio.run(fault.prove())
    assert (effect.proven, effect.evidence) == (
        False,
        "s1.kitchen has told of no operation that failed or was slow",
    )
    assert not asyncio.run(fault.held()).proven
    asyncio.run(fault.undo())


@pytest.mark.slow
def test_a_stack_without_control_files_and_a_process_that_is_gone_are_told(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = store.program("s1.kitchen")
    with monkeypatch.context() as plain:
        plain.setattr(StackSettings, "controlled", False)
        with pytest.raises(FaultError, match=r"s1\.kitchen was started without a control file for its disk"):
            asyncio.run(DiskTroubled(store, process, DiskTrouble("full"), target()).begin())
    process.kill()
    with pytest.raises(FaultError, match=r"s1\.kitchen does not run, so its disk cannot be troubled"):
        asyncio.run(DiskTroubled(store, process, DiskTrouble("full"), target()).begin())


@pytest.mark.slow
@pytest.mark.parametrize("state", ["full", "sync_erring"])
def test_a_kitchen_display_that_cannot_store_takes_no_ticket_and_catches_up(store: Any, state: DiskState) -> None:
    """P13: a cursor moves when all that its record makes is stored. The display rolls back, says so, and goes on."""
    kitchen = store.program("s1.kitchen")
    pid, before = kitchen.pid, store.status("s1.kitchen")["cursor"]["seq"]
    fault = DiskTroubled(store, kitchen, DiskTrouble(state), target())
    asyncio.run(fault.begin())
    assert asyncio.run(fault.prove()).proven
    order_id = str(uuid.uuid4())
    answer = httpx.post(
        f"{store.url(primary_of(store))}/v1/orders",
        json=ORDER,
        headers={"Idempotency-Key": order_id},
        trust_env=False,
        timeout=10,
    )
    assert answer.status_code == 201
    wait_until(lambda: any(row["file"] != "probe" for row in fault._struck(fault._began_us)), "a write of its own")
    assert order_id not in tickets(store)
    assert store.status("s1.kitchen")["cursor"]["seq"] == before
    assert asyncio.run(fault.held()).evidence.endswith("; it lives")
    asyncio.run(fault.undo())
    wait_until(lambda: order_id in tickets(store), "the ticket")
    assert kitchen.pid == pid


def tickets(store: Any) -> list[str]:
    told = httpx.get(f"{store.url('s1.kitchen')}/v1/audit/tickets", trust_env=False, timeout=10).json()
    return [row["order_id"] for row in told["tickets"]]


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.03)
