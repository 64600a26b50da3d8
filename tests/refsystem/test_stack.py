"""The whole stack as processes, broken in every survivable way and looked at from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from refsystem.ordering.menu import DEMO_MENU
from refsystem.processes import StackError, process_state
from refsystem.stack import Stack
from refsystem.stack_settings import StackSettings, StoreSettings

pytestmark = pytest.mark.slow

PATIENCE_S = 25.0
DEVICES = ("edge_a", "edge_b")
BODY = {"channel": "qr", "table": "7", "items": [{"item_id": "steamed-rice", "quantity": 2}], "total_minor": 600}


def wait_until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.03)


def key() -> str:
    return str(uuid.uuid4())


class Shop:
    """One store of a running stack, its diners and whoever looks at it."""

    def __init__(self, stack: Stack, store: str = "s1") -> None:
        self.stack = stack
        self.store = store
        self.http = httpx.Client(trust_env=False, timeout=10)

    def name(self, process: str) -> str:
        return process if process in ("cloud", "postgres") else f"{self.store}.{process}"

    def process(self, process: str) -> Any:
        return self.stack.process(self.name(process))

    def get(self, process: str, path: str, **query: Any) -> Any:
        stack, url = self.stack, f"{self.stack.url(self.name(process))}{path}"
        headers = stack.chain_headers() if process == "cloud" else stack.operator_headers(self.store)
        answer = self.http.get(url, params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, device: str) -> dict[str, Any] | None:
        with contextlib.suppress(httpx.HTTPError):
            answer = self.http.get(f"{self.stack.url(self.name(device))}/v1/status", timeout=0.5)
            status: dict[str, Any] = answer.json()
            return status
        return None

    def primaries(self) -> list[str]:
        return [device for device in DEVICES if (s := self.status(device)) and s["role"] == "primary"]

    @property
    def primary(self) -> str:
        wait_until(lambda: len(self.primaries()) == 1, "one primary")
        return self.primaries()[0]

    @property
    def standby(self) -> str:
        return "edge_b" if self.primary == "edge_a" else "edge_a"

    def members(self) -> int:
        """As the primary with the highest epoch says."""
        found = [s for device in DEVICES if (s := self.status(device)) and s["role"] == "primary"]
        return len(max(found, key=lambda status: int(status["epoch"]))["members"]) if found else 0

    def heal(self) -> None:
        """Everything runs, and the store has two members."""
        started = []
        for name in ("postgres", "cloud", "arbiter", "kitchen", *DEVICES):
            process = self.process(name)
            process.resume()
            if process.pid is None:
                process.start()
                started.append(process)
        for process in started:
            asyncio.run(process.wait_ready())
        wait_until(lambda: self.members() == 2, "two members")

    def try_order(self, device: str, order_id: str, **changes: Any) -> httpx.Response | None:
        """One attempt; None if there was no answer."""
        url = f"{self.stack.url(self.name(device))}/v1/orders"
        body = {**BODY, "note": f"note-{order_id}", **changes}
        with contextlib.suppress(httpx.TransportError):
            return self.http.post(url, json=body, headers={"Idempotency-Key": order_id}, timeout=2)
        return None

    def order(self, order_id: str | None = None) -> dict[str, Any]:
        """As a diner's device: to one device, then to the other, under the same key, until it is acknowledged."""
        order_id = order_id or key()
        told: dict[str, Any] = {}

        def acknowledged() -> bool:
            for device in DEVICES:
                answer = self.try_order(device, order_id)
                if answer is not None and answer.status_code == 201:
                    told.update(answer.json())
                    return True
            return False

        wait_until(acknowledged, "an acknowledged order")
        return told

    def order_at_cloud(self, order_id: str) -> None:
        answer = self.try_order("cloud", order_id, store=self.store)
        assert answer is not None
        assert answer.status_code == 201, answer.text
        assert answer.json()["level"] == "RC"

    def entries(self, device: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(device, "/v1/audit/entries")["entries"]
        return found

    def records(self, order_id: str) -> list[dict[str, Any]]:
        """What the primary's log says of an order."""
        records = [entry["record"] for entry in self.entries(self.primary)]
        return [record for record in records if record.get("order_id") == order_id and record["kind"] != "bump"]

    def tickets(self) -> list[str]:
        return [ticket["order_id"] for ticket in self.get("kitchen", "/v1/audit/tickets")["tickets"]]

    def cloud_cursor(self) -> dict[str, Any]:
        cursor: dict[str, Any] = self.get("cloud", f"/v1/stores/{self.store}/status")["cursor"]
        return cursor

    def drained(self) -> bool:
        if self.http.get(f"{self.stack.url('cloud')}/ready").status_code != 200:
            return False  # it lives a moment before its database is open
        status = self.status(self.primary)
        return status is not None and self.cloud_cursor() == {
            "seq": status["commit_seq"],
            "hash": status["commit_hash"],
        }


def make_stack(folder: Path, *stores: str, **settings: Any) -> Stack:
    (folder / "menu.json").write_text(DEMO_MENU.to_json(), encoding="utf-8")
    names = stores or ("s1",)
    return Stack(
        StackSettings(
            folder, tuple(StoreSettings(name, kitchen_seconds=0.2) for name in names), folder / "menu.json", **settings
        )
    )


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    try:
        stack.reserve()
        asyncio.run(stack.start())
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(make_stack(tmp_path_factory.mktemp("stack"))) as stack:
        yield stack


@pytest.fixture
def shop(started: Stack) -> Iterator[Shop]:
    """The module's stack, whole again after each test."""
    made = Shop(started)
    yield made
    made.heal()
    made.http.close()


def test_a_calm_order_is_r2_reaches_kitchen_and_cloud_and_is_served(shop: Shop) -> None:
    order_id = key()
    assert shop.order(order_id)["level"] == "R2"
    wait_until(lambda: order_id in shop.tickets(), "the ticket")
    found = lambda: shop.get(shop.primary, f"/v1/orders/{order_id}")  # noqa: E731
    wait_until(lambda: found()["status"] == "served", "the bump comes back through the log")
    wait_until(shop.drained, "the uplink")
    rows = shop.get("cloud", "/v1/audit/orders", store="s1")["orders"]
    assert [(row["origin"], row["marker"]) for row in rows if row["order_id"] == order_id] == [
        ("edge", f"note-{order_id}")
    ]


def test_a_killed_primary_is_replaced_and_comes_back(shop: Shop) -> None:
    kept = [shop.order()["order_id"] for _ in range(5)]
    primary, standby = shop.primary, shop.standby
    shop.process(primary).kill()
    told = shop.order()
    assert told["level"] == "R1"
    assert shop.primary == standby
    shop.process(primary).start()
    wait_until(lambda: shop.members() == 2, "the killed device is a member again")
    assert shop.order(told["order_id"])["level"] == "R2", "the level is computed anew"
    assert shop.order()["level"] == "R2"
    for order_id in (*kept, told["order_id"]):
        assert len(shop.records(order_id)) == 1


def test_a_paused_primary_acknowledges_nothing_that_the_other_does_not_hold(shop: Shop) -> None:
    primary, standby = shop.primary, shop.standby
    in_flight = [key() for _ in range(10)]
    answers: dict[str, httpx.Response | None] = {}
    shop.process(primary).pause()
    senders = [
        threading.Thread(target=lambda order_id=order_id: answers.update({order_id: _post(shop, primary, order_id)}))
        for order_id in in_flight
    ]
    for sender in senders:
        sender.start()
    wait_until(lambda: shop.primaries() == [standby], "the other takes over")
    later = shop.order()
    shop.process(primary).resume()
    for sender in senders:
        sender.join(20)
    wait_until(lambda: shop.members() == 2, "the paused device is a member again")
    assert shop.primary == standby
    for order_id, answer in answers.items():
        if answer is not None and answer.status_code == 201:
            assert len(shop.records(order_id)) == 1, "acknowledged, so it is in the log"
        else:
            assert answer is None or answer.status_code == 503
    assert len(shop.records(later["order_id"])) == 1
    for order_id in in_flight:
        shop.order(order_id)
        assert len(shop.records(order_id)) == 1


def test_a_power_cut_of_the_whole_store_is_survived_without_help(shop: Shop) -> None:
    kept = [shop.order()["order_id"] for _ in range(10)]
    for name in ("arbiter", *DEVICES):
        shop.process(name).kill()
    assert shop.try_order("edge_a", key()) is None
    for name in ("arbiter", *DEVICES):
        shop.process(name).start()
    wait_until(lambda: shop.members() == 2, "the store resumes")
    assert shop.order()["level"] == "R2"
    for order_id in kept:
        assert len(shop.records(order_id)) == 1


def test_a_device_that_lost_its_disk_comes_back_as_another_node(shop: Shop) -> None:
    kept = [shop.order()["order_id"] for _ in range(10)]
    primary = shop.primary
    lost = shop.get(primary, "/v1/status")["node_id"]
    shop.process(primary).kill()
    shop.stack.remove_data(shop.name(primary))
    assert shop.order()["level"] == "R1"
    shop.process(primary).start()
    wait_until(lambda: shop.members() == 2, "the empty device joins")
    status = shop.get(primary, "/v1/status")
    assert status["node_id"] != lost
    assert status["last_seq"] >= len(kept)
    assert shop.order()["level"] == "R2"
    # And what it has copied is worth something: now the other one dies.
    shop.process(shop.primary).kill()
    for order_id in kept:
        assert len(shop.records(order_id)) == 1


def test_orders_go_on_at_r2_without_the_arbiter(shop: Shop) -> None:
    shop.process("arbiter").kill()
    began_s = time.monotonic()
    while time.monotonic() - began_s < 1.5:  # longer than every time-out between the devices
        answer = shop.try_order(shop.primary, key())
        assert answer is not None
        assert (answer.status_code, answer.json()["level"]) == (201, "R2")


def test_without_the_arbiter_a_lost_device_stops_the_store_until_it_is_back(shop: Shop) -> None:
    order_id, primary = key(), shop.primary
    shop.process("arbiter").kill()
    shop.process(primary).kill()
    standby = next(device for device in DEVICES if device != primary)
    began_s = time.monotonic()
    while time.monotonic() - began_s < 1.5:
        answer = shop.try_order(standby, order_id)
        assert answer is not None
        assert answer.status_code == 503
    shop.process("arbiter").start()
    assert shop.order(order_id)["level"] == "R1"


def test_orders_go_on_without_the_cloud_and_are_sent_later(shop: Shop) -> None:
    shop.process("cloud").kill()
    during = [shop.order() for _ in range(10)]
    assert {told["level"] for told in during} == {"R2"}
    wait_until(lambda: set(shop.tickets()) >= {told["order_id"] for told in during}, "the kitchen needs no cloud")
    shop.process("cloud").start()
    asyncio.run(shop.process("cloud").wait_ready())
    wait_until(shop.drained, "the uplink drains")
    alarms = shop.get("cloud", "/v1/audit/alarms", store="s1")["alarms"]
    assert alarms == []


def test_a_crash_of_the_database_loses_no_order_of_the_cloud(shop: Shop) -> None:
    order_id = key()
    shop.order_at_cloud(order_id)
    shop.process("postgres").kill()
    assert shop.process("postgres").pid is None
    assert shop.order()["level"] == "R2"
    shop.process("postgres").start()
    asyncio.run(shop.process("postgres").wait_ready())
    wait_until(lambda: shop.try_order("cloud", order_id, store="s1") is not None, "the cloud")
    wait_until(lambda: len(shop.records(order_id)) == 1, "the order reaches the store")
    wait_until(shop.drained, "the uplink drains")


def test_orders_entered_at_the_cloud_reach_the_log_and_the_kitchen(shop: Shop) -> None:
    order_ids = [key() for _ in range(5)]
    for order_id in order_ids:
        shop.order_at_cloud(order_id)
    wait_until(lambda: set(shop.tickets()) >= set(order_ids), "the tickets")
    records = [shop.records(order_id) for order_id in order_ids]
    assert [[record["kind"] for record in found] for found in records] == [["order"]] * 5
    numbers = [found[0]["downlink_number"] for found in records]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    wait_until(shop.drained, "the outcome is told to the cloud")
    rows = {row["order_id"]: row for row in shop.get("cloud", "/v1/audit/orders", store="s1")["orders"]}
    assert {rows[order_id]["outcome"] for order_id in order_ids} == {"order"}


def test_one_key_through_both_doors_is_one_order(shop: Shop) -> None:
    first_here, first_there = key(), key()
    shop.order(first_here)
    shop.order_at_cloud(first_here)
    shop.order_at_cloud(first_there)
    shop.order(first_there)
    # If the uplink was quicker than the second request, the cloud knows the key already and gives no number.
    wait_until(shop.drained, "everything is told to the cloud")
    kinds_here = [record["kind"] for record in shop.records(first_here)]
    assert kinds_here in (["order"], ["order", "duplicate_of"])
    wait_until(
        lambda: (
            {record["kind"] for record in shop.records(first_there)} in ({"order"}, {"order", "duplicate_of"})
            and any("downlink_number" in record for record in shop.records(first_there))
        ),
        "the other downlink's record",
    )
    kinds = [record["kind"] for record in shop.records(first_there)]
    assert kinds.count("order") == 1
    wait_until(shop.drained, "the outcome is told to the cloud")
    rows = shop.get("cloud", "/v1/audit/orders", store="s1")["orders"]
    for order_id in (first_here, first_there):
        assert [row["order_id"] for row in rows].count(order_id) == 1
        wait_until(lambda order_id=order_id: order_id in shop.tickets(), "the ticket")  # type: ignore[misc]
        assert shop.tickets().count(order_id) == 1


def test_a_restarted_kitchen_display_shows_each_ticket_once(shop: Shop) -> None:
    before = [shop.order()["order_id"] for _ in range(5)]
    wait_until(lambda: set(shop.tickets()) >= set(before), "the tickets")
    shop.process("kitchen").kill()
    during = [shop.order()["order_id"] for _ in range(5)]
    shop.process("kitchen").start()
    asyncio.run(shop.process("kitchen").wait_ready())
    wait_until(lambda: set(shop.tickets()) >= {*before, *during}, "the tickets")
    tickets = shop.tickets()
    assert len(tickets) == len(set(tickets))


def test_a_switched_primary_shows_each_ticket_once(shop: Shop) -> None:
    order_ids = [shop.order()["order_id"] for _ in range(5)]
    shop.process(shop.primary).kill()
    order_ids += [shop.order()["order_id"] for _ in range(5)]
    wait_until(lambda: set(shop.tickets()) >= set(order_ids), "the tickets")
    tickets = shop.tickets()
    assert len(tickets) == len(set(tickets))


def test_two_stacks_at_once_do_not_disturb_each_other_and_leave_nothing(tmp_path: Path, shop: Shop) -> None:
    (tmp_path / "other").mkdir()
    stack = make_stack(tmp_path / "other", "s1", "s2")
    seq = shop.order()["seq"]
    with running(stack):
        children = psutil.Process().children(recursive=True)
        others = [Shop(stack, "s1"), Shop(stack, "s2")]
        for other in others:
            assert other.order()["seq"] == 1
            wait_until(other.drained, "the uplink of the other stack")
        ports = [stack.port(name) for name in stack._reservations]
        assert shop.order()["seq"] > seq
        own = _processes_of(stack)
        assert len(own) == 10
        assert {child.pid for child in children} >= own
        shop.process("edge_b").kill()
        assert others[0].order()["level"] == "R2"
        for other in others:
            other.http.close()
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    assert {pid for pid in own if process_state(pid) is not None} == set()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        with socket.create_server(("127.0.0.1", port)):
            pass
    stack.stop()
    for log in (tmp_path / "other" / "logs").iterdir():
        assert "Traceback" not in log.read_text(errors="replace"), log.name


def test_a_stack_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    stack = make_stack(tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none")
    (tmp_path / "menu.json").write_text("no menu", encoding="utf-8")
    stack.reserve()
    try:
        with pytest.raises(StackError, match=r"ended during its start: .*not a menu file"):
            asyncio.run(stack.start())
    finally:
        started = _processes_of(stack)
        stack.stop()
    assert {pid for pid in started if process_state(pid) is not None} == set()


def test_faults_on_a_database_that_is_not_ours_are_refused(tmp_path: Path) -> None:
    stack = make_stack(tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StackError, match="not this stack's own"):
        stack.process("postgres")


def test_the_processes_of_a_killed_launcher_are_gone_with_the_database(tmp_path: Path) -> None:
    launcher = f"""
import asyncio, sys, time
from pathlib import Path
from refsystem.ordering.menu import DEMO_MENU
from refsystem.stack import Stack
from refsystem.stack_settings import StackSettings, StoreSettings
folder = Path({str(tmp_path)!r})
(folder / "menu.json").write_text(DEMO_MENU.to_json(), encoding="utf-8")
stack = Stack(StackSettings(folder, (StoreSettings("s1"),), folder / "menu.json"))
stack.reserve()
async def main():
    await stack.start()
    stack.process("s1.edge_a").pause()
    print("up", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) > 6, "the stack, and PostgreSQL with its own children"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(
            lambda: not [child for child in children if child.is_running() and _alive(child)], "no process is left"
        )


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _processes_of(stack: Stack) -> set[int]:
    return {process.pid for process in stack._python.values() if process.pid is not None} | (
        {stack._postgres.pid} if stack._postgres is not None and stack._postgres.pid is not None else set()
    )


def _post(shop: Shop, device: str, order_id: str) -> httpx.Response | None:
    with contextlib.suppress(httpx.TransportError), httpx.Client(trust_env=False, timeout=15) as http:
        url = f"{shop.stack.url(shop.name(device))}/v1/orders"
        return http.post(url, json={**BODY, "note": f"note-{order_id}"}, headers={"Idempotency-Key": order_id})
    return None
