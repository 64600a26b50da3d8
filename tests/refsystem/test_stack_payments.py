"""The stack with a payment gateway: its links, its secrets, and a payment that outlives the primary."""

from __future__ import annotations

import asyncio
import contextlib
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.access import staff_token, table_token
from refsystem.ordering.menu import DEMO_MENU
from refsystem.processes import StackError
from refsystem.stack import Stack
from refsystem.stack_settings import GatewayStackSettings, StackSettings, StoreSettings

PATIENCE_S = 30.0
SILENT = '{"seed": 1, "rules": [{"kind": "timeout_after", "share": 1, "ms": 60000, "operations": ["authorize"]}]}'


def key() -> str:
    return str(uuid.uuid4())


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.05)
    return found


def settings(folder: Path, gateway: GatewayStackSettings | None, **changes: Any) -> StackSettings:
    return StackSettings(folder, (StoreSettings("s1"),), folder / "menu.json", gateway=gateway, **changes)


def test_the_gateway_and_its_links_are_there_only_when_payments_are_asked_for(tmp_path: Path) -> None:
    for gateway in (None, GatewayStackSettings()):
        stack = Stack(settings(tmp_path, gateway, database_url="postgresql://127.0.0.1:5432/none"))
        try:
            stack.reserve()
            found = {link.name: (link.from_process, link.to_process) for link in stack.links()}
            expected = {
                f"partner_gateway.s1.{slot}{back}": way
                for slot in "ab"
                for back, way in (
                    ("", (f"s1.edge_{slot}", "gateway")),
                    (".back", ("gateway", f"s1.edge_{slot}")),
                )
            }
            assert {name: way for name, way in found.items() if "gateway" in name} == (expected if gateway else {})
            with pytest.raises(StackError, match="no process gateway"):
                stack.process("gateway")
        finally:
            stack.stop()


def test_secrets_are_made_once_and_nobody_else_reads_them(tmp_path: Path) -> None:
    stack = Stack(settings(tmp_path, None))
    path = stack.secret("access")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_bytes()
    assert len(secret) == 64
    assert Stack(settings(tmp_path, None)).secret("access").read_bytes() == secret
    assert stack.secret("gateway").read_bytes() != secret


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "menu.json").write_text(DEMO_MENU.to_json(), encoding="utf-8")
    made = Stack(settings(tmp_path, GatewayStackSettings(SILENT, parties=(("platform", 600),)), time_scale=10))
    try:
        made.reserve()
        asyncio.run(made.start())
        yield made
    finally:
        made.stop()


class Till:
    """A diner and a cashier of the stack's store."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.http = httpx.Client(trust_env=False, timeout=5)
        secret = stack.secret("access").read_bytes()
        self.tokens = {
            "diner": table_token(secret, "s1", "7"),
            "cashier": staff_token(secret, "s1", "Li", "cashier", 2**33),
        }

    def get(self, process: str, path: str, **query: Any) -> Any:
        headers = self.stack.chain_headers() if process == "cloud" else {}
        answer = self.http.get(f"{self.stack.url(process)}{path}", params=query, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def primary(self) -> str | None:
        for name in ("s1.edge_a", "s1.edge_b"):
            with contextlib.suppress(httpx.HTTPError):
                if self.get(name, "/v1/status")["role"] == "primary":
                    return name
        return None

    def post(self, who: str, path: str, identity: str, body: dict[str, Any]) -> httpx.Response | None:
        headers = {"Idempotency-Key": identity, "Authorization": f"Bearer {self.tokens[who]}"}
        name = wait_until(self.primary, "a primary")
        with contextlib.suppress(httpx.HTTPError):
            return self.http.post(f"{self.stack.url(name)}{path}", json=body, headers=headers)
        return None

    def check(self, check_id: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.tokens['diner']}"}
        with contextlib.suppress(httpx.HTTPError):
            name = wait_until(self.primary, "a primary")
            answer = self.http.get(f"{self.stack.url(name)}/v1/checks/{check_id}", headers=headers)
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
        return {"status": "unknown"}


@pytest.mark.slow
def test_a_payment_that_timed_out_is_settled_once_by_the_next_primary(stack: Stack) -> None:
    """The gateway has done it and told nobody; the primary dies; the next one finds the attempt in the log and asks."""
    till = Till(stack)
    try:
        check_id, attempt_id = key(), key()
        items = [{"item_id": "steamed-rice", "quantity": 2}]
        order = {"channel": "qr", "table": "7", "items": items, "total_minor": 600}
        taken = till.post("diner", "/v1/orders", check_id, order)
        assert taken is not None
        assert taken.status_code == 201
        pay = {"act": "pay", "check_id": check_id, "tender": "card", "amount_minor": 600, "instrument": "card-1"}
        answer = till.post("diner", "/v1/acts", attempt_id, pay)
        assert answer is not None
        assert (answer.status_code, answer.json()["level"]) == (201, "R2")
        held = f"/v1/payments/{attempt_id}"
        wait_until(
            lambda: till.http.get(f"{stack.url('gateway')}{held}").status_code == 200, "the gateway holds the payment"
        )
        first = till.primary()
        assert first is not None
        stack.process(first).kill()
        wait_until(lambda: till.primary() not in (None, first), "the other device is primary")
        assert till.check(check_id)["payments"][0]["attempt_id"] == attempt_id
        till.http.delete(f"{stack.url('gateway')}/v1/operator/misbehaviour")
        wait_until(lambda: till.check(check_id)["status"] == "closed", "the check is closed")
        again = till.post("diner", "/v1/acts", attempt_id, pay)
        assert again is not None
        assert again.headers["idempotency-replayed"] == "true"
        captures = till.get("gateway", "/v1/audit/ledger")["movements"]
        assert [(row["kind"], row["attempt_id"]) for row in captures][:1] == [("capture", attempt_id)]
        wait_until(
            lambda: (
                [row["kind"] for row in till.get("gateway", "/v1/audit/ledger")["movements"]] == ["capture", "split"]
            ),
            "the platform has its share",
        )

        def at_cloud() -> bool:
            checks = till.get("cloud", "/v1/audit/checks", store="s1")["checks"]
            return [(check["check_id"], check["status"]) for check in checks] == [(check_id, "closed")]

        wait_until(at_cloud, "the cloud knows of the closed check")
        assert till.get("cloud", "/v1/audit/alarms", store="s1")["alarms"] == []
        order["check_id"] = check_id
        refused = till.post("diner", "/v1/orders", key(), order)
        assert refused is not None
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "check-closed")
    finally:
        till.http.close()
