"""The two devices of a store as processes: killed, without power, with a disk that fails, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from refsystem.edge.store import EdgeStore
from refsystem.processes import PythonProcess
from refsystem.protocol.log import GENESIS, chain, encode_record
from refsystem.protocol.messages import StoreCommit, StoreEntries, StoreEpoch

pytestmark = pytest.mark.slow

MakePair = Callable[..., contextlib.AbstractContextManager[Any]]


def key() -> str:
    return str(uuid.uuid4())


def test_a_flush_that_fails_ends_the_device_and_the_other_goes_on(make_pair: MakePair) -> None:
    with make_pair() as pair:
        kept = [key() for _ in range(5)]
        for order_id in kept:
            assert pair.post("a", order_id).json()["level"] == "R2"
        process = pair.processes["a"]
        # Its files may not grow any more: the next flush is refused by the kernel.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        order_id = key()
        with contextlib.suppress(httpx.TransportError):
            assert pair.post("a", order_id).status_code != 201
        assert process._process.wait(10) == 70
        assert pair.order_until_taken("b", order_id)["level"] == "R1"
        for order_id in kept:
            assert pair.get("b", f"/v1/orders/{order_id}").status_code == 200


def test_a_power_cut_of_both_devices_loses_nothing_acknowledged(make_pair: MakePair) -> None:
    with make_pair(RUSHPROOF_VOLATILE="1") as pair:
        kept = {order_id: pair.post("a", order_id).json() for order_id in (key() for _ in range(30))}
        nodes = {slot: pair.status(slot)["node_id"] for slot in "ab"}
        _cut_power(pair)
        for order_id, told in kept.items():
            found = pair.get(pair.primary, f"/v1/orders/{order_id}")
            assert found.status_code == 200
            assert found.json()["seq"] == told["seq"]
        assert {slot: pair.status(slot)["node_id"] for slot in "ab"} == nodes


def test_without_synced_commits_a_power_cut_loses_acknowledged_orders(make_pair: MakePair) -> None:
    with make_pair(RUSHPROOF_VOLATILE="1", RUSHPROOF_SYNCHRONOUS="NORMAL") as pair:
        kept = [key() for _ in range(30)]
        for order_id in kept:
            assert pair.post("a", order_id).status_code == 201
        nodes = {slot: pair.status(slot)["node_id"] for slot in "ab"}
        _cut_power(pair)
        assert {pair.get(pair.primary, f"/v1/orders/{order_id}").status_code for order_id in kept} == {404}
        assert {slot: pair.status(slot)["node_id"] for slot in "ab"} == nodes, "who a device is was synced at its start"


def test_require_r2_refuses_while_a_device_is_gone(make_pair: MakePair) -> None:
    with make_pair(RUSHPROOF_POLICY="require_r2") as pair:
        taken, late = key(), key()
        assert pair.post("a", taken).json()["level"] == "R2"
        pair.processes["b"].kill()
        # Sent before the register knows: it waits, and is answered only as R2 or not at all.
        assert pair.post("a", late).status_code == 503
        answer = pair.post("a", key())
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:rushproof:problem:standby-required"
        assert answer.json()["definite"] is True
        assert answer.json()["primary_hint"] is None
        assert pair.get("a", "/ready").status_code == 503
        assert pair.get("a", "/v1/menu").status_code == 200
        pair.heal()
        assert pair.get("a", "/ready").status_code == 200
        assert pair.order_until_taken("a", key())["level"] == "R2"
        assert pair.order_until_taken("a", late)["level"] == "R2"


def test_a_device_that_is_ended_answers_what_waits_and_promises_nothing(make_pair: MakePair) -> None:
    with make_pair() as pair:
        pair.processes["arbiter"].pause()
        pair.processes["b"].pause()
        order_id = key()
        answers: list[httpx.Response | httpx.TransportError] = []

        def send() -> None:
            try:
                answers.append(pair.post("a", order_id))
            except httpx.TransportError as error:
                answers.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        while pair.status("a")["waiting"] == 0:
            pass
        process = pair.processes["a"]
        process.stop()
        assert process._process.wait(4) == 0
        sender.join(5)
        (answer,) = answers
        assert isinstance(answer, httpx.Response)
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:rushproof:problem:outcome-unknown"
        assert answer.json()["definite"] is False
        log = (pair.folder / "a.log").read_text()
        assert "Traceback" not in log
        # The flush was not lost: the order is in the log when the device is back.
        pair.heal()
        assert pair.order_until_taken(pair.primary, order_id)["seq"] == 1


def test_a_device_is_ended_quickly_and_its_log_tells_no_failure_and_no_order(make_pair: MakePair) -> None:
    with make_pair() as pair:
        order_id = key()
        assert pair.post("a", order_id).status_code == 201
        assert pair.get("a", f"/v1/orders/{order_id}").status_code == 200
        for process in pair.processes.values():
            process.stop()
        assert {process._process.wait(3) for process in pair.processes.values()} == {0}
        for name in pair.processes:
            log = (pair.folder / f"{name}.log").read_text()
            assert "Traceback" not in log
            assert "chilli" not in log
            assert order_id not in log


@pytest.mark.parametrize("damage", ["record", "middle", "tail", "no database", "in use"])
def test_a_damaged_log_is_told_in_one_sentence_and_the_device_ends(
    lone_device: PythonProcess, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "data"
    store = EdgeStore(folder, "a-1")
    records = [encode_record({"kind": "bump", "order_id": "o", "version": n, "station": "wok"}) for n in range(6)]
    store.apply([StoreEntries(chain(1, GENESIS, records)), StoreEpoch(1), StoreCommit(5)])
    if damage != "in use":
        store.close()
        DAMAGES[damage](folder / "log.sqlite3")
    lone_device.start()
    assert lone_device._process is not None
    assert lone_device._process.wait(60) == 2
    store.close()
    (said,) = lone_device.log_path.read_text().splitlines()
    assert re.fullmatch(SAID[damage], said)


@pytest.mark.parametrize("name", ["RUSHPROOF_HTTP_PORT", "RUSHPROOF_PEER_PORT"])
def test_a_port_that_is_taken_is_told_in_one_sentence(lone_device: PythonProcess, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lone_device.environment = {**lone_device.environment, name: str(port)}
        lone_device.start()
        assert lone_device._process is not None
        assert lone_device._process.wait(60) == 2
    (said,) = lone_device.log_path.read_text().splitlines()
    assert said.endswith(f"cannot listen on 127.0.0.1:{port} (Address already in use)")


def test_what_must_never_be_ends_the_device(lone_device: PythonProcess, tmp_path: Path) -> None:
    module = tmp_path / "impossible_edge.py"
    module.write_text(
        "import sys\n"
        "from refsystem.edge.__main__ import main\n"
        "from refsystem.protocol.device import Device\n"
        "def impossible(*_):\n"
        "    raise AssertionError('the impossible')\n"
        "Device.read = impossible\n"
        "sys.exit(main())\n"
    )
    lone_device.module = module.stem
    lone_device.environment = {**lone_device.environment, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"}
    lone_device.start()
    asyncio.run(lone_device.wait_ready())
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{lone_device.port}/v1/orders/{key()}", trust_env=False)
    assert lone_device._process is not None
    assert lone_device._process.wait(5) == 71
    assert "this device stops: the impossible" in lone_device.log_path.read_text()


def _change_a_byte(path: Path) -> None:
    _sql(path, "UPDATE log SET record = replace(record, 'wok', 'wak') WHERE seq = 4")


def _lose_the_middle(path: Path) -> None:
    _sql(path, "DELETE FROM log WHERE seq = 3")


def _lose_the_tail(path: Path) -> None:
    _sql(path, "DELETE FROM log WHERE seq > 2")


def _write_over(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    path.write_bytes(b"this is no database" * 500)


DAMAGES = {
    "record": _change_a_byte,
    "middle": _lose_the_middle,
    "tail": _lose_the_tail,
    "no database": _write_over,
}
SAID = {
    "record": r"rushproof edge: the log of a-\w+ is damaged: the hash of entry 4 .*",
    "middle": r"rushproof edge: the log of a-\w+ is damaged: entry 4 stands where 3 belongs",
    "tail": r"rushproof edge: the log of a-\w+ is damaged: it ends at entry 2, and entry 5 was committed",
    "no database": r"rushproof edge: .*log\.sqlite3 cannot be used: .*not a database.*",
    "in use": r"rushproof edge: .*log\.sqlite3 cannot be used: .*locked.*",
}


def _sql(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.execute(statement)
    connection.close()


def _cut_power(pair: Any) -> None:
    for slot in "ab":
        pair.processes[slot]._process.send_signal(signal.SIGKILL)
    for slot in "ab":
        pair.processes[slot].kill()
    pair.heal()
