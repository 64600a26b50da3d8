"""Parties against a real store: a device, its arbiter and a payment gateway, driven as a load process drives them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.contract import Answer, ReferenceApi, Reply, Request
from loadtests.plan import LoadPlan, Retries, StoreTargets, monotonic_us, write_plan
from refsystem.access import staff_token
from refsystem.ordering.book import Book
from refsystem.ordering.check import CheckStatus
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.order import Order
from refsystem.processes import PythonProcess, reserve_port
from simulator.diners import Diner, write_timetable
from simulator.errands import Errand
from simulator.history import Attempt, Door, Kind, read_history
from simulator.parties import AddOn, Visit

ROOT = Path(__file__).resolve().parents[2]
DRIVE = Path(__file__).with_name("drive_journeys.py")
SECRET = "what the store signs tokens with"
MENU = MENUS["hotpot"]
ITEMS = (("spicy-base", 1), ("beef-slices", 2))
MORE = (("plum-juice", 2), ("ice-jelly", 1))
PATIENCE_S = 20.0


@dataclass
class Shop:
    """One device that is its store's only member, and a gateway."""

    folder: Path
    device: PythonProcess
    gateway: PythonProcess
    http: httpx.Client

    @property
    def records(self) -> list[dict[str, Any]]:
        token = staff_token(SECRET.encode(), "s1", "Li", "operator", 4_000_000_000)
        url, headers = f"http://127.0.0.1:{self.device.port}/v1/audit/entries", {"Authorization": f"Bearer {token}"}
        answer = self.http.get(url, headers=headers).json()
        return [entry["record"] for entry in answer["entries"]]

    @property
    def book(self) -> Book:
        book = Book(MENU)
        for seq, record in enumerate(self.records, start=1):
            book.apply(seq, record)
        return book

    def settled_book(self) -> Book:
        deadline_s = time.monotonic() + PATIENCE_S
        while (book := self.book).at_gateway():
            assert time.monotonic() < deadline_s, "the payments never settled"
            time.sleep(0.05)
        return book


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with contextlib.ExitStack() as stack:
        ports = {
            name: stack.enter_context(reserve_port()).getsockname()[1]
            for name in ("device", "peer", "arbiter", "gateway", "nobody")
        }
        secret = tmp_path / "secret"
        secret.write_text(SECRET)
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}

        def process(name: str, module: str, **environment: str) -> PythonProcess:
            made = PythonProcess(name, module, environment, ports[name], tmp_path / f"{name}.log")
            stack.callback(made.kill)
            made.start()
            return made

        scale = {"RUSHPROOF_TIME_SCALE": "20"}
        arbiter = process(
            "arbiter",
            "refsystem.arbiter",
            RUSHPROOF_DATA=str(tmp_path / "arbiter"),
            RUSHPROOF_HTTP_PORT=str(ports["arbiter"]),
        )
        gateway = process(
            "gateway",
            "refsystem.partners.payment_gateway",
            RUSHPROOF_GATEWAY_DATA=str(tmp_path / "gateway"),
            RUSHPROOF_GATEWAY_PORT=str(ports["gateway"]),
            RUSHPROOF_GATEWAY_SECRET_FILE=str(secret),
            RUSHPROOF_GATEWAY_WALLET_SECONDS="0",
            **scale,
        )
        device = process(
            "device",
            "refsystem.edge",
            RUSHPROOF_STORE="s1",
            RUSHPROOF_SLOT="a",
            RUSHPROOF_DATA=str(tmp_path / "device"),
            RUSHPROOF_HTTP_PORT=str(ports["device"]),
            RUSHPROOF_PEER_PORT=str(ports["peer"]),
            RUSHPROOF_PEER_ADDRESS=f"127.0.0.1:{ports['nobody']}",
            RUSHPROOF_ARBITER_URL=urls["arbiter"],
            RUSHPROOF_CLOUD_URL=urls["nobody"],
            RUSHPROOF_KITCHEN_URL=urls["nobody"],
            RUSHPROOF_MENU="hotpot",
            RUSHPROOF_STORE_RULES="hotpot",
            RUSHPROOF_GATEWAY_URL=urls["gateway"],
            RUSHPROOF_GATEWAY_SECRET_FILE=str(secret),
            RUSHPROOF_CALLBACK_URL=urls["device"],
            RUSHPROOF_ACCESS_SECRET_FILE=str(secret),
            RUSHPROOF_TABLES=",".join(f"T{number}" for number in range(1, 21)),
            **scale,
        )
        http = stack.enter_context(httpx.Client(trust_env=False, timeout=PATIENCE_S))

        async def ready() -> None:
            await asyncio.gather(*(each.wait_ready() for each in (arbiter, gateway, device)))

        asyncio.run(ready())
        status = http.get(f"{urls['device']}/v1/status").json()
        http.put(f"{urls['arbiter']}/v1/register", json={"primary": status["node_id"]}).raise_for_status()
        deadline_s = time.monotonic() + PATIENCE_S
        while http.get(f"{urls['device']}/v1/status").json()["role"] != "primary":
            assert time.monotonic() < deadline_s, "the device never became primary"
            time.sleep(0.05)
        yield Shop(tmp_path, device, gateway, http)


def party(number: int, visit: Visit, **changes: Any) -> Diner:
    return replace(
        Diner(
            diner=number,
            store="s1",
            at_us=number * 60_000,
            channel="qr",
            table=f"T{number + 1}",
            items=ITEMS,
            total_minor=MENU.total_minor(ITEMS),
            note="",
            order_key_bits=1_000 + number,
            reorder_key_bits=(1 << 70) + number,
            think_us=20_000,
            patience_us=4_000_000,
            poll_us=50_000,
            polls_max=2,
            behaviour="plain",
            tender="card",
            pay_patience_us=10_000_000,
            visit=visit,
        ),
        **changes,
    )


