"""Break glass (P19) with the whole stack as processes: the only member is gone for good, and a person names the other device."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.ordering.menu import DEMO_MENU
from refsystem.stack import Stack
from refsystem.stack_settings import StackSettings, StoreSettings

pytestmark = pytest.mark.slow

PATIENCE_S = 30.0


def key() -> str:
    return str(uuid.uuid4())


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.05)


class Store:
    """The store `s1` of a running stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.http = httpx.Client(trust_env=False, timeout=10)

    def process(self, name: str) -> Any:
        return self.stack.process(name if name == "cloud" else f"s1.{name}")

    def url(self, name: str) -> str:
        return self.stack.url(name if name == "cloud" else f"s1.{name}")

    def get(self, name: str, path: str, **query: Any) -> Any:
        headers = self.stack.chain_headers() if name == "cloud" else self.stack.operator_headers("s1")
        answer = self.http.get(f"{self.url(name)}{path}", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def start(self, name: str) -> None:
        self.process(name).start()
        asyncio.run(self.process(name).wait_ready())
        if name == "cloud":
            wait_until(lambda: self.http.get(f"{self.url(name)}/ready").status_code == 200, "the cloud's database")

    def status(self, device: str) -> dict[str, Any]:
        with contextlib.suppress(httpx.HTTPError):
            status: dict[str, Any] = self.get(device, "/v1/status")
            return status
        return {"role": "gone", "members": []}

    def wait_role(self, device: str, role: str, members: int | None = None) -> None:
        def there() -> bool:
            status = self.status(device)
            return status["role"] == role and (members is None or len(status["members"]) == members)

        wait_until(there, f"{device} {role} with {members} members")

    def order(self, name: str, order_id: str, level: str) -> None:
        """An order, sent again until it is acknowledged at that level."""
        body = {
            "channel": "qr",
            "table": "7",
            "items": [{"item_id": "steamed-rice", "quantity": 2}],
            "total_minor": 600,
        }
        body |= {"note": f"note-{order_id}"} | ({"store": "s1"} if name == "cloud" else {})

        def acknowledged() -> bool:
            with contextlib.suppress(httpx.TransportError):
                headers = {"Idempotency-Key": order_id}
                answer = self.http.post(f"{self.url(name)}/v1/orders", json=body, headers=headers)
                return answer.status_code == 201 and answer.json()["level"] == level
            return False

        wait_until(acknowledged, f"an order at {name} acknowledged {level}")

    def lose_standby(self) -> str:
        """Device b is killed, and device a goes on alone; its node_id."""
        self.process("edge_b").kill()
        wait_until(lambda: len(self.status("edge_a")["members"]) == 1, "device a alone")
        node_id: str = self.status("edge_a")["node_id"]
        return node_id

    def break_glass(self, off: str, **changes: Any) -> httpx.Response:
        word = {"off": [off], "who": "Li", "why": "burnt down", **changes}
        return self.http.post(
            f"{self.url('edge_b')}/v1/break-glass", json=word, headers=self.stack.operator_headers("s1")
        )

    def asked(self, device: str, order_id: str) -> tuple[int, str | None]:
        """Status and problem of the answer to a question for an order."""
        answer = self.http.get(f"{self.url(device)}/v1/orders/{order_id}")
        return answer.status_code, answer.json().get("type")

    def records(self, device: str) -> list[dict[str, Any]]:
        return [entry["record"] for entry in self.get(device, "/v1/audit/entries")["entries"]]

    def order_ids(self, device: str) -> list[str]:
        return [record["order_id"] for record in self.records(device) if record["kind"] == "order"]

    def tickets(self) -> dict[str, bool]:
        """Every ticket ever shown, and whether it was given up; each once."""
        rows = self.get("kitchen", "/v1/audit/tickets")["tickets"]
        assert len({row["order_id"] for row in rows}) == len(rows)
        return {row["order_id"]: row["given_up"] for row in rows}

    def drained(self) -> bool:
        """Cloud and kitchen display stand where device b does."""
        status = self.status("edge_b")
        place = {"seq": status.get("commit_seq"), "hash": status.get("commit_hash")}
        cloud, kitchen = (
            self.get("cloud", "/v1/stores/s1/status")["cursor"],
            self.get("kitchen", "/v1/status")["cursor"],
        )
        return cloud == place == kitchen

    def alarms(self) -> list[str]:
        told = [alarm["kind"] for alarm in self.get("cloud", "/v1/audit/alarms", store="s1")["alarms"]]
        return told + [alarm for device in ("edge_a", "edge_b") if (alarm := self.status(device).get("alarm"))]

    def wait_alike(self) -> None:
        """Both devices hold the same committed entries."""

        def alike() -> bool:
            one, other = (self.get(device, "/v1/audit/entries")["entries"] for device in ("edge_a", "edge_b"))
            return one == other

        wait_until(alike, "both devices alike")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    menu = tmp_path / "menu.json"
    menu.write_text(DEMO_MENU.to_json(), encoding="utf-8")
    stack = Stack(StackSettings(tmp_path, (StoreSettings("s1", kitchen_seconds=0.2),), menu))
    try:
        stack.reserve()
        asyncio.run(stack.start())
        made = Store(stack)
        yield made
        made.http.close()
    finally:
        stack.stop()


def test_what_the_cloud_holds_is_copied_before_the_role_is_taken_up(store: Store) -> None:
    both, alone, down = [key(), key()], [key() for _ in range(5)], key()
    for order_id in both:
        store.order("edge_a", order_id, "R2")
    gone = store.lose_standby()
    for order_id in alone:
        store.order("edge_a", order_id, "R1")
    store.order("cloud", down, "RC")
    wait_until(lambda: down in store.order_ids("edge_a"), "the downlink")
    wait_until(lambda: set(alone) <= set(_cloud_orders(store)), "the uplink")
    wait_until(lambda: _cloud_orders(store)[down]["outcome"] == "order", "the downlink's record at the cloud")
    store.process("edge_a").kill()
    store.stack.remove_data("s1.edge_a")
    store.start("edge_b")
    store.wait_role("edge_b", "joining")
    assert store.break_glass("somebody-else").status_code == 409
    assert store.break_glass(gone).status_code == 202
    store.wait_role("edge_b", "primary")
    for order_id in [*both, *alone, down]:
        assert store.get("edge_b", f"/v1/orders/{order_id}")["level"] == "R1"
    store.order("edge_b", key(), "R1")
    wait_until(store.drained, "cloud and kitchen")
    assert not any(store.tickets().values())
    assert set(store.order_ids("edge_b")) == set(store.tickets())
    (fork,) = [record for record in store.records("edge_b") if record["kind"] == "fork"]
    assert (fork["cloud"], fork["off"], fork["who"]) == ("copied", [gone], "Li")
    # A new disk in the place of the one that is gone joins as ever.
    store.start("edge_a")
    store.wait_role("edge_b", "primary", members=2)
    store.order("edge_b", key(), "R2")
    store.wait_alike()
    assert store.alarms() == []


def test_without_the_cloud_orders_go_back_by_the_downlink_and_the_old_branch_is_given_up(store: Store) -> None:
    both, alone, down = key(), [key() for _ in range(3)], key()
    store.order("edge_a", both, "R2")
    gone = store.lose_standby()
    for order_id in alone:
        store.order("edge_a", order_id, "R1")
    store.order("cloud", down, "RC")
    wait_until(lambda: _cloud_orders(store).get(down, {}).get("outcome") == "order", "the downlink and the uplink")
    wait_until(lambda: {both, *alone, down} <= set(store.tickets()), "the tickets")
    store.process("cloud").kill()
    store.process("edge_a").kill()
    store.start("edge_b")
    store.wait_role("edge_b", "joining")
    assert store.break_glass(gone).status_code == 202
    wait_until(lambda: store.get("edge_b", "/v1/break-glass")["stage"] == "reconciling", "reconciling")
    assert store.http.get(f"{store.url('edge_b')}/ready").json()["break_glass"] == "reconciling"
    assert store.break_glass(gone, without_cloud=True).status_code == 202
    store.wait_role("edge_b", "primary")
    fresh, nobodys = key(), key()
    store.order("edge_b", fresh, "R1")
    # What the cloud may hold is not denied.
    for order_id in (*alone, nobodys):
        assert store.asked("edge_b", order_id) == (503, "urn:rushproof:problem:not-confirmed")
    assert store.status("edge_b")["orders_may_return"] is True
    wait_until(lambda: store.tickets().get(fresh) is False, "the kitchen follows the fork")
    assert {order_id for order_id, given_up in store.tickets().items() if given_up} == {*alone, down}
    store.start("cloud")
    wait_until(lambda: {*alone, down} <= set(store.order_ids("edge_b")), "what only the cloud held comes back")
    wait_until(store.drained, "cloud and kitchen")
    wait_until(lambda: store.status("edge_b")["orders_may_return"] is False, "nothing more comes back")
    assert [store.asked("edge_b", order_id)[0] for order_id in (*alone, down)] == [200] * 4
    assert store.asked("edge_b", nobodys) == (404, "urn:rushproof:problem:order-unknown")
    assert not any(store.tickets().values())
    left = store.get("cloud", "/v1/audit/forked-entries", store="s1")["entries"]
    assert {row["record"]["order_id"] for row in left if row["record"]["kind"] == "order"} == {*alone, down}
    assert sorted(store.order_ids("edge_b")) == sorted({both, *alone, down, fresh}), "each once"
    # The device that was said to be gone comes back: what it knew to be committed is given up, and each entry listed.
    store.start("edge_a")
    store.wait_role("edge_b", "primary", members=2)
    store.wait_alike()
    rows = store.get("edge_a", "/v1/audit/set-aside")["entries"]
    given_up = {row["record"]["order_id"] for row in rows if row["given_up"] and row["record"]["kind"] == "order"}
    assert given_up <= {*alone, down}
    assert {row["record"].get("order_id") for row in rows} >= {*alone, down}
    assert store.get("edge_a", "/v1/recovered")["orders"] == [], "all of them are committed since"
    assert store.alarms() == []


def _cloud_orders(store: Store) -> dict[str, dict[str, Any]]:
    rows = store.get("cloud", "/v1/audit/orders", store="s1", limit=5000)["orders"]
    return {row["order_id"]: row for row in rows if row["store_seq"] is not None or row["origin"] == "cloud"}
