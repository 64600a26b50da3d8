"""The stack with a delivery platform: accepted once the store has it, voided once cancelled, paused when it is cut off."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.access import staff_token
from refsystem.ordering.menu import DEMO_MENU
from refsystem.platform_messages import platform_order_id
from refsystem.stack import Stack
from refsystem.stack_delivery import BACK, LINK, PROCESS, DeliveryStackSettings
from refsystem.stack_settings import StackSettings, StoreSettings

MISBEHAVIOUR = """{"seed": 5, "rules": [{"kind": "webhook_twice", "share": 1}, {"kind": "wrong_signature", "share": 0.3},
 {"kind": "error_after", "share": 1, "operations": ["acceptance"], "times": 1}]}"""


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline_s = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.05)
    return found


def settings(folder: Path, delivery: DeliveryStackSettings | None, **changes: Any) -> StackSettings:
    return StackSettings(folder, (StoreSettings("s1"),), folder / "menu.json", delivery=delivery, **changes)


def test_the_platform_and_its_links_are_there_only_when_asked_for(tmp_path: Path) -> None:
    for delivery in (None, DeliveryStackSettings()):
        stack = Stack(settings(tmp_path, delivery, database_url="postgresql://127.0.0.1:5432/none"))
        try:
            stack.reserve()
            ways = {link.name: (link.from_process, link.to_process) for link in stack.links()}
            expected = {LINK: (PROCESS, "cloud"), BACK: ("cloud", PROCESS)}
            assert {name: way for name, way in ways.items() if "partner_cloud" in name} == (
                expected if delivery else {}
            )
        finally:
            stack.stop()


@pytest.mark.slow
def test_an_order_is_accepted_once_it_is_in_the_store_and_voided_once_it_is_cancelled(tmp_path: Path) -> None:
    (tmp_path / "menu.json").write_text(DEMO_MENU.to_json(), encoding="utf-8")
    rules = '{"path_silent_ms": 700, "hold_ms": 0}'
    stack = Stack(settings(tmp_path, DeliveryStackSettings(MISBEHAVIOUR), time_scale=60, channel_rules=rules))
    try:
        stack.reserve()
        asyncio.run(stack.start())
        with httpx.Client(trust_env=False, timeout=10) as http:

            def place(total_minor: int = 5_600) -> int:
                body = {"store": "s1", "items": [{"item_id": "mapo-tofu", "quantity": 2}], "total_minor": total_minor}
                key = {"Idempotency-Key": str(uuid.uuid4())}
                answer = http.post(f"{stack.url(PROCESS)}/v1/orders", json=body, headers=key)
                assert answer.status_code == 201, answer.text
                return int(answer.json()["number"])

            def state(number: int) -> str:
                return str(http.get(f"{stack.url(PROCESS)}/v1/orders/{number}").json()["state"])

            def records() -> list[dict[str, Any]]:
                url, headers = f"{stack.url('s1.edge_a')}/v1/audit/entries", stack.operator_headers("s1")
                entries = http.get(url, headers=headers).json()["entries"]
                return [entry["record"] for entry in entries]

            kept, cancelled, wrong = place(), place(), place(total_minor=1)
            until(lambda: state(kept) == state(cancelled) == "accepted", "accepted orders")
            until(lambda: state(wrong) == "rejected", "a rejected order")
            held = [record["order_id"] for record in records() if record["kind"] == "order"]
            assert sorted(held) == sorted(platform_order_id("platform", number) for number in (kept, cancelled))
            http.post(f"{stack.url(PROCESS)}/v1/orders/{cancelled}/cancellation")
            (void,) = until(lambda: [r for r in records() if r.get("act") == "void"], "a void")
            assert (void["order_id"], void["who"]) == (platform_order_id("platform", cancelled), "platform")
            cancellations = f"{stack.url('cloud')}/v1/stores/s1/cancellations"
            until(
                lambda: http.get(cancellations, headers=stack.chain_headers()).json()["orders"] == [],
                "the cloud has seen the void",
            )

            store = f"{stack.url(PROCESS)}/v1/stores/s1"
            token = staff_token(stack.secret("access").read_bytes().strip(), "s1", "chef Ma", "kitchen", 2**40)
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
            act = {"act": "eighty_six", "item_id": "mapo-tofu", "reason": "no tofu"}
            answer = http.post(f"{stack.url('s1.edge_a')}/v1/acts", json=act, headers=headers)
            assert answer.status_code == 201, answer.text
            until(lambda: http.get(store).json()["sold_out"] == ["mapo-tofu"], "what is sold out is not sold there")

            for slot in "ab":
                stack.process(f"s1.edge_{slot}").pause()
            until(lambda: http.get(store).json()["paused_reason"].startswith("path_down"), "a paused store")
            for slot in "ab":
                stack.process(f"s1.edge_{slot}").resume()
            until(lambda: http.get(store).json()["paused_reason"] == "", "a store that is open again")
            assert len([record for record in records() if record["kind"] == "order"]) == 2
    finally:
        stack.stop()
