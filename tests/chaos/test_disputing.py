"""Payers at their bank: which payments are disputed belongs to the seed, and the drill waits until the log knows of each loss."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import chaos.disputing
from chaos.disputing import Disputing
from chaos.observer import now_us
from simulator.scenario import load_scenario

SCENARIO = """
name: mine
duration_s: 1
time_scale: 1000
diners: {arrivals: {rate_per_s: 1}}
payments: {disputes: 0.5, dispute_after_s: 20}
"""


def payment(number: int, **changes: Any) -> dict[str, Any]:
    made = {"attempt_id": f"p{number}", "merchant": "s1", "tender": "card", "captured_minor": 100 + number}
    return {**made, "captured_at_us": now_us() - 1_000_000, "refunded_minor": 0, **changes}


class Bank:
    """Stands for the gateway: its payments, what was asked of it, and a 500 to the first request under every key."""

    def __init__(self) -> None:
        self.payments = [payment(number) for number in range(40)]
        self.payments += [payment(number, captured_at_us=now_us() + 60_000_000) for number in range(50, 60)]
        self.payments += [payment(41, tender="wallet"), payment(42, captured_at_us=None), payment(43, refunded_minor=1)]
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"payments": self.payments, "next_after": None})
        key = request.headers["Idempotency-Key"]
        known = any(each == key for _, each, _ in self.asked)
        self.asked.append((request.url.path, key, json.loads(request.content)))
        return httpx.Response(201 if known else 500, json={})


class Log:
    """Stands for an observer: a store's log, in which a loss stands when the test puts it there."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    async def sample(self, store: str, timeout_s: float) -> Any:
        return SimpleNamespace(primary_slot="a")

    async def entries_after(self, store: str, slot: str, seq: int) -> tuple[str, list[dict[str, Any]]]:
        return "a-1", self.entries[seq:]


def test_card_payments_are_disputed_once_and_the_drill_waits_for_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, log = Bank(), Log()
    plain = httpx.AsyncClient

    def client(**said: Any) -> httpx.AsyncClient:
        return plain(**said, transport=httpx.MockTransport(bank))

    monkeypatch.setattr(chaos.disputing, "TRY_AGAIN_S", 0.001)
    monkeypatch.setattr(chaos.disputing, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(chaos.disputing.httpx, "AsyncClient", client)
    disputing = Disputing(load_scenario(SCENARIO), 7, tmp_path / "disputes.json")
    ends_us = now_us() + 500_000
    asyncio.run(disputing.run("http://bank", lambda: now_us() > ends_us))
    lost = disputing.tally.lost
    assert 8 < len(lost) < 32, "half of forty"
    assert set(lost) <= {f"p{number}" for number in range(40)}
    opened = [body for path, _, body in bank.asked if path == "/v1/operator/disputes"]
    assert len(opened) == 2 * len(lost), "once, and once more under its key after the error"
    assert all(body["amount_minor"] == 100 + int(body["attempt_id"][1:]) for body in opened)
    assert {body["winner"] for path, _, body in bank.asked if path.endswith("/rulings")} == {"payer"}
    assert json.loads((tmp_path / "disputes.json").read_text(encoding="utf-8"))["lost"] == lost

    async def settle() -> tuple[list[str], list[str]]:
        outcome = {"act": "payment_outcome", "outcome": "charged_back"}
        log.entries = [{"record": {**outcome, "attempt_id": each}} for each in lost[1:]]
        before = await disputing.untold(log)  # type: ignore[arg-type]
        log.entries.append({"record": {**outcome, "attempt_id": lost[0]}})
        return before, await disputing.untold(log)  # type: ignore[arg-type]

    assert asyncio.run(settle()) == (["1 lost disputes are not in the log"], [])


def test_a_scenario_without_disputes_asks_the_bank_nothing(tmp_path: Path) -> None:
    text = SCENARIO.replace("disputes: 0.5, ", "")
    asyncio.run(Disputing(load_scenario(text), 7, tmp_path / "disputes.json").run("http://nobody", lambda: False))
    assert not (tmp_path / "disputes.json").exists()