def add_on(number: int, place: int, after_us: int, **changes: Any) -> AddOn:
    made = AddOn(after_us, place, MORE, MENU.total_minor(MORE), 50_000 + 100 * number + place)
    return replace(made, **changes)


def dining(number: int, **changes: Any) -> Visit:
    """A party of three, two of whom order something more at the same moment."""
    add_ons = (add_on(number, 1, 150_000), add_on(number, 2, 150_000))
    return replace(Visit(size=3, dining_us=500_000, add_ons=add_ons), **changes)


def drive(folder: Path, targets: StoreTargets, diners: list[Diner], **changes: Any) -> list[Attempt]:
    write_timetable(folder / "timetable.json", diners)
    usual: dict[str, Any] = {
        "run": "r1",
        "seed": 7,
        "start_us": monotonic_us(),
        "targets": {"s1": targets},
        "attempt_timeout_ms": 2_000,
        "retries": Retries(attempts_max=4, backoff_ms=20, backoff_max_ms=80),
    }
    write_plan(folder / "load.json", LoadPlan(**{**usual, **changes}))
    command = [sys.executable, str(DRIVE), str(folder / "load.json"), "start when ready"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "metrics" / "progress-locust-0.json").read_text())["broken_journeys"] == 0, done.stderr
    return read_history(folder / "history")


def test_parties_order_together_change_their_check_and_pay_it_in_parts(shop: Shop) -> None:
    apart = (add_on(4, 1, 150_000), add_on(4, 2, 200_000, apart=True))
    diners = [
        party(0, dining(0, calls_after_us=350_000, calls=((1, 3), (2, 3)))),
        party(1, dining(1, moves_to="T20", moves_after_us=60_000)),
        party(2, dining(2, split="evenly", less="void")),
        party(3, dining(3, split="by_line", less="comp")),
        party(4, dining(4, add_ons=apart)),
        party(5, dining(5, coupon=True, second_tender="cash"), channel="waiter"),
        party(6, dining(6, refund=True)),
        party(7, Visit(size=1, dining_us=100_000, less="comp"), items=(("plum-juice", 1),), total_minor=1_800),
    ]
    targets = StoreTargets((f"http://127.0.0.1:{shop.device.port}",))
    history = drive(shop.folder, targets, diners, access_secret=str(shop.folder / "secret"))
    book, records = shop.settled_book(), shop.records
    assert book.passed_over == ()
    assert {check.status for check in book.checks} == {CheckStatus.CLOSED, CheckStatus.MERGED}
    done = Counter(record["act"] for record in records if record["kind"] == "act")
    wanted = {
        "transfer": 1,
        "split": 2,
        "merge": 1,
        "void": 1,
        "comp": 2,
        "discount": 1,
        "reopen": 1,
        "refund": 1,
        "fire": 2,
    }
    assert {name: done[name] for name in wanted} == wanted
    # 7 checks, 2 parts of the even split and 1 of that by lines, a second tender, and the one who eats alone.
    assert done["pay"] == 7 + 2 + 1 + 1 + 1
    orders = {record["order_id"]: record for record in records if record["kind"] == "order"}
    assert len(orders) == 8 + 2 * 7
    first = next(iter(orders.values()))
    assert len(book.check(first["order_id"]).lines) == len(ITEMS) + 2 * len(MORE), "three orders on one check"
    moved = [order["table"] for order in orders.values() if order["table"] == "T20"]
    assert len(moved) == 2, "what was ordered after the party had moved says so"
    sent = {row.act_id for row in history if row.kind == "act"}
    system = {"payment_outcome", "refund_outcome", "parties_outcome"}
    assert sent == {record["act_id"] for record in records if record.get("act") and record["act"] not in system}
    said = {row.order_id for row in history if row.kind == "order"}
    assert said == set(orders), "every order is in the history before it is sent"
    assert len({row.intent_id for row in history if row.kind == "order"}) == len(orders), "nobody ordered twice"


class PlainApi:
    """An adapter of a system that knows orders, and neither checks nor payments."""

    def __init__(self) -> None:
        self._known = ReferenceApi()

    def menu(self, door: Door, store: str) -> Request:
        return self._known.menu(door, store)

    def order(self, door: Door, store: str, order: Order) -> Request:
        return self._known.order(door, store, order)

    def read(self, door: Door, store: str, order_id: str) -> Request:
        return self._known.read(door, store, order_id)

    def answer(self, kind: Kind, order_id: str, reply: Reply) -> Answer:
        return self._known.answer(kind, order_id, reply)


def test_an_adapter_that_knows_no_checks_leaves_them_out_and_says_so(tmp_path: Path, stack: Any) -> None:
    visit = dining(0, coupon=True, split="evenly", moves_to="T9", moves_after_us=10_000)
    history = drive(
        tmp_path,
        StoreTargets((stack.url("edge_a"), stack.url("edge_b")), stack.url("cloud")),
        [party(0, visit), replace(party(1, dining(1)), visit=None)],
        adapter="test_parties:PlainApi",
        errands=[Errand("s1", 0, 0, "recall", 1_000_000)],
    )
    assert {row.kind for row in history} == {"menu", "order", "read"}
    assert len(stack.orders) == 4
    assert not any("check_id" in order for order in stack.orders.values())
    assert {row.outcome for row in history if row.kind == "order"} == {"ok"}
    skipped = json.loads((tmp_path / "metrics" / "load-locust-0.json").read_text())["skipped"]
    assert skipped == {"transfer": 1, "discount": 1, "split": 1, "pay": 2, "recall": 1}
